// SPDX-License-Identifier: MIT
#ifndef IMX_CALIB_BLOCK_COVARIANCE_H
#define IMX_CALIB_BLOCK_COVARIANCE_H

#include <stddef.h>

#include "formats/error.h"
#include "formats/importance.h"

// Adds to `sums` (n_cols / IMX_COV_RUN, IMX_COV_PAIRS) the products of the columns of each whole
// run of `x` (n_rows, n_cols), summed over the rows; columns behind the last whole run are passed
// over. Values of x are below 2⁵⁰ in size, so that no sum overflows. The same bits for any
// n_threads (at least 1); another cut of the rows into calls shows in the last of them.
// IMX_ERR_MEMORY.
imx_status imx_block_covariance_add(float *sums, const float *x, size_t n_rows, size_t n_cols,
                                    int n_threads, imx_error *err);

#endif
