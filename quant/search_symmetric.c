// SPDX-License-Identifier: MIT
//
// One scale. With codes q_j, the error of the grid x̂ = s · q is least at
//
//     s = Σ w x q / Σ w q²,    where    Σ w (x - s q)² = Σ w x² - (Σ w x q)² / Σ w q²,
//
// and with a scale s the best codes are the nearest ones. Alternating the two steps never makes the
// error larger, but it ends in the nearest of many local minima: codes change at about
// n · range values of 1/s. So it is run from many starts side by side, and what the codes gain over
// zeros, (Σ w x q)² / Σ w q², decides. The starts place the farthest weight from well inside to
// well outside the code range, at either end of it, since ranges such as -8..7 are lopsided and
// since an unimportant outlier is better clipped. The neighbourhood of the best is then searched
// again.
//
// A super-block. Scales are d · k_g with integers k_g:
//
//   1. Each group's scale s_g is fitted as if it were free.
//   2. As long as its codes stay, moving s_g to d · k_g costs c_g (s_g - d k_g)² with c_g = Σ w q².
//      Choosing d is therefore the same problem one level up: x = s_g, w = c_g, codes k_g.
//   3. k_g is chosen among the integers around s_g / d by the true error, with new codes for each.
//   4. d is fitted to all codes at once, d = Σ k Σ w x q / Σ k² Σ w q², rounded to half precision,
//      and step 3 is repeated with the d that will be decoded.
//
// Tried and dropped: more rounds of steps 3 and 4, and k_g of both signs (each gains under 0.1 % of
// the error; step 1 has settled the sign); more rounds per start instead of more starts (worse).

#include "quant/search_symmetric.h"

enum { N_COARSE_BANKS = 2, N_ZOOM_ROUNDS = 2 };

// Starts place the farthest weight at 1 / share of the way to the end of the code range.
#define SMALLEST_SHARE 0.5f
#define LARGEST_SHARE  1.1f
#define ZOOM           0.08f // half the width of the second search, relative

typedef struct best_scale {
    float scale;
    float gain;
} best_scale;

// One round in every lane: nearest codes of its scale, then the best scale of these codes.
static void improve_scales(float scales[IMX_LANES], const imx_group *group, best_scale *best) {
    const imx_code_range codes = group->codes;
    float inverse[IMX_LANES];
    float qq[IMX_LANES] = {0};
    float xq[IMX_LANES] = {0};
    for (int l = 0; l < IMX_LANES; ++l) {
        inverse[l] = imx_inverse(scales[l]);
    }
    for (int j = 0; j < group->n; ++j) {
        const float x = group->x[j];
        const float w = group->w[j];
        for (int l = 0; l < IMX_LANES; ++l) {
            const float q = imx_clamp(imx_round(x * inverse[l]), codes);
            const float wq = w * q;
            qq[l] += wq * q;
            xq[l] += wq * x;
        }
    }
    for (int l = 0; l < IMX_LANES; ++l) {
        scales[l] = xq[l] * imx_inverse(qq[l]);
    }
    for (int l = 0; l < IMX_LANES; ++l) {
        const float gain = scales[l] * xq[l];
        if (gain > best->gain) {
            *best = (best_scale){scales[l], gain};
        }
    }
}

static float farthest(const imx_group *group) {
    float extreme = 0.0f;
    for (int j = 0; j < group->n; ++j) {
        extreme = fabsf(group->x[j]) > fabsf(extreme) ? group->x[j] : extreme;
    }
    return extreme;
}

// Tries starts of all sizes, alternately at the two ends of the code range.
static best_scale search_coarsely(const imx_group *group) {
    const imx_code_range codes = group->codes;
    const float low_end = codes.lowest < 0.0f ? codes.lowest : codes.highest;
    const float extreme = farthest(group);
    const float step = (LARGEST_SHARE - SMALLEST_SHARE) / (N_COARSE_BANKS * IMX_LANES - 1);
    best_scale best = {0};
    for (int bank = 0; bank < N_COARSE_BANKS; ++bank) {
        float scales[IMX_LANES];
        for (int l = 0; l < IMX_LANES; ++l) {
            const float share = SMALLEST_SHARE + step * (float)(bank * IMX_LANES + l);
            scales[l] = share * extreme / (l % 2 == 0 ? codes.highest : low_end);
        }
        improve_scales(scales, group, &best);
    }
    return best;
}

float imx_fit_scale(const imx_group *group, imx_effort effort) {
    (void)effort;
    best_scale best = search_coarsely(group);
    float scales[IMX_LANES];
    for (int l = 0; l < IMX_LANES; ++l) {
        const float position = 2.0f * (float)l / (IMX_LANES - 1) - 1.0f;
        scales[l] = best.scale * (1.0f + ZOOM * position);
    }
    for (int round = 0; round < N_ZOOM_ROUNDS; ++round) {
        improve_scales(scales, group, &best);
    }
    return best.scale;
}

// The error of every lane's scale with its nearest codes.
static void measure_scales(const float scales[IMX_LANES], const imx_group *group,
                           float errors[IMX_LANES]) {
    const imx_code_range codes = group->codes;
    float inverse[IMX_LANES];
    for (int l = 0; l < IMX_LANES; ++l) {
        inverse[l] = imx_inverse(scales[l]);
        errors[l] = 0.0f;
    }
    for (int j = 0; j < group->n; ++j) {
        const float x = group->x[j];
        const float w = group->w[j];
        for (int l = 0; l < IMX_LANES; ++l) {
            const float e = x - scales[l] * imx_clamp(imx_round(x * inverse[l]), codes);
            errors[l] += w * e * e;
        }
    }
}

// Step 3: the integer k around ideal / d for which d · k has the least error.
static float choose_scale(const imx_group *group, imx_code_range integers, float d, float ideal) {
    const float centre = imx_clamp(imx_round(ideal * imx_inverse(d)), integers);
    const int n_banks = integers.highest < IMX_LANES ? 1 : 2; // 6-bit scales are few
    float best = 0.0f;
    float least_error = HUGE_VALF;
    for (int bank = 0; bank < n_banks; ++bank) {
        float k[IMX_LANES];
        float scales[IMX_LANES];
        float errors[IMX_LANES];
        for (int l = 0; l < IMX_LANES; ++l) {
            const int step = bank * IMX_LANES + l - n_banks * IMX_LANES / 2;
            k[l] = imx_clamp(centre + (float)step, integers);
            scales[l] = d * k[l];
        }
        measure_scales(scales, group, errors);
        for (int l = 0; l < IMX_LANES; ++l) {
            if (errors[l] < least_error) {
                least_error = errors[l];
                best = k[l];
            }
        }
    }
    return best;
}

// Step 3 for all groups. Returns the d of step 4.
static float choose_scales(const imx_block_view *view, const imx_super_shape *shape, float d,
                           const float ideal[IMX_MAX_GROUPS], imx_super_block *out) {
    float kxq = 0.0f;
    float kkqq = 0.0f;
    for (int g = 0; g < shape->n_groups; ++g) {
        const imx_group group = imx_group_at(view, shape, g);
        float *codes = out->codes + g * shape->group_len;
        const float k = choose_scale(&group, shape->scales, d, ideal[g]);
        imx_group_codes(&group, (imx_grid){d * k, 0.0f}, codes);
        const imx_moments sums = imx_group_moments(&group, codes);
        out->scales[g] = k;
        kxq += k * sums.xq;
        kkqq += k * k * sums.qq;
    }
    return kxq * imx_inverse(kkqq);
}

void imx_search_symmetric(const imx_block_view *view, const imx_super_shape *shape,
                          imx_effort effort, imx_super_block *out) {
    float ideal[IMX_MAX_GROUPS];
    float curvature[IMX_MAX_GROUPS];
    for (int g = 0; g < shape->n_groups; ++g) {
        const imx_group group = imx_group_at(view, shape, g);
        float *codes = out->codes + g * shape->group_len;
        ideal[g] = imx_fit_scale(&group, effort);
        imx_group_codes(&group, (imx_grid){ideal[g], 0.0f}, codes);
        curvature[g] = imx_group_moments(&group, codes).qq;
    }
    const imx_group scales = {ideal, curvature, shape->n_groups, shape->scales};
    float d = choose_scales(view, shape, imx_fit_scale(&scales, effort), ideal, out);
    out->d = imx_store_scale(d, view->exponent, &d);
    choose_scales(view, shape, d, ideal, out);
}
