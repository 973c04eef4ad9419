// SPDX-License-Identifier: MIT
//
// The one accumulator of calibration. A thread owns a strip of columns and walks down all rows with
// the strip's sums in first-level cache; 64 columns are four cache lines of x, so that every line
// fetched is used whole. The square of an f32 is exact in f64 and the largest, 2²⁵⁶, is far below
// its limit, so sums overflow only where an input is not finite: no test is needed inside the loop.

#include "calib/column_stats.h"

#include <string.h>

#include "calib/split.h"

enum { STRIP = 64 };

static void add_strip(const float *x, size_t n_rows, size_t stride, size_t width, double *in_sum,
                      double *in_sum2) {
    double sum[STRIP] = {0}, sum2[STRIP] = {0};
    memcpy(sum, in_sum, width * sizeof *sum);
    memcpy(sum2, in_sum2, width * sizeof *sum2);
    for (size_t i = 0; i < n_rows; ++i) {
        const float *row = x + i * stride;
        for (size_t j = 0; j < width; ++j) {
            const double value = (double)row[j];
            sum[j] += value;
            sum2[j] += value * value;
        }
    }
    memcpy(in_sum, sum, width * sizeof *sum);
    memcpy(in_sum2, sum2, width * sizeof *sum2);
}

void imx_column_stats_add(const float *x, size_t n_rows, size_t n_cols, double *in_sum,
                          double *in_sum2, int n_threads) {
#pragma omp parallel for num_threads(n_threads)
    for (size_t j = 0; j < n_cols; j += STRIP) {
        const size_t width = imx_piece_len(n_cols, j, STRIP);
        add_strip(x + j, n_rows, n_cols, width, in_sum + j, in_sum2 + j);
    }
}
