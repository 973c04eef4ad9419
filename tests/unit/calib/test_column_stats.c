// SPDX-License-Identifier: MIT

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/statistics/column_stats.h"
#include "../random_values.h"

enum { N_ROWS = 37, N_COLS = 1131 }; // more than two strips of columns, rows in and out of step

typedef struct sums {
    double sum[N_COLS];
    double sum2[N_COLS];
    double max[N_COLS];
} sums;

static imx_column_stats view(sums *s) {
    return (imx_column_stats){s->sum, s->sum2, s->max};
}

static const float *make_rows(void) {
    static float x[N_ROWS * N_COLS];
    random_fill(x, N_ROWS * N_COLS, 5);
    return x;
}

static void test_against_definition(void **state) {
    (void)state;
    const float *x = make_rows();
    sums s = {.sum = {[3] = 100}, .sum2 = {[130] = 200}, .max = {[7] = 300}};
    const imx_column_stats stats = view(&s);
    imx_column_stats_add(&stats, x, N_ROWS, N_COLS, 2);
    for (size_t j = 0; j < N_COLS; ++j) {
        double sum = j == 3 ? 100 : 0, sum2 = j == 130 ? 200 : 0, max = j == 7 ? 300 : 0;
        for (size_t i = 0; i < N_ROWS; ++i) {
            const double value = (double)x[i * N_COLS + j];
            sum += value;
            sum2 += value * value;
            max = fmax(max, fabs(value));
        }
        assert_true(s.sum[j] == sum);
        assert_true(s.sum2[j] == sum2);
        assert_true(s.max[j] == max);
    }
}

static void test_same_bits_for_any_cut_and_thread_count(void **state) {
    (void)state;
    const float *x = make_rows();
    sums whole = {0};
    const imx_column_stats whole_stats = view(&whole);
    imx_column_stats_add(&whole_stats, x, N_ROWS, N_COLS, 1);
    for (int n_threads = 1; n_threads <= 3; ++n_threads) {
        sums cut = {0};
        const imx_column_stats stats = view(&cut);
        for (size_t i = 0; i < N_ROWS; i += 10) {
            const size_t n = N_ROWS - i < 10 ? N_ROWS - i : 10;
            imx_column_stats_add(&stats, x + i * N_COLS, n, N_COLS, n_threads);
        }
        assert_memory_equal(&cut, &whole, sizeof cut);
    }
}

static void test_extremes(void **state) {
    (void)state;
    const float x[2][4] = {{3e38f, 0, NAN, 1}, {-3e38f, 1, 2, -INFINITY}};
    double sum[4] = {0}, sum2[4] = {0}, max[4] = {0};
    imx_column_stats_add(&(imx_column_stats){sum, sum2, max}, x[0], 2, 4, 1);
    assert_true(isfinite(sum2[0]) && sum[0] == 0 && max[0] == (double)3e38f);
    assert_true(sum2[1] == 1);
    assert_true(!isfinite(sum2[2]) && max[2] == 2);
    assert_true(!isfinite(sum2[3]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_definition),
        cmocka_unit_test(test_same_bits_for_any_cut_and_thread_count),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
