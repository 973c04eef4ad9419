// SPDX-License-Identifier: MIT
//
// Searches for super-blocks of grids through zero, x̂ = d · scale_g · q. See search_symmetric.c for
// the mathematics.

#ifndef IMX_QUANT_SEARCH_SYMMETRIC_H
#define IMX_QUANT_SEARCH_SYMMETRIC_H

#include "quant/encode/effort.h"
#include "quant/encode/fit_scale.h"
#include "quant/encode/super_block.h"

// Chooses d, the scales and the codes of a super-block without mins.
void imx_search_symmetric(const imx_block_view *view, const imx_super_shape *shape,
                          imx_effort effort, imx_super_block *out);

#endif
