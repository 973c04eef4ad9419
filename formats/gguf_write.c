// SPDX-License-Identifier: MIT
//
// Writing GGUF: keys and tensor records are collected, offsets follow from the order of the
// tensors.

#include <stdlib.h>
#include <string.h>

#include "formats/gguf.h"
#include "formats/half.h"
#include "formats/little_endian.h"
#include "formats/memory.h"

enum {
    HEAD_BYTES = 4 + 4 + 8 + 8, // magic, version, counts
    KV_BYTES = 8 + 4,           // of a key beside its letters and value
};

// A growing run of bytes.
typedef struct buffer {
    uint8_t *bytes;
    size_t n;
    size_t capacity;
} buffer;

typedef struct pending_kv {
    char *key;
    uint32_t type;
    buffer value; // as stored after the type number
} pending_kv;

typedef struct pending_tensor {
    char *name;
    uint32_t type;
    uint32_t n_dims;
    uint64_t dims[IMX_GGUF_MAX_DIMS];
    uint64_t size_bytes;
} pending_tensor;

struct imx_gguf_builder {
    pending_kv *kvs;
    size_t n_kvs, kv_capacity;
    pending_tensor *tensors;
    size_t n_tensors, tensor_capacity;
};

static imx_status put(buffer *b, const void *bytes, size_t n, imx_error *err) {
    IMX_TRY(imx_grow(&b->bytes, &b->capacity, b->n + n, 1, err));
    if (n > 0) {
        memcpy(b->bytes + b->n, bytes, n);
    }
    b->n += n;
    return IMX_OK;
}

static imx_status put_le(buffer *b, uint64_t value, size_t n_bytes, imx_error *err) {
    uint8_t bytes[8];
    for (size_t i = 0; i < n_bytes; ++i) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
    return put(b, bytes, n_bytes, err);
}

static imx_status put_str(buffer *b, const char *data, size_t len, imx_error *err) {
    IMX_TRY(put_le(b, len, 8, err));
    return put(b, data, len, err);
}

imx_status imx_gguf_builder_new(imx_gguf_builder **out, imx_error *err) {
    return imx_alloc_zeroed(out, 1, sizeof **out, err);
}

void imx_gguf_builder_free(imx_gguf_builder *builder) {
    if (builder == NULL) {
        return;
    }
    for (size_t i = 0; i < builder->n_kvs; ++i) {
        free(builder->kvs[i].key);
        free(builder->kvs[i].value.bytes);
    }
    for (size_t i = 0; i < builder->n_tensors; ++i) {
        free(builder->tensors[i].name);
    }
    free(builder->kvs);
    free(builder->tensors);
    free(builder);
}

static pending_kv *find_pending(const imx_gguf_builder *builder, const char *key) {
    for (size_t i = 0; i < builder->n_kvs; ++i) {
        if (strcmp(builder->kvs[i].key, key) == 0) {
            return &builder->kvs[i];
        }
    }
    return NULL;
}

// The key with an empty value of `type`, made or emptied.
static imx_status open_kv(imx_gguf_builder *builder, const char *key, imx_gguf_type type,
                          buffer **value, imx_error *err) {
    pending_kv *kv = find_pending(builder, key);
    if (kv == NULL) {
        IMX_TRY(
            imx_grow(&builder->kvs, &builder->kv_capacity, builder->n_kvs + 1, sizeof *kv, err));
        kv = &builder->kvs[builder->n_kvs];
        *kv = (pending_kv){.key = strdup(key)};
        if (kv->key == NULL) {
            return imx_fail_memory(err, strlen(key) + 1);
        }
        ++builder->n_kvs;
    }
    kv->type = (uint32_t)type;
    kv->value.n = 0;
    *value = &kv->value;
    return IMX_OK;
}

static imx_status set_scalar(imx_gguf_builder *builder, const char *key, imx_gguf_type type,
                             uint64_t bits, size_t n_bytes, imx_error *err) {
    buffer *value;
    IMX_TRY(open_kv(builder, key, type, &value, err));
    return put_le(value, bits, n_bytes, err);
}

imx_status imx_gguf_set_u16(imx_gguf_builder *builder, const char *key, uint16_t value,
                            imx_error *err) {
    return set_scalar(builder, key, IMX_GGUF_U16, value, 2, err);
}

imx_status imx_gguf_set_u32(imx_gguf_builder *builder, const char *key, uint32_t value,
                            imx_error *err) {
    return set_scalar(builder, key, IMX_GGUF_U32, value, 4, err);
}

imx_status imx_gguf_set_i32(imx_gguf_builder *builder, const char *key, int32_t value,
                            imx_error *err) {
    return set_scalar(builder, key, IMX_GGUF_I32, (uint32_t)value, 4, err);
}

imx_status imx_gguf_set_u64(imx_gguf_builder *builder, const char *key, uint64_t value,
                            imx_error *err) {
    return set_scalar(builder, key, IMX_GGUF_U64, value, 8, err);
}

imx_status imx_gguf_set_f32(imx_gguf_builder *builder, const char *key, float value,
                            imx_error *err) {
    return set_scalar(builder, key, IMX_GGUF_F32, imx_f32_to_bits(value), 4, err);
}

imx_status imx_gguf_set_bool(imx_gguf_builder *builder, const char *key, bool value,
                             imx_error *err) {
    return set_scalar(builder, key, IMX_GGUF_BOOL, value, 1, err);
}

imx_status imx_gguf_set_str(imx_gguf_builder *builder, const char *key, const char *value,
                            imx_error *err) {
    buffer *bytes;
    IMX_TRY(open_kv(builder, key, IMX_GGUF_STRING, &bytes, err));
    return put_str(bytes, value, strlen(value), err);
}

static imx_status open_array(imx_gguf_builder *builder, const char *key, imx_gguf_type elem_type,
                             uint64_t n_elems, buffer **value, imx_error *err) {
    IMX_TRY(open_kv(builder, key, IMX_GGUF_ARRAY, value, err));
    IMX_TRY(put_le(*value, (uint32_t)elem_type, 4, err));
    return put_le(*value, n_elems, 8, err);
}

imx_status imx_gguf_set_str_array(imx_gguf_builder *builder, const char *key,
                                  const char *const *values, size_t n_values, imx_error *err) {
    buffer *bytes;
    IMX_TRY(open_array(builder, key, IMX_GGUF_STRING, n_values, &bytes, err));
    for (size_t i = 0; i < n_values; ++i) {
        IMX_TRY(put_str(bytes, values[i], strlen(values[i]), err));
    }
    return IMX_OK;
}

imx_status imx_gguf_set_array(imx_gguf_builder *builder, const char *key, imx_gguf_type elem_type,
                              const void *elems, uint64_t n_elems, imx_error *err) {
    const size_t elem_bytes = imx_gguf_scalar_bytes(elem_type);
    buffer *bytes;
    if (elem_bytes == 0) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "key '%s': not a numeric element type", key);
    }
    IMX_TRY(open_array(builder, key, elem_type, n_elems, &bytes, err));
    return put(bytes, elems, (size_t)n_elems * elem_bytes, err);
}

imx_status imx_gguf_copy_kv(imx_gguf_builder *builder, const imx_gguf_kv *kv, imx_error *err) {
    char *key;
    buffer *value;
    IMX_TRY(imx_alloc_zeroed(&key, kv->key.len + 1, 1, err));
    memcpy(key, kv->key.data, kv->key.len);
    imx_status status = open_kv(builder, key, kv->type, &value, err);
    free(key);
    IMX_TRY(status);
    return put(value, kv->raw, (size_t)kv->raw_bytes, err);
}

void imx_gguf_unset(imx_gguf_builder *builder, const char *key) {
    pending_kv *kv = find_pending(builder, key);
    if (kv != NULL) {
        free(kv->key);
        free(kv->value.bytes);
        const size_t behind = (size_t)(builder->kvs + builder->n_kvs - (kv + 1));
        memmove(kv, kv + 1, behind * sizeof *kv);
        --builder->n_kvs;
    }
}

bool imx_gguf_builder_value_offset(const imx_gguf_builder *builder, const char *key,
                                   size_t *offset) {
    const pending_kv *kv = find_pending(builder, key);
    if (kv == NULL) {
        return false;
    }
    *offset = HEAD_BYTES;
    for (const pending_kv *before = builder->kvs; before < kv; ++before) {
        *offset += KV_BYTES + strlen(before->key) + before->value.n;
    }
    *offset += KV_BYTES + strlen(key);
    return true;
}

imx_status imx_gguf_add_tensor(imx_gguf_builder *builder, const char *name, uint32_t type,
                               uint32_t n_dims, const uint64_t *dims, imx_error *err) {
    if (n_dims < 1 || n_dims > IMX_GGUF_MAX_DIMS) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "tensor '%s': %u dimensions", name, n_dims);
    }
    pending_tensor tensor = {.type = type, .n_dims = n_dims};
    tensor.size_bytes = imx_type_row_bytes(type, dims[0]);
    for (uint32_t i = 0; i < n_dims; ++i) {
        tensor.dims[i] = dims[i];
        if (tensor.size_bytes == 0 ||
            (i > 0 && !imx_mul_u64(tensor.size_bytes, dims[i], &tensor.size_bytes))) {
            return imx_fail(err, IMX_ERR_ARGUMENT, "tensor '%s': its shape does not fit %s", name,
                            imx_type_name(type));
        }
    }
    IMX_TRY(imx_grow(&builder->tensors, &builder->tensor_capacity, builder->n_tensors + 1,
                     sizeof tensor, err));
    tensor.name = strdup(name);
    if (tensor.name == NULL) {
        return imx_fail_memory(err, strlen(name) + 1);
    }
    builder->tensors[builder->n_tensors++] = tensor;
    return IMX_OK;
}

uint64_t imx_gguf_builder_alignment(const imx_gguf_builder *builder) {
    const pending_kv *kv = find_pending(builder, "general.alignment");
    uint64_t alignment = 0;
    if (kv != NULL && kv->type == IMX_GGUF_U32) {
        alignment = imx_load_le(kv->value.bytes, 4);
    }
    return alignment != 0 ? alignment : IMX_GGUF_DEFAULT_ALIGNMENT;
}

static imx_status put_kvs(buffer *b, const imx_gguf_builder *builder, imx_error *err) {
    for (size_t i = 0; i < builder->n_kvs; ++i) {
        const pending_kv *kv = &builder->kvs[i];
        IMX_TRY(put_str(b, kv->key, strlen(kv->key), err));
        IMX_TRY(put_le(b, kv->type, 4, err));
        IMX_TRY(put(b, kv->value.bytes, kv->value.n, err));
    }
    return IMX_OK;
}

static imx_status put_tensors(buffer *b, const imx_gguf_builder *builder, imx_error *err) {
    const uint64_t alignment = imx_gguf_builder_alignment(builder);
    uint64_t offset = 0;
    for (size_t i = 0; i < builder->n_tensors; ++i) {
        const pending_tensor *tensor = &builder->tensors[i];
        IMX_TRY(put_str(b, tensor->name, strlen(tensor->name), err));
        IMX_TRY(put_le(b, tensor->n_dims, 4, err));
        for (uint32_t d = 0; d < tensor->n_dims; ++d) {
            IMX_TRY(put_le(b, tensor->dims[d], 8, err));
        }
        IMX_TRY(put_le(b, tensor->type, 4, err));
        IMX_TRY(put_le(b, offset, 8, err));
        offset += imx_align_up(tensor->size_bytes, alignment);
    }
    return IMX_OK;
}

static imx_status put_header(buffer *b, const imx_gguf_builder *builder, imx_error *err) {
    IMX_TRY(put(b, "GGUF", 4, err));
    IMX_TRY(put_le(b, 3, 4, err));
    IMX_TRY(put_le(b, builder->n_tensors, 8, err));
    IMX_TRY(put_le(b, builder->n_kvs, 8, err));
    IMX_TRY(put_kvs(b, builder, err));
    IMX_TRY(put_tensors(b, builder, err));
    const size_t padded = (size_t)imx_align_up(b->n, imx_gguf_builder_alignment(builder));
    IMX_TRY(imx_grow(&b->bytes, &b->capacity, padded, 1, err));
    memset(b->bytes + b->n, 0, padded - b->n);
    b->n = padded;
    return IMX_OK;
}

imx_status imx_gguf_builder_header(const imx_gguf_builder *builder, uint8_t **bytes,
                                   size_t *size_bytes, imx_error *err) {
    buffer b = {0};
    const imx_status status = put_header(&b, builder, err);
    if (status != IMX_OK) {
        free(b.bytes);
        b = (buffer){0};
    }
    *bytes = b.bytes;
    *size_bytes = b.n;
    return status;
}
