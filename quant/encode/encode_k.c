// SPDX-License-Identifier: MIT
//
// The K-quants. They differ in the shape of their super-block, in the search that fills it and in
// how its integers are laid into bits (formats/blocks.h).

#include <string.h>

#include "formats/blocks.h"
#include "quant/encode/encode_internal.h"
#include "quant/encode/feedback.h"
#include "quant/encode/search_affine.h"
#include "quant/encode/search_symmetric.h"

typedef struct k_type {
    imx_super_shape shape;
    imx_emphasis emphasis;
    void (*search)(const imx_block_view *view, const imx_super_shape *shape, imx_effort effort,
                   imx_super_block *out);
    size_t block_bytes;
    void (*pack)(const imx_super_block *chosen, void *block);
} k_type;

// ---- packing -----------------------------------------------------------------------------------

// Low nibbles: in each run of 2 · stride weights byte l holds weights l and l + stride.
static void pack_low_nibbles(const uint8_t q[IMX_SUPER_BLOCK_LEN], int stride, uint8_t qs[128]) {
    for (int first = 0; first < IMX_SUPER_BLOCK_LEN; first += 2 * stride) {
        const uint8_t *const from = q + first;
        for (int l = 0; l < stride; ++l) {
            qs[first / 2 + l] = (uint8_t)((from[l] & 15) | (from[l + stride] & 15) << 4);
        }
    }
}

// Bit `bit` of each weight into bit j / 32 of byte j % 32.
static void pack_high_bit(const uint8_t q[IMX_SUPER_BLOCK_LEN], int bit, uint8_t qh[32]) {
    memset(qh, 0, 32);
    for (int run = 0; run < 8; ++run) {
        for (int l = 0; l < 32; ++l) {
            qh[l] |= (uint8_t)((q[run * 32 + l] >> bit & 1) << run);
        }
    }
}

// Eight 6-bit scales and mins into 12 bytes; the inverse of imx_k_scale_min.
static void pack_scales_and_mins(const imx_super_block *chosen, uint8_t out[12]) {
    for (int j = 0; j < 4; ++j) {
        const int scale = (int)chosen->scales[j];
        const int min = (int)chosen->mins[j];
        const int scale4 = (int)chosen->scales[j + 4];
        const int min4 = (int)chosen->mins[j + 4];
        out[j] = (uint8_t)(scale | scale4 >> 4 << 6);
        out[j + 4] = (uint8_t)(min | min4 >> 4 << 6);
        out[j + 8] = (uint8_t)((scale4 & 15) | (min4 & 15) << 4);
    }
}

static void pack_q2_k(const imx_super_block *chosen, void *block) {
    imx_block_q2_k *out = block;
    uint8_t q[IMX_SUPER_BLOCK_LEN];
    imx_bias_codes(chosen->codes, IMX_SUPER_BLOCK_LEN, 0, q);
    imx_pack_two_bits(q, out->qs);
    for (int j = 0; j < 16; ++j) {
        out->scales[j] = (uint8_t)((int)chosen->scales[j] | (int)chosen->mins[j] << 4);
    }
    out->d = chosen->d;
    out->dmin = chosen->dmin;
}

static void pack_q3_k(const imx_super_block *chosen, void *block) {
    imx_block_q3_k *out = block;
    uint8_t q[IMX_SUPER_BLOCK_LEN];
    memset(out->scales, 0, sizeof out->scales);
    imx_bias_codes(chosen->codes, IMX_SUPER_BLOCK_LEN, 4, q);
    imx_pack_two_bits(q, out->qs);
    pack_high_bit(q, 2, out->hmask);
    for (int j = 0; j < 16; ++j) {
        const int scale = (int)chosen->scales[j] + 32;
        out->scales[j % 8] |= (uint8_t)((scale & 15) << 4 * (j / 8));
        out->scales[8 + j % 4] |= (uint8_t)(scale >> 4 << 2 * (j / 4));
    }
    out->d = chosen->d;
}

static void pack_q4_k(const imx_super_block *chosen, void *block) {
    imx_block_q4_k *out = block;
    uint8_t q[IMX_SUPER_BLOCK_LEN];
    imx_bias_codes(chosen->codes, IMX_SUPER_BLOCK_LEN, 0, q);
    pack_low_nibbles(q, 32, out->qs);
    pack_scales_and_mins(chosen, out->scales);
    out->d = chosen->d;
    out->dmin = chosen->dmin;
}

static void pack_q5_k(const imx_super_block *chosen, void *block) {
    imx_block_q5_k *out = block;
    uint8_t q[IMX_SUPER_BLOCK_LEN];
    imx_bias_codes(chosen->codes, IMX_SUPER_BLOCK_LEN, 0, q);
    pack_low_nibbles(q, 32, out->qs);
    pack_high_bit(q, 4, out->qh);
    pack_scales_and_mins(chosen, out->scales);
    out->d = chosen->d;
    out->dmin = chosen->dmin;
}

static void pack_q6_k(const imx_super_block *chosen, void *block) {
    imx_block_q6_k *out = block;
    uint8_t q[IMX_SUPER_BLOCK_LEN];
    uint8_t high[IMX_SUPER_BLOCK_LEN];
    imx_bias_codes(chosen->codes, IMX_SUPER_BLOCK_LEN, 32, q);
    for (int j = 0; j < IMX_SUPER_BLOCK_LEN; ++j) {
        high[j] = q[j] >> 4;
    }
    pack_low_nibbles(q, 64, out->ql);
    imx_pack_two_bits(high, out->qh);
    for (int j = 0; j < 16; ++j) {
        out->scales[j] = (int8_t)chosen->scales[j];
    }
    out->d = chosen->d;
}

// ---- encoding ----------------------------------------------------------------------------------

static const k_type q2_k = {
    .shape = {16, 16, {0, 3}, {0, 15}, {0, 15}},
    .emphasis = IMX_EMPHASIS_STRONG,
    .search = imx_search_affine,
    .block_bytes = sizeof(imx_block_q2_k),
    .pack = pack_q2_k,
};
static const k_type q3_k = {
    .shape = {16, 16, {-4, 3}, {-32, 31}, {0, 0}},
    .emphasis = IMX_EMPHASIS_STRONG,
    .search = imx_search_symmetric,
    .block_bytes = sizeof(imx_block_q3_k),
    .pack = pack_q3_k,
};
static const k_type q4_k = {
    .shape = {8, 32, {0, 15}, {0, 63}, {0, 63}},
    .emphasis = IMX_EMPHASIS_WEAK,
    .search = imx_search_affine,
    .block_bytes = sizeof(imx_block_q4_k),
    .pack = pack_q4_k,
};
static const k_type q5_k = {
    .shape = {8, 32, {0, 31}, {0, 63}, {0, 63}},
    .emphasis = IMX_EMPHASIS_WEAK,
    .search = imx_search_affine,
    .block_bytes = sizeof(imx_block_q5_k),
    .pack = pack_q5_k,
};
static const k_type q6_k = {
    .shape = {16, 16, {-32, 31}, {-128, 127}, {0, 0}},
    .emphasis = IMX_EMPHASIS_WEAK,
    .search = imx_search_symmetric,
    .block_bytes = sizeof(imx_block_q6_k),
    .pack = pack_q6_k,
};

// Lets the errors of the super-block at `x` pay for each other.
static void feed_back(const imx_super_shape *shape, const float *x, const imx_run_metric *metric,
                      imx_super_block *chosen) {
    const imx_run_shape run_shape = {
        .n_groups = shape->n_groups,
        .n_halves = 1,
        .codes = shape->codes,
        .scales = shape->scales,
        .mins = shape->mins,
    };
    imx_coded_run run = {.d = {chosen->d}, .dmin = {chosen->dmin}};
    memcpy(run.scales, chosen->scales, sizeof run.scales);
    memcpy(run.mins, chosen->mins, sizeof run.mins);
    memcpy(run.levels, chosen->codes, sizeof run.levels);
    imx_feed_back(&run, &run_shape, x, metric);
    chosen->d = run.d[0];
    chosen->dmin = run.dmin[0];
    memcpy(chosen->scales, run.scales, sizeof run.scales);
    memcpy(chosen->mins, run.mins, sizeof run.mins);
    memcpy(chosen->codes, run.levels, sizeof run.levels);
}

static void encode(const k_type *type, const float *row, size_t n_cols,
                   const imx_importance *importance, const imx_encode_options *options,
                   uint8_t *out) {
    const imx_emphasis emphasis = imx_emphasis_of(options->weighting, type->emphasis);
    for (size_t first = 0; first < n_cols; first += IMX_SUPER_BLOCK_LEN) {
        imx_block_view view;
        imx_super_block chosen = {0};
        if (imx_view_block(&view, row, first, IMX_SUPER_BLOCK_LEN, importance, emphasis)) {
            type->search(&view, &type->shape, options->effort, &chosen);
            if (options->metrics != NULL) {
                feed_back(&type->shape, row + first, &options->metrics[first / IMX_COV_RUN],
                          &chosen);
            }
        }
        type->pack(&chosen, out);
        out += type->block_bytes;
    }
}

void imx_encode_q2_k(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks) {
    encode(&q2_k, row, n_cols, importance, options, blocks);
}

void imx_encode_q3_k(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks) {
    encode(&q3_k, row, n_cols, importance, options, blocks);
}

void imx_encode_q4_k(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks) {
    encode(&q4_k, row, n_cols, importance, options, blocks);
}

void imx_encode_q5_k(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks) {
    encode(&q5_k, row, n_cols, importance, options, blocks);
}

void imx_encode_q6_k(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks) {
    encode(&q6_k, row, n_cols, importance, options, blocks);
}
