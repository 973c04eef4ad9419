// SPDX-License-Identifier: MIT
//
// Searches for grids with an offset, x̂ = scale · q + offset. See search_affine.c for the
// mathematics.

#ifndef IMX_QUANT_SEARCH_AFFINE_H
#define IMX_QUANT_SEARCH_AFFINE_H

#include "quant/effort.h"
#include "quant/super_block.h"

// The real scale and offset that fit a group best. `highest_offset` is 0 where offsets may not be
// positive, else HUGE_VALF.
imx_grid imx_fit_affine(const imx_group *group, float highest_offset, imx_effort effort);

// Chooses d, dmin, the scales, mins and codes of a super-block.
void imx_search_affine(const imx_block_view *view, const imx_super_shape *shape, imx_effort effort,
                       imx_super_block *out);

#endif
