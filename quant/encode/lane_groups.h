// SPDX-License-Identifier: MIT
//
// Groups side by side: the groups of a super-block, one in each lane, so that a search takes the
// same step in all of them at once and no sum runs across lanes. With fewer groups than lanes each
// group appears in several, which try different things: lane l holds group l % n_groups in trial
// l / n_groups.

#ifndef IMX_QUANT_LANE_GROUPS_H
#define IMX_QUANT_LANE_GROUPS_H

#include "quant/encode/grid.h"
#include "quant/encode/lanes.h"

enum { IMX_MAX_GROUP_LEN = 32 };

typedef struct imx_lane_groups {
    int n_groups; // 1, 2, 4, 8 or 16
    int group_len;
    imx_code_range codes;
    imx_lanes trial;  // the number of the lane's trial
    imx_lanes weight; // Σ w
    imx_lanes mean;   // Σ w x / Σ w
    float x[IMX_MAX_GROUP_LEN][IMX_N_LANES];
    float w[IMX_MAX_GROUP_LEN][IMX_N_LANES];
} imx_lane_groups;

// A grid in every lane.
typedef struct imx_lane_grids {
    imx_lanes scale;
    imx_lanes offset;
} imx_lane_grids;

// What every lane's group gives with codes q.
typedef struct imx_lane_moments {
    imx_lanes mean_code;  // Σ w q / Σ w
    imx_lanes power;      // Σ w q²
    imx_lanes product;    // Σ w x q
    imx_lanes variance;   // Σ w (q - mean_code)²
    imx_lanes covariance; // Σ w (q - mean_code) (x - mean)
} imx_lane_moments;

// Spreads weights x and the costs w of their errors over the lanes: (n_groups, group_len) each.
void imx_spread_groups(imx_lane_groups *groups, int n_groups, int group_len, imx_code_range codes,
                       const float *x, const float *w);

// The moments of the nearest codes.
imx_lane_moments imx_measure_codes(const imx_lane_groups *groups, const imx_lane_grids *grids);

// The error Σ w (x - x̂)² of the nearest codes.
imx_lanes imx_measure_grids(const imx_lane_groups *groups, const imx_lane_grids *grids);

// 1 / a, and 0 where that would be no use as a factor (imx_inverse).
static inline imx_lanes imx_lanes_inverse(imx_lanes a) {
    const imx_lanes zero = imx_lanes_all(0.0f);
    const imx_lane_mask is_normal = imx_lanes_greater(imx_lanes_abs(a), imx_lanes_all(0x1p-120f));
    return imx_lanes_select(is_normal, imx_lanes_div(imx_lanes_all(1.0f), a), zero);
}

// A sequence of points that fill (-1/2, 1/2) evenly wherever it is cut off, from 0 on: the
// fractions of the multiples of an irrational `stride`.
static inline imx_lanes imx_lanes_scatter(imx_lanes index, float stride) {
    const imx_lanes multiple = imx_lanes_mul(index, imx_lanes_all(stride));
    return imx_lanes_sub(multiple, imx_lanes_round(multiple));
}

#endif
