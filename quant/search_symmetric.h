// SPDX-License-Identifier: MIT
//
// Searches for grids through zero, x̂ = scale · q. See search_symmetric.c for the mathematics.

#ifndef IMX_QUANT_SEARCH_SYMMETRIC_H
#define IMX_QUANT_SEARCH_SYMMETRIC_H

#include "quant/effort.h"
#include "quant/super_block.h"

// The real scale that fits a group best, of either sign where codes may be negative; 0 for a group
// of zeros.
float imx_fit_scale(const imx_group *group, imx_effort effort);

// Chooses d, the scales and the codes of a super-block without mins.
void imx_search_symmetric(const imx_block_view *view, const imx_super_shape *shape,
                          imx_effort effort, imx_super_block *out);

#endif
