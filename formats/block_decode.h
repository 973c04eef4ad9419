// SPDX-License-Identifier: MIT
//
// Decoders of the block types: `n_weights` weights (a multiple of the type's block length) from
// `blocks`, which may lie at any address, into `out`. Layouts and formulas are in blocks.h.

#ifndef IMX_FORMATS_BLOCK_DECODE_H
#define IMX_FORMATS_BLOCK_DECODE_H

#include <stddef.h>

void imx_decode_f32(const void *blocks, float *out, size_t n_weights);
void imx_decode_f16(const void *blocks, float *out, size_t n_weights);
void imx_decode_bf16(const void *blocks, float *out, size_t n_weights);
void imx_decode_q4_0(const void *blocks, float *out, size_t n_weights);
void imx_decode_q4_1(const void *blocks, float *out, size_t n_weights);
void imx_decode_q5_0(const void *blocks, float *out, size_t n_weights);
void imx_decode_q5_1(const void *blocks, float *out, size_t n_weights);
void imx_decode_q8_0(const void *blocks, float *out, size_t n_weights);
void imx_decode_q2_k(const void *blocks, float *out, size_t n_weights);
void imx_decode_q3_k(const void *blocks, float *out, size_t n_weights);
void imx_decode_q4_k(const void *blocks, float *out, size_t n_weights);
void imx_decode_q5_k(const void *blocks, float *out, size_t n_weights);
void imx_decode_q6_k(const void *blocks, float *out, size_t n_weights);
void imx_decode_iq4_nl(const void *blocks, float *out, size_t n_weights);
void imx_decode_iq4_xs(const void *blocks, float *out, size_t n_weights);
void imx_decode_tq1_0(const void *blocks, float *out, size_t n_weights);
void imx_decode_tq2_0(const void *blocks, float *out, size_t n_weights);
void imx_decode_mxfp4(const void *blocks, float *out, size_t n_weights);

#endif
