// SPDX-License-Identifier: MIT
//
// What the encoders share; private to the room.

#ifndef IMX_QUANT_ENCODE_INTERNAL_H
#define IMX_QUANT_ENCODE_INTERNAL_H

#include "quant/encoder.h"

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

#endif
