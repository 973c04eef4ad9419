// SPDX-License-Identifier: MIT
//
// One grid with an offset, codes 0..n. With codes q_j this is a weighted straight-line fit; with
// means and covariances under the weights w, the error of x̂ = s · q + o is least at
//
//     s = cov(x, q) / var(q),    o = mean(x) - s · mean(q),
//
// where it is Σ w x² less the gain  Σ w · (mean(x)² + cov(x, q)² / var(q)). Where offsets may not
// be positive and this one is, the best is o = 0 and the s of a grid through zero. As for one scale
// (search_symmetric.c) the fit alternates with the nearest codes, from many starts side by side:
// the range of the weights, widened a little or clipped by up to half, more at one end or the
// other.
//
// A super-block, x̂ = d · k_g · q - dmin · l_g with integers k_g and l_g:
//
//   1. Each group's scale s_g and min m_g = -o_g are fitted as if they were free.
//   2. As long as its codes stay, the error grows by  Σw (var(q) Δs² + (mean(q) Δs - Δm)²)  when
//      they move. With the best Δm for each Δs only the first term is left, so that d is found by a
//      fit of one scale to the s_g with weights Σw var(q), or Σ w q² where the min is held at 0.
//      The mins that then suit the rounded scales, m_g + mean(q) Δs, give dmin in the same way with
//      weights Σw.
//   3. k_g and l_g are chosen by the true error, with new codes for each, among the integers k
//      around s_g / d and for each the integers l around the min that suits it.
//   4. d and dmin are fitted to all codes together (two equations), rounded to half precision, and
//      step 3 is repeated with what will be decoded.
//
// Tried and dropped: more rounds of steps 3 and 4 and wider neighbourhoods (each gains under 0.5 %
// of the error); more rounds per start (the second search gains more).

#include "quant/search_affine.h"

#include "quant/search_symmetric.h"

// Starts clip CLIPS shares of the range, each split in SPLITS ways between its two ends; pairs try
// SCALES integers with MINS integers for each.
enum { CLIPS = 8, SPLITS = IMX_LANES / CLIPS, SCALES = 8, MINS = IMX_LANES / SCALES };
enum { N_ZOOM_ROUNDS = 2 };

#define WIDEST       0.9f  // codes beyond the range that the widest start leaves unused
#define LARGEST_CLIP 0.5f  // of the range
#define ZOOM         0.16f // half the width of the second search, relative

typedef struct grid_lanes {
    float scale[IMX_LANES];
    float offset[IMX_LANES];
} grid_lanes;

typedef struct best_grid {
    imx_grid grid;
    float gain;
} best_grid;

typedef struct code_sums {
    float w;             // Σ w
    float x;             // Σ w x
    float q[IMX_LANES];  // Σ w q
    float qq[IMX_LANES]; // Σ w q²
    float xq[IMX_LANES]; // Σ w x q
} code_sums;

// ---- one grid ----------------------------------------------------------------------------------

// The moments of every lane's nearest codes.
static void sum_codes(const grid_lanes *grids, const imx_group *group, code_sums *out) {
    const imx_code_range codes = group->codes;
    code_sums sums = {0};
    float inverse[IMX_LANES];
    for (int l = 0; l < IMX_LANES; ++l) {
        inverse[l] = imx_inverse(grids->scale[l]);
    }
    for (int j = 0; j < group->n; ++j) {
        const float x = group->x[j];
        const float w = group->w[j];
        sums.w += w;
        sums.x += w * x;
        for (int l = 0; l < IMX_LANES; ++l) {
            const float q = imx_clamp(imx_round((x - grids->offset[l]) * inverse[l]), codes);
            const float wq = w * q;
            sums.q[l] += wq;
            sums.qq[l] += wq * q;
            sums.xq[l] += wq * x;
        }
    }
    *out = sums;
}

// One round in every lane: nearest codes of its grid, then the best grid of these codes.
static void improve_grids(grid_lanes *grids, const imx_group *group, float highest_offset,
                          best_grid *best) {
    code_sums sums;
    float gain[IMX_LANES];
    sum_codes(grids, group, &sums);
    const float mean_x = sums.x / sums.w;
    for (int l = 0; l < IMX_LANES; ++l) {
        const float mean_q = sums.q[l] / sums.w;
        const float variance = sums.qq[l] - mean_q * sums.q[l];
        const float covariance = sums.xq[l] - mean_q * sums.x;
        const float noise = 1e-6f * sums.qq[l]; // all codes equal
        const float scale = covariance * imx_inverse(variance > noise ? variance : 0.0f);
        const float offset = mean_x - scale * mean_q;
        const float scale_at_zero = sums.xq[l] * imx_inverse(sums.qq[l]);
        const bool is_bound = offset > highest_offset;
        grids->scale[l] = is_bound ? scale_at_zero : scale;
        grids->offset[l] = is_bound ? 0.0f : offset;
        gain[l] = is_bound ? scale_at_zero * sums.xq[l] : scale * covariance + mean_x * sums.x;
    }
    for (int l = 0; l < IMX_LANES; ++l) {
        if (gain[l] > best->gain) {
            *best = (best_grid){{grids->scale[l], grids->offset[l]}, gain[l]};
        }
    }
}

// Starts on the range [low, low + length]: the lane's clip lies between `narrowest` and `widest`
// shares of the length, and its split says how much of it is cut from below.
static void start_grids(grid_lanes *grids, const imx_group *group, float low, float length,
                        float widest, float narrowest) {
    for (int l = 0; l < IMX_LANES; ++l) {
        const float position = (float)(l / SPLITS) / (CLIPS - 1);
        const float split = (float)(l % SPLITS) / (SPLITS - 1);
        const float clip = widest + (narrowest - widest) * position;
        grids->scale[l] = length * (1.0f - clip) / group->codes.highest;
        grids->offset[l] = low + length * clip * split;
    }
}

imx_grid imx_fit_affine(const imx_group *group, float highest_offset, imx_effort effort) {
    (void)effort;
    float low = highest_offset < group->x[0] ? highest_offset : group->x[0];
    float high = group->x[0];
    for (int j = 0; j < group->n; ++j) {
        low = group->x[j] < low ? group->x[j] : low;
        high = group->x[j] > high ? group->x[j] : high;
    }
    const float n_steps = group->codes.highest;
    grid_lanes grids;
    best_grid best = {{0.0f, 0.0f}, -1.0f};
    start_grids(&grids, group, low, high - low, -WIDEST / n_steps, LARGEST_CLIP);
    improve_grids(&grids, group, highest_offset, &best);
    start_grids(&grids, group, best.grid.offset, best.grid.scale * n_steps, -ZOOM, ZOOM);
    for (int round = 0; round < N_ZOOM_ROUNDS; ++round) {
        improve_grids(&grids, group, highest_offset, &best);
    }
    return best.grid;
}

// ---- a super-block -----------------------------------------------------------------------------

// Step 1: a group's grid as if it were free, and the moments that steps 2 and 3 need.
typedef struct free_fit {
    float scale;
    float min;
    float mean_code;
    float curvature; // of the error in the scale
    float weight;    // Σ w, its curvature in the min
} free_fit;

// What the integers of all groups are multiplied with.
typedef struct super_scales {
    float d;
    float dmin;
} super_scales;

// Sums for step 4 over all weights, with u = k q and v = -l: x̂ = d u + dmin v.
typedef struct normal_sums {
    double uu;
    double uv;
    double vv;
    double xu;
    double xv;
} normal_sums;

static free_fit fit_freely(const imx_group *group, imx_effort effort, float *codes) {
    const imx_grid grid = imx_fit_affine(group, 0.0f, effort);
    imx_group_codes(group, grid, codes);
    const imx_moments sums = imx_group_moments(group, codes);
    const float mean_code = sums.q / sums.w;
    return (free_fit){
        .scale = grid.scale > 0.0f ? grid.scale : 0.0f,
        .min = -grid.offset,
        .mean_code = mean_code,
        .curvature = grid.offset < 0.0f ? sums.qq - mean_code * sums.q : sums.qq,
        .weight = sums.w,
    };
}

// The min that suits a group best, its codes as they are, when its scale becomes `scale`.
static float min_at_scale(const free_fit *fit, float scale) {
    const float min = fit->min + (scale - fit->scale) * fit->mean_code;
    return min > 0.0f ? min : 0.0f;
}

// Step 2.
static super_scales start_super_scales(const free_fit *fits, const imx_super_shape *shape,
                                       imx_effort effort) {
    float values[IMX_MAX_GROUPS];
    float weights[IMX_MAX_GROUPS];
    for (int g = 0; g < shape->n_groups; ++g) {
        values[g] = fits[g].scale;
        weights[g] = fits[g].curvature;
    }
    super_scales start;
    const imx_group scales = {values, weights, shape->n_groups, shape->scales};
    start.d = imx_fit_scale(&scales, effort);
    for (int g = 0; g < shape->n_groups; ++g) {
        const float k = imx_clamp(imx_round(fits[g].scale * imx_inverse(start.d)), shape->scales);
        values[g] = min_at_scale(&fits[g], start.d * k);
        weights[g] = fits[g].weight;
    }
    const imx_group mins = {values, weights, shape->n_groups, shape->mins};
    start.dmin = imx_fit_scale(&mins, effort);
    return start;
}

// The error of every lane's grid with its nearest codes.
static void measure_grids(const grid_lanes *grids, const imx_group *group,
                          float errors[IMX_LANES]) {
    const imx_code_range codes = group->codes;
    float inverse[IMX_LANES];
    for (int l = 0; l < IMX_LANES; ++l) {
        inverse[l] = imx_inverse(grids->scale[l]);
        errors[l] = 0.0f;
    }
    for (int j = 0; j < group->n; ++j) {
        const float x = group->x[j];
        const float w = group->w[j];
        for (int l = 0; l < IMX_LANES; ++l) {
            const float y = x - grids->offset[l];
            const float e = y - grids->scale[l] * imx_clamp(imx_round(y * inverse[l]), codes);
            errors[l] += w * e * e;
        }
    }
}

// Step 3 for one group.
static void choose_pair(const imx_group *group, const imx_super_shape *shape, const free_fit *fit,
                        super_scales super, float *scale, float *min) {
    const float centre = imx_clamp(imx_round(fit->scale * imx_inverse(super.d)), shape->scales);
    const float inverse_dmin = imx_inverse(super.dmin);
    float k[IMX_LANES];
    float m[IMX_LANES];
    grid_lanes grids;
    float errors[IMX_LANES];
    for (int l = 0; l < IMX_LANES; ++l) {
        k[l] = imx_clamp(centre + (float)(l / MINS - SCALES / 2), shape->scales);
        grids.scale[l] = super.d * k[l];
        const float suits = imx_round(min_at_scale(fit, grids.scale[l]) * inverse_dmin);
        m[l] = imx_clamp(suits + (float)(l % MINS - 1), shape->mins);
        grids.offset[l] = -super.dmin * m[l];
    }
    measure_grids(&grids, group, errors);
    int best = 0;
    for (int l = 1; l < IMX_LANES; ++l) {
        best = errors[l] < errors[best] ? l : best;
    }
    *scale = k[best];
    *min = m[best];
}

// Step 3 for all groups, with the sums for step 4.
static normal_sums choose_pairs(const imx_block_view *view, const imx_super_shape *shape,
                                const free_fit *fits, super_scales super, imx_super_block *out) {
    normal_sums sums = {0};
    for (int g = 0; g < shape->n_groups; ++g) {
        const imx_group group = imx_group_at(view, shape, g);
        float *codes = out->codes + g * shape->group_len;
        choose_pair(&group, shape, &fits[g], super, &out->scales[g], &out->mins[g]);
        const imx_grid grid = {super.d * out->scales[g], -super.dmin * out->mins[g]};
        imx_group_codes(&group, grid, codes);
        const imx_moments moments = imx_group_moments(&group, codes);
        const double k = (double)out->scales[g];
        const double l = (double)out->mins[g];
        sums.uu += k * k * (double)moments.qq;
        sums.uv -= k * l * (double)moments.q;
        sums.vv += l * l * (double)moments.w;
        sums.xu += k * (double)moments.xq;
        sums.xv -= l * (double)moments.x;
    }
    return sums;
}

// Step 4. What the sums cannot tell (0 / 0, or nearly), or would make negative, stays as it was.
static super_scales fit_super_scales(const normal_sums *n, super_scales old) {
    const double determinant = n->uu * n->vv - n->uv * n->uv;
    double d = n->xu / n->uu;
    double dmin = n->xv / n->vv;
    if (determinant > 1e-9 * n->uu * n->vv) {
        d = (n->xu * n->vv - n->xv * n->uv) / determinant;
        dmin = (n->xv * n->uu - n->xu * n->uv) / determinant;
    } else if (n->uu > 0.0 && n->vv > 0.0) {
        return old;
    }
    return (super_scales){d > 0.0 ? (float)d : old.d, dmin > 0.0 ? (float)dmin : old.dmin};
}

void imx_search_affine(const imx_block_view *view, const imx_super_shape *shape, imx_effort effort,
                       imx_super_block *out) {
    free_fit fits[IMX_MAX_GROUPS];
    for (int g = 0; g < shape->n_groups; ++g) {
        const imx_group group = imx_group_at(view, shape, g);
        fits[g] = fit_freely(&group, effort, out->codes + g * shape->group_len);
    }
    super_scales super = start_super_scales(fits, shape, effort);
    const normal_sums sums = choose_pairs(view, shape, fits, super, out);
    super = fit_super_scales(&sums, super);
    out->d = imx_store_scale(super.d, view->exponent, &super.d);
    out->dmin = imx_store_scale(super.dmin, view->exponent, &super.dmin);
    choose_pairs(view, shape, fits, super, out);
}
