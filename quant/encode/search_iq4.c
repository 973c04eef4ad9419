// SPDX-License-Identifier: MIT
//
// IQ4_NL and IQ4_XS: values that are denser near zero, where most weights are, instead of evenly
// spaced ones. A code q stands for T[q] (imx_iq4_values), and a group of 32 for
//
//     x̂_j = s · T[q_j].
//
// With codes given this is the problem of a grid through zero, with T[q] in the place of q:
//
//     s = Σ w x T / Σ w T²    and    Σ w (x - s T)² = Σ w x² - (Σ w x T)² / Σ w T²;
//
// with a scale given the nearest values are the best. Which one that is, is the number of midpoints
// between values that lie below x / s: fifteen comparisons, the same in every lane, each of which
// adds the step to the next value. So sixteen scales are tried at once. The last term of the error,
// the gain, decides, and what is kept is not the scale that was tried but the best for its codes.
//
// Scales are tried so that the farthest weight lands between half way to an end of the table and
// well beyond it: far inside, since the inner values are denser; beyond, for the outlier that
// matters little; and at both ends, which is both signs of s. They are evenly spaced in 1/s, as are
// the places where codes change. The surroundings of the best are then tried more finely.
//
// A super-block of eight groups has the scales d · k_g, k_g in -32..31:
//
//   1. Each s_g is fitted as if it were free. Then moving it to d k_g costs c_g (s_g - d k_g)² with
//      c_g = Σ w T²: d is the scale of a grid through zero for the s_g, with codes k_g.
//   2. k_g is chosen by the true error among the sixteen integers around s_g / d.
//   3. d = Σ k Σ w x T / Σ k² Σ w T² fits all codes at once. It is rounded to half precision, and
//      step 2 is repeated with the d that will be decoded.
//
// The best effort tries more scales in step 1, and steps 2 and 3 for a range of d; on Gaussian rows
// it finds 0.1 to 0.4 % less error. Tried and dropped: scales evenly spaced in s (0.2 % worse);
// landing no farther inside than three quarters of the way (up to 0.8 % worse where importance
// varies much); a second round of the finer search (no better).

#include "quant/encode/search_iq4.h"

#include <stdlib.h>

#include "quant/encode/fit_scale.h"

#define ZOOM 0.05f // half the width of the finer search, relative

enum {
    N_VALUES = 16,
    SMALLEST_INTEGER = 12, // for the largest scale, when a range of d is tried
};

static const imx_code_range integers = {-32.0f, 31.0f};

// Between the values q and q + 1.
static const float midpoints[N_VALUES - 1] = {-115.5f, -93.5f, -74.0f, -57.0f, -42.0f,
                                              -28.5f,  -16.0f, -4.5f,  7.0f,   19.0f,
                                              31.5f,   45.5f,  61.0f,  79.0f,  101.0f};
static const float steps[N_VALUES - 1] = {23, 21, 18, 16, 14, 13, 12, 11,
                                          12, 12, 13, 15, 16, 20, 24};

// Where the farthest weight is made to land, as a share of the way to the end of the table.
static const struct {
    float nearest;
    float farthest;
    int n_banks;
} starts[IMX_EFFORT_COUNT] = {
    [IMX_EFFORT_DEFAULT] = {0.5f, 1.6f, 1},
    [IMX_EFFORT_BEST] = {0.15f, 2.5f, 8},
};

// What each lane's scale makes of a group.
typedef struct iq4_sums {
    imx_lanes xt;    // Σ w x T
    imx_lanes tt;    // Σ w T²
    imx_lanes error; // Σ w (x - scale T)²
} iq4_sums;

static inline imx_lanes nearest_values(imx_lanes ratio) {
    imx_lanes value = imx_lanes_all((float)imx_iq4_values[0]);
    for (int q = 0; q < N_VALUES - 1; ++q) {
        const imx_lane_mask is_above = imx_lanes_greater(ratio, imx_lanes_all(midpoints[q]));
        value = imx_lanes_add_where(is_above, value, imx_lanes_all(steps[q]));
    }
    return value;
}

// Inline, so that callers pay only for the sums they use.
static inline iq4_sums measure(const imx_iq4_group *group, imx_lanes scales) {
    const imx_lanes inverse = imx_lanes_div(imx_lanes_all(1.0f), scales);
    const imx_lanes zero = imx_lanes_all(0.0f);
    iq4_sums sums = {zero, zero, zero};
    for (int j = 0; j < IMX_BLOCK_LEN; ++j) {
        const imx_lanes x = imx_lanes_all(group->x[j]);
        const imx_lanes w = imx_lanes_all(group->w[j]);
        const imx_lanes value = nearest_values(imx_lanes_mul(x, inverse));
        const imx_lanes wt = imx_lanes_mul(w, value);
        const imx_lanes e = imx_lanes_sub(x, imx_lanes_mul(scales, value));
        sums.xt = imx_lanes_add(sums.xt, imx_lanes_mul(wt, x));
        sums.tt = imx_lanes_add(sums.tt, imx_lanes_mul(wt, value));
        sums.error = imx_lanes_add(sums.error, imx_lanes_mul(w, imx_lanes_mul(e, e)));
    }
    return sums;
}

void imx_iq4_codes(const imx_iq4_group *group, float scale, uint8_t codes[IMX_BLOCK_LEN]) {
    const float inverse = imx_inverse(scale);
    for (int j = 0; j < IMX_BLOCK_LEN; ++j) {
        const float ratio = group->x[j] * inverse;
        int n_below = 0;
        for (int q = 0; q < N_VALUES - 1; ++q) {
            n_below += ratio > midpoints[q];
        }
        codes[j] = (uint8_t)n_below;
    }
}

// ---- one scale ---------------------------------------------------------------------------------

typedef struct best_fits {
    imx_lanes scale;
    imx_lanes gain;
} best_fits;

static float best_scale(const best_fits *best) {
    return imx_lanes_at(best->scale, imx_lanes_find(best->gain, imx_lanes_greatest(best->gain)));
}

// The best scales for the codes of the tried ones.
static void try_scales(const imx_iq4_group *group, imx_lanes scales, best_fits *best) {
    const iq4_sums sums = measure(group, scales);
    const imx_lanes fitted = imx_lanes_div(sums.xt, sums.tt);
    const imx_lanes gain = imx_lanes_mul(fitted, sums.xt);
    const imx_lane_mask is_better = imx_lanes_greater(gain, best->gain);
    best->scale = imx_lanes_select(is_better, fitted, best->scale);
    best->gain = imx_lanes_select(is_better, gain, best->gain);
}

static float farthest(const imx_iq4_group *group) {
    float extreme = 0.0f;
    for (int j = 0; j < IMX_BLOCK_LEN; ++j) {
        extreme = fabsf(group->x[j]) > fabsf(extreme) ? group->x[j] : extreme;
    }
    return extreme;
}

float imx_fit_iq4(const imx_iq4_group *group, imx_effort effort) {
    const float ends[2] = {(float)imx_iq4_values[0], (float)imx_iq4_values[N_VALUES - 1]};
    const float extreme = farthest(group);
    const int n_banks = starts[effort].n_banks;
    const float first = starts[effort].nearest;
    const float step = (starts[effort].farthest - first) / (float)(n_banks * IMX_N_LANES - 1);
    best_fits best = {imx_lanes_all(0.0f), imx_lanes_all(0.0f)};
    for (int bank = 0; bank < n_banks; ++bank) {
        const imx_lanes landings =
            imx_lanes_series(first + step * (float)(bank * IMX_N_LANES), step);
        for (int end = 0; end < 2; ++end) {
            try_scales(group, imx_lanes_div(imx_lanes_all(extreme / ends[end]), landings), &best);
        }
    }
    const float centre = best_scale(&best);
    try_scales(group,
               imx_lanes_series(centre * (1.0f - ZOOM), centre * (2.0f * ZOOM / (IMX_N_LANES - 1))),
               &best);
    return best_scale(&best);
}

// ---- super-blocks ------------------------------------------------------------------------------

// What the scales of a super-block come to.
typedef struct iq4_outcome {
    float scales[IMX_IQ4_N_GROUPS]; // k
    float error;
    float d; // the best for the codes
} iq4_outcome;

// Step 2.
static iq4_outcome choose_integers(const imx_iq4_group groups[IMX_IQ4_N_GROUPS],
                                   const float ideal[IMX_IQ4_N_GROUPS], float d) {
    iq4_outcome outcome = {{0}, 0.0f, 0.0f};
    float kxt = 0.0f;
    float kktt = 0.0f;
    for (int g = 0; g < IMX_IQ4_N_GROUPS; ++g) {
        const float first = imx_round(ideal[g] * imx_inverse(d)) - IMX_N_LANES / 2;
        const imx_lanes k = imx_lanes_clamp(imx_lanes_series(first, 1.0f), integers);
        const iq4_sums sums = measure(&groups[g], imx_lanes_mul(k, imx_lanes_all(d)));
        const float error = imx_lanes_least(sums.error);
        const int l = imx_lanes_find(sums.error, error);
        const float chosen = imx_lanes_at(k, l);
        outcome.scales[g] = chosen;
        outcome.error += error;
        kxt += chosen * imx_lanes_at(sums.xt, l);
        kktt += chosen * chosen * imx_lanes_at(sums.tt, l);
    }
    outcome.d = kxt * imx_inverse(kktt);
    return outcome;
}

typedef struct settled_scales {
    iq4_outcome outcome;
    imx_f16 half;
    float d; // what the half stands for
} settled_scales;

// Steps 2 and 3 from d.
static settled_scales settle(const imx_iq4_group groups[IMX_IQ4_N_GROUPS],
                             const float ideal[IMX_IQ4_N_GROUPS], float d, int exponent) {
    settled_scales result;
    const float refitted = choose_integers(groups, ideal, d).d;
    result.half = imx_store_scale(refitted, exponent, &result.d);
    result.outcome = choose_integers(groups, ideal, result.d);
    return result;
}

// A range of d: the largest scale becomes each of the larger integers, of either sign.
static void settle_densely(const imx_iq4_group groups[IMX_IQ4_N_GROUPS],
                           const float ideal[IMX_IQ4_N_GROUPS], int exponent,
                           settled_scales *best) {
    float largest = 0.0f;
    for (int g = 0; g < IMX_IQ4_N_GROUPS; ++g) {
        largest = fabsf(ideal[g]) > fabsf(largest) ? ideal[g] : largest;
    }
    for (int k = (int)integers.lowest; k <= (int)integers.highest; ++k) {
        if (abs(k) >= SMALLEST_INTEGER) {
            const settled_scales result = settle(groups, ideal, largest / (float)k, exponent);
            *best = result.outcome.error < best->outcome.error ? result : *best;
        }
    }
}

void imx_search_iq4(const imx_iq4_group groups[IMX_IQ4_N_GROUPS], int exponent, imx_effort effort,
                    imx_iq4_scales *out) {
    float ideal[IMX_IQ4_N_GROUPS];
    float curvature[IMX_IQ4_N_GROUPS];
    for (int g = 0; g < IMX_IQ4_N_GROUPS; ++g) {
        ideal[g] = imx_fit_iq4(&groups[g], effort);
        curvature[g] = imx_lanes_at(measure(&groups[g], imx_lanes_all(ideal[g])).tt, 0);
    }
    const imx_group scales = {ideal, curvature, IMX_IQ4_N_GROUPS, integers};
    settled_scales best = settle(groups, ideal, imx_fit_scale(&scales, effort), exponent);
    if (effort == IMX_EFFORT_BEST) {
        settle_densely(groups, ideal, exponent, &best);
    }
    out->d = best.half;
    for (int g = 0; g < IMX_IQ4_N_GROUPS; ++g) {
        out->integers[g] = (int)best.outcome.scales[g];
        out->scales[g] = best.d * best.outcome.scales[g];
    }
}
