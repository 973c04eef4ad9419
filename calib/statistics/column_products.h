// SPDX-License-Identifier: MIT
#ifndef IMX_CALIB_COLUMN_PRODUCTS_H
#define IMX_CALIB_COLUMN_PRODUCTS_H

#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/importance.h"

// Adds to `sums` (n_cols / run_len, imx_triangle_len(run_len)) the products of the columns of each
// whole run of `x` (n_rows, n_cols), summed over the rows, as formats/importance.h lays them out;
// columns behind the last whole run are passed over. `run_len` is IMX_COV_RUN or n_cols, at least
// 1. Values of x are below 2⁵⁰ in size, so that no sum overflows. The same bits for any n_threads
// (at least 1); another cut of the rows into calls shows in the last of them. IMX_ERR_MEMORY.
imx_status imx_column_products_add(float *sums, const float *x, size_t n_rows, size_t n_cols,
                                   size_t run_len, int n_threads, imx_error *err);

#endif
