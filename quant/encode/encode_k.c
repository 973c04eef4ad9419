// SPDX-License-Identifier: MIT
//
// The K-quants. They differ in the shape of their super-block, in the search that fills it and in
// how its integers are laid into bits (formats/blocks.h).

#include <string.h>

#include "formats/blocks.h"
#include "quant/encode/encode_internal.h"
#include "quant/encode/search_affine.h"
#include "quant/encode/search_symmetric.h"

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
static void pack_scales_and_mins(const imx_coded_run *run, uint8_t out[12]) {
    for (int j = 0; j < 4; ++j) {
        const int scale = (int)run->scales[j];
        const int min = (int)run->mins[j];
        const int scale4 = (int)run->scales[j + 4];
        const int min4 = (int)run->mins[j + 4];
        out[j] = (uint8_t)(scale | scale4 >> 4 << 6);
        out[j + 4] = (uint8_t)(min | min4 >> 4 << 6);
        out[j + 8] = (uint8_t)((scale4 & 15) | (min4 & 15) << 4);
    }
}

static void pack_q2_k(const imx_coded_run *run, size_t n, void *blocks) {
    imx_block_q2_k *out = blocks;
    uint8_t q[IMX_SUPER_BLOCK_LEN];
    (void)n; // is a super-block
    imx_bias_codes(run->levels, IMX_SUPER_BLOCK_LEN, 0, q);
    imx_pack_two_bits(q, out->qs);
    for (int j = 0; j < 16; ++j) {
        out->scales[j] = (uint8_t)((int)run->scales[j] | (int)run->mins[j] << 4);
    }
    out->d = run->d[0];
    out->dmin = run->dmin[0];
}

static void pack_q3_k(const imx_coded_run *run, size_t n, void *blocks) {
    imx_block_q3_k *out = blocks;
    uint8_t q[IMX_SUPER_BLOCK_LEN];
    (void)n; // is a super-block
    memset(out->scales, 0, sizeof out->scales);
    imx_bias_codes(run->levels, IMX_SUPER_BLOCK_LEN, 4, q);
    imx_pack_two_bits(q, out->qs);
    pack_high_bit(q, 2, out->hmask);
    for (int j = 0; j < 16; ++j) {
        const int scale = (int)run->scales[j] + 32;
        out->scales[j % 8] |= (uint8_t)((scale & 15) << 4 * (j / 8));
        out->scales[8 + j % 4] |= (uint8_t)(scale >> 4 << 2 * (j / 4));
    }
    out->d = run->d[0];
}

static void pack_q4_k(const imx_coded_run *run, size_t n, void *blocks) {
    imx_block_q4_k *out = blocks;
    uint8_t q[IMX_SUPER_BLOCK_LEN];
    (void)n; // is a super-block
    imx_bias_codes(run->levels, IMX_SUPER_BLOCK_LEN, 0, q);
    pack_low_nibbles(q, 32, out->qs);
    pack_scales_and_mins(run, out->scales);
    out->d = run->d[0];
    out->dmin = run->dmin[0];
}

static void pack_q5_k(const imx_coded_run *run, size_t n, void *blocks) {
    imx_block_q5_k *out = blocks;
    uint8_t q[IMX_SUPER_BLOCK_LEN];
    (void)n; // is a super-block
    imx_bias_codes(run->levels, IMX_SUPER_BLOCK_LEN, 0, q);
    pack_low_nibbles(q, 32, out->qs);
    pack_high_bit(q, 4, out->qh);
    pack_scales_and_mins(run, out->scales);
    out->d = run->d[0];
    out->dmin = run->dmin[0];
}

static void pack_q6_k(const imx_coded_run *run, size_t n, void *blocks) {
    imx_block_q6_k *out = blocks;
    uint8_t q[IMX_SUPER_BLOCK_LEN];
    uint8_t high[IMX_SUPER_BLOCK_LEN];
    (void)n; // is a super-block
    imx_bias_codes(run->levels, IMX_SUPER_BLOCK_LEN, 32, q);
    for (int j = 0; j < IMX_SUPER_BLOCK_LEN; ++j) {
        high[j] = q[j] >> 4;
    }
    pack_low_nibbles(q, 64, out->ql);
    imx_pack_two_bits(high, out->qh);
    for (int j = 0; j < 16; ++j) {
        out->scales[j] = (int8_t)run->scales[j];
    }
    out->d = run->d[0];
}

// ---- coders ------------------------------------------------------------------------------------

static void search_affine(const imx_block_view *view, const imx_run_shape *shape, imx_effort effort,
                          int b, imx_coded_run *run) {
    (void)b; // the only one
    imx_search_affine(view, shape, effort, run);
}

static void search_symmetric(const imx_block_view *view, const imx_run_shape *shape,
                             imx_effort effort, int b, imx_coded_run *run) {
    (void)b; // the only one
    imx_search_symmetric(view, shape, effort, run);
}

const imx_run_coder imx_runs_q2_k = {
    .shape = {16, 16, 1, {0, 3}, NULL, {0, 15}, {0, 15}},
    .emphasis = IMX_EMPHASIS_STRONG,
    .search = search_affine,
    .run_bytes = sizeof(imx_block_q2_k),
    .pack = pack_q2_k,
    IMX_SHARED_STEPS,
};
const imx_run_coder imx_runs_q3_k = {
    .shape = {16, 16, 1, {-4, 3}, NULL, {-32, 31}, {0, 0}},
    .emphasis = IMX_EMPHASIS_STRONG,
    .search = search_symmetric,
    .run_bytes = sizeof(imx_block_q3_k),
    .pack = pack_q3_k,
    IMX_SHARED_STEPS,
};
const imx_run_coder imx_runs_q4_k = {
    .shape = {8, 32, 1, {0, 15}, NULL, {0, 63}, {0, 63}},
    .emphasis = IMX_EMPHASIS_WEAK,
    .search = search_affine,
    .run_bytes = sizeof(imx_block_q4_k),
    .pack = pack_q4_k,
    IMX_SHARED_STEPS,
};
const imx_run_coder imx_runs_q5_k = {
    .shape = {8, 32, 1, {0, 31}, NULL, {0, 63}, {0, 63}},
    .emphasis = IMX_EMPHASIS_WEAK,
    .search = search_affine,
    .run_bytes = sizeof(imx_block_q5_k),
    .pack = pack_q5_k,
    IMX_SHARED_STEPS,
};
const imx_run_coder imx_runs_q6_k = {
    .shape = {16, 16, 1, {-32, 31}, NULL, {-128, 127}, {0, 0}},
    .emphasis = IMX_EMPHASIS_WEAK,
    .search = search_symmetric,
    .run_bytes = sizeof(imx_block_q6_k),
    .pack = pack_q6_k,
    IMX_SHARED_STEPS,
};
