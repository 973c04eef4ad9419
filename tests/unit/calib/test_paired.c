// SPDX-License-Identifier: MIT
//
// Paired differences: by hand where groups are few, and by chance where positions are correlated.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "calib/evaluation/paired.h"
#include "../random_values.h"

static const double zeros[4096];

static bool is_near(double a, double b) {
    return fabs(a - b) <= 1e-12 * fabs(b);
}

// Whole chunks say +1 or −1 three times: 40 independent values, not 120.
static void test_groups_are_chunks(void **state) {
    (void)state;
    enum { N_CHUNKS = 40, LEN = 3 };
    double a[N_CHUNKS * LEN];
    for (size_t i = 0; i < N_CHUNKS * LEN; ++i) {
        a[i] = 5 + (i / LEN % 2 == 0 ? 1 : -1);
    }
    const imx_estimate d = imx_paired_difference(a, zeros, N_CHUNKS * LEN, N_CHUNKS);
    assert_int_equal(imx_paired_n_groups(N_CHUNKS * LEN, N_CHUNKS), N_CHUNKS);
    assert_true(is_near(d.value, 5));
    assert_true(is_near(d.error, 1 / sqrt(N_CHUNKS - 1)));
}

// Ten chunks of six positions are cut into four parts each, [0, 1) [1, 3) [3, 4) [4, 6).
static void test_few_chunks_are_cut(void **state) {
    (void)state;
    enum { N_CHUNKS = 10, LEN = 6, N_GROUPS = 40 };
    static const size_t bounds[] = {0, 1, 3, 4, 6};
    double a[N_CHUNKS * LEN], b[N_CHUNKS * LEN], mean = 0, squares = 0;
    uint64_t seed = 1;
    for (size_t i = 0; i < N_CHUNKS * LEN; ++i) {
        a[i] = (double)random_value(&seed);
        b[i] = (double)random_value(&seed);
        mean += (a[i] - b[i]) / (N_CHUNKS * LEN);
    }
    for (size_t g = 0; g < N_GROUPS; ++g) {
        double excess = 0;
        for (size_t i = bounds[g % 4]; i < bounds[g % 4 + 1]; ++i) {
            const size_t at = g / 4 * LEN + i;
            excess += a[at] - b[at] - mean;
        }
        squares += excess * excess;
    }
    const imx_estimate d = imx_paired_difference(a, b, N_CHUNKS * LEN, N_CHUNKS);
    assert_int_equal(imx_paired_n_groups(N_CHUNKS * LEN, N_CHUNKS), N_GROUPS);
    assert_true(fabs(d.value - mean) < 1e-15);
    assert_true(fabs(d.error - sqrt(squares * N_GROUPS / (N_GROUPS - 1)) / (N_CHUNKS * LEN)) <
                1e-15);
}

// A chunk shorter than the groups that are wanted: every position is one.
static void test_positions_are_groups(void **state) {
    (void)state;
    static const double a[] = {1, 2, 3, 6};
    const imx_estimate d = imx_paired_difference(a, zeros, 4, 1);
    const imx_estimate mean = imx_estimate_mean(a, 4);
    assert_int_equal(imx_paired_n_groups(4, 1), 4);
    assert_true(is_near(d.value, mean.value) && is_near(d.error, mean.error));
    assert_true(imx_paired_difference(a, zeros, 1, 1).error == 0);
}

static void test_measurable(void **state) {
    (void)state;
    assert_true(imx_is_measurable((imx_estimate){-2.1, 1}));
    assert_false(imx_is_measurable((imx_estimate){-1.9, 1}));
    assert_false(imx_is_measurable((imx_estimate){0, 0}));
    assert_false(imx_is_measurable((imx_estimate){NAN, NAN}));
}

// Two models that do not differ, on texts where each difference is nine tenths of the one before it
// and a tenth new: about one text in twenty may say otherwise. Errors of single positions would
// find a difference in every second text.
static void test_correlated_positions(void **state) {
    (void)state;
    enum { N_TEXTS = 400, N_CHUNKS = 16, LEN = 256, N = N_CHUNKS * LEN };
    static double a[N];
    size_t n_found = 0, n_found_by_position = 0;
    uint64_t seed = 2;
    for (size_t text = 0; text < N_TEXTS; ++text) {
        double x = 0;
        for (size_t i = 0; i < N; ++i) {
            x = 0.9 * x + (double)random_value(&seed);
            a[i] = x;
        }
        n_found += imx_is_measurable(imx_paired_difference(a, zeros, N, N_CHUNKS));
        n_found_by_position += imx_is_measurable(imx_estimate_mean(a, N));
    }
    assert_in_range(n_found, N_TEXTS / 50, N_TEXTS / 10);
    assert_in_range(n_found_by_position, N_TEXTS / 3, N_TEXTS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups_are_chunks),    cmocka_unit_test(test_few_chunks_are_cut),
        cmocka_unit_test(test_positions_are_groups), cmocka_unit_test(test_measurable),
        cmocka_unit_test(test_correlated_positions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
