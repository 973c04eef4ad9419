// SPDX-License-Identifier: MIT
//
// Blocks of 32 weights with a half-precision scale (Q4_0, Q5_0, Q8_0) or scale and min (Q4_1,
// Q5_1). One group is the whole problem: fit the grid, round its parameters to half precision, and
// choose the codes again for the grid that will really be decoded. The blocks store what is added,
// runs (quant/encode/coded_run.h) a min that is subtracted: the sign of its half differs.

#include <string.h>

#include "formats/blocks.h"
#include "quant/encode/block_view.h"
#include "quant/encode/encode_internal.h"
#include "quant/encode/fit_affine.h"
#include "quant/encode/fit_scale.h"

enum {
    BLOCKS_IN_RUN = IMX_COV_RUN / IMX_BLOCK_LEN,
    HALF_SIGN = 0x8000,
};

// ---- packing -----------------------------------------------------------------------------------

// Bit j of the little-endian word is the fifth bit of weight j.
static void pack_fifth_bits(const uint8_t codes[IMX_BLOCK_LEN], uint8_t qh[4]) {
    memset(qh, 0, 4);
    for (int j = 0; j < IMX_BLOCK_LEN; ++j) {
        qh[j / 8] |= (uint8_t)((codes[j] >> 4) << j % 8);
    }
}

static void pack_q4_0(const imx_coded_run *run, size_t n, void *blocks) {
    imx_block_q4_0 *out = blocks;
    uint8_t codes[IMX_COV_RUN];
    imx_bias_codes(run->levels, (int)n, 8, codes);
    for (size_t b = 0; b < n / IMX_BLOCK_LEN; ++b) {
        out[b].d = run->d[b];
        imx_pack_nibbles(codes + b * IMX_BLOCK_LEN, out[b].qs);
    }
}

static void pack_q4_1(const imx_coded_run *run, size_t n, void *blocks) {
    imx_block_q4_1 *out = blocks;
    uint8_t codes[IMX_COV_RUN];
    imx_bias_codes(run->levels, (int)n, 0, codes);
    for (size_t b = 0; b < n / IMX_BLOCK_LEN; ++b) {
        out[b].d = run->d[b];
        out[b].m = run->dmin[b] ^ HALF_SIGN;
        imx_pack_nibbles(codes + b * IMX_BLOCK_LEN, out[b].qs);
    }
}

static void pack_q5_0(const imx_coded_run *run, size_t n, void *blocks) {
    imx_block_q5_0 *out = blocks;
    uint8_t codes[IMX_COV_RUN];
    imx_bias_codes(run->levels, (int)n, 16, codes);
    for (size_t b = 0; b < n / IMX_BLOCK_LEN; ++b) {
        out[b].d = run->d[b];
        imx_pack_nibbles(codes + b * IMX_BLOCK_LEN, out[b].qs);
        pack_fifth_bits(codes + b * IMX_BLOCK_LEN, out[b].qh);
    }
}

static void pack_q5_1(const imx_coded_run *run, size_t n, void *blocks) {
    imx_block_q5_1 *out = blocks;
    uint8_t codes[IMX_COV_RUN];
    imx_bias_codes(run->levels, (int)n, 0, codes);
    for (size_t b = 0; b < n / IMX_BLOCK_LEN; ++b) {
        out[b].d = run->d[b];
        out[b].m = run->dmin[b] ^ HALF_SIGN;
        imx_pack_nibbles(codes + b * IMX_BLOCK_LEN, out[b].qs);
        pack_fifth_bits(codes + b * IMX_BLOCK_LEN, out[b].qh);
    }
}

static void pack_q8_0(const imx_coded_run *run, size_t n, void *blocks) {
    imx_block_q8_0 *out = blocks;
    for (size_t j = 0; j < n; ++j) {
        out[j / IMX_BLOCK_LEN].d = run->d[j / IMX_BLOCK_LEN];
        out[j / IMX_BLOCK_LEN].qs[j % IMX_BLOCK_LEN] = (int8_t)run->levels[j];
    }
}

// ---- coders ------------------------------------------------------------------------------------

static void search_symmetric(const imx_block_view *view, const imx_run_shape *shape,
                             imx_effort effort, int b, imx_coded_run *run) {
    const imx_group group = imx_group_at(view, shape, 0);
    imx_grid grid = {0};
    run->d[b] = imx_fit_half(&group, view->exponent, effort, &grid.scale);
    imx_group_codes(&group, grid, run->levels + b * IMX_BLOCK_LEN);
}

static void search_affine(const imx_block_view *view, const imx_run_shape *shape, imx_effort effort,
                          int b, imx_coded_run *run) {
    const imx_group group = imx_group_at(view, shape, 0);
    float *q = run->levels + b * IMX_BLOCK_LEN;
    imx_grid grid = imx_fit_affine(&group, effort);
    run->d[b] = imx_store_scale(grid.scale, view->exponent, &grid.scale);
    imx_group_codes(&group, grid, q);
    const imx_moments sums = imx_group_moments(&group, q);
    const float offset = (sums.x - grid.scale * sums.q) / sums.w;
    run->dmin[b] = imx_store_half(offset, view->exponent, &grid.offset) ^ HALF_SIGN;
    imx_group_codes(&group, grid, q);
}

const imx_run_coder imx_runs_q4_0 = {
    .shape = {8, 32, 8, {-8, 7}, NULL, {1, 1}, {0, 0}},
    .emphasis = IMX_EMPHASIS_WEAK,
    .search = search_symmetric,
    .run_bytes = BLOCKS_IN_RUN * sizeof(imx_block_q4_0),
    .pack = pack_q4_0,
    IMX_SHARED_STEPS,
};
const imx_run_coder imx_runs_q4_1 = {
    .shape = {8, 32, 8, {0, 15}, NULL, {1, 1}, {1, 1}},
    .emphasis = IMX_EMPHASIS_WEAK,
    .search = search_affine,
    .run_bytes = BLOCKS_IN_RUN * sizeof(imx_block_q4_1),
    .pack = pack_q4_1,
    IMX_SHARED_STEPS,
};
const imx_run_coder imx_runs_q5_0 = {
    .shape = {8, 32, 8, {-16, 15}, NULL, {1, 1}, {0, 0}},
    .emphasis = IMX_EMPHASIS_WEAK,
    .search = search_symmetric,
    .run_bytes = BLOCKS_IN_RUN * sizeof(imx_block_q5_0),
    .pack = pack_q5_0,
    IMX_SHARED_STEPS,
};
const imx_run_coder imx_runs_q5_1 = {
    .shape = {8, 32, 8, {0, 31}, NULL, {1, 1}, {1, 1}},
    .emphasis = IMX_EMPHASIS_WEAK,
    .search = search_affine,
    .run_bytes = BLOCKS_IN_RUN * sizeof(imx_block_q5_1),
    .pack = pack_q5_1,
    IMX_SHARED_STEPS,
};
const imx_run_coder imx_runs_q8_0 = {
    .shape = {8, 32, 8, {-128, 127}, NULL, {1, 1}, {0, 0}},
    .emphasis = IMX_EMPHASIS_NONE,
    .search = search_symmetric,
    .run_bytes = BLOCKS_IN_RUN * sizeof(imx_block_q8_0),
    .pack = pack_q8_0,
    IMX_SHARED_STEPS,
};
