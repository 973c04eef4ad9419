// SPDX-License-Identifier: MIT
//
// The imatrix as GGUF. An entry becomes two to four F32 tensors, its parts, one behind another:
//
//     NAME.in_sum2  [n_cols, n_mats]   sums of squared inputs
//     NAME.counts   [1, n_mats]        rows summed
//     NAME.in_sum   [n_cols, n_mats]   sums of inputs, when known
//     NAME.in_max   [n_cols, n_mats]   largest |input|, when known
//
// llama.cpp finds the first two by their suffix and skips the rest; of the shapes only the products
// n_cols · n_mats and n_mats matter to it. One matrix leaves the second dimension out, as ggml
// does, so that a file of llama-imatrix is written back byte for byte.
//
// The sums are f64 in memory and F32 in the file: a value read is written back exactly.

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/gguf.h"
#include "formats/imatrix_codec_internal.h"
#include "formats/memory.h"

#define IN_SUM2 ".in_sum2"
#define COUNTS  ".counts"
#define IN_SUM  ".in_sum"
#define IN_MAX  ".in_max"

enum {
    LLAMA_MAX_NAME = 64, // bytes of a tensor name in llama.cpp, its NUL included
    MAX_PARTS = 4,       // of an entry
};

// ---------------------------------------------------------------------------------------------
// Keys

static const struct {
    const char *key;
    size_t offset; // of the char * in imx_imatrix_origin
} origin_strings[] = {
    {"imatrix.calibration.program", offsetof(imx_imatrix_origin, program)},
    {"imatrix.calibration.model_name", offsetof(imx_imatrix_origin, model_name)},
    {"imatrix.calibration.model_hash", offsetof(imx_imatrix_origin, model_hash)},
    {"imatrix.calibration.text_hash", offsetof(imx_imatrix_origin, text_hash)},
    {"imatrix.calibration.precision", offsetof(imx_imatrix_origin, precision)},
};

enum { N_ORIGIN_STRINGS = sizeof origin_strings / sizeof origin_strings[0] };

static const char left_out_key[] = "imatrix.calibration.left_out_chunks";
static const char all_experts_key[] = "imatrix.calibration.all_experts";
static const char digits_key[] = "imatrix.calibration.digits";
static const char n_tokens_key[] = "imatrix.calibration.n_tokens";
static const char parse_special_key[] = "imatrix.calibration.parse_special";
static const char process_output_key[] = "imatrix.calibration.process_output";

static char **origin_string(const imx_imatrix_origin *origin, size_t i) {
    return (char **)((uintptr_t)origin + origin_strings[i].offset);
}

static imx_status store_origin(imx_gguf_builder *builder, const imx_imatrix_origin *origin,
                               imx_error *err) {
    for (size_t i = 0; i < N_ORIGIN_STRINGS; ++i) {
        const char *value = *origin_string(origin, i);
        if (value != NULL) {
            IMX_TRY(imx_gguf_set_str(builder, origin_strings[i].key, value, err));
        }
    }
    if (origin->n_tokens > 0) {
        IMX_TRY(imx_gguf_set_u64(builder, n_tokens_key, origin->n_tokens, err));
    }
    if (origin->digits > 0) {
        IMX_TRY(imx_gguf_set_u32(builder, digits_key, origin->digits, err));
    }
    if (origin->all_experts) {
        IMX_TRY(imx_gguf_set_bool(builder, all_experts_key, true, err));
    }
    if (origin->n_left_out > 0) {
        IMX_TRY(imx_gguf_set_array(builder, left_out_key, IMX_GGUF_U32, origin->left_out_chunks,
                                   origin->n_left_out, err));
    }
    if (origin->has_options) {
        IMX_TRY(imx_gguf_set_bool(builder, parse_special_key, origin->parse_special, err));
        IMX_TRY(imx_gguf_set_bool(builder, process_output_key, origin->process_output, err));
    }
    return IMX_OK;
}

static imx_status store_keys(imx_gguf_builder *builder, const imx_imatrix *imatrix,
                             imx_error *err) {
    IMX_TRY(imx_gguf_set_str(builder, "general.type", "imatrix", err));
    IMX_TRY(imx_gguf_set_str_array(builder, "imatrix.datasets",
                                   (const char *const *)imatrix->datasets, imatrix->n_datasets,
                                   err));
    IMX_TRY(imx_gguf_set_u32(builder, "imatrix.chunk_count", imatrix->chunk_count, err));
    IMX_TRY(imx_gguf_set_u32(builder, "imatrix.chunk_size", imatrix->chunk_size, err));
    IMX_TRY(imx_imatrix_store_sources(builder, imatrix, err));
    return store_origin(builder, &imatrix->origin, err);
}

static imx_status load_left_out(const imx_gguf *gguf, imx_imatrix_origin *origin, imx_error *err) {
    const imx_gguf_kv *chunks;
    IMX_TRY(imx_gguf_get_array(gguf, left_out_key, false, IMX_GGUF_U32, &chunks, err));
    if (chunks == NULL) {
        return IMX_OK;
    }
    IMX_TRY(imx_alloc_zeroed(&origin->left_out_chunks, (size_t)chunks->n_elems,
                             sizeof *origin->left_out_chunks, err));
    origin->n_left_out = (size_t)chunks->n_elems;
    for (size_t i = 0; i < origin->n_left_out; ++i) {
        origin->left_out_chunks[i] = (uint32_t)imx_gguf_elem_i64(chunks, i);
    }
    return IMX_OK;
}

static imx_status load_origin(const imx_gguf *gguf, imx_imatrix_origin *origin, imx_error *err) {
    for (size_t i = 0; i < N_ORIGIN_STRINGS; ++i) {
        imx_str value = {0};
        IMX_TRY(imx_gguf_get_str(gguf, origin_strings[i].key, false, &value, err));
        if (value.data != NULL) {
            IMX_TRY(imx_copy_string(origin_string(origin, i), value.data, value.len, err));
        }
    }
    IMX_TRY(load_left_out(gguf, origin, err));
    IMX_TRY(imx_gguf_get_u32(gguf, digits_key, false, &origin->digits, err));
    IMX_TRY(imx_gguf_get_bool(gguf, all_experts_key, false, &origin->all_experts, err));
    const imx_gguf_kv *n_tokens = imx_gguf_find_kv(gguf, n_tokens_key);
    if (n_tokens != NULL && n_tokens->type == IMX_GGUF_U64) {
        origin->n_tokens = (uint64_t)imx_gguf_elem_i64(n_tokens, 0);
    }
    origin->has_options = imx_gguf_find_kv(gguf, parse_special_key) != NULL &&
                          imx_gguf_find_kv(gguf, process_output_key) != NULL;
    IMX_TRY(imx_gguf_get_bool(gguf, parse_special_key, false, &origin->parse_special, err));
    return imx_gguf_get_bool(gguf, process_output_key, false, &origin->process_output, err);
}

static imx_status load_keys(const imx_gguf *gguf, imx_imatrix *imatrix, imx_error *err) {
    const imx_gguf_kv *datasets;
    IMX_TRY(imx_gguf_get_array(gguf, "imatrix.datasets", false, IMX_GGUF_STRING, &datasets, err));
    if (datasets != NULL) {
        const uint8_t *cursor = datasets->elems;
        for (uint64_t i = 0; i < datasets->n_elems; ++i) {
            const imx_str name = imx_gguf_next_str(&cursor);
            IMX_TRY(imx_imatrix_append_dataset(imatrix, name.data, name.len, err));
        }
    }
    IMX_TRY(imx_imatrix_load_sources(gguf, imatrix, err));
    IMX_TRY(imx_gguf_get_u32(gguf, "imatrix.chunk_count", false, &imatrix->chunk_count, err));
    IMX_TRY(imx_gguf_get_u32(gguf, "imatrix.chunk_size", false, &imatrix->chunk_size, err));
    if (imatrix->chunk_size == 0) {
        imatrix->chunk_size = 1;
    }
    return load_origin(gguf, &imatrix->origin, err);
}

// ---------------------------------------------------------------------------------------------
// Reading

static bool recognize_gguf(const uint8_t *data, size_t size_bytes) {
    return size_bytes >= 4 && memcmp(data, "GGUF", 4) == 0;
}

// The length of `name` before `suffix`; 0 when it does not end so.
static size_t stem_len(const char *name, const char *suffix) {
    const size_t len = strlen(name);
    const size_t suffix_len = strlen(suffix);
    const bool matches = len > suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
    return matches ? len - suffix_len : 0;
}

// Finds the tensor STEM + suffix: *tensor is NULL when there is none.
static imx_status find_part(const imx_gguf *gguf, const char *stem, size_t len, const char *suffix,
                            const imx_gguf_tensor **tensor, imx_error *err) {
    char *name;
    IMX_TRY(imx_alloc_zeroed(&name, len + strlen(suffix) + 1, 1, err));
    memcpy(name, stem, len);
    memcpy(name + len, suffix, strlen(suffix));
    *tensor = imx_gguf_find_tensor(gguf, name);
    free(name);
    if (*tensor != NULL && (*tensor)->type != IMX_TYPE_F32) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: %s is %s and must be F32", gguf->path,
                        (*tensor)->name, imx_type_name((*tensor)->type));
    }
    return IMX_OK;
}

static void load_values(double *values, const imx_gguf_tensor *tensor) {
    for (uint64_t i = 0; i < tensor->size_bytes / sizeof(float); ++i) {
        float value;
        memcpy(&value, tensor->data + i * sizeof value, sizeof value);
        values[i] = (double)value;
    }
}

// Reads the part STEM + suffix into *values, which stays NULL when the file does not have it.
static imx_status read_optional(const imx_gguf *gguf, const char *stem, size_t len,
                                const char *suffix, uint64_t size_bytes, double **values,
                                imx_error *err) {
    const imx_gguf_tensor *tensor;
    IMX_TRY(find_part(gguf, stem, len, suffix, &tensor, err));
    if (tensor == NULL) {
        return IMX_OK;
    }
    if (tensor->size_bytes != size_bytes) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: %s does not fit the sizes of its partners",
                        gguf->path, tensor->name);
    }
    IMX_TRY(imx_alloc_zeroed(values, (size_t)size_bytes / sizeof(float), sizeof **values, err));
    load_values(*values, tensor);
    return IMX_OK;
}

// Reads the entry of the weight whose name is the first `len` bytes of `stem`.
static imx_status read_gguf_entry(imx_imatrix *imatrix, const imx_gguf *gguf, const char *stem,
                                  size_t len, imx_error *err) {
    const imx_gguf_tensor *in_sum2;
    const imx_gguf_tensor *counts;
    imx_imatrix_entry *entry;
    IMX_TRY(find_part(gguf, stem, len, IN_SUM2, &in_sum2, err));
    IMX_TRY(find_part(gguf, stem, len, COUNTS, &counts, err));
    if (counts == NULL) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: %s is there without its " COUNTS, gguf->path,
                        in_sum2->name);
    }
    const uint64_t n_mats = counts->size_bytes / sizeof(float);
    const uint64_t n_cols = in_sum2->size_bytes / sizeof(float) / n_mats;
    if (in_sum2->size_bytes != n_cols * n_mats * sizeof(float)) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: %s does not fit the sizes of its partners",
                        gguf->path, in_sum2->name);
    }
    IMX_TRY(imx_imatrix_append(imatrix, stem, len, n_cols, n_mats, false, &entry, err));
    load_values(entry->in_sum2, in_sum2);
    load_values(entry->counts, counts);
    IMX_TRY(read_optional(gguf, stem, len, IN_SUM, in_sum2->size_bytes, &entry->in_sum, err));
    return read_optional(gguf, stem, len, IN_MAX, in_sum2->size_bytes, &entry->in_max, err);
}

// The length of `name` before a suffix that stands only beside sums of squares; 0 when it has none.
static size_t partner_stem_len(const char *name) {
    static const char *const suffixes[] = {COUNTS, IN_SUM, IN_MAX};
    size_t len = 0;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes && len == 0; ++i) {
        len = stem_len(name, suffixes[i]);
    }
    return len;
}

// Reads an entry at its sums of squares. Their partners are passed over, but may not be alone, and
// so are tensors of other kinds.
static imx_status visit_tensor(imx_imatrix *imatrix, const imx_gguf *gguf,
                               const imx_gguf_tensor *tensor, imx_error *err) {
    const size_t entry_len = stem_len(tensor->name, IN_SUM2);
    const size_t partner_len = partner_stem_len(tensor->name);
    const imx_gguf_tensor *in_sum2 = tensor;
    if (entry_len > 0) {
        return read_gguf_entry(imatrix, gguf, tensor->name, entry_len, err);
    }
    if (partner_len > 0) {
        IMX_TRY(find_part(gguf, tensor->name, partner_len, IN_SUM2, &in_sum2, err));
    }
    if (in_sum2 == NULL) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: %s is there without its " IN_SUM2, gguf->path,
                        tensor->name);
    }
    return IMX_OK;
}

static imx_status parse_gguf(imx_imatrix *imatrix, const uint8_t *data, size_t size_bytes,
                             const char *path, imx_error *err) {
    imx_gguf *gguf;
    IMX_TRY(imx_gguf_parse(&gguf, data, size_bytes, path, err));
    imx_status status;
    IMX_TRY_GOTO(done, load_keys(gguf, imatrix, err));
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        IMX_TRY_GOTO(done, visit_tensor(imatrix, gguf, &gguf->tensors[i], err));
    }
done:
    imx_gguf_close(gguf);
    return status;
}

// ---------------------------------------------------------------------------------------------
// Writing

typedef struct part {
    const char *name; // of the weight
    const char *suffix;
    const double *values; // (n_mats, n_cols)
    uint64_t n_cols;
    uint64_t n_mats;
} part;

// Lists the tensors of all entries in file order in parts[MAX_PARTS * n_entries] and returns their
// number.
static size_t list_parts(const imx_imatrix *imatrix, part *parts) {
    size_t n = 0;
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        const imx_imatrix_entry *e = &imatrix->entries[i];
        parts[n++] = (part){e->name, IN_SUM2, e->in_sum2, e->n_cols, e->n_mats};
        parts[n++] = (part){e->name, COUNTS, e->counts, 1, e->n_mats};
        if (e->in_sum != NULL) {
            parts[n++] = (part){e->name, IN_SUM, e->in_sum, e->n_cols, e->n_mats};
        }
        if (e->in_max != NULL) {
            parts[n++] = (part){e->name, IN_MAX, e->in_max, e->n_cols, e->n_mats};
        }
    }
    return n;
}

static uint64_t part_bytes(const part *p, uint64_t alignment) {
    return imx_align_up(p->n_cols * p->n_mats * sizeof(float), alignment);
}

static imx_status add_part(imx_gguf_builder *builder, const part *p, imx_error *err) {
    char name[LLAMA_MAX_NAME];
    const int len = snprintf(name, sizeof name, "%s%s", p->name, p->suffix);
    if (len < 0 || len >= LLAMA_MAX_NAME) {
        return imx_fail(err, IMX_ERR_UNSUPPORTED,
                        "%s%s: the name is longer than the %d bytes that llama.cpp reads; write "
                        "the dat format instead",
                        p->name, p->suffix, LLAMA_MAX_NAME - 1);
    }
    const uint64_t dims[] = {p->n_cols, p->n_mats};
    return imx_gguf_add_tensor(builder, name, IMX_TYPE_F32, p->n_mats > 1 ? 2 : 1, dims, err);
}

static void store_values(uint8_t *bytes, const part *p) {
    for (uint64_t i = 0; i < p->n_cols * p->n_mats; ++i) {
        const float value = (float)p->values[i];
        memcpy(bytes + i * sizeof value, &value, sizeof value);
    }
}

// Joins the header and the values of the parts, whose records are in the builder.
static imx_status assemble(const imx_gguf_builder *builder, const part *parts, size_t n_parts,
                           uint8_t **bytes, size_t *size_bytes, imx_error *err) {
    const uint64_t alignment = imx_gguf_builder_alignment(builder);
    uint8_t *header;
    size_t pos;
    IMX_TRY(imx_gguf_builder_header(builder, &header, &pos, err));
    *size_bytes = pos;
    for (size_t i = 0; i < n_parts; ++i) {
        *size_bytes += part_bytes(&parts[i], alignment);
    }
    const imx_status status = imx_alloc_zeroed(bytes, *size_bytes, 1, err);
    if (status == IMX_OK) {
        memcpy(*bytes, header, pos);
        for (size_t i = 0; i < n_parts; ++i) {
            store_values(*bytes + pos, &parts[i]);
            pos += part_bytes(&parts[i], alignment);
        }
    }
    free(header);
    return status;
}

static imx_status serialize_gguf(const imx_imatrix *imatrix, uint8_t **bytes, size_t *size_bytes,
                                 imx_error *err) {
    imx_gguf_builder *builder;
    part *parts = NULL;
    IMX_TRY(imx_gguf_builder_new(&builder, err));
    imx_status status;
    IMX_TRY_GOTO(done,
                 imx_alloc_zeroed(&parts, MAX_PARTS * imatrix->n_entries, sizeof *parts, err));
    IMX_TRY_GOTO(done, store_keys(builder, imatrix, err));
    const size_t n_parts = list_parts(imatrix, parts);
    for (size_t i = 0; i < n_parts; ++i) {
        IMX_TRY_GOTO(done, add_part(builder, &parts[i], err));
    }
    status = assemble(builder, parts, n_parts, bytes, size_bytes, err);
done:
    free(parts);
    imx_gguf_builder_free(builder);
    return status;
}

const imx_imatrix_codec imx_imatrix_codec_gguf = {recognize_gguf, parse_gguf, serialize_gguf};
