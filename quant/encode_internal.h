// SPDX-License-Identifier: MIT
//
// What the encoders share; private to the room.

#ifndef IMX_QUANT_ENCODE_INTERNAL_H
#define IMX_QUANT_ENCODE_INTERNAL_H

#include "formats/blocks.h"
#include "quant/encoder.h"

// Codes 0..15, weight j in the low half of byte j, weight j + 16 in the high half.
static inline void imx_pack_nibbles(const uint8_t codes[IMX_BLOCK_LEN], uint8_t qs[16]) {
    for (int j = 0; j < 16; ++j) {
        qs[j] = (uint8_t)(codes[j] | codes[j + 16] << 4);
    }
}

void imx_encode_f32(const float *row, size_t n_cols, const imx_importance *importance,
                    const imx_encode_options *options, void *blocks);
void imx_encode_f16(const float *row, size_t n_cols, const imx_importance *importance,
                    const imx_encode_options *options, void *blocks);
void imx_encode_bf16(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks);
void imx_encode_q4_0(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks);
void imx_encode_q4_1(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks);
void imx_encode_q5_0(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks);
void imx_encode_q5_1(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks);
void imx_encode_q8_0(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks);
void imx_encode_q2_k(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks);
void imx_encode_q3_k(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks);
void imx_encode_q4_k(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks);
void imx_encode_q5_k(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks);
void imx_encode_q6_k(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks);
void imx_encode_iq4_nl(const float *row, size_t n_cols, const imx_importance *importance,
                       const imx_encode_options *options, void *blocks);
void imx_encode_iq4_xs(const float *row, size_t n_cols, const imx_importance *importance,
                       const imx_encode_options *options, void *blocks);
void imx_encode_tq1_0(const float *row, size_t n_cols, const imx_importance *importance,
                      const imx_encode_options *options, void *blocks);
void imx_encode_tq2_0(const float *row, size_t n_cols, const imx_importance *importance,
                      const imx_encode_options *options, void *blocks);
void imx_encode_mxfp4(const float *row, size_t n_cols, const imx_importance *importance,
                      const imx_encode_options *options, void *blocks);

#endif
