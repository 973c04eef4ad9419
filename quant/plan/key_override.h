// SPDX-License-Identifier: MIT
//
// Keys that the user sets in the new model: --override-kv.

#ifndef IMX_QUANT_KEY_OVERRIDE_H
#define IMX_QUANT_KEY_OVERRIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/gguf.h"

typedef struct imx_key_override {
    imx_str key; // a view into the parsed text
    imx_gguf_type type;
    bool is_any_width; // the user said "int" or "float": the width is that of the key replaced
    bool is_negative;  // `bits` are an int64, not a uint64
    uint64_t bits;     // integers and bools
    double number;     // F32 and F64
    imx_str str;       // strings; a view
} imx_key_override;

// Parses "KEY=TYPE:VALUE" with one of the types int, float, bool, str, u8, i8, u16, i16, u32, i32,
// u64, i64, f32, f64. `text` must outlive *out. IMX_ERR_ARGUMENT for anything else, for values out
// of range, and for keys that describe the file itself (general.alignment, split.*,
// imatrix.quantize.*).
imx_status imx_key_override_parse(imx_key_override *out, const char *text, imx_error *err);

// Sets the key in `builder`. "int" and "float" take the type of the source's key when it is of that
// kind and holds the value, else the first of u32, i32, u64, i64 that does, and f32.
imx_status imx_key_override_set(imx_gguf_builder *builder, const imx_gguf *source,
                                const imx_key_override *override, imx_error *err);

#endif
