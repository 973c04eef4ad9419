// SPDX-License-Identifier: MIT
//
// One scale. With codes q_j, the error of the grid x̂ = s · q is least at
//
//     s = Σ w x q / Σ w q²,    where    Σ w (x - s q)² = Σ w x² - (Σ w x q)² / Σ w q²,
//
// and with a scale s the best codes are the nearest ones. A code changes at about n · range values
// of 1/s; between two of them the error is a parabola, and its many minima look much alike. So a
// start is an inverse scale: its codes are rounded, their best scale follows, and what the codes
// gain over zeros, (Σ w x q)² / Σ w q², decides between starts. One such step ends in the minimum
// next to the start; alternating until nothing moves gains less than as many more starts.
//
// Starts lie evenly in 1/s, as the minima do, and are told by the place x / s, in codes, of the
// farthest weight. Inside the range, below 0.7 of its end, wide steps cost more than luck brings
// back. Outside, an unimportant outlier is worth clipping; but the error of that grows with the
// square of the codes cut off, so that eight are enough whatever the range. Ranges such as -8..7
// are lopsided: the end at which the farthest weight lies matters where it is clipped, and both are
// tried unless a code more or less is too small a share of the range. For five bits and less this
// comes within 0.5 % of the least error there is.
//
// With the 256 codes of Q8_0 clipping hardly ever pays. Rounding errors x/s - round(x/s) then need
// no clamp, and in units of s they are all there is to measure. The best of 16 starts, moved to the
// best scale of its codes, is as good as the best of 32.
//
// With best effort a single group tries every half that could be its scale, and the groups of a
// super-block a thousand starts at each end of the range.
//
// Tried and dropped: a second search around the best start, and the 16 halves around the scale that
// it gives (both gain under 0.1 % of the error).

#include "quant/encode/fit_scale.h"

#include <stdbool.h>

enum {
    LOPSIDED = 16, // up to this highest code both ends of the range are tried
    FINE = 64,     // from this highest code on nothing is clipped
    SIGN_BIT = 0x8000,
};

// Where the farthest weight may lie with many codes.
#define FINE_INNERMOST 0.9f // of the end
#define FINE_BEYOND    0.4f // codes beyond it; half a code would round to the next

// The halves tried with best effort, as shares of the scale that takes the farthest weight to the
// end of the range.
#define SMALLEST_SHARE 0.2f
#define LARGEST_SHARE  2.5f

// Where starts place the farthest weight: from innermost · end to outermost · end and `beyond`
// codes more.
typedef struct start_range {
    int n_banks; // of 16 starts
    float innermost;
    float outermost;
    float beyond;
} start_range;

// By effort, and for each of one or of two ends.
static const start_range start_ranges[IMX_EFFORT_COUNT][2] = {
    [IMX_EFFORT_DEFAULT] = {{3, 0.7f, 1.0f, 8.0f}, {2, 0.7f, 1.0f, 8.0f}},
    [IMX_EFFORT_BEST] = {{64, 0.4f, 2.5f, 5.0f}, {64, 0.4f, 2.5f, 5.0f}},
};

// In each lane the best of its starts.
typedef struct best_lanes {
    imx_lanes scale;
    imx_lanes gain; // Σ w x² less the error
    imx_lanes qq;   // Σ w q²
} best_lanes;

typedef struct best_half {
    imx_f16 half;
    float error;
} best_half;

static inline imx_lanes nearest_codes(imx_lanes x, imx_lanes inverse, imx_code_range codes) {
    return imx_lanes_round(imx_lanes_clamp(imx_lanes_mul(x, inverse), codes));
}

static float farthest(const imx_group *group) {
    imx_lanes low = imx_lanes_all(0.0f);
    imx_lanes high = imx_lanes_all(0.0f);
    int j = 0;
    for (; j + IMX_N_LANES <= group->n; j += IMX_N_LANES) {
        low = imx_lanes_min(imx_lanes_load(group->x + j), low);
        high = imx_lanes_max(imx_lanes_load(group->x + j), high);
    }
    for (; j < group->n; ++j) {
        low = imx_lanes_min(imx_lanes_all(group->x[j]), low);
        high = imx_lanes_max(imx_lanes_all(group->x[j]), high);
    }
    const float lowest = imx_lanes_least(low);
    const float highest = imx_lanes_greatest(high);
    return highest > -lowest ? highest : lowest;
}

// ---- real scales -------------------------------------------------------------------------------

// In each lane: the nearest codes of a scale given by its inverse, and the best scale for these.
static void improve_starts(const imx_group *group, imx_lanes inverse, best_lanes *best) {
    imx_lanes qq = imx_lanes_all(0.0f);
    imx_lanes xq = imx_lanes_all(0.0f);
    for (int j = 0; j < group->n; ++j) {
        const imx_lanes x = imx_lanes_all(group->x[j]);
        const imx_lanes q = nearest_codes(x, inverse, group->codes);
        const imx_lanes wq = imx_lanes_mul(imx_lanes_all(group->w[j]), q);
        qq = imx_lanes_add(qq, imx_lanes_mul(wq, q));
        xq = imx_lanes_add(xq, imx_lanes_mul(wq, x));
    }
    const imx_lanes scale = imx_lanes_div(xq, qq);
    const imx_lanes gain = imx_lanes_mul(scale, xq);
    const imx_lane_mask is_better = imx_lanes_greater(gain, best->gain); // not if qq is 0
    best->scale = imx_lanes_select(is_better, scale, best->scale);
    best->gain = imx_lanes_select(is_better, gain, best->gain);
    best->qq = imx_lanes_select(is_better, qq, best->qq);
}

// Starts with the weight `far` around the code `end`.
static void try_end(const imx_group *group, float far, float end, const start_range *range,
                    best_lanes *best) {
    const float first = range->innermost * end;
    const float last = range->outermost * end + copysignf(range->beyond, end);
    const float step = (last - first) / (float)(range->n_banks * IMX_N_LANES - 1);
    for (int b = 0; b < range->n_banks; ++b) {
        const imx_lanes place = imx_lanes_series(first + step * (float)(b * IMX_N_LANES), step);
        improve_starts(group, imx_lanes_mul(place, imx_lanes_all(1.0f / far)), best);
    }
}

imx_scale_fit imx_fit_group(const imx_group *group, imx_effort effort) {
    const imx_code_range codes = group->codes;
    const float far = farthest(group);
    if (far == 0.0f) {
        return (imx_scale_fit){0};
    }
    const bool has_two_ends = codes.lowest < 0.0f && codes.highest < LOPSIDED;
    const start_range *range = &start_ranges[effort][has_two_ends];
    const imx_lanes zero = imx_lanes_all(0.0f);
    best_lanes best = {zero, zero, zero};
    try_end(group, far, codes.lowest < 0.0f ? codes.lowest : codes.highest, range, &best);
    if (has_two_ends) {
        try_end(group, far, codes.highest, range, &best);
    }
    const int l = imx_lanes_find(best.gain, imx_lanes_greatest(best.gain));
    return (imx_scale_fit){imx_lanes_at(best.scale, l), imx_lanes_at(best.qq, l)};
}

float imx_fit_scale(const imx_group *group, imx_effort effort) {
    return imx_fit_group(group, effort).scale;
}

// ---- many codes --------------------------------------------------------------------------------

// The best scale for the nearest codes of a scale given by its inverse.
static float improve_scale(const imx_group *group, float inverse) {
    imx_lanes qq = imx_lanes_all(0.0f);
    imx_lanes xq = imx_lanes_all(0.0f);
    for (int j = 0; j < group->n; j += IMX_N_LANES) {
        const imx_lanes x = imx_lanes_load(group->x + j);
        const imx_lanes q = nearest_codes(x, imx_lanes_all(inverse), group->codes);
        const imx_lanes wq = imx_lanes_mul(imx_lanes_load(group->w + j), q);
        qq = imx_lanes_add(qq, imx_lanes_mul(wq, q));
        xq = imx_lanes_add(xq, imx_lanes_mul(wq, x));
    }
    return imx_lanes_sum(xq) / imx_lanes_sum(qq);
}

// w e² with the error e of weight j in units of the scale.
static inline imx_lanes rounding_error(const imx_group *group, int j, imx_lanes inverse) {
    const imx_lanes q = imx_lanes_mul(imx_lanes_all(group->x[j]), inverse);
    const imx_lanes e = imx_lanes_sub(q, imx_lanes_round(q));
    return imx_lanes_mul(imx_lanes_mul(imx_lanes_all(group->w[j]), e), e);
}

static float fit_fine_scale(const imx_group *group) {
    const float first = FINE_INNERMOST * group->codes.lowest;
    const float last = group->codes.lowest - FINE_BEYOND;
    const imx_lanes place = imx_lanes_series(first, (last - first) / (IMX_N_LANES - 1));
    const imx_lanes inverse = imx_lanes_mul(place, imx_lanes_all(1.0f / farthest(group)));
    imx_lanes errors = imx_lanes_all(0.0f);
    for (int j = 0; j < group->n; j += 4) { // so that additions do not wait for each other
        const imx_lanes a =
            imx_lanes_add(rounding_error(group, j, inverse), rounding_error(group, j + 1, inverse));
        const imx_lanes b = imx_lanes_add(rounding_error(group, j + 2, inverse),
                                          rounding_error(group, j + 3, inverse));
        errors = imx_lanes_add(errors, imx_lanes_add(a, b));
    }
    errors = imx_lanes_div(errors, imx_lanes_mul(place, place));
    const int best = imx_lanes_find(errors, imx_lanes_least(errors));
    return improve_scale(group, imx_lanes_at(inverse, best));
}

// ---- half-precision scales ---------------------------------------------------------------------

imx_lanes imx_measure_scales(imx_lanes scales, const imx_group *group) {
    const imx_lanes inverse = imx_lanes_div(imx_lanes_all(1.0f), scales);
    imx_lanes errors = imx_lanes_all(0.0f);
    for (int j = 0; j < group->n; ++j) {
        const imx_lanes x = imx_lanes_all(group->x[j]);
        const imx_lanes q = nearest_codes(x, inverse, group->codes);
        const imx_lanes e = imx_lanes_sub(x, imx_lanes_mul(scales, q));
        const imx_lanes we = imx_lanes_mul(imx_lanes_all(group->w[j]), e);
        errors = imx_lanes_add(errors, imx_lanes_mul(we, e));
    }
    return errors;
}

// Tries the halves from `first` to `last`, which have the same sign.
static void try_halves(const imx_group *group, float unit, int first, int last, best_half *best) {
    for (int half = first; half <= last; half += IMX_N_LANES) {
        float scales[IMX_N_LANES];
        for (int l = 0; l < IMX_N_LANES; ++l) {
            scales[l] = imx_f16_to_f32((imx_f16)(half + l < last ? half + l : last)) * unit;
        }
        const imx_lanes errors = imx_measure_scales(imx_lanes_load(scales), group);
        const float error = imx_lanes_least(errors);
        if (error < best->error) {
            const int found = half + imx_lanes_find(errors, error);
            *best = (best_half){(imx_f16)(found < last ? found : last), error};
        }
    }
}

static imx_f16 try_all_halves(const imx_group *group, int exponent, float *stored) {
    const float unit = imx_power_of_two(-exponent);
    const float scale = fabsf(farthest(group) / group->codes.lowest);
    const imx_f16 first = imx_store_scale(SMALLEST_SHARE * scale, exponent, stored);
    const imx_f16 last = imx_store_scale(LARGEST_SHARE * scale, exponent, stored);
    best_half best = {first, HUGE_VALF};
    try_halves(group, unit, first, last, &best);
    try_halves(group, unit, first | SIGN_BIT, last | SIGN_BIT, &best);
    *stored = imx_f16_to_f32(best.half) * unit;
    return best.half;
}

imx_f16 imx_fit_half(const imx_group *group, int exponent, imx_effort effort, float *stored) {
    if (effort == IMX_EFFORT_BEST) {
        return try_all_halves(group, exponent, stored);
    }
    const bool is_fine = group->codes.highest >= FINE;
    const float scale = is_fine ? fit_fine_scale(group) : imx_fit_scale(group, effort);
    return imx_store_scale(scale, exponent, stored);
}
