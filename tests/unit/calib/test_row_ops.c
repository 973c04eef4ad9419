// SPDX-License-Identifier: MIT
//
// Exponentials, activations and norms against their formulas in double precision.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "calib/forward/row_ops.h"
#include "../random_values.h"

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

static double silu(double x) {
    return x / (1.0 + exp(-x));
}

static double gelu(double x) {
    return 0.5 * x * (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
}

static double relu_squared(double x) {
    return x > 0.0 ? x * x : 0.0;
}

// Far to the left an activation is the small rest of a large value: the last bits of that count.
static void check_values(const float *x, const float *up, const float *out,
                         double (*formula)(double)) {
    for (size_t j = 0; j < N; ++j) {
        const double factor = up != NULL ? (double)up[j] : 1.0;
        const double wanted = formula((double)x[j]) * factor;
        const double slack = 1e-6 * fabs(wanted) + 1e-8 * fabs((double)x[j] * factor);
        assert_true(fabs((double)out[j] - wanted) <= slack);
    }
}

static void check_activation(imx_activate_fn *activate, double (*formula)(double)) {
    float x[N], up[N], out[N];
    random_fill(x, N, 2);
    random_fill(up, N, 3);
    for (size_t j = 0; j < N; ++j) {
        x[j] *= 30.0f;
    }
    activate(NULL, x, N, out);
    check_values(x, NULL, out, formula);
    activate(x, up, N, out);
    check_values(x, up, out, formula);
    activate(x, up, N, up);
    assert_memory_equal(up, out, sizeof up);
}

static void test_activations(void **state) {
    (void)state;
    check_activation(imx_activate_silu, silu);
    check_activation(imx_activate_gelu, gelu);
    check_activation(imx_activate_relu_squared, relu_squared);
}

static void test_activations_at_the_ends(void **state) {
    (void)state;
    static imx_activate_fn *const activations[] = {imx_activate_silu, imx_activate_gelu,
                                                   imx_activate_relu_squared};
    for (size_t i = 0; i < sizeof activations / sizeof *activations; ++i) {
        const float x[] = {0.0f, -1e4f, 1e4f, NAN};
        float out[4];
        activations[i](NULL, x, 4, out);
        assert_true(out[0] == 0.0f && fabsf(out[1]) <= 1e-30f && out[2] >= 1e4f && isnan(out[3]));
    }
}

static double clip(double x, double low, double high) {
    return fmin(fmax(x, low), high);
}

static void test_clipped_activation(void **state) {
    (void)state;
    float gate[N], up[N], out[N];
    random_fill(gate, N, 4);
    random_fill(up, N, 5);
    for (size_t j = 0; j < N; ++j) {
        gate[j] *= 20.0f;
        up[j] *= 20.0f;
    }
    imx_activate_clipped(gate, up, N, out);
    for (size_t j = 0; j < N; ++j) {
        const double g = clip((double)gate[j], -1e9, 7);
        const double factor = clip((double)up[j], -7, 7) + 1;
        const double wanted = g / (1 + exp(-1.702 * g)) * factor;
        assert_true(fabs((double)out[j] - wanted) <= 1e-6 * fabs(wanted) + 1e-8 * fabs(g * factor));
    }
    gate[0] = up[1] = NAN;
    imx_activate_clipped(gate, up, N, up);
    assert_true(isnan(up[0]) && isnan(up[1]));
    assert_memory_equal(up + 2, out + 2, (N - 2) * sizeof *up);
}

// Of values from a millionth of the cap to a thousand times it: small ones keep their digits.
static void test_softcap(void **state) {
    (void)state;
    const float cap = 5.0f, scale = 0.5f;
    float x[N], row[N + 1];
    random_fill(x, N, 7);
    for (size_t j = 0; j < N; ++j) {
        x[j] *= cap / scale * powf(10.0f, -6.0f + 9.0f * (float)j / N);
        row[j] = x[j];
    }
    row[N] = NAN;
    imx_softcap(row, N + 1, scale, cap);
    for (size_t j = 0; j < N; ++j) {
        const double wanted = (double)cap * tanh((double)scale * (double)x[j] / (double)cap);
        assert_true(fabs((double)row[j] - wanted) <= 5e-7 * fabs(wanted));
    }
    assert_true(isnan(row[N]));
}

static void check_norm(imx_norm_fn *norm, bool is_centred) {
    float x[N], weight[N], bias[N], out[N], plain[N];
    double mean = 0.0, sum2 = 0.0;
    random_fill(x, N, 4);
    random_fill(weight, N, 5);
    random_fill(bias, N, 6);
    for (size_t j = 0; j < N; ++j) {
        x[j] += 0.5f;
        mean += is_centred ? (double)x[j] / N : 0.0;
    }
    for (size_t j = 0; j < N; ++j) {
        sum2 += ((double)x[j] - mean) * ((double)x[j] - mean);
    }
    norm(x, weight, bias, 0.25f, N, out);
    norm(x, NULL, NULL, 0.25f, N, plain);
    for (size_t j = 0; j < N; ++j) {
        const double wanted = ((double)x[j] - mean) / sqrt(sum2 / N + 0.25);
        assert_true(fabs((double)plain[j] - wanted) < 1e-6);
        assert_true(fabs((double)out[j] - (wanted * (double)weight[j] + (double)bias[j])) < 1e-6);
    }
}

static void test_norms(void **state) {
    (void)state;
    check_norm(imx_norm_rms, false);
    check_norm(imx_norm_layer, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exponentials_of_scores),
        cmocka_unit_test(test_exponentials_at_the_ends),
        cmocka_unit_test(test_activations),
        cmocka_unit_test(test_activations_at_the_ends),
        cmocka_unit_test(test_clipped_activation),
        cmocka_unit_test(test_softcap),
        cmocka_unit_test(test_norms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
