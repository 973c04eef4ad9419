// SPDX-License-Identifier: MIT
//
// Super-blocks whose groups have the scales d · k_g with integers k_g:
//
//   1. Each group's scale s_g is fitted as if it were free (fit_scale.c).
//   2. As long as its codes stay, moving s_g to d · k_g costs c_g (s_g - d k_g)² with c_g = Σ w q².
//      Choosing d is therefore the same problem one level up: x = s_g, w = c_g, codes k_g. It is
//      rounded to half precision.
//   3. k_g is chosen among the 16 integers around s_g / d by the true error, with new codes for
//      each.
//
// With best effort step 3 tries all integers, for every 16th half that d could be and then for the
// halves around the best of these. Most are given up after a few groups: the errors that the scales
// s_g reach are nearly a lower bound for those of d · k_g, so that only the excess over them is
// added up and compared. d up to twice the smallest is enough, for half of d does all that d does
// as long as 2 k is in range; its sign matters only for the lowest k.
//
// Tried and dropped: fitting d again to the codes of step 3 and repeating that with it, once or
// more often (0.1 % of the error for half of the time; more starts in step 1 gain more); starting
// Q6_K without step 1 from the scales that clip nothing (worse).

#include "quant/encode/search_symmetric.h"

#include <stdbool.h>
#include <string.h>

// The halves tried for d, as shares of the one that takes the largest scale to the end of its
// range.
#define SMALLEST_SHARE 0.8f
#define LARGEST_SHARE  2.0f

enum { COARSE_STEP = 16 };

typedef struct scale_search {
    const imx_block_view *view;
    const imx_run_shape *shape;
    float ideal[IMX_MAX_GROUPS];  // s_g
    float errors[IMX_MAX_GROUPS]; // with them; 0 as long as only one d is tried
    bool tries_all_integers;
} scale_search;

typedef struct scale_choice {
    imx_f16 half;
    float d;                      // what it stands for
    float scales[IMX_MAX_GROUPS]; // k_g
    float excess;                 // error less that of the ideal scales
} scale_choice;

// The integer k for which d · k has the least error.
static float choose_scale(const scale_search *search, int g, float d, float *least_error) {
    const imx_group group = imx_group_at(search->view, search->shape, g);
    const imx_code_range range = search->shape->scales;
    const float centre = imx_clamp(imx_round(search->ideal[g] * imx_inverse(d)), range);
    const float first = search->tries_all_integers ? range.lowest : centre - IMX_N_LANES / 2;
    const float last = search->tries_all_integers ? range.highest : first;
    float best = 0.0f;
    *least_error = HUGE_VALF;
    for (float bank = first; bank <= last; bank += IMX_N_LANES) {
        const imx_lanes k = imx_lanes_clamp(imx_lanes_series(bank, 1.0f), range);
        const imx_lanes errors = imx_measure_scales(imx_lanes_mul(k, imx_lanes_all(d)), &group);
        const float error = imx_lanes_least(errors);
        if (error < *least_error) {
            *least_error = error;
            best = imx_lanes_at(k, imx_lanes_find(errors, error));
        }
    }
    return best;
}

// Step 3 for one d, until it cannot become better than *best.
static void try_half(const scale_search *search, imx_f16 half, scale_choice *best) {
    scale_choice choice = {.half = half};
    choice.d = imx_f16_to_f32(half) * imx_power_of_two(-search->view->exponent);
    for (int g = 0; g < search->shape->n_groups && choice.excess < best->excess; ++g) {
        float error;
        choice.scales[g] = choose_scale(search, g, choice.d, &error);
        choice.excess += error - search->errors[g];
    }
    if (choice.excess < best->excess) {
        *best = choice;
    }
}

static void try_halves(const scale_search *search, int first, int last, int step,
                       scale_choice *best) {
    for (int half = first; half <= last; half += step) {
        try_half(search, (imx_f16)half, best);
    }
}

// Measures the ideal scales and returns the largest.
static float measure_ideal(scale_search *search) {
    float largest = 0.0f;
    for (int g = 0; g < search->shape->n_groups; ++g) {
        const float scale = search->ideal[g];
        const imx_group group = imx_group_at(search->view, search->shape, g);
        search->errors[g] = imx_lanes_at(imx_measure_scales(imx_lanes_all(scale), &group), 0);
        largest = fabsf(scale) > fabsf(largest) ? scale : largest;
    }
    return largest;
}

// The best choice among all integers and many d, that of *best among them.
static void search_densely(scale_search *search, scale_choice *best) {
    const int exponent = search->view->exponent;
    const float d = measure_ideal(search) / search->shape->scales.lowest;
    const imx_f16 fitted = best->half;
    float stored;
    const int first = imx_store_scale(SMALLEST_SHARE * d, exponent, &stored);
    const int last = imx_store_scale(LARGEST_SHARE * d, exponent, &stored);
    search->tries_all_integers = true;
    best->excess = HUGE_VALF;
    try_half(search, fitted, best);
    try_halves(search, first, last, COARSE_STEP, best);
    const int from = best->half - COARSE_STEP;
    const int to = best->half + COARSE_STEP;
    try_halves(search, from > first ? from : first, to < last ? to : last, 1, best);
}

void imx_search_symmetric(const imx_block_view *view, const imx_run_shape *shape, imx_effort effort,
                          imx_coded_run *out) {
    scale_search search = {.view = view, .shape = shape};
    float curvature[IMX_MAX_GROUPS];
    for (int g = 0; g < shape->n_groups; ++g) {
        const imx_group group = imx_group_at(view, shape, g);
        const imx_scale_fit fit = imx_fit_group(&group, effort);
        search.ideal[g] = fit.scale;
        curvature[g] = fit.curvature;
    }
    const imx_group scales = {search.ideal, curvature, shape->n_groups, shape->scales};
    scale_choice best = {.excess = HUGE_VALF};
    float stored;
    try_half(&search, imx_store_scale(imx_fit_scale(&scales, effort), view->exponent, &stored),
             &best);
    if (effort == IMX_EFFORT_BEST) {
        search_densely(&search, &best);
    }
    out->d[0] = best.half;
    memcpy(out->scales, best.scales, sizeof out->scales);
    for (int g = 0; g < shape->n_groups; ++g) {
        const imx_group group = imx_group_at(view, shape, g);
        const imx_grid grid = {best.d * best.scales[g], 0.0f};
        imx_group_codes(&group, grid, out->levels + g * shape->group_len);
    }
}
