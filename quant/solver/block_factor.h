// SPDX-License-Identifier: MIT
//
// H = L D Lᵀ by blocks of IMX_COV_RUN columns: L unit lower block-triangular, D block-diagonal. The
// error of a row is then a sum over its super-blocks,
//
//     eᵀ H e = Σ_b (e_b + Σ_{c>b} L_cbᵀ e_c)ᵀ D_b (e_b + Σ_{c>b} L_cbᵀ e_c),
//
// and coded from the last super-block to the first each is a run of its own, with the metric D_b.

#ifndef IMX_QUANT_BLOCK_FACTOR_H
#define IMX_QUANT_BLOCK_FACTOR_H

#include <stddef.h>

#include "formats/error.h"

// Factors in place: `h` (n, n), symmetric and positive definite, of which only the lower block
// triangle is read, becomes L below the diagonal blocks and D in them (both triangles of each). The
// last block is shorter where n is no multiple of IMX_COV_RUN. What stands above is left. The same
// bits for any n_threads. IMX_ERR_MEMORY, or IMX_ERR_FORMAT when H is not positive definite.
imx_status imx_block_factor(float *h, size_t n, int n_threads, imx_error *err);

#endif
