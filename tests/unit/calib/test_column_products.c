// SPDX-License-Identifier: MIT

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../random_values.h"
#include "calib/statistics/column_products.h"

// More than two pieces of rows, the last of odd length.
enum { N_ROWS = 1100, MAX_COLS = 700 };

// Runs of a super-block with columns behind them; whole triangles of more than two windows, of less
// than a strip, and of every kind of remainder.
static const struct {
    size_t n_cols, run_len;
} shapes[] = {{552, 256}, {256, 256}, {700, 700}, {512, 512},
              {321, 321}, {64, 64},   {40, 40},   {1, 1}};

enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static float x[N_ROWS * MAX_COLS];

static int make_rows(void **state) {
    (void)state;
    random_fill(x, N_ROWS * MAX_COLS, 5);
    return 0;
}

static size_t n_products(size_t shape) {
    const size_t run_len = shapes[shape].run_len;
    return shapes[shape].n_cols / run_len * imx_triangle_len(run_len);
}

static void add(float *sums, size_t shape, int n_threads) {
    assert_int_equal(imx_column_products_add(sums, x, N_ROWS, shapes[shape].n_cols,
                                             shapes[shape].run_len, n_threads, NULL),
                     IMX_OK);
}

static float *sum_products(size_t shape, int n_threads) {
    float *sums = calloc(n_products(shape), sizeof *sums);
    add(sums, shape, n_threads);
    return sums;
}

// A sum of products against that in f64.
static void check_product(size_t n_cols, size_t i, size_t j, double got) {
    double sum = 0, sum2_i = 0, sum2_j = 0;
    for (size_t row = 0; row < N_ROWS; ++row) {
        const double a = (double)x[row * n_cols + i];
        const double b = (double)x[row * n_cols + j];
        sum += a * b;
        sum2_i += a * a;
        sum2_j += b * b;
    }
    assert_true(fabs(got - sum) < 1e-5 * sqrt(sum2_i * sum2_j));
}

static void test_against_definition(void **state) {
    (void)state;
    for (size_t shape = 0; shape < N_SHAPES; ++shape) {
        const size_t n_cols = shapes[shape].n_cols, run_len = shapes[shape].run_len;
        float *sums = sum_products(shape, 2);
        const float *at = sums;
        for (size_t run = 0; run < n_cols / run_len; ++run) {
            for (size_t i = 0; i < run_len; ++i) {
                for (size_t j = 0; j <= i; ++j) {
                    check_product(n_cols, run * run_len + i, run * run_len + j, (double)*at++);
                }
            }
        }
        free(sums);
    }
}

static void test_adds(void **state) {
    (void)state;
    for (size_t shape = 0; shape < N_SHAPES; ++shape) {
        float *once = sum_products(shape, 1);
        float *twice = sum_products(shape, 1);
        add(twice, shape, 1);
        for (size_t i = 0; i < n_products(shape); ++i) {
            assert_true(fabsf(twice[i] - 2 * once[i]) <= 1e-4f);
        }
        free(once);
        free(twice);
    }
}

static void test_same_bits_for_any_thread_count(void **state) {
    (void)state;
    for (size_t shape = 0; shape < N_SHAPES; ++shape) {
        float *wanted = sum_products(shape, 1);
        for (int n_threads = 2; n_threads <= 3; ++n_threads) {
            float *sums = sum_products(shape, n_threads);
            assert_memory_equal(sums, wanted, n_products(shape) * sizeof *sums);
            free(sums);
        }
        free(wanted);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_definition),
        cmocka_unit_test(test_adds),
        cmocka_unit_test(test_same_bits_for_any_thread_count),
    };
    return cmocka_run_group_tests(tests, make_rows, NULL);
}
