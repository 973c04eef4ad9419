// SPDX-License-Identifier: MIT
//
// Reading GGUF. A cursor walks the header; it never moves past the end of the file, and every count
// is held against the bytes that are left before memory is allocated for it, so that a damaged file
// costs an error and not a crash or a gigabyte.

#include "formats/gguf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "formats/gguf_internal.h"
#include "formats/little_endian.h"
#include "formats/memory.h"

enum {
    MIN_KV_BYTES = 8 + 4 + 1,             // empty key, type, one-byte value
    MIN_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8, // empty name, n_dims, one dim, type, offset
    MAX_ALIGNMENT = 1 << 24,
};

typedef struct cursor {
    const uint8_t *data;
    uint64_t size_bytes;
    uint64_t pos;
    const char *path;
    imx_error *err;
} cursor;

static uint64_t bytes_left(const cursor *c) {
    return c->size_bytes - c->pos;
}

static imx_status fail_at(const cursor *c, uint64_t pos, const char *what) {
    return imx_fail(c->err, IMX_ERR_FORMAT, "%s: byte %" PRIu64 ": %s", c->path, pos, what);
}

static imx_status take(cursor *c, uint64_t n_bytes, const uint8_t **bytes) {
    if (n_bytes > bytes_left(c)) {
        return imx_fail(c->err, IMX_ERR_FORMAT,
                        "%s: byte %" PRIu64 ": the header needs %" PRIu64
                        " more bytes but the file "
                        "ends after %" PRIu64 "; it is truncated or damaged, fetch it again",
                        c->path, c->pos, n_bytes, bytes_left(c));
    }
    *bytes = c->data + c->pos;
    c->pos += n_bytes;
    return IMX_OK;
}

static imx_status take_u32(cursor *c, uint32_t *value) {
    const uint8_t *bytes;
    IMX_TRY(take(c, 4, &bytes));
    *value = (uint32_t)imx_load_le(bytes, 4);
    return IMX_OK;
}

static imx_status take_u64(cursor *c, uint64_t *value) {
    const uint8_t *bytes;
    IMX_TRY(take(c, 8, &bytes));
    *value = imx_load_le(bytes, 8);
    return IMX_OK;
}

static imx_status take_str(cursor *c, imx_str *str) {
    uint64_t len;
    const uint8_t *bytes;
    IMX_TRY(take_u64(c, &len));
    IMX_TRY(take(c, len, &bytes));
    *str = (imx_str){(const char *)bytes, (size_t)len};
    return IMX_OK;
}

static imx_status skip_elems(cursor *c, uint32_t elem_type, uint64_t n_elems) {
    const uint8_t *bytes;
    if (elem_type == IMX_GGUF_STRING) {
        imx_str str;
        for (uint64_t i = 0; i < n_elems; ++i) {
            IMX_TRY(take_str(c, &str));
        }
        return IMX_OK;
    }
    const uint64_t elem_bytes = imx_gguf_scalar_bytes(elem_type);
    if (elem_bytes == 0) {
        return imx_fail(c->err, IMX_ERR_UNSUPPORTED,
                        "%s: byte %" PRIu64 ": values of type %" PRIu32 " are not known to this "
                        "version",
                        c->path, c->pos, elem_type);
    }
    uint64_t n_bytes;
    if (!imx_mul_u64(n_elems, elem_bytes, &n_bytes)) {
        return fail_at(c, c->pos, "the array is longer than any file; the file is damaged");
    }
    return take(c, n_bytes, &bytes);
}

static imx_status read_kv(cursor *c, imx_gguf_kv *kv) {
    uint32_t type;
    const uint64_t key_begin = c->pos;
    IMX_TRY(take_str(c, &kv->key));
    if (kv->key.len == 0 || memchr(kv->key.data, 0, kv->key.len) != NULL) {
        return fail_at(c, key_begin, "a key is empty or holds a NUL; the file is damaged");
    }
    IMX_TRY(take_u32(c, &type));
    const uint64_t begin = c->pos;
    uint32_t elem_type = type;
    kv->n_elems = 1;
    if (type == IMX_GGUF_ARRAY) {
        IMX_TRY(take_u32(c, &elem_type));
        IMX_TRY(take_u64(c, &kv->n_elems));
    }
    kv->type = (imx_gguf_type)type;
    kv->elem_type = (imx_gguf_type)elem_type;
    kv->elems = c->data + c->pos;
    IMX_TRY(skip_elems(c, elem_type, kv->n_elems));
    kv->raw = c->data + begin;
    kv->raw_bytes = c->pos - begin;
    return IMX_OK;
}

static imx_status read_tensor_name(cursor *c, imx_gguf_tensor *tensor) {
    const uint64_t begin = c->pos;
    imx_str name;
    IMX_TRY(take_str(c, &name));
    if (name.len == 0 || memchr(name.data, 0, name.len) != NULL) {
        return fail_at(c, begin, "a tensor name is empty or holds a NUL; the file is damaged");
    }
    IMX_TRY(imx_alloc_zeroed(&tensor->name, name.len + 1, 1, c->err));
    memcpy(tensor->name, name.data, name.len);
    return IMX_OK;
}

// Reads n_dims and the dimensions; *n_rows is their product without the first.
static imx_status read_tensor_dims(cursor *c, imx_gguf_tensor *tensor, uint64_t *n_rows) {
    const uint64_t begin = c->pos;
    IMX_TRY(take_u32(c, &tensor->n_dims));
    if (tensor->n_dims < 1 || tensor->n_dims > IMX_GGUF_MAX_DIMS) {
        return imx_fail(c->err, IMX_ERR_FORMAT,
                        "%s: byte %" PRIu64 ": tensor '%s' has %" PRIu32 " dimensions; 1 to %d are "
                        "possible",
                        c->path, begin, tensor->name, tensor->n_dims, IMX_GGUF_MAX_DIMS);
    }
    *n_rows = 1;
    for (uint32_t i = 0; i < IMX_GGUF_MAX_DIMS; ++i) {
        tensor->dims[i] = 1;
        if (i < tensor->n_dims) {
            IMX_TRY(take_u64(c, &tensor->dims[i]));
        }
        if (tensor->dims[i] == 0 || (i > 0 && !imx_mul_u64(*n_rows, tensor->dims[i], n_rows))) {
            return imx_fail(c->err, IMX_ERR_FORMAT,
                            "%s: byte %" PRIu64
                            ": tensor '%s' has an impossible shape; the file is "
                            "damaged",
                            c->path, begin, tensor->name);
        }
    }
    return IMX_OK;
}

static imx_status read_tensor(cursor *c, imx_gguf_tensor *tensor) {
    uint64_t n_rows = 1;
    IMX_TRY(read_tensor_name(c, tensor));
    IMX_TRY(read_tensor_dims(c, tensor, &n_rows));
    const uint64_t begin = c->pos;
    IMX_TRY(take_u32(c, &tensor->type));
    IMX_TRY(take_u64(c, &tensor->offset));
    if (imx_type_traits_of(tensor->type) == NULL) {
        return imx_fail(c->err, IMX_ERR_UNSUPPORTED,
                        "%s: byte %" PRIu64 ": tensor '%s' has type %" PRIu32
                        ", which this version "
                        "does not know",
                        c->path, begin, tensor->name, tensor->type);
    }
    const uint64_t row_bytes = imx_type_row_bytes(tensor->type, tensor->dims[0]);
    if (row_bytes == 0 || !imx_mul_u64(row_bytes, n_rows, &tensor->size_bytes)) {
        return imx_fail(c->err, IMX_ERR_FORMAT,
                        "%s: byte %" PRIu64 ": tensor '%s' has rows of %" PRIu64
                        " weights, which %s "
                        "cannot hold",
                        c->path, begin, tensor->name, tensor->dims[0], imx_type_name(tensor->type));
    }
    return IMX_OK;
}

static imx_status check_version(const cursor *c, uint32_t version) {
    if (version == 2 || version == 3) {
        return IMX_OK;
    }
    if ((version & 0xffffu) == 0) {
        return imx_fail(c->err, IMX_ERR_UNSUPPORTED,
                        "%s: byte 4: this is a big-endian GGUF; convert it to little-endian first "
                        "(gguf_convert_endian.py of the gguf Python package does)",
                        c->path);
    }
    return imx_fail(c->err, IMX_ERR_UNSUPPORTED,
                    "%s: byte 4: GGUF version %" PRIu32
                    " is not supported, only 2 and 3; convert the "
                    "model again with a current converter",
                    c->path, version);
}

static imx_status read_magic_and_counts(cursor *c, imx_gguf *gguf) {
    const uint8_t *magic;
    uint64_t n_tensors;
    uint64_t n_kvs;
    if (c->size_bytes < 4 || memcmp(c->data, "GGUF", 4) != 0) {
        return imx_fail(c->err, IMX_ERR_FORMAT,
                        "%s: byte 0: not a GGUF file (it does not begin with the letters GGUF)",
                        c->path);
    }
    IMX_TRY(take(c, 4, &magic));
    IMX_TRY(take_u32(c, &gguf->version));
    IMX_TRY(check_version(c, gguf->version));
    IMX_TRY(take_u64(c, &n_tensors));
    IMX_TRY(take_u64(c, &n_kvs));
    if (n_tensors > bytes_left(c) / MIN_TENSOR_BYTES || n_kvs > bytes_left(c) / MIN_KV_BYTES) {
        return fail_at(c, 8,
                       "the file is too short for the tensors and keys it announces; it is "
                       "truncated or damaged, fetch it again");
    }
    gguf->n_tensors = (size_t)n_tensors;
    gguf->n_kvs = (size_t)n_kvs;
    return IMX_OK;
}

static imx_status read_kvs(cursor *c, imx_gguf *gguf) {
    IMX_TRY(imx_alloc_zeroed(&gguf->kvs, gguf->n_kvs, sizeof *gguf->kvs, c->err));
    for (size_t i = 0; i < gguf->n_kvs; ++i) {
        IMX_TRY(read_kv(c, &gguf->kvs[i]));
    }
    return imx_gguf_index_kvs(gguf, c->err);
}

static imx_status read_tensors(cursor *c, imx_gguf *gguf) {
    IMX_TRY(imx_alloc_zeroed(&gguf->tensors, gguf->n_tensors, sizeof *gguf->tensors, c->err));
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        IMX_TRY(read_tensor(c, &gguf->tensors[i]));
    }
    return imx_gguf_index_tensors(gguf, c->err);
}

static imx_status read_alignment(const cursor *c, imx_gguf *gguf) {
    uint32_t alignment = IMX_GGUF_DEFAULT_ALIGNMENT;
    IMX_TRY(imx_gguf_get_u32(gguf, "general.alignment", false, &alignment, c->err));
    if (alignment == 0 || alignment > MAX_ALIGNMENT || (alignment & (alignment - 1)) != 0) {
        return imx_fail(c->err, IMX_ERR_FORMAT,
                        "%s: general.alignment is %" PRIu32 ", not a power of two up to %d",
                        c->path, alignment, MAX_ALIGNMENT);
    }
    gguf->alignment = alignment;
    gguf->data_offset = imx_align_up(c->pos, alignment);
    return IMX_OK;
}

// Points every tensor at its bytes, which lie inside the file, behind those of the tensor before:
// a file cannot make readers take the same bytes many times.
static imx_status bind_data(const cursor *c, imx_gguf *gguf) {
    uint64_t previous_end = 0;
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        imx_gguf_tensor *tensor = &gguf->tensors[i];
        uint64_t end;
        if (tensor->offset % gguf->alignment != 0) {
            return imx_fail(c->err, IMX_ERR_FORMAT,
                            "%s: the data of tensor '%s' is not aligned to %" PRIu64 " bytes; the "
                            "file is damaged",
                            c->path, tensor->name, gguf->alignment);
        }
        if (tensor->offset < previous_end) {
            return imx_fail(
                c->err, IMX_ERR_FORMAT,
                "%s: the data of tensor '%s' overlaps that of the tensor before it; the "
                "file is damaged",
                c->path, tensor->name);
        }
        if (!imx_add_u64(tensor->offset, tensor->size_bytes, &end) ||
            !imx_add_u64(end, gguf->data_offset, &end) || end > c->size_bytes) {
            return imx_fail(c->err, IMX_ERR_FORMAT,
                            "%s: the data of tensor '%s' lies beyond the end of the file (%" PRIu64
                            " bytes); the file is truncated, fetch it again",
                            c->path, tensor->name, c->size_bytes);
        }
        tensor->data = c->data + gguf->data_offset + tensor->offset;
        previous_end = tensor->offset + tensor->size_bytes;
    }
    return IMX_OK;
}

static imx_status parse(imx_gguf *gguf, cursor *c) {
    IMX_TRY(read_magic_and_counts(c, gguf));
    IMX_TRY(read_kvs(c, gguf));
    IMX_TRY(read_tensors(c, gguf));
    IMX_TRY(read_alignment(c, gguf));
    return bind_data(c, gguf);
}

imx_status imx_gguf_parse(imx_gguf **out, const uint8_t *data, uint64_t size_bytes,
                          const char *path, imx_error *err) {
    imx_gguf *gguf;
    *out = NULL;
    IMX_TRY(imx_alloc_zeroed(&gguf, 1, sizeof *gguf, err));
    gguf->path = path;
    cursor c = {data, size_bytes, 0, path, err};
    const imx_status status = parse(gguf, &c);
    if (status != IMX_OK) {
        imx_gguf_close(gguf);
        return status;
    }
    *out = gguf;
    return IMX_OK;
}

imx_status imx_gguf_open(imx_gguf **out, const char *path, imx_error *err) {
    imx_file_map map;
    *out = NULL;
    IMX_TRY(imx_file_map_open(&map, path, err));
    const imx_status status = imx_gguf_parse(out, map.data, map.size_bytes, map.path, err);
    if (status != IMX_OK) {
        imx_file_map_close(&map);
        return status;
    }
    (*out)->map = map;
    return IMX_OK;
}

void imx_gguf_close(imx_gguf *gguf) {
    if (gguf == NULL) {
        return;
    }
    // The names of a joined model are those of its shards.
    for (size_t i = 0; gguf->shards == NULL && gguf->tensors != NULL && i < gguf->n_tensors; ++i) {
        free(gguf->tensors[i].name);
    }
    for (size_t i = 0; i < gguf->n_shards; ++i) {
        imx_gguf_close(gguf->shards[i]);
    }
    free(gguf->shards);
    free(gguf->tensors);
    free(gguf->tensors_by_name);
    free(gguf->kvs);
    free(gguf->kvs_by_key);
    imx_file_map_close(&gguf->map);
    free(gguf);
}
