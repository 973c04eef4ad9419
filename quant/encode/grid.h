// SPDX-License-Identifier: MIT
//
// Grids of codes: what the searches choose between. A grid stands for the values
//
//     x̂ = scale · q + offset,    q an integer of a code range,
//
// and a group is the run of weights that share one. Searches hold a grid in each lane
// (quant/encode/lanes.h) and walk over the weights; for each weight all lanes round, clamp and
// accumulate.

#ifndef IMX_QUANT_GRID_H
#define IMX_QUANT_GRID_H

#include <math.h>

#include "quant/encode/lanes.h"

// Codes from lowest to highest, both included; they are integers held as floats.
typedef struct imx_code_range {
    float lowest;
    float highest;
} imx_code_range;

// Weights that share a grid, scaled so that |x| <= 1.
typedef struct imx_group {
    const float *x; // (n)
    const float *w; // (n) what an error costs, > 0
    int n;
    imx_code_range codes;
} imx_group;

typedef struct imx_grid {
    float scale;
    float offset;
} imx_grid;

// Sums over a group with codes q.
typedef struct imx_moments {
    float w;  // Σ w
    float x;  // Σ w x
    float q;  // Σ w q
    float qq; // Σ w q²
    float xq; // Σ w x q
} imx_moments;

// The nearest integer, ties to even, for |value| < 2^22; larger values stay large. Adding
// 1.5 · 2^23 leaves no fraction bits.
static inline float imx_round(float value) {
    return (value + 0x1.8p23f) - 0x1.8p23f;
}

static inline float imx_clamp(float value, imx_code_range range) {
    value = value < range.lowest ? range.lowest : value;
    return value > range.highest ? range.highest : value;
}

static inline imx_lanes imx_lanes_clamp(imx_lanes a, imx_code_range range) {
    return imx_lanes_min(imx_lanes_max(a, imx_lanes_all(range.lowest)),
                         imx_lanes_all(range.highest));
}

// 1 / value, and 0 where that would be no use as a factor.
static inline float imx_inverse(float value) {
    return 1.0f / (fabsf(value) < 0x1p-120f ? HUGE_VALF : value);
}

// The nearest codes of a grid, (n).
void imx_group_codes(const imx_group *group, imx_grid grid, float *codes);

imx_moments imx_group_moments(const imx_group *group, const float *codes);

#endif
