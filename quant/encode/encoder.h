// SPDX-License-Identifier: MIT
//
// The table of encoders: one row per tensor type that quantization can write. Decoding lives in
// formats; an encoder only chooses the blocks, so that
//
//     sum_j w_j · (x_j - decode(blocks)_j)²
//
// is small, where w_j comes from the importance of column j (quant/encode/weighting.h); or, where
// it is known how columns move together, so that the errors of 256 weights cost little together
// (quant/encode/feedback.h).
//
// The searches are compiled once for every instruction set (quant/encode/isa_names.h) and give the
// same bytes with each.

#ifndef IMX_QUANT_ENCODER_H
#define IMX_QUANT_ENCODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/importance.h"
#include "quant/encode/effort.h"
#include "quant/encode/run_coder.h"
#include "quant/encode/run_metric.h"
#include "quant/encode/weighting.h"

// How to encode; all zero is the default.
typedef struct imx_encode_options {
    imx_effort effort;
    imx_weighting weighting;
    const imx_run_metric *metrics; // (n_cols / IMX_COV_RUN) of the row's matrix: errors in the runs
                                   // that types with grids have may pay for each other; or NULL
} imx_encode_options;

typedef struct imx_encoder {
    uint32_t type;             // an imx_type
    const imx_run_coder *runs; // what encode_row does run by run, with imx_encode_options.metrics;
                               // NULL for types without grids

    // Encodes one row of `n_cols` weights (a multiple of the type's block length, all finite) into
    // `blocks` (imx_type_row_bytes bytes, at an even address). No state, no threads: rows are
    // independent, so the bytes of a tensor never depend on how its rows are spread.
    void (*encode_row)(const float *row, size_t n_cols, const imx_importance *importance,
                       const imx_encode_options *options, void *blocks);
} imx_encoder;

// Instruction sets with a variant of their own, slowest first.
typedef enum imx_isa {
    IMX_ISA_PLAIN, // what every processor of the target has
    IMX_ISA_AVX2,
    IMX_ISA_AVX512, // F, BW, DQ and VL
    IMX_ISA_COUNT,
} imx_isa;

// "plain", "avx2", "avx512".
const char *imx_isa_name(imx_isa isa);

// The encoder of a type for the best instruction set of this processor, or NULL when this version
// cannot write the type.
const imx_encoder *imx_encoder_of(uint32_t type);

// The encoder for one instruction set; NULL also when this processor or this build lacks it.
const imx_encoder *imx_encoder_for(uint32_t type, imx_isa isa);

#endif
