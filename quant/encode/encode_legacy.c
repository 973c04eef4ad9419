// SPDX-License-Identifier: MIT
//
// Blocks of 32 weights with a half-precision scale (Q4_0, Q5_0, Q8_0) or scale and min (Q4_1,
// Q5_1). One group is the whole problem: fit the grid, round its parameters to half precision, and
// choose the codes again for the grid that will really be decoded.
//
// Eight blocks make a run whose errors can pay for each other (quant/encode/feedback.h). There a
// min is what is subtracted.

#include <string.h>

#include "formats/blocks.h"
#include "quant/encode/block_view.h"
#include "quant/encode/encode_internal.h"
#include "quant/encode/feedback.h"
#include "quant/encode/fit_affine.h"
#include "quant/encode/fit_scale.h"

enum {
    BLOCKS_IN_RUN = IMX_COV_RUN / IMX_BLOCK_LEN,
    HALF_SIGN = 0x8000,
};

typedef struct block_type {
    imx_run_shape shape;
    imx_emphasis emphasis;
    size_t block_bytes;
    void (*pack)(imx_f16 d, imx_f16 min, const float q[IMX_BLOCK_LEN], void *block);
} block_type;

// ---- packing -----------------------------------------------------------------------------------

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

static void pack_q4_0(imx_f16 d, imx_f16 min, const float q[IMX_BLOCK_LEN], void *block) {
    imx_block_q4_0 *out = block;
    uint8_t codes[IMX_BLOCK_LEN];
    (void)min;
    out->d = d;
    pack_codes(q, 8, codes, out->qs);
}

static void pack_q4_1(imx_f16 d, imx_f16 min, const float q[IMX_BLOCK_LEN], void *block) {
    imx_block_q4_1 *out = block;
    uint8_t codes[IMX_BLOCK_LEN];
    out->d = d;
    out->m = min ^ HALF_SIGN;
    pack_codes(q, 0, codes, out->qs);
}

static void pack_q5_0(imx_f16 d, imx_f16 min, const float q[IMX_BLOCK_LEN], void *block) {
    imx_block_q5_0 *out = block;
    uint8_t codes[IMX_BLOCK_LEN];
    (void)min;
    out->d = d;
    pack_codes(q, 16, codes, out->qs);
    pack_fifth_bits(codes, out->qh);
}

static void pack_q5_1(imx_f16 d, imx_f16 min, const float q[IMX_BLOCK_LEN], void *block) {
    imx_block_q5_1 *out = block;
    uint8_t codes[IMX_BLOCK_LEN];
    out->d = d;
    out->m = min ^ HALF_SIGN;
    pack_codes(q, 0, codes, out->qs);
    pack_fifth_bits(codes, out->qh);
}

static void pack_q8_0(imx_f16 d, imx_f16 min, const float q[IMX_BLOCK_LEN], void *block) {
    imx_block_q8_0 *out = block;
    (void)min;
    out->d = d;
    for (int j = 0; j < IMX_BLOCK_LEN; ++j) {
        out->qs[j] = (int8_t)q[j];
    }
}

// ---- encoding ----------------------------------------------------------------------------------

static const block_type q4_0 = {
    .shape = {8, 8, {-8, 7}, NULL, {1, 1}, {0, 0}},
    .emphasis = IMX_EMPHASIS_WEAK,
    .block_bytes = sizeof(imx_block_q4_0),
    .pack = pack_q4_0,
};
static const block_type q4_1 = {
    .shape = {8, 8, {0, 15}, NULL, {1, 1}, {1, 1}},
    .emphasis = IMX_EMPHASIS_WEAK,
    .block_bytes = sizeof(imx_block_q4_1),
    .pack = pack_q4_1,
};
static const block_type q5_0 = {
    .shape = {8, 8, {-16, 15}, NULL, {1, 1}, {0, 0}},
    .emphasis = IMX_EMPHASIS_WEAK,
    .block_bytes = sizeof(imx_block_q5_0),
    .pack = pack_q5_0,
};
static const block_type q5_1 = {
    .shape = {8, 8, {0, 31}, NULL, {1, 1}, {1, 1}},
    .emphasis = IMX_EMPHASIS_WEAK,
    .block_bytes = sizeof(imx_block_q5_1),
    .pack = pack_q5_1,
};
static const block_type q8_0 = {
    .shape = {8, 8, {-128, 127}, NULL, {1, 1}, {0, 0}},
    .emphasis = IMX_EMPHASIS_NONE,
    .block_bytes = sizeof(imx_block_q8_0),
    .pack = pack_q8_0,
};

// Codes (32) of a block whose only parameter is a scale.
static imx_f16 choose_symmetric(const imx_group *group, int exponent, imx_effort effort, float *q) {
    imx_grid grid = {0};
    const imx_f16 d = imx_fit_half(group, exponent, effort, &grid.scale);
    imx_group_codes(group, grid, q);
    return d;
}

// The same for scale and min, which goes to *min.
static imx_f16 choose_affine(const imx_group *group, int exponent, imx_effort effort, imx_f16 *min,
                             float *q) {
    imx_grid grid = imx_fit_affine(group, effort);
    const imx_f16 d = imx_store_scale(grid.scale, exponent, &grid.scale);
    imx_group_codes(group, grid, q);
    const imx_moments sums = imx_group_moments(group, q);
    *min = imx_store_half((sums.x - grid.scale * sums.q) / sums.w, exponent, &grid.offset);
    *min ^= HALF_SIGN;
    imx_group_codes(group, grid, q);
    return d;
}

// Chooses block b of a run, the columns from `first`; all zero for a block of zeros.
static void choose_block(const block_type *type, const float *row, size_t first, int b,
                         const imx_importance *importance, const imx_encode_options *options,
                         imx_coded_run *run) {
    const imx_emphasis emphasis = imx_emphasis_of(options->weighting, type->emphasis);
    float *q = run->levels + b * IMX_BLOCK_LEN;
    imx_block_view view;
    run->scales[b] = type->shape.scales.highest;
    run->mins[b] = type->shape.mins.highest;
    if (!imx_view_block(&view, row, first, IMX_BLOCK_LEN, importance, emphasis)) {
        return;
    }
    const imx_group group = {view.x, view.w, IMX_BLOCK_LEN, type->shape.codes};
    run->d[b] = type->shape.mins.highest == 0.0f
                    ? choose_symmetric(&group, view.exponent, options->effort, q)
                    : choose_affine(&group, view.exponent, options->effort, &run->dmin[b], q);
}

static void encode(const block_type *type, const float *row, size_t n_cols,
                   const imx_importance *importance, const imx_encode_options *options,
                   uint8_t *out) {
    for (size_t first = 0; first < n_cols; first += IMX_COV_RUN) {
        const bool is_whole = n_cols - first >= IMX_COV_RUN;
        const int n_blocks = is_whole ? BLOCKS_IN_RUN : (int)(n_cols - first) / IMX_BLOCK_LEN;
        imx_coded_run run = {0};
        for (int b = 0; b < n_blocks; ++b) {
            const size_t column = first + (size_t)b * IMX_BLOCK_LEN;
            choose_block(type, row, column, b, importance, options, &run);
        }
        if (is_whole && options->metrics != NULL) {
            imx_feed_back(&run, &type->shape, row + first, &options->metrics[first / IMX_COV_RUN]);
        }
        for (int b = 0; b < n_blocks; ++b, out += type->block_bytes) {
            type->pack(run.d[b], run.dmin[b], run.levels + b * IMX_BLOCK_LEN, out);
        }
    }
}

void imx_encode_q4_0(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks) {
    encode(&q4_0, row, n_cols, importance, options, blocks);
}

void imx_encode_q4_1(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks) {
    encode(&q4_1, row, n_cols, importance, options, blocks);
}

void imx_encode_q5_0(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks) {
    encode(&q5_0, row, n_cols, importance, options, blocks);
}

void imx_encode_q5_1(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks) {
    encode(&q5_1, row, n_cols, importance, options, blocks);
}

void imx_encode_q8_0(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks) {
    encode(&q8_0, row, n_cols, importance, options, blocks);
}
