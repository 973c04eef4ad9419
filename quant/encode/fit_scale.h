// SPDX-License-Identifier: MIT
//
// The scale of one group whose grid goes through zero, x̂ = scale · q. See fit_scale.c for the
// mathematics.

#ifndef IMX_QUANT_FIT_SCALE_H
#define IMX_QUANT_FIT_SCALE_H

#include "quant/encode/block_view.h"
#include "quant/encode/effort.h"
#include "quant/encode/grid.h"
#include "quant/encode/lanes.h"

typedef struct imx_scale_fit {
    float scale;     // of either sign where codes may be negative, 0 for a group of zeros
    float curvature; // Σ w q²: moving the scale by δ costs curvature · δ² as long as codes stay
} imx_scale_fit;

// The real scale that fits a group best.
imx_scale_fit imx_fit_group(const imx_group *group, imx_effort effort);

// Its scale alone.
float imx_fit_scale(const imx_group *group, imx_effort effort);

// The scale that fits a group of codes on both sides of zero best among the numbers that a half can
// store as scale · 2^exponent, but not zero. group->n is a multiple of 16. What the half stands for
// goes to *stored.
imx_f16 imx_fit_half(const imx_group *group, int exponent, imx_effort effort, float *stored);

// The error of every lane's scale with the nearest codes. A scale may be 0.
imx_lanes imx_measure_scales(imx_lanes scales, const imx_group *group);

#endif
