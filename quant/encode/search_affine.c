// SPDX-License-Identifier: MIT
//
// A super-block of grids with offsets,
//
//     x̂ = d · k_g · q - dmin · l_g,
//
// with integers k_g and l_g >= 0 for each group and two half-precision numbers of either sign. The
// error Σ w (x - x̂)² is quadratic in whatever is left free once the rest is fixed:
//
//   1. Each group's scale s_g and offset o_g are fitted as if they were free (fit_affine.c).
//   2. As long as its codes stay, the group's error grows by
//
//          Σ w (q - mean q)² · Δs²  +  Σ w · (Δs · mean q + Δo)².
//
//      The best Δo for each Δs leaves only the first term, so d is the fit of one scale to the s_g
//      with these weights, and dmin the fit of one scale to the mins  d k_g · mean q - mean x  that
//      then suit the rounded scales, with weights Σ w.
//   3. k_g and l_g are chosen by the true error, with new codes for each candidate: k next to where
//      it was, and for each k the l that puts the mean of the codes where it was, or one code
//      lower or higher. Such a shift moves the grid by one of its own steps, which costs little but
//      at the ends, and lets l be rounded again: when dmin is a fair part of a step, as with five
//      bits, one of the three lies much nearer to the ideal than the nearest l to the first.
//   4. d and dmin are fitted to all codes together (two linear equations), rounded to half
//      precision, and step 3 is repeated.
//
// Because d and dmin are signed, a super-block can stand upright (d, dmin > 0: the lowest value of
// each grid is a multiple of dmin and not positive) or be mirrored (d, dmin < 0: the highest value
// is, and not negative). Either can fit better, so both are tried. With more effort, many starts
// scatter d and dmin around step 2, since how well the integers line up is largely a matter of
// luck.
//
// All groups take these steps at once, one in each lane, and starts fill the trials
// (lane_groups.h).
//
// Tried and dropped, none worth 0.2 % of the error: wider neighbourhoods of k, the two nearest l,
// more rounds. Starting d and dmin from the largest scale and min instead of step 2 costs 1 to 4 %.

#include "quant/encode/search_affine.h"

#include <string.h>

#include "quant/encode/fit_affine.h"
#include "quant/encode/fit_scale.h"

// Starts after the first scatter over this share of d and dmin, along a sequence whose two
// coordinates are powers of the inverse plastic number.
#define START_SPREAD 1.8f
#define D_STRIDE     0.7548777f
#define DMIN_STRIDE  0.5698403f

static const struct {
    int n_starts; // upright, and as many mirrored
    int n_rounds; // of steps 3 and 4
} efforts[IMX_EFFORT_COUNT] = {
    [IMX_EFFORT_DEFAULT] = {.n_starts = 1, .n_rounds = 2},
    [IMX_EFFORT_BEST] = {.n_starts = 128, .n_rounds = 4},
};

// Steps 1 and 2.
typedef struct free_fit {
    imx_lanes scale; // of the sign of d
    imx_lanes mean_code;
    float d;
    float dmin;
} free_fit;

// What each trial makes of the super-block.
typedef struct attempts {
    imx_lanes d; // the same in all lanes of a trial, as dmin and error
    imx_lanes dmin;
    imx_lanes scale; // k
    imx_lanes min;   // l
    imx_lanes error; // of the super-block
} attempts;

static imx_lanes negative(imx_lanes a) {
    return imx_lanes_sub(imx_lanes_all(0.0f), a);
}

// ---- steps 1 and 2 -----------------------------------------------------------------------------

// The same grids with codes counted from the other end.
static imx_lane_grids mirror(imx_lane_grids grids, imx_lanes n_steps) {
    return (imx_lane_grids){
        .scale = negative(grids.scale),
        .offset = imx_lanes_add(grids.offset, imx_lanes_mul(grids.scale, n_steps)),
    };
}

// Lets grids that begin beyond zero, which no min can store, begin at zero and end where they did.
static imx_lane_grids begin_by_zero(imx_lane_grids grids, imx_lanes n_steps) {
    const imx_lanes zero = imx_lanes_all(0.0f);
    const imx_lane_mask is_beyond =
        imx_lanes_greater(imx_lanes_mul(grids.offset, grids.scale), zero);
    const imx_lanes from_zero = imx_lanes_add(grids.scale, imx_lanes_div(grids.offset, n_steps));
    return (imx_lane_grids){
        .scale = imx_lanes_select(is_beyond, from_zero, grids.scale),
        .offset = imx_lanes_select(is_beyond, zero, grids.offset),
    };
}

// The factor, of the given sign, whose multiples by `integers` come nearest to values of that sign.
static float fit_multiples(imx_lanes values, imx_lanes weights, int n, imx_code_range integers,
                           float sign, imx_effort effort) {
    const imx_lanes magnitudes =
        imx_lanes_max(imx_lanes_mul(values, imx_lanes_all(sign)), imx_lanes_all(0.0f));
    float x[IMX_N_LANES];
    float w[IMX_N_LANES];
    imx_lanes_store(x, magnitudes);
    imx_lanes_store(w, weights);
    const imx_group group = {x, w, n, integers};
    return sign * imx_fit_scale(&group, effort);
}

static imx_lanes nearest_integers(imx_lanes values, imx_lanes factor, imx_code_range integers) {
    const imx_lanes multiples = imx_lanes_mul(values, imx_lanes_inverse(factor));
    return imx_lanes_clamp(imx_lanes_round(multiples), integers);
}

// The min with which codes of this mean decode to the group's mean.
static imx_lanes suitable_min(const imx_lane_groups *groups, imx_lanes scale, imx_lanes mean_code) {
    return imx_lanes_sub(imx_lanes_mul(scale, mean_code), groups->mean);
}

static free_fit fit_freely(const imx_lane_groups *groups, const imx_run_shape *shape,
                           imx_lane_grids grids, float sign, imx_effort effort) {
    const imx_lanes n_steps = imx_lanes_all(shape->codes.highest);
    grids = begin_by_zero(sign < 0.0f ? mirror(grids, n_steps) : grids, n_steps);
    const imx_lane_moments codes = imx_measure_codes(groups, &grids);
    free_fit fit = {.scale = grids.scale, .mean_code = codes.mean_code};
    fit.d = fit_multiples(fit.scale, codes.variance, shape->n_groups, shape->scales, sign, effort);
    const imx_lanes d = imx_lanes_all(fit.d);
    const imx_lanes scale = imx_lanes_mul(d, nearest_integers(fit.scale, d, shape->scales));
    const imx_lanes min = suitable_min(groups, scale, fit.mean_code);
    fit.dmin = fit_multiples(min, groups->weight, shape->n_groups, shape->mins, sign, effort);
    return fit;
}

// ---- steps 3 and 4 -----------------------------------------------------------------------------

// The sum over each trial, in all of its lanes.
static imx_lanes sum_groups(imx_lanes a, int n_groups) {
    float now[IMX_N_LANES];
    float next[IMX_N_LANES];
    imx_lanes_store(now, a);
    for (int distance = 1; distance < n_groups; distance *= 2) {
        for (int lane = 0; lane < IMX_N_LANES; ++lane) {
            next[lane] = now[lane] + now[lane ^ distance];
        }
        memcpy(now, next, sizeof now);
    }
    return imx_lanes_load(now);
}

static imx_lane_grids grids_of(const attempts *tried) {
    return (imx_lane_grids){
        .scale = imx_lanes_mul(tried->d, tried->scale),
        .offset = negative(imx_lanes_mul(tried->dmin, tried->min)),
    };
}

// Keeps the integers and errors of those lanes of `tried` that are better.
static void keep_better_integers(const attempts *tried, attempts *best) {
    const imx_lane_mask is_better = imx_lanes_greater(best->error, tried->error);
    best->scale = imx_lanes_select(is_better, tried->scale, best->scale);
    best->min = imx_lanes_select(is_better, tried->min, best->min);
    best->error = imx_lanes_select(is_better, tried->error, best->error);
}

static void keep_better(const attempts *tried, attempts *best) {
    const imx_lane_mask is_better = imx_lanes_greater(best->error, tried->error);
    best->d = imx_lanes_select(is_better, tried->d, best->d);
    best->dmin = imx_lanes_select(is_better, tried->dmin, best->dmin);
    keep_better_integers(tried, best);
}

// Step 3, around the given scales and codes of the given mean.
static void choose_integers(const imx_lane_groups *groups, const imx_run_shape *shape,
                            imx_lanes around, imx_lanes mean_code, attempts *current) {
    const imx_lanes centre = nearest_integers(around, current->d, shape->scales);
    attempts tried = *current;
    attempts best = *current;
    best.error = imx_lanes_all(HUGE_VALF);
    for (int step = -1; step <= 1; ++step) {
        const imx_lanes stepped = imx_lanes_add(centre, imx_lanes_all((float)step));
        tried.scale = imx_lanes_clamp(stepped, shape->scales);
        const imx_lanes scale = imx_lanes_mul(tried.d, tried.scale);
        for (int shift = -1; shift <= 1; ++shift) {
            const imx_lanes shifted = imx_lanes_add(mean_code, imx_lanes_all((float)shift));
            const imx_lanes min = suitable_min(groups, scale, shifted);
            tried.min = nearest_integers(min, tried.dmin, shape->mins);
            const imx_lane_grids grids = grids_of(&tried);
            tried.error = imx_measure_grids(groups, &grids);
            keep_better_integers(&tried, &best);
        }
    }
    best.error = sum_groups(best.error, shape->n_groups);
    *current = best;
}

// | a b |
// | c d |
static imx_lanes determinant(imx_lanes a, imx_lanes b, imx_lanes c, imx_lanes d) {
    return imx_lanes_sub(imx_lanes_mul(a, d), imx_lanes_mul(b, c));
}

static imx_lanes add_ridge(imx_lanes diagonal) {
    const imx_lanes ridge = imx_lanes_mul(diagonal, imx_lanes_all(1e-6f));
    return imx_lanes_add(imx_lanes_add(diagonal, ridge), imx_lanes_all(1e-15f));
}

// Step 4 before rounding. With u = k q and v = -l, x̂ = d u + dmin v. The normal equations are those
// of what the errors e = x - x̂ leave to gain, so that a small ridge keeps d and dmin where they are
// as far as the sums say nothing about them, as when all l are 0.
static void fit_together(const imx_lane_groups *groups, const imx_lane_grids *grids,
                         const imx_lane_moments *codes, attempts *current) {
    const int n = groups->n_groups;
    const imx_lanes k = current->scale;
    const imx_lanes v = negative(current->min);
    const imx_lanes w = groups->weight;
    const imx_lanes wq = imx_lanes_mul(w, codes->mean_code);
    const imx_lanes mean_e = imx_lanes_sub(imx_lanes_sub(groups->mean, grids->offset),
                                           imx_lanes_mul(grids->scale, codes->mean_code));
    const imx_lanes qe =
        imx_lanes_sub(imx_lanes_sub(codes->product, imx_lanes_mul(grids->offset, wq)),
                      imx_lanes_mul(grids->scale, codes->power));
    const imx_lanes kkqq = imx_lanes_mul(imx_lanes_mul(k, k), codes->power);
    const imx_lanes vw = imx_lanes_mul(v, w);
    const imx_lanes uu = add_ridge(sum_groups(kkqq, n));
    const imx_lanes uv = sum_groups(imx_lanes_mul(imx_lanes_mul(k, v), wq), n);
    const imx_lanes vv = add_ridge(sum_groups(imx_lanes_mul(v, vw), n));
    const imx_lanes ue = sum_groups(imx_lanes_mul(k, qe), n);
    const imx_lanes ve = sum_groups(imx_lanes_mul(vw, mean_e), n);
    const imx_lanes whole = determinant(uu, uv, uv, vv);
    const imx_lanes d_step = imx_lanes_div(determinant(ue, uv, ve, vv), whole);
    const imx_lanes dmin_step = imx_lanes_div(determinant(uu, ue, uv, ve), whole);
    current->d = imx_lanes_add(current->d, d_step);
    current->dmin = imx_lanes_add(current->dmin, dmin_step);
}

// Rounds d and dmin to halves.
static void store_super_scales(attempts *current, int n_groups, int exponent) {
    float d[IMX_N_LANES];
    float dmin[IMX_N_LANES];
    imx_lanes_store(d, current->d);
    imx_lanes_store(dmin, current->dmin);
    for (int first = 0; first < IMX_N_LANES; first += n_groups) {
        imx_store_scale(d[first], exponent, &d[first]);
        imx_store_scale(dmin[first], exponent, &dmin[first]);
        for (int lane = first + 1; lane < first + n_groups; ++lane) {
            d[lane] = d[first];
            dmin[lane] = dmin[first];
        }
    }
    current->d = imx_lanes_load(d);
    current->dmin = imx_lanes_load(dmin);
}

// Repeats steps 3 and 4 from where `current` is.
static void descend(const imx_lane_groups *groups, const imx_run_shape *shape, int exponent,
                    const free_fit *fit, int n_rounds, attempts *current, attempts *best) {
    imx_lanes scale = fit->scale;
    imx_lanes mean_code = fit->mean_code;
    for (int round = 1;; ++round) {
        store_super_scales(current, shape->n_groups, exponent);
        choose_integers(groups, shape, scale, mean_code, current);
        keep_better(current, best);
        if (round == n_rounds) {
            return;
        }
        const imx_lane_grids grids = grids_of(current);
        const imx_lane_moments codes = imx_measure_codes(groups, &grids);
        scale = grids.scale;
        mean_code = codes.mean_code;
        fit_together(groups, &grids, &codes, current);
    }
}

// ---- the search --------------------------------------------------------------------------------

// `factor` times what scatters around 1, the more the fewer integers there are.
static imx_lanes scatter_factor(float factor, imx_code_range integers, imx_lanes number,
                                float stride) {
    const float spread = START_SPREAD / sqrtf(integers.highest);
    const imx_lanes change =
        imx_lanes_mul(imx_lanes_scatter(number, stride), imx_lanes_all(spread));
    return imx_lanes_mul(imx_lanes_all(factor), imx_lanes_add(imx_lanes_all(1.0f), change));
}

// One start for each trial, from number `first` on. The first of all is the fit itself.
static attempts scatter_starts(const imx_lane_groups *groups, const imx_run_shape *shape,
                               const free_fit *fit, int first) {
    const imx_lanes number = imx_lanes_add(groups->trial, imx_lanes_all((float)first));
    return (attempts){
        .d = scatter_factor(fit->d, shape->scales, number, D_STRIDE),
        .dmin = scatter_factor(fit->dmin, shape->mins, number, DMIN_STRIDE),
    };
}

// Writes the best trial with its nearest codes.
static void write_best(const imx_block_view *view, const imx_run_shape *shape, const attempts *best,
                       imx_coded_run *out) {
    float d[IMX_N_LANES];
    float dmin[IMX_N_LANES];
    float scale[IMX_N_LANES];
    float min[IMX_N_LANES];
    imx_lanes_store(d, best->d);
    imx_lanes_store(dmin, best->dmin);
    imx_lanes_store(scale, best->scale);
    imx_lanes_store(min, best->min);
    const int lane = imx_lanes_find(best->error, imx_lanes_least(best->error));
    out->d[0] = imx_store_scale(d[lane], view->exponent, &d[lane]);
    out->dmin[0] = imx_store_scale(dmin[lane], view->exponent, &dmin[lane]);
    for (int g = 0; g < shape->n_groups; ++g) {
        const imx_group group = imx_group_at(view, shape, g);
        const imx_grid grid = {d[lane] * scale[lane + g], -dmin[lane] * min[lane + g]};
        out->scales[g] = scale[lane + g];
        out->mins[g] = min[lane + g];
        imx_group_codes(&group, grid, out->levels + g * shape->group_len);
    }
}

void imx_search_affine(const imx_block_view *view, const imx_run_shape *shape, imx_effort effort,
                       imx_coded_run *out) {
    static const float signs[2] = {1.0f, -1.0f}; // of d and dmin
    imx_lane_groups groups;
    imx_spread_groups(&groups, shape->n_groups, shape->group_len, shape->codes, view->x, view->w);
    const imx_lane_grids grids = imx_fit_grids(&groups, effort);
    const int n_trials = IMX_N_LANES / shape->n_groups;
    attempts best = {.error = imx_lanes_all(HUGE_VALF)};
    for (int side = 0; side < 2; ++side) {
        const free_fit fit = fit_freely(&groups, shape, grids, signs[side], effort);
        for (int first = 0; first < efforts[effort].n_starts; first += n_trials) {
            attempts current = scatter_starts(&groups, shape, &fit, first);
            descend(&groups, shape, view->exponent, &fit, efforts[effort].n_rounds, &current,
                    &best);
        }
    }
    write_best(view, shape, &best, out);
}
