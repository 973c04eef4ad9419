// SPDX-License-Identifier: MIT
//
// Statistics of a few numbers, worked out by hand.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/evaluation/score_statistics.h"

static bool is_near(double a, double b) {
    return fabs(a - b) <= 1e-14 * fabs(b);
}

static void test_mean(void **state) {
    (void)state;
    static const double x[] = {1, 2, 3, 6};
    const imx_estimate mean = imx_estimate_mean(x, 4);
    assert_true(mean.value == 3);
    assert_true(is_near(mean.error, sqrt(3.5 / 3))); // variance (4 + 1 + 0 + 9) / 4
    assert_true(imx_estimate_mean(x, 1).error == 0);
}

// One part in 10^9 around 10^6: E[x²] − E[x]² would be nothing but rounding.
static void test_small_variance(void **state) {
    (void)state;
    double x[1000];
    for (size_t i = 0; i < 1000; ++i) {
        x[i] = 1e6 + (i % 2 == 0 ? 1e-3 : -1e-3);
    }
    assert_true(fabs(imx_estimate_mean(x, 1000).error / (1e-3 / sqrt(999)) - 1) < 1e-6);
}

static void test_root_of_mean_square(void **state) {
    (void)state;
    static const double x[] = {1, -1, 3, -5};
    static const double zeros[3] = {0};
    const imx_estimate rms = imx_estimate_rms(x, 4);
    assert_true(is_near(rms.value, 3));
    // Squares 1, 1, 9, 25 around 9: variance (64 + 64 + 0 + 256) / 4 = 96, error of the mean
    // sqrt(96 / 3), of the root that / 6.
    assert_true(is_near(rms.error, sqrt(32.0) / 6));
    assert_true(imx_estimate_rms(zeros, 3).value == 0 && imx_estimate_rms(zeros, 3).error == 0);
}

static void test_exp(void **state) {
    (void)state;
    const imx_estimate power = imx_estimate_exp((imx_estimate){1, 0.25});
    assert_true(is_near(power.value, exp(1)) && is_near(power.error, exp(1) / 4));
}

static void test_correlation(void **state) {
    (void)state;
    static const double x[] = {1, 2, 3, 4}, y[] = {5, 3, 1, -1}, z[] = {1, 0, 0, 1};
    static const double flat[] = {2, 2, 2, 2};
    assert_true(is_near(imx_correlation(x, x, 4), 1));
    assert_true(is_near(imx_correlation(x, y, 4), -1));
    assert_true(imx_correlation(x, z, 4) == 0);
    assert_true(isnan(imx_correlation(x, flat, 4)));
}

// Of 0 .. 100 in disorder; 0.1 % and 99.9 % lie between two of them.
static void test_quantiles(void **state) {
    (void)state;
    static const double expected[IMX_N_QUANTILES] = {0,  0.1, 1,  5,  10,   25, 50,
                                                     75, 90,  95, 99, 99.9, 100};
    double x[101], one[] = {7}, quantiles[IMX_N_QUANTILES];
    for (size_t i = 0; i < 101; ++i) {
        x[i] = (double)(i * 37 % 101);
    }
    imx_sort_and_take_quantiles(x, 101, quantiles);
    for (size_t i = 0; i < IMX_N_QUANTILES; ++i) {
        assert_true(fabs(quantiles[i] - expected[i]) < 1e-12);
    }
    imx_sort_and_take_quantiles(one, 1, quantiles);
    assert_true(quantiles[IMX_MINIMUM] == 7 && quantiles[IMX_P99] == 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mean),
        cmocka_unit_test(test_small_variance),
        cmocka_unit_test(test_root_of_mean_square),
        cmocka_unit_test(test_exp),
        cmocka_unit_test(test_correlation),
        cmocka_unit_test(test_quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
