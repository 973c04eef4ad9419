// SPDX-License-Identifier: MIT
//
// TQ1_0 and TQ2_0: 256 weights share one scale, x̂ = d · q with q in -1, 0, 1.
//
// With d > 0 given, the best code of a weight is its sign where |x| > d/2 and 0 elsewhere, whatever
// its w. So the codes of any optimum are 0 below some threshold t on |x|. They fit best with
//
//     d = Σ w |x| / Σ w,    gain = (Σ w |x|)² / Σ w,    sums over |x_j| > t,
//
// and d/2 is then a threshold at least as good as t. Sixteen thresholds around the mean magnitude,
// each improved once like that, come within 0.01 % of the least error of Gaussian rows. The best
// effort tries every magnitude as threshold, and there can be no other codes: an exact solution.
// Sorted magnitudes would do with one pass over them, but sixteen thresholds at once over unsorted
// ones take less time than sorting.
//
// Weights that are ternary already have the same d for every threshold and come back as they were.

#include <string.h>

#include "formats/blocks.h"
#include "quant/encode/block_view.h"
#include "quant/encode/encode_internal.h"
#include "quant/encode/lanes.h"

#define START_STEP 0.1f // between starting thresholds, of the mean magnitude

enum { N_ROUNDS = 2 };

// Codes 0, 1, 2 for -1, 0, 1.
typedef struct ternary_block {
    imx_f16 d;
    uint8_t codes[IMX_SUPER_BLOCK_LEN];
} ternary_block;

typedef struct ternary_sums {
    float magnitudes[IMX_SUPER_BLOCK_LEN]; // |x|
    float wx[IMX_SUPER_BLOCK_LEN];         // w |x|
    float mean;                            // of |x|
} ternary_sums;

typedef struct best_ternary {
    imx_lanes d;
    imx_lanes gain;
} best_ternary;

static void prepare_sums(const imx_block_view *view, ternary_sums *sums) {
    imx_lanes sum = imx_lanes_all(0.0f);
    for (int j = 0; j < IMX_SUPER_BLOCK_LEN; j += IMX_N_LANES) {
        const imx_lanes magnitude = imx_lanes_abs(imx_lanes_load(view->x + j));
        const imx_lanes w = imx_lanes_load(view->w + j);
        sum = imx_lanes_add(sum, magnitude);
        imx_lanes_store(sums->magnitudes + j, magnitude);
        imx_lanes_store(sums->wx + j, imx_lanes_mul(w, magnitude));
    }
    sums->mean = imx_lanes_sum(sum) / IMX_SUPER_BLOCK_LEN;
}

// Returns the d of every lane's threshold. Two chains of additions hide their latency.
static imx_lanes try_thresholds(const ternary_sums *sums, const float *w, imx_lanes thresholds,
                                best_ternary *best) {
    const imx_lanes zero = imx_lanes_all(0.0f);
    imx_lanes sums_wx[2] = {zero, zero};
    imx_lanes sums_w[2] = {zero, zero};
    for (int j = 0; j < IMX_SUPER_BLOCK_LEN; j += 2) {
        for (int k = 0; k < 2; ++k) {
            const imx_lanes magnitude = imx_lanes_all(sums->magnitudes[j + k]);
            const imx_lane_mask is_kept = imx_lanes_greater(magnitude, thresholds);
            sums_w[k] = imx_lanes_add_where(is_kept, sums_w[k], imx_lanes_all(w[j + k]));
            sums_wx[k] = imx_lanes_add_where(is_kept, sums_wx[k], imx_lanes_all(sums->wx[j + k]));
        }
    }
    const imx_lanes sum_wx = imx_lanes_add(sums_wx[0], sums_wx[1]);
    const imx_lanes sum_w = imx_lanes_add(sums_w[0], sums_w[1]);
    const imx_lanes d = imx_lanes_div(sum_wx, sum_w);
    const imx_lanes gain = imx_lanes_mul(d, sum_wx);
    const imx_lane_mask is_better = imx_lanes_greater(gain, best->gain);
    best->d = imx_lanes_select(is_better, d, best->d);
    best->gain = imx_lanes_select(is_better, gain, best->gain);
    return d;
}

static void try_every_magnitude(const ternary_sums *sums, const float *w, best_ternary *best) {
    const imx_lanes just_below = imx_lanes_all(0x1.fffffep-1f);
    for (int j = 0; j < IMX_SUPER_BLOCK_LEN; j += IMX_N_LANES) {
        const imx_lanes magnitudes = imx_lanes_load(sums->magnitudes + j);
        (void)try_thresholds(sums, w, imx_lanes_mul(magnitudes, just_below), best);
    }
}

static float fit_ternary(const imx_block_view *view, imx_effort effort) {
    ternary_sums sums;
    prepare_sums(view, &sums);
    const imx_lanes unit = imx_lanes_all(START_STEP * sums.mean);
    imx_lanes thresholds = imx_lanes_mul(imx_lanes_numbers(), unit);
    best_ternary best = {imx_lanes_all(0.0f), imx_lanes_all(0.0f)};
    for (int round = 0; round < N_ROUNDS; ++round) {
        const imx_lanes d = try_thresholds(&sums, view->w, thresholds, &best);
        thresholds = imx_lanes_mul(d, imx_lanes_all(0.5f));
    }
    if (effort == IMX_EFFORT_BEST) {
        try_every_magnitude(&sums, view->w, &best);
    }
    return imx_lanes_at(best.d, imx_lanes_find(best.gain, imx_lanes_greatest(best.gain)));
}

static void choose_ternary(const float *row, size_t first, const imx_importance *importance,
                           const imx_encode_options *options, ternary_block *chosen) {
    const imx_emphasis emphasis = imx_emphasis_of(options->weighting, IMX_EMPHASIS_STRONG);
    imx_block_view view;
    chosen->d = 0;
    memset(chosen->codes, 1, sizeof chosen->codes);
    if (!imx_view_block(&view, row, first, IMX_SUPER_BLOCK_LEN, importance, emphasis)) {
        return;
    }
    float d;
    chosen->d = imx_store_scale(fit_ternary(&view, options->effort), view.exponent, &d);
    for (int j = 0; j < IMX_SUPER_BLOCK_LEN; ++j) {
        chosen->codes[j] = (uint8_t)(1 + (view.x[j] > 0.5f * d) - (view.x[j] < -0.5f * d));
    }
}

// Each of `run` bytes takes n_digits codes as a fraction of 256 to base 3, rounded up so that its
// digits come back when it is multiplied out.
static void pack_digits(const uint8_t *codes, int run, int n_digits, uint8_t *bytes) {
    for (int l = 0; l < run; ++l) {
        int number = 0; // of five digits
        for (int k = 0; k < 5; ++k) {
            number = 3 * number + (k < n_digits ? codes[k * run + l] : 0);
        }
        bytes[l] = (uint8_t)((number * 256 + 242) / 243);
    }
}

void imx_encode_tq1_0(const float *row, size_t n_cols, const imx_importance *importance,
                      const imx_encode_options *options, void *blocks) {
    imx_block_tq1_0 *out = blocks;
    for (size_t first = 0; first < n_cols; first += IMX_SUPER_BLOCK_LEN, ++out) {
        ternary_block chosen;
        choose_ternary(row, first, importance, options, &chosen);
        out->d = chosen.d;
        pack_digits(chosen.codes, 32, 5, out->qs);
        pack_digits(chosen.codes + 160, 16, 5, out->qs + 32);
        pack_digits(chosen.codes + 240, 4, 4, out->qh);
    }
}

void imx_encode_tq2_0(const float *row, size_t n_cols, const imx_importance *importance,
                      const imx_encode_options *options, void *blocks) {
    imx_block_tq2_0 *out = blocks;
    for (size_t first = 0; first < n_cols; first += IMX_SUPER_BLOCK_LEN, ++out) {
        ternary_block chosen;
        choose_ternary(row, first, importance, options, &chosen);
        out->d = chosen.d;
        imx_pack_two_bits(chosen.codes, out->qs);
    }
}
