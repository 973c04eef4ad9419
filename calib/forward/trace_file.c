// SPDX-License-Identifier: MIT

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calib/forward/trace.h"
#include "formats/atomic_file.h"
#include "formats/gguf.h"
#include "formats/memory.h"

enum { MAX_NAME = 192 };

static const char sum2_suffix[] = ".in_sum2";
static const char counts_suffix[] = ".counts";

// ---------------------------------------------------------------------------------------------
// Writing

// A tensor of the file: f32 values, or f64 ones that are to become f32.
typedef struct part {
    char name[MAX_NAME];
    uint64_t dims[2];
    const void *values; // (n) of 4 bytes each; NULL: of wide
    const double *wide;
} part;

static size_t part_values(const part *p) {
    return (size_t)(p->dims[0] * p->dims[1]);
}

static void add_product(part *parts, size_t *n, const imx_imatrix_entry *entry) {
    part *sum2 = &parts[(*n)++], *counts = &parts[(*n)++];
    *sum2 = (part){.dims = {entry->n_cols, entry->n_mats}, .wide = entry->in_sum2};
    *counts = (part){.dims = {1, entry->n_mats}, .wide = entry->counts};
    snprintf(sum2->name, sizeof sum2->name, "%s%s", entry->name, sum2_suffix);
    snprintf(counts->name, sizeof counts->name, "%s%s", entry->name, counts_suffix);
}

static imx_status write_part(imx_atomic_file *file, const part *p, uint64_t alignment,
                             imx_error *err) {
    static const uint8_t zeros[4096];
    const size_t n = part_values(p);
    if (p->values != NULL) {
        IMX_TRY(imx_atomic_file_write(file, p->values, n * sizeof(float), err));
    }
    for (size_t i = 0; i < n && p->values == NULL; ++i) {
        const float value = (float)p->wide[i];
        IMX_TRY(imx_atomic_file_write(file, &value, sizeof value, err));
    }
    const uint64_t end = imx_atomic_file_size(file);
    return imx_atomic_file_write(file, zeros, (size_t)(imx_align_up(end, alignment) - end), err);
}

static imx_status build_header(imx_gguf_builder *builder, const imx_trace *trace,
                               const char *model_name, const part *parts, size_t n,
                               imx_error *err) {
    IMX_TRY(imx_gguf_set_str(builder, "general.type", "reference", err));
    IMX_TRY(imx_gguf_set_str(builder, "reference.model", model_name, err));
    IMX_TRY(imx_gguf_set_u32(builder, "reference.n_tokens", (uint32_t)trace->n_tokens, err));
    for (size_t i = 0; i < n; ++i) {
        IMX_TRY(imx_gguf_add_tensor(builder, parts[i].name, i == 0 ? IMX_TYPE_I32 : IMX_TYPE_F32, 2,
                                    parts[i].dims, err));
    }
    return IMX_OK;
}

static imx_status write_parts(const imx_gguf_builder *builder, const char *path, const part *parts,
                              size_t n, imx_error *err) {
    imx_atomic_file *file = NULL;
    uint8_t *header = NULL;
    size_t header_bytes;
    imx_status status;
    IMX_TRY_GOTO(failed, imx_gguf_builder_header(builder, &header, &header_bytes, err));
    IMX_TRY_GOTO(failed, imx_atomic_file_open(&file, path, err));
    IMX_TRY_GOTO(failed, imx_atomic_file_write(file, header, header_bytes, err));
    for (size_t i = 0; i < n; ++i) {
        IMX_TRY_GOTO(failed, write_part(file, &parts[i], imx_gguf_builder_alignment(builder), err));
    }
    free(header);
    return imx_atomic_file_commit(file, err);
failed:
    free(header);
    imx_atomic_file_abort(file);
    return status;
}

imx_status imx_trace_write(const imx_trace *trace, const char *path, const char *model_name,
                           imx_error *err) {
    imx_gguf_builder *builder = NULL;
    part *parts = NULL;
    size_t n = 0;
    imx_status status;
    IMX_TRY_GOTO(done,
                 imx_alloc_zeroed(&parts, 2 + 2 * trace->products->n_entries, sizeof *parts, err));
    parts[n++] = (part){"tokens", {trace->n_tokens, 1}, trace->tokens, NULL};
    parts[n++] = (part){"logits", {trace->n_vocab, trace->n_tokens}, trace->logits, NULL};
    for (size_t i = 0; i < trace->products->n_entries; ++i) {
        add_product(parts, &n, &trace->products->entries[i]);
    }
    IMX_TRY_GOTO(done, imx_gguf_builder_new(&builder, err));
    IMX_TRY_GOTO(done, build_header(builder, trace, model_name, parts, n, err));
    IMX_TRY_GOTO(done, write_parts(builder, path, parts, n, err));
done:
    imx_gguf_builder_free(builder);
    free(parts);
    return status;
}

// ---------------------------------------------------------------------------------------------
// Reading

static imx_status find_tensor(const imx_gguf *gguf, const char *name, uint32_t type,
                              const imx_gguf_tensor **out, imx_error *err) {
    *out = imx_gguf_find_tensor(gguf, name);
    if (*out == NULL || (*out)->type != type) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: there is no tensor '%s' of type %s; is it a file of `imatrix trace`?",
                        gguf->path, name, imx_type_name(type));
    }
    return IMX_OK;
}

static void widen(const imx_gguf_tensor *tensor, double *out, size_t n) {
    for (size_t i = 0; i < n; ++i) {
        float value;
        memcpy(&value, tensor->data + i * sizeof value, sizeof value);
        out[i] = (double)value;
    }
}

// Reads the product whose sums are `sum2`.
static imx_status read_product(imx_trace *trace, const imx_gguf *gguf, const imx_gguf_tensor *sum2,
                               size_t stem_len, imx_error *err) {
    char name[MAX_NAME];
    const imx_gguf_tensor *counts;
    imx_imatrix_entry *entry;
    const uint64_t n_mats = imx_gguf_tensor_rows(sum2);
    snprintf(name, sizeof name, "%.*s%s", (int)stem_len, sum2->name, counts_suffix);
    IMX_TRY(find_tensor(gguf, name, IMX_TYPE_F32, &counts, err));
    if (sum2->type != IMX_TYPE_F32 || counts->size_bytes != n_mats * sizeof(float)) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: '%s' and '%s' do not belong together", gguf->path,
                        sum2->name, name);
    }
    name[stem_len] = '\0';
    IMX_TRY(imx_imatrix_add(trace->products, name, imx_gguf_tensor_cols(sum2), n_mats, false,
                            &entry, err));
    widen(sum2, entry->in_sum2, (size_t)(entry->n_cols * n_mats));
    widen(counts, entry->counts, (size_t)n_mats);
    return IMX_OK;
}

static imx_status read_products(imx_trace *trace, const imx_gguf *gguf, imx_error *err) {
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        const imx_gguf_tensor *tensor = &gguf->tensors[i];
        const size_t len = strlen(tensor->name);
        const size_t suffix_len = strlen(sum2_suffix);
        if (len > suffix_len && len < MAX_NAME - 1 &&
            strcmp(tensor->name + len - suffix_len, sum2_suffix) == 0) {
            IMX_TRY(read_product(trace, gguf, tensor, len - suffix_len, err));
        }
    }
    return IMX_OK;
}

static imx_status read_trace(imx_trace *trace, const imx_gguf *gguf, imx_error *err) {
    const imx_gguf_tensor *tokens, *logits;
    IMX_TRY(find_tensor(gguf, "tokens", IMX_TYPE_I32, &tokens, err));
    IMX_TRY(find_tensor(gguf, "logits", IMX_TYPE_F32, &logits, err));
    trace->n_tokens = (size_t)tokens->size_bytes / sizeof *trace->tokens;
    trace->n_vocab = (size_t)imx_gguf_tensor_cols(logits);
    if (trace->n_tokens == 0 || imx_gguf_tensor_rows(logits) != trace->n_tokens) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: there are logits of %" PRIu64 " of %zu tokens",
                        gguf->path, imx_gguf_tensor_rows(logits), trace->n_tokens);
    }
    IMX_TRY(imx_alloc_zeroed(&trace->tokens, trace->n_tokens, sizeof *trace->tokens, err));
    IMX_TRY(imx_alloc_zeroed(&trace->logits, (size_t)logits->size_bytes, 1, err));
    memcpy(trace->tokens, tokens->data, (size_t)tokens->size_bytes);
    memcpy(trace->logits, logits->data, (size_t)logits->size_bytes);
    return read_products(trace, gguf, err);
}

imx_status imx_trace_read(imx_trace *trace, const char *path, imx_error *err) {
    imx_gguf *gguf;
    *trace = (imx_trace){0};
    IMX_TRY(imx_imatrix_new(&trace->products, err));
    IMX_TRY(imx_gguf_open(&gguf, path, err));
    const imx_status status = read_trace(trace, gguf, err);
    imx_gguf_close(gguf);
    return status;
}
