// SPDX-License-Identifier: MIT

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/statistics/block_covariance.h"
#include "../random_values.h"

// More than two pieces of rows, the last of odd length; two runs and columns behind them.
enum { N_ROWS = 1100, N_COLS = 2 * IMX_COV_RUN + 40, N_PAIRS = 2 * IMX_COV_PAIRS };

static float x[N_ROWS * N_COLS];

static int make_rows(void **state) {
    (void)state;
    random_fill(x, N_ROWS * N_COLS, 5);
    return 0;
}

static float *sum_products(int n_threads) {
    float *sums = calloc(N_PAIRS, sizeof *sums);
    assert_int_equal(imx_block_covariance_add(sums, x, N_ROWS, N_COLS, n_threads, NULL), IMX_OK);
    return sums;
}

// Against sums in f64; what was there before stays in.
static void test_against_definition(void **state) {
    (void)state;
    float *sums = sum_products(2);
    const float *at = sums;
    for (size_t run = 0; run < N_COLS / IMX_COV_RUN; ++run) {
        const float *first = x + run * IMX_COV_RUN;
        for (size_t i = 0; i < IMX_COV_RUN; ++i) {
            for (size_t j = 0; j <= i; ++j) {
                double sum = 0, sum2_i = 0, sum2_j = 0;
                for (size_t row = 0; row < N_ROWS; ++row) {
                    const double a = (double)first[row * N_COLS + i];
                    const double b = (double)first[row * N_COLS + j];
                    sum += a * b;
                    sum2_i += a * a;
                    sum2_j += b * b;
                }
                assert_true(fabs((double)*at++ - sum) < 1e-5 * sqrt(sum2_i * sum2_j));
            }
        }
    }
    free(sums);
}

static void test_adds(void **state) {
    (void)state;
    float *once = sum_products(1);
    float *twice = sum_products(1);
    assert_int_equal(imx_block_covariance_add(twice, x, N_ROWS, N_COLS, 1, NULL), IMX_OK);
    for (size_t i = 0; i < N_PAIRS; ++i) {
        assert_true(fabsf(twice[i] - 2 * once[i]) <= 1e-4f);
    }
    free(once);
    free(twice);
}

static void test_same_bits_for_any_thread_count(void **state) {
    (void)state;
    float *wanted = sum_products(1);
    for (int n_threads = 2; n_threads <= 3; ++n_threads) {
        float *sums = sum_products(n_threads);
        assert_memory_equal(sums, wanted, N_PAIRS * sizeof *sums);
        free(sums);
    }
    free(wanted);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_definition),
        cmocka_unit_test(test_adds),
        cmocka_unit_test(test_same_bits_for_any_thread_count),
    };
    return cmocka_run_group_tests(tests, make_rows, NULL);
}
