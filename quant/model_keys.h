// SPDX-License-Identifier: MIT
//
// The keys of a quantized model: those of its source, what quantization changes in them, and where
// it came from.

#ifndef IMX_QUANT_MODEL_KEYS_H
#define IMX_QUANT_MODEL_KEYS_H

#include "quant/encoder.h"
#include "quant/plan.h"

// XXH3-128 of the source's bytes, 32 hex digits. Written as zeros, of the same length; the pipeline
// fills it in when it has read the source.
#define IMX_KEY_SOURCE_HASH "imatrix.quantize.source_hash"

// A row of --override-kv.
typedef struct imx_key_override {
    const char *key;    // borrowed
    imx_gguf_type type; // IMX_GGUF_ARRAY = the integer or float type of the key it replaces
    union {
        int64_t i64;  // all signed types
        uint64_t u64; // all unsigned types
        double f64;   // F32, F64
        bool boolean;
        const char *str; // borrowed
    } value;
} imx_key_override;

typedef struct imx_key_options {
    const imx_key_override *overrides; // (n_overrides) set last, so they win
    size_t n_overrides;
    const imx_imatrix *imatrix; // NULL without one
    const char *imatrix_name;   // base name of its file
    const char *imatrix_hash;   // XXH3-128 of its file, 32 hex digits
    bool hide_imatrix;          // do not say which imatrix it was, only that there was one
    imx_encode_options encode;
} imx_key_options;

// Sets all keys of the new model in `builder`, which must be empty.
imx_status imx_model_keys_set(imx_gguf_builder *builder, const imx_gguf *source,
                              const imx_plan *plan, const imx_key_options *options, imx_error *err);

#endif
