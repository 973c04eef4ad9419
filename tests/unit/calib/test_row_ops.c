// SPDX-License-Identifier: MIT
//
// Exponentials against the C library's, in double precision.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "calib/row_ops.h"
#include "random_values.h"

enum { N = 1003 }; // no multiple of any vector

static void test_exponentials_of_scores(void **state) {
    (void)state;
    float row[N];
    float scores[N];
    float sum, greatest;
    double wanted_sum = 0.0;
    random_fill(scores, N, 1);
    float max = scores[0];
    for (size_t j = 0; j < N; ++j) {
        scores[j] *= 40.0f;
        max = j == 0 || scores[j] > max ? scores[j] : max;
        row[j] = scores[j];
    }
    imx_exponentiate(row, N, 0.5f, &sum, &greatest);
    for (size_t j = 0; j < N; ++j) {
        const double wanted = exp(0.5 * (double)(scores[j] - max));
        assert_true(fabs((double)row[j] - wanted) <= 0x1p-22 * wanted);
        wanted_sum += wanted;
    }
    assert_true(fabs((double)sum - wanted_sum) <= 1e-6 * wanted_sum);
    assert_true(greatest == max);
}

static void test_exponentials_at_the_ends(void **state) {
    (void)state;
    float row[] = {0.0f, -1000.0f, -87.0f, -INFINITY};
    float sum, greatest;
    imx_exponentiate(row, 4, 1.0f, &sum, &greatest);
    assert_true(row[0] == 1.0f && sum == 1.0f);
    assert_true(row[1] >= 0.0f && row[1] < 1.3e-38f && row[3] == row[1]);
    float bad[] = {1.0f, NAN, 2.0f};
    imx_exponentiate(bad, 3, 1.0f, &sum, &greatest);
    assert_true(isnan(sum));
}

static void test_silu_gate(void **state) {
    (void)state;
    float gate[N];
    float up[N];
    float wanted[N];
    random_fill(gate, N, 2);
    random_fill(up, N, 3);
    for (size_t j = 0; j < N; ++j) {
        gate[j] *= 30.0f;
        wanted[j] = (float)((double)up[j] * (double)gate[j] / (1.0 + exp(-(double)gate[j])));
    }
    imx_activate_silu(gate, up, N, up);
    for (size_t j = 0; j < N; ++j) {
        assert_true(fabsf(up[j] - wanted[j]) <= 1e-6f * fabsf(wanted[j]));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exponentials_of_scores),
        cmocka_unit_test(test_exponentials_at_the_ends),
        cmocka_unit_test(test_silu_gate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
