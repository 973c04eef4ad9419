// SPDX-License-Identifier: MIT
//
// Blocks of 32 weights with a half-precision scale (Q4_0, Q5_0, Q8_0) or scale and min (Q4_1,
// Q5_1). One group is the whole problem: fit the grid, round its parameters to half precision, and
// choose the codes again for the grid that will really be decoded.

#include <string.h>

#include "formats/blocks.h"
#include "quant/block_view.h"
#include "quant/encode_internal.h"
#include "quant/fit_affine.h"
#include "quant/fit_scale.h"

typedef struct symmetric_type {
    imx_code_range codes;
    imx_emphasis emphasis;
} symmetric_type;

static const symmetric_type q4_0 = {{-8, 7}, IMX_EMPHASIS_WEAK};
static const symmetric_type q5_0 = {{-16, 15}, IMX_EMPHASIS_WEAK};
static const symmetric_type q8_0 = {{-128, 127}, IMX_EMPHASIS_NONE};

// Codes (32) of a block whose only parameter is a scale; all zero for a block of zeros.
static imx_f16 choose_symmetric(const symmetric_type *type, const float *row, size_t first,
                                const imx_importance *importance, const imx_encode_options *options,
                                float q[IMX_BLOCK_LEN]) {
    const imx_emphasis emphasis = imx_emphasis_of(options->weighting, type->emphasis);
    imx_block_view view;
    if (!imx_view_block(&view, row, first, IMX_BLOCK_LEN, importance, emphasis)) {
        memset(q, 0, IMX_BLOCK_LEN * sizeof *q);
        return 0;
    }
    const imx_group group = {view.x, view.w, IMX_BLOCK_LEN, type->codes};
    imx_grid grid = {0};
    const imx_f16 d = imx_fit_half(&group, view.exponent, options->effort, &grid.scale);
    imx_group_codes(&group, grid, q);
    return d;
}

// The same for scale and min, which goes to *min.
static imx_f16 choose_affine(const float *row, size_t first, const imx_importance *importance,
                             const imx_encode_options *options, imx_code_range codes, imx_f16 *min,
                             float q[IMX_BLOCK_LEN]) {
    const imx_emphasis emphasis = imx_emphasis_of(options->weighting, IMX_EMPHASIS_WEAK);
    imx_block_view view;
    if (!imx_view_block(&view, row, first, IMX_BLOCK_LEN, importance, emphasis)) {
        memset(q, 0, IMX_BLOCK_LEN * sizeof *q);
        *min = 0;
        return 0;
    }
    const imx_group group = {view.x, view.w, IMX_BLOCK_LEN, codes};
    imx_grid grid = imx_fit_affine(&group, options->effort);
    const imx_f16 d = imx_store_scale(grid.scale, view.exponent, &grid.scale);
    imx_group_codes(&group, grid, q);
    const imx_moments sums = imx_group_moments(&group, q);
    *min = imx_store_half((sums.x - grid.scale * sums.q) / sums.w, view.exponent, &grid.offset);
    imx_group_codes(&group, grid, q);
    return d;
}

// The codes of a block from 0 on, their low four bits packed.
static void pack_codes(const float q[IMX_BLOCK_LEN], int bias, uint8_t codes[IMX_BLOCK_LEN],
                       uint8_t qs[16]) {
    imx_bias_codes(q, IMX_BLOCK_LEN, bias, codes);
    imx_pack_nibbles(codes, qs);
}

// Bit j of the little-endian word is the fifth bit of weight j.
static void pack_fifth_bits(const uint8_t codes[IMX_BLOCK_LEN], uint8_t qh[4]) {
    memset(qh, 0, 4);
    for (int j = 0; j < IMX_BLOCK_LEN; ++j) {
        qh[j / 8] |= (uint8_t)((codes[j] >> 4) << j % 8);
    }
}

void imx_encode_q4_0(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks) {
    imx_block_q4_0 *out = blocks;
    float q[IMX_BLOCK_LEN];
    uint8_t codes[IMX_BLOCK_LEN];
    for (size_t first = 0; first < n_cols; first += IMX_BLOCK_LEN, ++out) {
        out->d = choose_symmetric(&q4_0, row, first, importance, options, q);
        pack_codes(q, 8, codes, out->qs);
    }
}

void imx_encode_q4_1(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks) {
    imx_block_q4_1 *out = blocks;
    float q[IMX_BLOCK_LEN];
    uint8_t codes[IMX_BLOCK_LEN];
    for (size_t first = 0; first < n_cols; first += IMX_BLOCK_LEN, ++out) {
        out->d =
            choose_affine(row, first, importance, options, (imx_code_range){0, 15}, &out->m, q);
        pack_codes(q, 0, codes, out->qs);
    }
}

void imx_encode_q5_0(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks) {
    imx_block_q5_0 *out = blocks;
    float q[IMX_BLOCK_LEN];
    uint8_t codes[IMX_BLOCK_LEN];
    for (size_t first = 0; first < n_cols; first += IMX_BLOCK_LEN, ++out) {
        out->d = choose_symmetric(&q5_0, row, first, importance, options, q);
        pack_codes(q, 16, codes, out->qs);
        pack_fifth_bits(codes, out->qh);
    }
}

void imx_encode_q5_1(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks) {
    imx_block_q5_1 *out = blocks;
    float q[IMX_BLOCK_LEN];
    uint8_t codes[IMX_BLOCK_LEN];
    for (size_t first = 0; first < n_cols; first += IMX_BLOCK_LEN, ++out) {
        out->d =
            choose_affine(row, first, importance, options, (imx_code_range){0, 31}, &out->m, q);
        pack_codes(q, 0, codes, out->qs);
        pack_fifth_bits(codes, out->qh);
    }
}

void imx_encode_q8_0(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks) {
    imx_block_q8_0 *out = blocks;
    float q[IMX_BLOCK_LEN];
    for (size_t first = 0; first < n_cols; first += IMX_BLOCK_LEN, ++out) {
        out->d = choose_symmetric(&q8_0, row, first, importance, options, q);
        for (int j = 0; j < IMX_BLOCK_LEN; ++j) {
            out->qs[j] = (int8_t)q[j];
        }
    }
}
