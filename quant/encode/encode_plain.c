// SPDX-License-Identifier: MIT
//
// The types without blocks: each weight is rounded on its own, so importance has no say. Values
// beyond the largest finite half become that half rather than infinity.

#include <string.h>

#include "formats/half.h"
#include "quant/encode/encode_internal.h"

#define F16_MAX  65504.0f
#define BF16_MAX 0x1.fep127f

static float saturate(float value, float max) {
    value = value > max ? max : value;
    return value < -max ? -max : value;
}

void imx_encode_f32(const float *row, size_t n_cols, const imx_importance *importance,
                    const imx_encode_options *options, void *blocks) {
    (void)importance;
    (void)options;
    memcpy(blocks, row, n_cols * sizeof *row);
}

void imx_encode_f16(const float *row, size_t n_cols, const imx_importance *importance,
                    const imx_encode_options *options, void *blocks) {
    (void)importance;
    (void)options;
    uint8_t *out = blocks;
    for (size_t j = 0; j < n_cols; ++j) {
        const imx_f16 half = imx_f16_from_f32(saturate(row[j], F16_MAX));
        memcpy(out + j * sizeof half, &half, sizeof half);
    }
}

void imx_encode_bf16(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks) {
    (void)importance;
    (void)options;
    uint8_t *out = blocks;
    for (size_t j = 0; j < n_cols; ++j) {
        const imx_bf16 half = imx_bf16_from_f32(saturate(row[j], BF16_MAX));
        memcpy(out + j * sizeof half, &half, sizeof half);
    }
}
