// SPDX-License-Identifier: MIT
//
// MXFP4: 32 weights share a power of two, and each is a float of four bits, a sign and a code q
//
//     q        0  1    2  3    4  5  6  7
//     m(q)     0  0.5  1  1.5  2  3  4  6        x̂ = ± 2^e · m(q)
//
// The magnitudes are evenly spaced in three stretches, by 0.5 to 2, by 1 to 4 and by 2 to 6, more
// widely each time. So m is the greatest of three straight lines and its inverse the least of
// three,
//
//     m(q) = max(q / 2, q - 2, 2 q - 8)    and    q(m) = min(2 m, m + 2, m / 2 + 4),
//
// and the nearest code of a weight is q(|x| / 2^e) rounded, at most 7.
//
// Only e is to be chosen, and few can be best: at the largest that is tried no weight is clipped
// and the farthest uses less than the upper half of the magnitudes, at the smallest it is clipped
// to less than half of itself. All of them are tried with their true errors; there is nothing to
// round, so this is the least error there is.

#include <string.h>

#include "formats/blocks.h"
#include "quant/encode/block_view.h"
#include "quant/encode/encode_internal.h"
#include "quant/encode/lanes.h"

enum {
    TOP_EXPONENT = -2, // of those tried: the farthest weight, in [0.5, 1), lies in 2..4
    EXPONENT_BIAS = 127,
};

// Four are enough unless importance spans many orders of magnitude.
static const int n_exponents[IMX_EFFORT_COUNT] = {
    [IMX_EFFORT_DEFAULT] = 4,
    [IMX_EFFORT_BEST] = 16,
};

static inline imx_lanes codes_of(imx_lanes m) {
    const imx_lanes fine = imx_lanes_add(m, m);
    const imx_lanes middle = imx_lanes_add(m, imx_lanes_all(2.0f));
    const imx_lanes coarse =
        imx_lanes_add(imx_lanes_mul(m, imx_lanes_all(0.5f)), imx_lanes_all(4.0f));
    const imx_lanes q = imx_lanes_min(imx_lanes_min(fine, middle), coarse);
    return imx_lanes_min(imx_lanes_round(q), imx_lanes_all(7.0f));
}

static inline imx_lanes magnitudes_of(imx_lanes q) {
    const imx_lanes fine = imx_lanes_mul(q, imx_lanes_all(0.5f));
    const imx_lanes middle = imx_lanes_sub(q, imx_lanes_all(2.0f));
    const imx_lanes coarse = imx_lanes_sub(imx_lanes_add(q, q), imx_lanes_all(8.0f));
    return imx_lanes_max(imx_lanes_max(fine, middle), coarse);
}

// The codes of a block with a scale, and their error.
static inline float measure_scale(const imx_block_view *view, float scale,
                                  float codes[IMX_BLOCK_LEN]) {
    const imx_lanes inverse = imx_lanes_all(1.0f / scale);
    imx_lanes error = imx_lanes_all(0.0f);
    for (int j = 0; j < IMX_BLOCK_LEN; j += IMX_N_LANES) {
        const imx_lanes x = imx_lanes_abs(imx_lanes_load(view->x + j));
        const imx_lanes w = imx_lanes_load(view->w + j);
        const imx_lanes q = codes_of(imx_lanes_mul(x, inverse));
        const imx_lanes e = imx_lanes_sub(x, imx_lanes_mul(magnitudes_of(q), imx_lanes_all(scale)));
        error = imx_lanes_add(error, imx_lanes_mul(w, imx_lanes_mul(e, e)));
        imx_lanes_store(codes + j, q);
    }
    return imx_lanes_sum(error);
}

static void encode_block(const imx_block_view *view, imx_effort effort, imx_block_mxfp4 *out) {
    float scale = 0x1p-2f; // 2^TOP_EXPONENT
    float least_error = HUGE_VALF;
    float magnitude_codes[IMX_BLOCK_LEN] = {0};
    uint8_t codes[IMX_BLOCK_LEN];
    for (int k = 0; k < n_exponents[effort]; ++k, scale *= 0.5f) {
        float tried[IMX_BLOCK_LEN];
        const float error = measure_scale(view, scale, tried);
        if (error < least_error) {
            least_error = error;
            memcpy(magnitude_codes, tried, sizeof tried);
            out->e = (uint8_t)(TOP_EXPONENT - k + view->exponent + EXPONENT_BIAS);
        }
    }
    for (int j = 0; j < IMX_BLOCK_LEN; ++j) {
        const int q = (int)magnitude_codes[j];
        codes[j] = (uint8_t)(view->x[j] < 0.0f && q > 0 ? 8 + q : q); // there are two zeros
    }
    imx_pack_nibbles(codes, out->qs);
}

void imx_encode_mxfp4(const float *row, size_t n_cols, const imx_importance *importance,
                      const imx_encode_options *options, void *blocks) {
    const imx_emphasis emphasis = imx_emphasis_of(options->weighting, IMX_EMPHASIS_WEAK);
    imx_block_mxfp4 *out = blocks;
    memset(out, 0, n_cols / IMX_BLOCK_LEN * sizeof *out);
    for (size_t first = 0; first < n_cols; first += IMX_BLOCK_LEN, ++out) {
        imx_block_view view;
        if (imx_view_block(&view, row, first, IMX_BLOCK_LEN, importance, emphasis)) {
            encode_block(&view, options->effort, out);
        }
    }
}
