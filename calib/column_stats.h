// SPDX-License-Identifier: MIT
#ifndef IMX_CALIB_COLUMN_STATS_H
#define IMX_CALIB_COLUMN_STATS_H

#include <stddef.h>

// in_sum[j] += x[i][j] and in_sum2[j] += x[i][j]² for the rows i of `x` (n_rows, n_cols) in order,
// in f64: the same bits for any n_threads (at least 1) and any cut of the rows into calls. A NaN or
// an infinity in column j leaves in_sum2[j] NaN or infinite; no finite input does.
void imx_column_stats_add(const float *x, size_t n_rows, size_t n_cols, double *in_sum,
                          double *in_sum2, int n_threads);

#endif
