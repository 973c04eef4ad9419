// SPDX-License-Identifier: MIT
//
// Searches for super-blocks of grids through zero, x̂ = d · scale_g · q. See search_symmetric.c for
// the mathematics.

#ifndef IMX_QUANT_SEARCH_SYMMETRIC_H
#define IMX_QUANT_SEARCH_SYMMETRIC_H

#include "quant/encode/coded_run.h"
#include "quant/encode/effort.h"
#include "quant/encode/fit_scale.h"

// Chooses d, the scales and the levels of a super-block without mins.
void imx_search_symmetric(const imx_block_view *view, const imx_run_shape *shape, imx_effort effort,
                          imx_coded_run *out);

#endif
