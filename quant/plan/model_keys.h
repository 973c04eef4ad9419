// SPDX-License-Identifier: MIT
//
// The keys of a quantized model: those of its source, what quantization changes in them, and where
// it came from. Beside llama-quantize's keys (general.file_type, general.quantization_version,
// quantize.imatrix.*) these are ours:
//
//     imatrix.quantize.version        str   of this program
//     imatrix.quantize.recipe         str   "Q4_K_M"
//     imatrix.quantize.effort         str   "default" or "best"
//     imatrix.quantize.weighting      str   "auto", "plain" or "sqrt"
//     imatrix.quantize.tensor_types  [str]  "REGEX=TYPE" as given, when any were
//     imatrix.quantize.prior_tokens   u32   with an imatrix
//     imatrix.quantize.covariance     bool  true, when products of columns were used
//     imatrix.quantize.include_weights, .exclude_weights  [str]  as given, when any were
//     imatrix.quantize.imatrix_hash   str   of the imatrix file
//     imatrix.quantize.source_hash    str   of the source

#ifndef IMX_QUANT_MODEL_KEYS_H
#define IMX_QUANT_MODEL_KEYS_H

#include "quant/encode/encoder.h"
#include "quant/plan/key_override.h"
#include "quant/plan/plan.h"

// XXH3-128 of the source's bytes, 32 hex digits. Written as zeros, of the same length; the pipeline
// fills it in when it has read the source.
#define IMX_KEY_SOURCE_HASH "imatrix.quantize.source_hash"

typedef struct imx_key_options {
    const imx_key_override *overrides; // (n_overrides) set last, so they win
    size_t n_overrides;
    const char *imatrix_name; // base name of the imatrix's file; with one in the plan
    const char *imatrix_hash; // XXH3-128 of it, 32 hex digits; NULL = not written
    bool hide_imatrix;        // say that there was one, by quantize.imatrix.entries_count alone
    imx_encode_options encode;
} imx_key_options;

// Sets all keys of the new model in `builder`, which must be empty. Where layers are pruned, the
// keys of the architecture that count or list them follow.
imx_status imx_model_keys_set(imx_gguf_builder *builder, const imx_gguf *source,
                              const imx_plan *plan, const imx_key_options *options, imx_error *err);

#endif
