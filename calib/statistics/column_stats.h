// SPDX-License-Identifier: MIT
#ifndef IMX_CALIB_COLUMN_STATS_H
#define IMX_CALIB_COLUMN_STATS_H

#include <stddef.h>

// Statistics of the columns of a matrix, (n_cols) each; zeroed before the first row.
typedef struct imx_column_stats {
    double *sum;
    double *sum2; // of squares
    double *max;  // largest absolute value
} imx_column_stats;

// Adds the rows of `x` (n_rows, n_cols) in order, in f64: the same bits for any n_threads (at least
// 1), any instruction set and any cut of the rows into calls. A NaN or an infinity in column j
// leaves sum2[j] NaN or infinite; no finite input does. max[j] passes over NaNs.
void imx_column_stats_add(const imx_column_stats *stats, const float *x, size_t n_rows,
                          size_t n_cols, int n_threads);

#endif
