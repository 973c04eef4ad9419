// SPDX-License-Identifier: MIT
//
// The one accumulator of calibration. The square of an f32 is exact in f64 and the largest, 2²⁵⁶,
// is far below its limit, so sums overflow only where an input is not finite: no test is needed
// inside the loop.
//
// A thread owns a strip of columns and walks down all rows, ROWS at a time, so that sums are
// fetched and put back once for that many values; the order within a column stays that of the rows.
// A strip is STRIP columns wide: its sums stay in first-level cache, and a row of it is 2 KiB of x
// in one piece. A strip of 64 columns with all sums in registers was six times slower on wide
// matrices: one fetch in every page, and pages a power of two apart share few places in the cache.
//
// Columns are lanes (processor_variants.h): a wider instruction set adds more of them at once.

#include "calib/statistics/column_stats.h"

#include <math.h>

#include "calib/processor_variants.h"
#include "kernels/split.h"

enum { STRIP = 512, ROWS = 8 };

// Adds `n_rows` rows, a constant, to `width` columns.
IMX_INLINE void add_rows(const float *x, size_t n_rows, size_t stride, size_t width,
                         const imx_column_stats *stats) {
    double *restrict sum = stats->sum, *restrict sum2 = stats->sum2, *restrict max = stats->max;
    for (size_t j = 0; j < width; ++j) {
        double s = sum[j], s2 = sum2[j], m = max[j];
        for (size_t i = 0; i < n_rows; ++i) {
            const double value = (double)x[i * stride + j];
            s += value;
            s2 += value * value;
            m = fabs(value) > m ? fabs(value) : m;
        }
        sum[j] = s;
        sum2[j] = s2;
        max[j] = m;
    }
}

IMX_INLINE void add_strip(const float *x, size_t n_rows, size_t stride, size_t width,
                          const imx_column_stats *stats) {
    size_t i = 0;
    for (; i + ROWS <= n_rows; i += ROWS) {
        add_rows(x + i * stride, ROWS, stride, width, stats);
    }
    for (; i < n_rows; ++i) {
        add_rows(x + i * stride, 1, stride, width, stats);
    }
}

IMX_PROCESSOR_VARIANTS(add_strip,
                       (const float *x, size_t n_rows, size_t stride, size_t width,
                        const imx_column_stats *stats),
                       (x, n_rows, stride, width, stats))

void imx_column_stats_add(const imx_column_stats *stats, const float *x, size_t n_rows,
                          size_t n_cols, int n_threads) {
#pragma omp parallel for num_threads(n_threads)
    for (size_t j = 0; j < n_cols; j += STRIP) {
        const imx_column_stats strip = {stats->sum + j, stats->sum2 + j, stats->max + j};
        add_strip_here(x + j, n_rows, n_cols, imx_piece_len(n_cols, j, STRIP), &strip);
    }
}
