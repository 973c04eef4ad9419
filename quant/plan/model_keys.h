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
//
// and, of a model that was calibrated on a text while it was written,
//
//     imatrix.quantize.calibration.inputs          str   "original" or "quantized"
//     imatrix.quantize.calibration.process_output  bool  whether the head was calibrated, too
//     imatrix.quantize.calibration.texts          [str]  base names
//     imatrix.quantize.calibration.text_hashes    [str]  of each
//     imatrix.quantize.calibration.n_tokens        u64   that were run
//
// The first two stay where the imatrix is hidden: they keep a calibrated model's unfinished files
// from being taken for those of another run, and the other way round.

#ifndef IMX_QUANT_MODEL_KEYS_H
#define IMX_QUANT_MODEL_KEYS_H

#include "quant/encode/encoder.h"
#include "quant/plan/key_override.h"
#include "quant/plan/plan.h"

// XXH3-128 of the source's bytes, 32 hex digits. Written as zeros, of the same length; the pipeline
// fills it in when it has read the source.
#define IMX_KEY_SOURCE_HASH "imatrix.quantize.source_hash"

// Of which model a tensor saw the inputs that it was fitted to.
typedef enum imx_calibration_inputs {
    IMX_INPUTS_ORIGINAL,  // the source
    IMX_INPUTS_QUANTIZED, // the new one, as far as it was there
    IMX_INPUTS_COUNT,
} imx_calibration_inputs;

typedef struct imx_calibration_keys {
    const char *const *texts;       // (n_texts) base names
    const char *const *text_hashes; // (n_texts) XXH3-128 of their bytes, 32 hex digits
    size_t n_texts;
    uint64_t n_tokens; // that are run
    uint32_t n_chunks;
    imx_calibration_inputs inputs;
    bool process_output;
} imx_calibration_keys;

typedef struct imx_key_options {
    const imx_key_override *overrides; // (n_overrides) set last, so they win
    size_t n_overrides;
    const char *imatrix_name;                // base name of the imatrix's file; NULL = not written
    const char *imatrix_hash;                // XXH3-128 of it, 32 hex digits; NULL = not written
    const imx_calibration_keys *calibration; // NULL = the model is not calibrated as it is written
    bool hide_imatrix; // say that there was one, by quantize.imatrix.entries_count alone
    imx_encode_options encode;
} imx_key_options;

// Sets all keys of the new model in `builder`, which must be empty. Where layers are pruned, the
// keys of the architecture that count or list them follow.
imx_status imx_model_keys_set(imx_gguf_builder *builder, const imx_gguf *source,
                              const imx_plan *plan, const imx_key_options *options, imx_error *err);

#endif
