// SPDX-License-Identifier: MIT
//
// The table of encoders: one row per tensor type that quantization can write. Decoding lives in
// formats; an encoder only chooses the blocks, so that
//
//     sum_j w_j · (x_j - decode(blocks)_j)²
//
// is small, where w_j comes from the importance of column j.

#ifndef IMX_QUANT_ENCODER_H
#define IMX_QUANT_ENCODER_H

#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/importance.h"

typedef struct imx_encoder {
    uint32_t type; // an imx_type

    // Encodes one row of `n_cols` weights (a multiple of the type's block length, all finite) into
    // `blocks` (imx_type_row_bytes bytes, at an even address). No state, no threads: rows are
    // independent, so the bytes of a tensor never depend on how its rows are spread.
    void (*encode_row)(const float *row, size_t n_cols, const imx_importance *importance,
                       void *blocks);
} imx_encoder;

// The encoder of a type, or NULL when this version cannot write it.
const imx_encoder *imx_encoder_of(uint32_t type);

#endif
