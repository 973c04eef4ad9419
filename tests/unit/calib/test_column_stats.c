// SPDX-License-Identifier: MIT

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/column_stats.h"
#include "random_values.h"

enum { N_ROWS = 37, N_COLS = 131 };

typedef struct sums {
    double in_sum[N_COLS];
    double in_sum2[N_COLS];
} sums;

static const float *make_rows(void) {
    static float x[N_ROWS * N_COLS];
    random_fill(x, N_ROWS * N_COLS, 5);
    return x;
}

static void test_against_definition(void **state) {
    (void)state;
    const float *x = make_rows();
    sums s = {.in_sum = {[3] = 100}, .in_sum2 = {[130] = 200}};
    imx_column_stats_add(x, N_ROWS, N_COLS, s.in_sum, s.in_sum2, 2);
    for (size_t j = 0; j < N_COLS; ++j) {
        double sum = j == 3 ? 100 : 0, sum2 = j == 130 ? 200 : 0;
        for (size_t i = 0; i < N_ROWS; ++i) {
            const double value = (double)x[i * N_COLS + j];
            sum += value;
            sum2 += value * value;
        }
        assert_true(s.in_sum[j] == sum);
        assert_true(s.in_sum2[j] == sum2);
    }
}

static void test_same_bits_for_any_cut_and_thread_count(void **state) {
    (void)state;
    const float *x = make_rows();
    sums whole = {0};
    imx_column_stats_add(x, N_ROWS, N_COLS, whole.in_sum, whole.in_sum2, 1);
    for (int n_threads = 1; n_threads <= 3; ++n_threads) {
        sums cut = {0};
        for (size_t i = 0; i < N_ROWS; i += 10) {
            const size_t n = N_ROWS - i < 10 ? N_ROWS - i : 10;
            imx_column_stats_add(x + i * N_COLS, n, N_COLS, cut.in_sum, cut.in_sum2, n_threads);
        }
        assert_memory_equal(&cut, &whole, sizeof cut);
    }
}

static void test_extremes(void **state) {
    (void)state;
    const float x[2][4] = {{3e38f, 0, NAN, 1}, {-3e38f, 1, 2, -INFINITY}};
    double sum[4] = {0}, sum2[4] = {0};
    imx_column_stats_add(x[0], 2, 4, sum, sum2, 1);
    assert_true(isfinite(sum2[0]) && sum[0] == 0);
    assert_true(sum2[1] == 1);
    assert_true(!isfinite(sum2[2]));
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
