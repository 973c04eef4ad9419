// SPDX-License-Identifier: MIT
//
// One grid with an offset, codes 0..n. With codes q_j this is a weighted straight-line fit; with
// means and covariances under the weights w, the error of x̂ = s · q + o is least at
//
//     s = cov(x, q) / var(q),    o = mean(x) - s · mean(q),
//
// where it is Σ w · (var(x) - cov(x, q)² / var(q)). With a grid the best codes are the nearest
// ones. Alternating the two steps never makes the error larger, but it ends in the nearest of many
// local minima. So it is run a few times from each of many starts, and the gain
// Σ w · cov(x, q)² / var(q) decides: first from the range of the weights, widened a little or
// clipped by up to half, more at one end or the other; then from the best grid, widened or clipped
// by less. The least error of a few weights can lie in a grid of almost twice their range that
// happens to meet them well, so that more effort also starts farther out.
//
// Tried and dropped: one stage with all starts (worse by 2 to 7 % at four and five bits; two bits
// hardly need the second), more rounds instead of starts.

#include "quant/encode/fit_affine.h"

#define GOLDEN_RATIO 0.618034f // stride of the sequence that splits a clip between the ends

// Starts that clip a range by a share from `widest` (negative: they widen it) to `narrowest`, each
// improved `n_rounds` times.
typedef struct search_stage {
    int n_starts;
    int n_rounds;
    float widest;
    float narrowest;
} search_stage;

static const search_stage stages[IMX_EFFORT_COUNT][2] = {
    [IMX_EFFORT_DEFAULT] = {{16, 2, -0.2f, 0.5f}, {32, 2, -0.16f, 0.16f}},
    [IMX_EFFORT_BEST] = {{256, 3, -1.0f, 0.5f}, {256, 3, -0.16f, 0.16f}},
};

typedef struct best_grids {
    imx_lane_grids grids;
    imx_lanes gain; // over coding all as their mean
} best_grids;

// One round in every lane: the nearest codes of its grid, then the best grid of these codes.
static void improve_grids(const imx_lane_groups *groups, imx_lane_grids *grids, best_grids *best) {
    const imx_lane_moments q = imx_measure_codes(groups, grids);
    const imx_lanes noise = imx_lanes_mul(imx_lanes_all(1e-6f), q.power);
    const imx_lanes variance = imx_lanes_select(imx_lanes_greater(q.variance, noise), q.variance,
                                                imx_lanes_all(0.0f)); // all codes equal
    grids->scale = imx_lanes_mul(q.covariance, imx_lanes_inverse(variance));
    grids->offset = imx_lanes_sub(groups->mean, imx_lanes_mul(grids->scale, q.mean_code));
    const imx_lanes gain = imx_lanes_mul(grids->scale, q.covariance);
    const imx_lane_mask is_better = imx_lanes_greater(gain, best->gain);
    best->grids.scale = imx_lanes_select(is_better, grids->scale, best->grids.scale);
    best->grids.offset = imx_lanes_select(is_better, grids->offset, best->grids.offset);
    best->gain = imx_lanes_select(is_better, gain, best->gain);
}

// Gives all trials of a group the best of them.
static void share_best(int n_groups, best_grids *best) {
    float gain[IMX_N_LANES];
    float scale[IMX_N_LANES];
    float offset[IMX_N_LANES];
    imx_lanes_store(gain, best->gain);
    imx_lanes_store(scale, best->grids.scale);
    imx_lanes_store(offset, best->grids.offset);
    for (int half = IMX_N_LANES / 2; half >= n_groups; half /= 2) {
        for (int lane = 0; lane < half; ++lane) {
            const int winner = gain[lane + half] > gain[lane] ? lane + half : lane;
            gain[lane] = gain[winner];
            scale[lane] = scale[winner];
            offset[lane] = offset[winner];
        }
    }
    for (int lane = n_groups; lane < IMX_N_LANES; ++lane) {
        gain[lane] = gain[lane - n_groups];
        scale[lane] = scale[lane - n_groups];
        offset[lane] = offset[lane - n_groups];
    }
    *best = (best_grids){{imx_lanes_load(scale), imx_lanes_load(offset)}, imx_lanes_load(gain)};
}

// Searches around grids that cover `length` from `low`. What is clipped is split between the two
// ends, differently for each start.
static void run_stage(const imx_lane_groups *groups, imx_lanes low, imx_lanes length,
                      const search_stage *stage, best_grids *best) {
    const int n_trials = IMX_N_LANES / groups->n_groups;
    const imx_lanes clip_step =
        imx_lanes_all((stage->narrowest - stage->widest) / (float)(stage->n_starts - 1));
    const imx_lanes code_step = imx_lanes_mul(length, imx_lanes_all(1.0f / groups->codes.highest));
    for (int first = 0; first < stage->n_starts; first += n_trials) {
        const imx_lanes start = imx_lanes_add(groups->trial, imx_lanes_all((float)first));
        const imx_lanes clip =
            imx_lanes_add(imx_lanes_all(stage->widest), imx_lanes_mul(start, clip_step));
        const imx_lanes below = imx_lanes_mul(
            clip, imx_lanes_add(imx_lanes_all(0.5f), imx_lanes_scatter(start, GOLDEN_RATIO)));
        imx_lane_grids grids = {
            .scale = imx_lanes_mul(code_step, imx_lanes_sub(imx_lanes_all(1.0f), clip)),
            .offset = imx_lanes_add(low, imx_lanes_mul(length, below)),
        };
        for (int round = 0; round < stage->n_rounds; ++round) {
            improve_grids(groups, &grids, best);
        }
    }
    if (n_trials > 1) {
        share_best(groups->n_groups, best);
    }
}

imx_lane_grids imx_fit_grids(const imx_lane_groups *groups, imx_effort effort) {
    imx_lanes low = imx_lanes_load(groups->x[0]);
    imx_lanes high = low;
    for (int j = 1; j < groups->group_len; ++j) {
        low = imx_lanes_min(low, imx_lanes_load(groups->x[j]));
        high = imx_lanes_max(high, imx_lanes_load(groups->x[j]));
    }
    const imx_lanes zero = imx_lanes_all(0.0f);
    const imx_lanes n_steps = imx_lanes_all(groups->codes.highest);
    best_grids best = {{zero, groups->mean}, zero};
    run_stage(groups, low, imx_lanes_sub(high, low), &stages[effort][0], &best);
    run_stage(groups, best.grids.offset, imx_lanes_mul(best.grids.scale, n_steps),
              &stages[effort][1], &best);
    return best.grids;
}

imx_grid imx_fit_affine(const imx_group *group, imx_effort effort) {
    imx_lane_groups groups;
    imx_spread_groups(&groups, 1, group->n, group->codes, group->x, group->w);
    const imx_lane_grids grids = imx_fit_grids(&groups, effort);
    float scale[IMX_N_LANES];
    float offset[IMX_N_LANES];
    imx_lanes_store(scale, grids.scale);
    imx_lanes_store(offset, grids.offset);
    return (imx_grid){scale[0], offset[0]};
}
