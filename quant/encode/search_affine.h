// SPDX-License-Identifier: MIT
//
// Searches for super-blocks of grids with offsets, x̂ = d · scale_g · q - dmin · min_g. See
// search_affine.c for the mathematics.

#ifndef IMX_QUANT_SEARCH_AFFINE_H
#define IMX_QUANT_SEARCH_AFFINE_H

#include "quant/encode/coded_run.h"
#include "quant/encode/effort.h"

// Chooses d, dmin (of either sign), the scales, mins and levels of a super-block.
void imx_search_affine(const imx_block_view *view, const imx_run_shape *shape, imx_effort effort,
                       imx_coded_run *out);

#endif
