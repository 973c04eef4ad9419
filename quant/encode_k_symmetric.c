// SPDX-License-Identifier: MIT
#include <string.h>
#include "quant/encode_internal.h"
#include "quant/super_block.h"

static const imx_super_shape q3_k = {16, 16, {-4, 3}, {-32, 31}, {0, 0}};
static const imx_super_shape q6_k = {16, 16, {-32, 31}, {-128, 127}, {0, 0}};

static void pack_q3_k(const imx_super_block *in, imx_block_q3_k *out) {
    memset(out, 0, sizeof *out);
    out->d = in->d;
    for (int j = 0; j < 256; ++j) {
        const int q = (int)in->codes[j] + 4;
        out->hmask[j % 32] |= (uint8_t)((q >> 2) << (j / 32));
        out->qs[j / 128 * 32 + j % 32] |= (uint8_t)((q & 3) << 2 * (j % 128 / 32));
    }
    for (int j = 0; j < 16; ++j) {
        const int s = (int)in->scales[j] + 32;
        out->scales[j % 8] |= (uint8_t)((s & 15) << 4 * (j / 8));
        out->scales[8 + j % 4] |= (uint8_t)((s >> 4) << 2 * (j / 4));
    }
}

static void pack_q6_k(const imx_super_block *in, imx_block_q6_k *out) {
    memset(out, 0, sizeof *out);
    out->d = in->d;
    for (int j = 0; j < 256; ++j) {
        const int q = (int)in->codes[j] + 32;
        const int half = j / 128;
        out->ql[half * 64 + j % 64] |= (uint8_t)((q & 15) << 4 * (j % 128 / 64));
        out->qh[half * 32 + j % 32] |= (uint8_t)((q >> 4) << 2 * (j % 128 / 32));
    }
    for (int j = 0; j < 16; ++j) {
        out->scales[j] = (int8_t)in->scales[j];
    }
}

void imx_encode_q3_k(const float *row, size_t n_cols, const imx_importance *importance, void *blocks) {
    imx_block_q3_k *out = blocks;
    for (size_t first = 0; first < n_cols; first += IMX_SUPER_BLOCK_LEN, ++out) {
        imx_block_view view;
        imx_super_block chosen = {0};
        if (imx_view_block(&view, row, first, IMX_SUPER_BLOCK_LEN, importance)) {
            imx_search_super_symmetric(&view, &q3_k, &chosen);
        }
        pack_q3_k(&chosen, out);
    }
}
void imx_encode_q6_k(const float *row, size_t n_cols, const imx_importance *importance, void *blocks) {
    imx_block_q6_k *out = blocks;
    for (size_t first = 0; first < n_cols; first += IMX_SUPER_BLOCK_LEN, ++out) {
        imx_block_view view;
        imx_super_block chosen = {0};
        if (imx_view_block(&view, row, first, IMX_SUPER_BLOCK_LEN, importance)) {
            imx_search_super_symmetric(&view, &q6_k, &chosen);
        }
        pack_q6_k(&chosen, out);
    }
}
