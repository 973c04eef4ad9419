// SPDX-License-Identifier: MIT
//
// What errors would have cost on the chunks that were held out.

#ifndef IMX_QUANT_HELD_OUT_LOSS_H
#define IMX_QUANT_HELD_OUT_LOSS_H

#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/importance.h"

// losses[r] = eᵀ C e of each row e of `errors` (n_rows, n_cols), C the sums held out; products
// that are not known count as 0. The same bits for any n_threads. IMX_ERR_MEMORY.
imx_status imx_held_out_losses(const imx_input_covariance *covariance, const float *errors,
                               size_t n_rows, int n_threads, double *losses, imx_error *err);

// Memory of a call.
uint64_t imx_held_out_losses_bytes(size_t n_cols, size_t n_rows, int n_threads);

#endif
