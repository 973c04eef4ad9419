// SPDX-License-Identifier: MIT
//
// The imatrix as GGUF. An entry becomes two to five tensors, its parts, F32 and one behind
// another:
//
//     NAME.in_sum2  [n_cols, n_mats]   sums of squared inputs
//     NAME.counts   [1, n_mats]        rows summed
//     NAME.in_sum   [n_cols, n_mats]   sums of inputs, when known
//     NAME.in_max   [n_cols, n_mats]   largest |input|, when known
//     NAME.in_cov   [PAIRS, n_cols / RUN, n_mats]   correlations of columns, in I8, when known and
//                                      no weight before it has the same (imatrix_covariance.h)
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
#include "formats/imatrix_covariance.h"
#include "formats/memory.h"

#define IN_SUM2 ".in_sum2"
#define COUNTS  ".counts"
#define IN_SUM  ".in_sum"
#define IN_MAX  ".in_max"
#define IN_COV  ".in_cov"

enum {
    LLAMA_MAX_NAME = 64, // bytes of a tensor name in llama.cpp, its NUL included
    MAX_PARTS = 5,       // of an entry
};

// ---------------------------------------------------------------------------------------------
// Keys

static imx_status store_keys(imx_gguf_builder *builder, const imx_imatrix *imatrix,
                             imx_error *err) {
    IMX_TRY(imx_gguf_set_str(builder, "general.type", "imatrix", err));
    IMX_TRY(imx_gguf_set_str_array(builder, "imatrix.datasets",
                                   (const char *const *)imatrix->datasets, imatrix->n_datasets,
                                   err));
    IMX_TRY(imx_gguf_set_u32(builder, "imatrix.chunk_count", imatrix->chunk_count, err));
    IMX_TRY(imx_gguf_set_u32(builder, "imatrix.chunk_size", imatrix->chunk_size, err));
    IMX_TRY(imx_imatrix_store_sources(builder, imatrix, err));
    return imx_imatrix_store_origin(builder, &imatrix->origin, err);
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
    return imx_imatrix_load_origin(gguf, &imatrix->origin, err);
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
                            imx_type type, const imx_gguf_tensor **tensor, imx_error *err) {
    char *name;
    IMX_TRY(imx_alloc_zeroed(&name, len + strlen(suffix) + 1, 1, err));
    memcpy(name, stem, len);
    memcpy(name + len, suffix, strlen(suffix));
    *tensor = imx_gguf_find_tensor(gguf, name);
    free(name);
    if (*tensor != NULL && (*tensor)->type != type) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: %s is %s and must be %s", gguf->path,
                        (*tensor)->name, imx_type_name((*tensor)->type), imx_type_name(type));
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

static imx_status fail_size(const imx_gguf *gguf, const imx_gguf_tensor *tensor, imx_error *err) {
    return imx_fail(err, IMX_ERR_FORMAT, "%s: %s does not fit the sizes of its partners",
                    gguf->path, tensor->name);
}

// Reads the part STEM + suffix into *values, which stays NULL when the file does not have it.
static imx_status read_optional(const imx_gguf *gguf, const char *stem, size_t len,
                                const char *suffix, uint64_t size_bytes, double **values,
                                imx_error *err) {
    const imx_gguf_tensor *tensor;
    IMX_TRY(find_part(gguf, stem, len, suffix, IMX_TYPE_F32, &tensor, err));
    if (tensor == NULL) {
        return IMX_OK;
    }
    if (tensor->size_bytes != size_bytes) {
        return fail_size(gguf, tensor, err);
    }
    IMX_TRY(imx_alloc_zeroed(values, (size_t)size_bytes / sizeof(float), sizeof **values, err));
    load_values(*values, tensor);
    return IMX_OK;
}

static imx_status read_covariance(imx_imatrix *imatrix, const imx_gguf *gguf, const char *stem,
                                  size_t len, imx_imatrix_entry *entry, imx_error *err) {
    const imx_gguf_tensor *tensor;
    IMX_TRY(find_part(gguf, stem, len, IN_COV, IMX_TYPE_I8, &tensor, err));
    if (tensor == NULL) {
        return IMX_OK;
    }
    if (tensor->size_bytes != imx_covariance_len(entry->n_cols) * entry->n_mats) {
        return fail_size(gguf, tensor, err);
    }
    return imx_covariance_unpack(imatrix, entry, (const int8_t *)tensor->data, err);
}

// Reads the entry of the weight whose name is the first `len` bytes of `stem`.
static imx_status read_gguf_entry(imx_imatrix *imatrix, const imx_gguf *gguf, const char *stem,
                                  size_t len, imx_error *err) {
    const imx_gguf_tensor *in_sum2;
    const imx_gguf_tensor *counts;
    imx_imatrix_entry *entry;
    IMX_TRY(find_part(gguf, stem, len, IN_SUM2, IMX_TYPE_F32, &in_sum2, err));
    IMX_TRY(find_part(gguf, stem, len, COUNTS, IMX_TYPE_F32, &counts, err));
    if (counts == NULL) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: %s is there without its " COUNTS, gguf->path,
                        in_sum2->name);
    }
    const uint64_t n_mats = counts->size_bytes / sizeof(float);
    const uint64_t n_cols = in_sum2->size_bytes / sizeof(float) / n_mats;
    if (in_sum2->size_bytes != n_cols * n_mats * sizeof(float)) {
        return fail_size(gguf, in_sum2, err);
    }
    IMX_TRY(imx_imatrix_append(imatrix, stem, len, n_cols, n_mats, false, &entry, err));
    load_values(entry->in_sum2, in_sum2);
    load_values(entry->counts, counts);
    IMX_TRY(read_optional(gguf, stem, len, IN_SUM, in_sum2->size_bytes, &entry->in_sum, err));
    IMX_TRY(read_optional(gguf, stem, len, IN_MAX, in_sum2->size_bytes, &entry->in_max, err));
    return read_covariance(imatrix, gguf, stem, len, entry, err);
}

// The length of `name` before a suffix that stands only beside sums of squares; 0 when it has none.
static size_t partner_stem_len(const char *name) {
    static const char *const suffixes[] = {COUNTS, IN_SUM, IN_MAX, IN_COV};
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
        IMX_TRY(find_part(gguf, tensor->name, partner_len, IN_SUM2, IMX_TYPE_F32, &in_sum2, err));
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
    imx_imatrix_sort(imatrix);
    status = imx_covariance_load_owners(gguf, imatrix, err);
done:
    imx_gguf_close(gguf);
    return status;
}

// ---------------------------------------------------------------------------------------------
// Writing

typedef struct part {
    const imx_imatrix_entry *entry;
    const char *suffix;
    const double *values; // (dims[1], dims[0]); NULL: the correlations
    imx_type type;
    uint64_t dims[3];
} part;

static part describe_part(const imx_imatrix_entry *entry, const char *suffix, const double *values,
                          uint64_t n_cols) {
    return (part){entry, suffix, values, IMX_TYPE_F32, {n_cols, entry->n_mats, 1}};
}

// Lists the tensors of all entries in file order in parts[MAX_PARTS * n_entries] and returns their
// number.
static size_t list_parts(const imx_imatrix *imatrix, const size_t *owners, part *parts) {
    size_t n = 0;
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        const imx_imatrix_entry *e = &imatrix->entries[i];
        parts[n++] = describe_part(e, IN_SUM2, e->in_sum2, e->n_cols);
        parts[n++] = describe_part(e, COUNTS, e->counts, 1);
        if (e->in_sum != NULL) {
            parts[n++] = describe_part(e, IN_SUM, e->in_sum, e->n_cols);
        }
        if (e->in_max != NULL) {
            parts[n++] = describe_part(e, IN_MAX, e->in_max, e->n_cols);
        }
        if (e->in_cov != NULL && owners[i] == i) {
            parts[n++] = (part){
                e, IN_COV, NULL, IMX_TYPE_I8, {IMX_COV_PAIRS, e->n_cols / IMX_COV_RUN, e->n_mats}};
        }
    }
    return n;
}

static uint64_t count_values(const part *p) {
    return p->dims[0] * p->dims[1] * p->dims[2];
}

static uint64_t part_bytes(const part *p, uint64_t alignment) {
    return imx_align_up(imx_type_row_bytes(p->type, count_values(p)), alignment);
}

// Trailing dimensions of 1 are left out.
static uint32_t count_dims(const part *p) {
    uint32_t n = 3;
    while (n > 1 && p->dims[n - 1] == 1) {
        --n;
    }
    return n;
}

static imx_status add_part(imx_gguf_builder *builder, const part *p, imx_error *err) {
    char name[LLAMA_MAX_NAME];
    const int len = snprintf(name, sizeof name, "%s%s", p->entry->name, p->suffix);
    if (len < 0 || len >= LLAMA_MAX_NAME) {
        return imx_fail(err, IMX_ERR_UNSUPPORTED,
                        "%s%s: the name is longer than the %d bytes that llama.cpp reads; write "
                        "the dat format instead",
                        p->entry->name, p->suffix, LLAMA_MAX_NAME - 1);
    }
    return imx_gguf_add_tensor(builder, name, p->type, count_dims(p), p->dims, err);
}

static void store_values(uint8_t *bytes, const part *p) {
    if (p->values == NULL) {
        imx_covariance_pack(p->entry, (int8_t *)bytes);
        return;
    }
    for (uint64_t i = 0; i < count_values(p); ++i) {
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
    size_t *owners = NULL; // (n_entries)
    IMX_TRY(imx_gguf_builder_new(&builder, err));
    imx_status status;
    IMX_TRY_GOTO(done, imx_covariance_owners(imatrix, &owners, err));
    IMX_TRY_GOTO(done,
                 imx_alloc_zeroed(&parts, MAX_PARTS * imatrix->n_entries, sizeof *parts, err));
    IMX_TRY_GOTO(done, store_keys(builder, imatrix, err));
    IMX_TRY_GOTO(done, imx_covariance_store_owners(builder, imatrix, owners, err));
    const size_t n_parts = list_parts(imatrix, owners, parts);
    for (size_t i = 0; i < n_parts; ++i) {
        IMX_TRY_GOTO(done, add_part(builder, &parts[i], err));
    }
    status = assemble(builder, parts, n_parts, bytes, size_bytes, err);
done:
    free(parts);
    free(owners);
    imx_gguf_builder_free(builder);
    return status;
}

const imx_imatrix_codec imx_imatrix_codec_gguf = {recognize_gguf, parse_gguf, serialize_gguf};
