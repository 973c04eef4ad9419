// SPDX-License-Identifier: MIT
//
// Candidate grids, judged side by side.
//
// A grid stands for the values  x̂ = scale · q + offset,  q an integer of a code range. The searches
// hold IMX_LANES grids at once and walk over the weights: for each weight all lanes round, clamp
// and accumulate, so that the inner loop has no dependencies and becomes vector code for any width,
// while each lane's sums run over the weights in order and have the same bits on every machine.

#ifndef IMX_QUANT_CANDIDATES_H
#define IMX_QUANT_CANDIDATES_H

#include <math.h>

enum { IMX_LANES = 32, IMX_MAX_GROUP = 32 };

// Codes from lowest to highest, both included.
typedef struct imx_code_range {
    float lowest;
    float highest;
} imx_code_range;

// Weights that share one grid. x, w: (n), n <= IMX_MAX_GROUP.
typedef struct imx_group {
    const float *x;
    const float *w; // > 0
    int n;
    imx_code_range codes;
} imx_group;

typedef struct imx_grid {
    float scale;
    float offset;
} imx_grid;

typedef struct imx_grids {
    float scale[IMX_LANES];
    float offset[IMX_LANES];
} imx_grids;

// Sums over a group, q the codes that a grid gives it.
typedef struct imx_moments {
    float w;  // Σ w
    float x;  // Σ w x
    float q;  // Σ w q
    float qq; // Σ w q²
    float xq; // Σ w x q
} imx_moments;

// The nearest integer, ties to even, for |value| < 2^22: adding 1.5 · 2^23 leaves no fraction bits.
static inline float imx_round(float value) {
    return (value + 0x1.8p23f) - 0x1.8p23f;
}

static inline float imx_clamp(float value, float lowest, float highest) {
    value = value < lowest ? lowest : value;
    return value > highest ? highest : value;
}

// 1 / value, and 0 for 0. Without a branch, so that loops over lanes become vector code.
static inline float imx_inverse(float value) {
    return 1.0f / (value == 0.0f ? HUGE_VALF : value);
}

// Moves every lane `n_rounds` times to the grid that fits its present codes best (least squares)
// and then to the best codes of that grid: the error never grows. With `has_offset` the offset is
// free where `is_negative` is false and else held at <= 0; without it it stays 0.
typedef enum imx_offset_rule {
    IMX_OFFSET_ZERO,     // offset = 0
    IMX_OFFSET_NEGATIVE, // offset <= 0
    IMX_OFFSET_FREE,
} imx_offset_rule;

void imx_improve_grids(imx_grids *grids, const imx_group *group, imx_offset_rule rule, int n_rounds);

// The lane with the least error Σ w (x - x̂)²; *error may be NULL.
int imx_best_grid(const imx_grids *grids, const imx_group *group, float *error);

// The codes of one grid, as floats, (n).
void imx_group_codes(const imx_group *group, imx_grid grid, float *codes);

imx_moments imx_group_moments(const imx_group *group, const float *codes);

#endif
