// SPDX-License-Identifier: MIT
//
// What the encoders share; private to the room.

#ifndef IMX_QUANT_ENCODE_INTERNAL_H
#define IMX_QUANT_ENCODE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "formats/blocks.h"
#include "formats/importance.h"

void imx_encode_f32(const float *row, size_t n_cols, const imx_importance *importance,
                    void *blocks);
void imx_encode_f16(const float *row, size_t n_cols, const imx_importance *importance,
                    void *blocks);
void imx_encode_bf16(const float *row, size_t n_cols, const imx_importance *importance,
                     void *blocks);
void imx_encode_q4_0(const float *row, size_t n_cols, const imx_importance *importance,
                     void *blocks);
void imx_encode_q4_1(const float *row, size_t n_cols, const imx_importance *importance,
                     void *blocks);
void imx_encode_q5_0(const float *row, size_t n_cols, const imx_importance *importance,
                     void *blocks);
void imx_encode_q5_1(const float *row, size_t n_cols, const imx_importance *importance,
                     void *blocks);
void imx_encode_q8_0(const float *row, size_t n_cols, const imx_importance *importance,
                     void *blocks);
void imx_encode_q2_k(const float *row, size_t n_cols, const imx_importance *importance,
                     void *blocks);
void imx_encode_q3_k(const float *row, size_t n_cols, const imx_importance *importance,
                     void *blocks);
void imx_encode_q4_k(const float *row, size_t n_cols, const imx_importance *importance,
                     void *blocks);
void imx_encode_q5_k(const float *row, size_t n_cols, const imx_importance *importance,
                     void *blocks);
void imx_encode_q6_k(const float *row, size_t n_cols, const imx_importance *importance,
                     void *blocks);

// A block as the searches want it: weights divided by a power of two, `unit`, so that the largest
// lies in [0.5, 1) whatever the magnitude of the model, and the weights of their errors.
typedef struct imx_block_view {
    float unit;
    float x[IMX_SUPER_BLOCK_LEN];
    float w[IMX_SUPER_BLOCK_LEN];
} imx_block_view;

// Prepares `n` (<= 256) weights from column `first` of a row. False when all of them are nearer to
// zero than to the smallest number a block can hold: the block is then coded as zeros.
bool imx_view_block(imx_block_view *view, const float *row, size_t first, size_t n,
                    const imx_importance *importance);

// Stores a scale or min given in units of `unit`; the value really stored, again in units, goes to
// *stored. Saturates at the largest finite half, and a scale that is not zero never becomes zero.
imx_f16 imx_store_half(float value, float unit, float *stored);

#endif
