// SPDX-License-Identifier: MIT
//
// Values of keys, and the shapes of tensors. The reader has checked every length.

#include <inttypes.h>
#include <string.h>

#include "formats/gguf.h"
#include "formats/half.h"
#include "formats/little_endian.h"

size_t imx_gguf_scalar_bytes(uint32_t type) {
    static const uint8_t sizes[] = {
        [IMX_GGUF_U8] = 1,  [IMX_GGUF_I8] = 1,  [IMX_GGUF_U16] = 2, [IMX_GGUF_I16] = 2,
        [IMX_GGUF_U32] = 4, [IMX_GGUF_I32] = 4, [IMX_GGUF_F32] = 4, [IMX_GGUF_BOOL] = 1,
        [IMX_GGUF_U64] = 8, [IMX_GGUF_I64] = 8, [IMX_GGUF_F64] = 8,
    };
    return type < sizeof sizes ? sizes[type] : 0;
}

static bool is_integer(imx_gguf_type type) {
    return type != IMX_GGUF_F32 && type != IMX_GGUF_F64 && type != IMX_GGUF_BOOL &&
           imx_gguf_scalar_bytes(type) > 0;
}

static bool is_float(imx_gguf_type type) {
    return type == IMX_GGUF_F32 || type == IMX_GGUF_F64;
}

// Toward zero; what int64 cannot hold becomes its nearest value, NaN 0.
static int64_t saturate_f64(double value) {
    if (value >= 0x1p63) {
        return INT64_MAX;
    }
    if (value <= -0x1p63) {
        return INT64_MIN;
    }
    return value == value ? (int64_t)value : 0;
}

int64_t imx_gguf_elem_i64(const imx_gguf_kv *kv, uint64_t i) {
    const size_t size = imx_gguf_scalar_bytes(kv->elem_type);
    const uint64_t bits = imx_load_le(kv->elems + i * size, size);
    switch (kv->elem_type) {
    case IMX_GGUF_I8:
        return (int8_t)bits;
    case IMX_GGUF_I16:
        return (int16_t)bits;
    case IMX_GGUF_I32:
        return (int32_t)bits;
    case IMX_GGUF_F32:
    case IMX_GGUF_F64:
        return saturate_f64(imx_gguf_elem_f64(kv, i));
    default:
        return (int64_t)bits;
    }
}

double imx_gguf_elem_f64(const imx_gguf_kv *kv, uint64_t i) {
    if (kv->elem_type == IMX_GGUF_F32) {
        return (double)imx_f32_from_bits((uint32_t)imx_load_le(kv->elems + 4 * i, 4));
    }
    if (kv->elem_type == IMX_GGUF_F64) {
        const uint64_t bits = imx_load_le(kv->elems + 8 * i, 8);
        double value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    const int64_t value = imx_gguf_elem_i64(kv, i);
    return kv->elem_type == IMX_GGUF_U64 ? (double)(uint64_t)value : (double)value;
}

imx_str imx_gguf_next_str(const uint8_t **cursor_bytes) {
    const size_t len = (size_t)imx_load_le(*cursor_bytes, 8);
    const imx_str str = {(const char *)*cursor_bytes + 8, len};
    *cursor_bytes += 8 + len;
    return str;
}

// Finds a scalar whose type passes `accepts`; *kv is NULL when it is absent and not required.
static imx_status find_scalar(const imx_gguf *gguf, const char *key, bool required,
                              bool (*accepts)(imx_gguf_type), const char *kind,
                              const imx_gguf_kv **kv, imx_error *err) {
    *kv = imx_gguf_find_kv(gguf, key);
    if (*kv == NULL) {
        return required
                   ? imx_fail(err, IMX_ERR_FORMAT, "%s: the key '%s' is missing", gguf->path, key)
                   : IMX_OK;
    }
    if ((*kv)->type == IMX_GGUF_ARRAY || !accepts((*kv)->type)) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: the key '%s' is not %s", gguf->path, key, kind);
    }
    return IMX_OK;
}

imx_status imx_gguf_get_u32(const imx_gguf *gguf, const char *key, bool required, uint32_t *value,
                            imx_error *err) {
    const imx_gguf_kv *kv;
    IMX_TRY(find_scalar(gguf, key, required, is_integer, "an integer", &kv, err));
    if (kv == NULL) {
        return IMX_OK;
    }
    const int64_t wide = imx_gguf_elem_i64(kv, 0);
    if (wide < 0 || wide > UINT32_MAX) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: the key '%s' is out of range", gguf->path, key);
    }
    *value = (uint32_t)wide;
    return IMX_OK;
}

imx_status imx_gguf_get_f32(const imx_gguf *gguf, const char *key, bool required, float *value,
                            imx_error *err) {
    const imx_gguf_kv *kv;
    IMX_TRY(find_scalar(gguf, key, required, is_float, "a floating-point number", &kv, err));
    if (kv != NULL) {
        *value = (float)imx_gguf_elem_f64(kv, 0);
    }
    return IMX_OK;
}

static bool is_bool(imx_gguf_type type) {
    return type == IMX_GGUF_BOOL;
}

imx_status imx_gguf_get_bool(const imx_gguf *gguf, const char *key, bool required, bool *value,
                             imx_error *err) {
    const imx_gguf_kv *kv;
    IMX_TRY(find_scalar(gguf, key, required, is_bool, "true or false", &kv, err));
    if (kv != NULL) {
        *value = kv->elems[0] != 0;
    }
    return IMX_OK;
}

static bool is_string(imx_gguf_type type) {
    return type == IMX_GGUF_STRING;
}

imx_status imx_gguf_get_str(const imx_gguf *gguf, const char *key, bool required, imx_str *value,
                            imx_error *err) {
    const imx_gguf_kv *kv;
    IMX_TRY(find_scalar(gguf, key, required, is_string, "a string", &kv, err));
    if (kv != NULL) {
        const uint8_t *bytes = kv->elems;
        *value = imx_gguf_next_str(&bytes);
    }
    return IMX_OK;
}

imx_status imx_gguf_get_array(const imx_gguf *gguf, const char *key, bool required,
                              imx_gguf_type elem_type, const imx_gguf_kv **kv, imx_error *err) {
    *kv = imx_gguf_find_kv(gguf, key);
    if (*kv == NULL) {
        return required
                   ? imx_fail(err, IMX_ERR_FORMAT, "%s: the key '%s' is missing", gguf->path, key)
                   : IMX_OK;
    }
    if ((*kv)->type != IMX_GGUF_ARRAY || (*kv)->elem_type != elem_type) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: the key '%s' is not an array of the right type",
                        gguf->path, key);
    }
    return IMX_OK;
}

uint64_t imx_gguf_tensor_cols(const imx_gguf_tensor *tensor) {
    return tensor->dims[0];
}

uint64_t imx_gguf_tensor_rows(const imx_gguf_tensor *tensor) {
    return tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
}

uint64_t imx_gguf_tensor_mats(const imx_gguf_tensor *tensor) {
    return tensor->dims[2] * tensor->dims[3];
}
