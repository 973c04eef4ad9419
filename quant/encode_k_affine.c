// SPDX-License-Identifier: MIT
#include <string.h>
#include "quant/encode_internal.h"
#include "quant/super_block.h"

static const imx_super_shape q2_k = {16, 16, {0, 3}, {0, 15}, {0, 15}};
static const imx_super_shape q4_k = {8, 32, {0, 15}, {0, 63}, {0, 63}};
static const imx_super_shape q5_k = {8, 32, {0, 31}, {0, 63}, {0, 63}};

static void pack_q2_k(const imx_super_block *in, imx_block_q2_k *out) {
    memset(out, 0, sizeof *out);
    out->d = in->d;
    out->dmin = in->dmin;
    for (int j = 0; j < 256; ++j) {
        out->qs[j / 128 * 32 + j % 32] |= (uint8_t)((int)in->codes[j] << 2 * (j % 128 / 32));
    }
    for (int j = 0; j < 16; ++j) {
        out->scales[j] = (uint8_t)((int)in->scales[j] | (int)in->mins[j] << 4);
    }
}
static void pack_scale_mins(const imx_super_block *in, uint8_t scales[12]) {
    for (int j = 0; j < 4; ++j) {
        const int s = (int)in->scales[j], m = (int)in->mins[j];
        const int s4 = (int)in->scales[j + 4], m4 = (int)in->mins[j + 4];
        scales[j] = (uint8_t)(s | (s4 >> 4) << 6);
        scales[j + 4] = (uint8_t)(m | (m4 >> 4) << 6);
        scales[j + 8] = (uint8_t)((s4 & 15) | (m4 & 15) << 4);
    }
}
static void pack_nibbles(const imx_super_block *in, uint8_t qs[128]) {
    for (int j = 0; j < 256; ++j) {
        const int q = (int)in->codes[j] & 15;
        if (j % 64 < 32) qs[j / 64 * 32 + j % 32] = (uint8_t)q;
        else qs[j / 64 * 32 + j % 32] |= (uint8_t)(q << 4);
    }
}
static void pack_q4_k(const imx_super_block *in, imx_block_q4_k *out) {
    out->d = in->d;
    out->dmin = in->dmin;
    pack_scale_mins(in, out->scales);
    pack_nibbles(in, out->qs);
}
static void pack_q5_k(const imx_super_block *in, imx_block_q5_k *out) {
    out->d = in->d;
    out->dmin = in->dmin;
    pack_scale_mins(in, out->scales);
    pack_nibbles(in, out->qs);
    memset(out->qh, 0, sizeof out->qh);
    for (int j = 0; j < 256; ++j) {
        out->qh[j % 32] |= (uint8_t)(((int)in->codes[j] >> 4) << (j / 32));
    }
}
#define ENC(name, shape) \
void imx_encode_##name(const float *row, size_t n_cols, const imx_importance *importance, void *blocks) { \
    imx_block_##name *out = blocks; \
    for (size_t first = 0; first < n_cols; first += IMX_SUPER_BLOCK_LEN, ++out) { \
        imx_block_view view; \
        imx_super_block chosen = {0}; \
        if (imx_view_block(&view, row, first, IMX_SUPER_BLOCK_LEN, importance)) { \
            imx_search_super_affine(&view, &shape, &chosen); \
        } \
        pack_##name(&chosen, out); \
    } \
}
ENC(q2_k, q2_k)
ENC(q4_k, q4_k)
ENC(q5_k, q5_k)
