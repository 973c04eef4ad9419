// SPDX-License-Identifier: MIT
//
// The grid of one group, x̂ = scale · q + offset. See fit_affine.c for the mathematics.

#ifndef IMX_QUANT_FIT_AFFINE_H
#define IMX_QUANT_FIT_AFFINE_H

#include "quant/encode/effort.h"
#include "quant/encode/lane_groups.h"

// The real scale and offset that fit each lane's group best, the same in all its trials.
imx_lane_grids imx_fit_grids(const imx_lane_groups *groups, imx_effort effort);

// The same for a single group.
imx_grid imx_fit_affine(const imx_group *group, imx_effort effort);

#endif
