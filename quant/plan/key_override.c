// SPDX-License-Identifier: MIT
//
// llama.cpp's "int" writes every number as u32 and drops its sign. Here it means any width: readers
// ask for the type that a key has always had, so the key in the source decides, and u32, which most
// of them ask for, where there is none.

#include "quant/plan/key_override.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "formats/half.h"
#include "formats/memory.h"

// What the user may write before the colon.
static const struct {
    const char *name;
    imx_gguf_type type;
    bool is_any_width;
} type_names[] = {
    {"int", IMX_GGUF_I64, true},     {"float", IMX_GGUF_F64, true}, {"bool", IMX_GGUF_BOOL, false},
    {"str", IMX_GGUF_STRING, false}, {"u8", IMX_GGUF_U8, false},    {"i8", IMX_GGUF_I8, false},
    {"u16", IMX_GGUF_U16, false},    {"i16", IMX_GGUF_I16, false},  {"u32", IMX_GGUF_U32, false},
    {"i32", IMX_GGUF_I32, false},    {"u64", IMX_GGUF_U64, false},  {"i64", IMX_GGUF_I64, false},
    {"f32", IMX_GGUF_F32, false},    {"f64", IMX_GGUF_F64, false},
};

static const struct {
    imx_gguf_type type;
    int64_t lowest;
    uint64_t highest;
} integer_ranges[] = {
    // The order in which types are tried for a new key comes first.
    {IMX_GGUF_U32, 0, UINT32_MAX}, {IMX_GGUF_I32, INT32_MIN, INT32_MAX},
    {IMX_GGUF_U64, 0, UINT64_MAX}, {IMX_GGUF_I64, INT64_MIN, INT64_MAX},
    {IMX_GGUF_U8, 0, UINT8_MAX},   {IMX_GGUF_I8, INT8_MIN, INT8_MAX},
    {IMX_GGUF_U16, 0, UINT16_MAX}, {IMX_GGUF_I16, INT16_MIN, INT16_MAX},
};
enum { N_INTEGER_TYPES = sizeof integer_ranges / sizeof *integer_ranges };

// Keys, or beginnings of keys, that describe the file itself.
static const char *const reserved_keys[] = {"general.alignment", "split.", "imatrix.quantize."};

// ---- values ------------------------------------------------------------------------------------

static bool is_float(imx_gguf_type type) {
    return type == IMX_GGUF_F32 || type == IMX_GGUF_F64;
}

// Whether values of `type` include that of an integer override; false for types of other kinds.
static bool holds_integer(imx_gguf_type type, const imx_key_override *override) {
    for (size_t i = 0; i < N_INTEGER_TYPES; ++i) {
        if (integer_ranges[i].type == type) {
            return override->is_negative ? (int64_t) override->bits >= integer_ranges[i].lowest
                                         : override->bits <= integer_ranges[i].highest;
        }
    }
    return false;
}

static bool holds_float(imx_gguf_type type, const imx_key_override *override) {
    return type == IMX_GGUF_F64 || (type == IMX_GGUF_F32 && fabs(override->number) <= FLT_MAX);
}

// A decimal number without anything around it.
static bool parse_integer(imx_key_override *out, const char *text) {
    char *end;
    const bool has_sign = text[0] == '-';
    if (text[has_sign] < '0' || text[has_sign] > '9') {
        return false;
    }
    errno = 0;
    out->bits = has_sign ? (uint64_t)strtoll(text, &end, 10) : strtoull(text, &end, 10);
    out->is_negative = has_sign;
    return errno == 0 && *end == '\0' && (out->is_any_width || holds_integer(out->type, out));
}

static bool parse_float(imx_key_override *out, const char *text) {
    char *end;
    out->number = strtod(text, &end);
    const imx_gguf_type type = out->is_any_width ? IMX_GGUF_F64 : out->type;
    return end != text && *end == '\0' && isfinite(out->number) && holds_float(type, out);
}

static bool parse_bool(imx_key_override *out, const char *text) {
    out->bits = strcmp(text, "true") == 0;
    return out->bits || strcmp(text, "false") == 0;
}

static bool parse_value(imx_key_override *out, const char *text) {
    if (out->type == IMX_GGUF_STRING) {
        out->str = (imx_str){text, strlen(text)};
        return true;
    }
    return out->type == IMX_GGUF_BOOL ? parse_bool(out, text)
           : is_float(out->type)      ? parse_float(out, text)
                                      : parse_integer(out, text);
}

// ---- the text ----------------------------------------------------------------------------------

static bool is_reserved(imx_str key) {
    for (size_t i = 0; i < sizeof reserved_keys / sizeof *reserved_keys; ++i) {
        const size_t len = strlen(reserved_keys[i]);
        if (key.len >= len && memcmp(key.data, reserved_keys[i], len) == 0) {
            return true;
        }
    }
    return false;
}

// Reads the type name that ends at `colon`.
static bool parse_type_name(imx_key_override *out, const char *name, const char *colon) {
    const size_t len = (size_t)(colon - name);
    for (size_t i = 0; i < sizeof type_names / sizeof *type_names; ++i) {
        if (strlen(type_names[i].name) == len && memcmp(type_names[i].name, name, len) == 0) {
            out->type = type_names[i].type;
            out->is_any_width = type_names[i].is_any_width;
            return true;
        }
    }
    return false;
}

imx_status imx_key_override_parse(imx_key_override *out, const char *text, imx_error *err) {
    *out = (imx_key_override){0};
    const char *equals = strchr(text, '=');
    const char *colon = equals != NULL ? strchr(equals, ':') : NULL;
    if (colon == NULL || equals == text || !parse_type_name(out, equals + 1, colon)) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "key override '%s': write KEY=TYPE:VALUE with a type of int, float, bool, "
                        "str, u8, i8, u16, i16, u32, i32, u64, i64, f32 or f64",
                        text);
    }
    out->key = (imx_str){text, (size_t)(equals - text)};
    if (is_reserved(out->key)) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "key override '%s': this key describes the file itself and follows from "
                        "other options",
                        text);
    }
    if (!parse_value(out, colon + 1)) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "key override '%s': '%s' is not a value of type %.*s, or beyond its range; "
                        "choose a wider type, or int or float for one that fits",
                        text, colon + 1, (int)(colon - equals - 1), equals + 1);
    }
    return IMX_OK;
}

// ---- setting -----------------------------------------------------------------------------------

// The scalar type to write: the user's, that of the key it replaces, or the first that fits.
static imx_gguf_type settle_type(const imx_gguf *source, const imx_key_override *override) {
    if (!override->is_any_width) {
        return override->type;
    }
    const bool is_number = is_float(override->type);
    for (size_t i = 0; i < source->n_kvs; ++i) {
        const imx_gguf_kv *kv = &source->kvs[i];
        const bool is_same = kv->key.len == override->key.len &&
                             memcmp(kv->key.data, override->key.data, kv->key.len) == 0;
        if (is_same &&
            (is_number ? holds_float(kv->type, override) : holds_integer(kv->type, override))) {
            return kv->type;
        }
    }
    if (is_number) {
        return holds_float(IMX_GGUF_F32, override) ? IMX_GGUF_F32 : IMX_GGUF_F64;
    }
    size_t i = 0;
    while (!holds_integer(integer_ranges[i].type, override)) {
        ++i; // ends: u64 or i64 holds what was parsed
    }
    return integer_ranges[i].type;
}

static uint64_t value_bits(imx_gguf_type type, const imx_key_override *override) {
    if (type == IMX_GGUF_F32) {
        return imx_f32_to_bits((float) override->number);
    }
    if (type == IMX_GGUF_F64) {
        uint64_t bits;
        memcpy(&bits, &override->number, sizeof bits);
        return bits;
    }
    return override->bits;
}

imx_status imx_key_override_set(imx_gguf_builder *builder, const imx_gguf *source,
                                const imx_key_override *override, imx_error *err) {
    imx_gguf_kv kv = {.key = override->key, .type = settle_type(source, override)};
    uint8_t *raw;
    const bool is_str = kv.type == IMX_GGUF_STRING;
    const uint64_t head = is_str ? override->str.len : value_bits(kv.type, override);
    IMX_TRY(imx_alloc_zeroed(&raw, sizeof head + override->str.len, 1, err));
    memcpy(raw, &head, sizeof head); // files are little-endian, and so are we (blocks.h)
    if (is_str) {
        memcpy(raw + sizeof head, override->str.data, override->str.len);
    }
    kv.raw = raw;
    kv.raw_bytes = is_str ? sizeof head + override->str.len : imx_gguf_scalar_bytes(kv.type);
    const imx_status status = imx_gguf_copy_kv(builder, &kv, err);
    free(raw);
    return status;
}
