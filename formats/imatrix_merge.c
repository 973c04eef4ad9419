// SPDX-License-Identifier: MIT
//
// A mean over two texts is the sum of both sums over the sum of both counts, so that merging what
// two halves of a text gave is what the whole would have given, to the rounding of the files. A
// weight scales sums and counts alike: it changes what a part has to say against the others, not
// its mean. Products of columns are means already, and are weighed by the counts that are behind
// them.

#include "formats/imatrix_merge.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "formats/imatrix_covariance.h"
#include "formats/memory.h"

// ---- entries -----------------------------------------------------------------------------------

static void add_scaled(double *sums, const double *values, uint64_t n, double scale) {
    for (uint64_t i = 0; i < n; ++i) {
        sums[i] += scale * values[i];
    }
}

// Adds `values` to *sums, or gives both up where the part does not have them.
static void add_optional(double **sums, const double *values, uint64_t n, double scale) {
    if (values == NULL) {
        free(*sums);
        *sums = NULL;
    } else if (*sums != NULL) {
        add_scaled(*sums, values, n, scale);
    }
}

static void raise_maxima(double **maxima, const double *values, uint64_t n) {
    if (values == NULL) {
        free(*maxima);
        *maxima = NULL;
    }
    for (uint64_t i = 0; *maxima != NULL && i < n; ++i) {
        (*maxima)[i] = fmax((*maxima)[i], values[i]);
    }
}

static imx_status refuse_merge(const imx_imatrix_entry *into, const imx_imatrix_entry *from,
                               const char *path, imx_error *err) {
    return imx_fail(err, IMX_ERR_MISMATCH,
                    "%s: %s has %" PRIu64 " columns in %" PRIu64
                    " matrices, in a file before it %" PRIu64 " in %" PRIu64 "%s",
                    path, from->name, from->n_cols, from->n_mats, into->n_cols, into->n_mats,
                    into->n_cols * into->n_mats == from->n_cols * from->n_mats
                        ? ": one of the files has one count for all experts and cannot be split"
                        : ": these are imatrices of different models");
}

static imx_status merge_entry(imx_imatrix *out, const imx_imatrix_entry *from, const char *path,
                              double scale, imx_error *err) {
    const uint64_t n = from->n_cols * from->n_mats;
    imx_imatrix_entry *into = imx_imatrix_find(out, from->name);
    if (into == NULL) {
        IMX_TRY(imx_imatrix_add(out, from->name, from->n_cols, from->n_mats, true, &into, err));
    }
    if (into->n_cols != from->n_cols || into->n_mats != from->n_mats) {
        return refuse_merge(into, from, path, err);
    }
    add_scaled(into->in_sum2, from->in_sum2, n, scale);
    add_scaled(into->counts, from->counts, from->n_mats, scale);
    add_optional(&into->in_sum, from->in_sum, n, scale);
    raise_maxima(&into->in_max, from->in_max, n);
    return IMX_OK;
}

// ---- products of columns -----------------------------------------------------------------------

// What a count of the part adds to one of the whole.
static double scale_of(const imx_imatrix *out, const imx_merge_part *part) {
    return part->weight * (part->imatrix->chunk_size > 1 ? 1 : out->chunk_size);
}

// Whether all parts that have the weight have its products, and those with `owner`, another weight
// unless it is NULL, as well.
static bool all_have_products(const imx_merge_part *parts, size_t n_parts, const char *name,
                              const char *owner) {
    bool have = true;
    for (size_t i = 0; i < n_parts; ++i) {
        const imx_imatrix_entry *entry = imx_imatrix_find(parts[i].imatrix, name);
        const imx_imatrix_entry *other =
            owner != NULL ? imx_imatrix_find(parts[i].imatrix, owner) : entry;
        const bool is_in_both = entry != NULL && other != NULL && entry->in_cov != NULL &&
                                entry->in_cov == other->in_cov;
        have = have && (is_in_both || (entry == NULL && other == NULL));
    }
    return have;
}

static void add_products(const imx_imatrix_entry *into, const imx_imatrix_entry *from,
                         double scale) {
    const uint64_t n = imx_covariance_len(into->n_cols);
    for (uint64_t mat = 0; mat < into->n_mats; ++mat) {
        const double rows = scale * from->counts[mat];
        const float share = rows > 0 ? (float)(rows / into->counts[mat]) : 0.0f;
        const float *products = imx_covariance_of(from, mat);
        float *sums = imx_covariance_of(into, mat);
        for (uint64_t i = 0; i < n; ++i) {
            sums[i] += share * products[i];
        }
    }
}

static imx_status average_products(imx_imatrix *out, imx_imatrix_entry *entry,
                                   const imx_merge_part *parts, size_t n_parts, imx_error *err) {
    IMX_TRY(imx_imatrix_add_covariance(out, entry, err));
    for (size_t i = 0; i < n_parts; ++i) {
        const imx_imatrix_entry *from = imx_imatrix_find(parts[i].imatrix, entry->name);
        if (from != NULL) {
            add_products(entry, from, scale_of(out, &parts[i]));
        }
    }
    return IMX_OK;
}

// The entries of `out` have their counts. Weights share their products where they do in every part;
// `owners` says which do in the first.
static imx_status merge_products(imx_imatrix *out, const imx_merge_part *parts, size_t n_parts,
                                 const size_t *owners, imx_error *err) {
    const imx_imatrix *first = parts[0].imatrix;
    for (size_t i = 0; i < out->n_entries; ++i) {
        imx_imatrix_entry *entry = &out->entries[i];
        const imx_imatrix_entry *in_first = imx_imatrix_find(first, entry->name);
        const char *owner =
            in_first != NULL ? first->entries[owners[in_first - first->entries]].name : entry->name;
        if (!all_have_products(parts, n_parts, entry->name, NULL)) {
            continue;
        }
        if (strcmp(owner, entry->name) != 0 &&
            all_have_products(parts, n_parts, entry->name, owner)) {
            entry->in_cov = imx_imatrix_find(out, owner)->in_cov;
        } else {
            IMX_TRY(average_products(out, entry, parts, n_parts, err));
        }
    }
    return IMX_OK;
}

// ---- texts and origin --------------------------------------------------------------------------

static imx_status merge_texts(imx_imatrix *out, const imx_merge_part *part, bool has_sources,
                              imx_error *err) {
    const imx_imatrix *from = part->imatrix;
    for (size_t i = 0; i < from->n_datasets; ++i) {
        imx_imatrix_source source = {.weight = 1};
        if (i < from->n_sources) {
            source = from->sources[i];
        }
        source.weight *= part->weight;
        IMX_TRY(has_sources ? imx_imatrix_add_source(out, from->datasets[i], &source, err)
                            : imx_imatrix_add_dataset(out, from->datasets[i], err));
    }
    return IMX_OK;
}

// The string that all parts have at `offset` of their origin, copied; else *out stays NULL.
static imx_status copy_agreed(char **out, const imx_merge_part *parts, size_t n_parts,
                              size_t offset, imx_error *err) {
    const char *first = NULL;
    for (size_t i = 0; i < n_parts; ++i) {
        const char *value;
        memcpy(&value, (const char *)&parts[i].imatrix->origin + offset, sizeof value);
        if (value == NULL || (first != NULL && strcmp(first, value) != 0)) {
            return IMX_OK;
        }
        first = value;
    }
    *out = strdup(first);
    return *out != NULL ? IMX_OK : imx_fail_memory(err, strlen(first) + 1);
}

// Chunks are numbered in the order in which the parts stand.
static imx_status append_left_out(imx_imatrix_origin *out, const imx_imatrix *from,
                                  uint32_t first_chunk, imx_error *err) {
    const size_t n = from->origin.n_left_out;
    size_t capacity = out->n_left_out;
    IMX_TRY(imx_grow(&out->left_out_chunks, &capacity, out->n_left_out + n,
                     sizeof *out->left_out_chunks, err));
    for (size_t i = 0; i < n; ++i) {
        out->left_out_chunks[out->n_left_out++] = first_chunk + from->origin.left_out_chunks[i];
    }
    return IMX_OK;
}

// Of two numbers of digits, where 0 stands for all.
static uint32_t fewest_digits(uint32_t a, uint32_t b) {
    return b > 0 && (a == 0 || b < a) ? b : a;
}

static bool options_agree(const imx_merge_part *parts, size_t n_parts) {
    const imx_imatrix_origin *first = &parts[0].imatrix->origin;
    bool agree = first->has_options;
    for (size_t i = 1; i < n_parts; ++i) {
        const imx_imatrix_origin *other = &parts[i].imatrix->origin;
        agree = agree && other->has_options && other->parse_special == first->parse_special &&
                other->process_output == first->process_output;
    }
    return agree;
}

static imx_status merge_origins(imx_imatrix_origin *out, const imx_merge_part *parts,
                                size_t n_parts, imx_error *err) {
    IMX_TRY(copy_agreed(&out->model_name, parts, n_parts, offsetof(imx_imatrix_origin, model_name),
                        err));
    IMX_TRY(copy_agreed(&out->model_hash, parts, n_parts, offsetof(imx_imatrix_origin, model_hash),
                        err));
    IMX_TRY(
        copy_agreed(&out->precision, parts, n_parts, offsetof(imx_imatrix_origin, precision), err));
    if (options_agree(parts, n_parts)) {
        out->has_options = true;
        out->parse_special = parts[0].imatrix->origin.parse_special;
        out->process_output = parts[0].imatrix->origin.process_output;
    }
    return IMX_OK;
}

// ---- parts -------------------------------------------------------------------------------------

static imx_status merge_part(imx_imatrix *out, const imx_merge_part *part, bool has_sources,
                             imx_error *err) {
    const imx_imatrix *from = part->imatrix;
    if (!(part->weight > 0.0 && isfinite(part->weight))) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "%s: the weight %g is no number above 0", part->path,
                        part->weight);
    }
    for (size_t i = 0; i < from->n_entries; ++i) {
        IMX_TRY(merge_entry(out, &from->entries[i], part->path, scale_of(out, part), err));
    }
    IMX_TRY(merge_texts(out, part, has_sources, err));
    IMX_TRY(append_left_out(&out->origin, from, out->chunk_count, err));
    out->origin.all_experts = out->origin.all_experts || from->origin.all_experts;
    if (__builtin_add_overflow(out->chunk_count, from->chunk_count, &out->chunk_count)) {
        return imx_fail(err, IMX_ERR_UNSUPPORTED, "%s: more chunks than a file can count",
                        part->path);
    }
    return IMX_OK;
}

static imx_status merge_parts(imx_imatrix *out, const imx_merge_part *parts, size_t n_parts,
                              imx_error *err) {
    bool has_sources = false;
    for (size_t i = 0; i < n_parts; ++i) {
        const imx_imatrix *from = parts[i].imatrix;
        has_sources = has_sources || from->n_sources > 0;
        out->chunk_size = from->chunk_size > out->chunk_size ? from->chunk_size : out->chunk_size;
        out->origin.n_tokens += from->origin.n_tokens;
        out->origin.digits = fewest_digits(out->origin.digits, from->origin.digits);
    }
    for (size_t i = 0; i < n_parts; ++i) {
        IMX_TRY(merge_part(out, &parts[i], has_sources, err));
    }
    IMX_TRY(merge_origins(&out->origin, parts, n_parts, err));
    size_t *owners; // (entries of the first part)
    imx_status status = imx_covariance_owners(parts[0].imatrix, &owners, err);
    if (status == IMX_OK) {
        status = merge_products(out, parts, n_parts, owners, err);
    }
    free(owners);
    return status;
}

imx_status imx_imatrix_merge(imx_imatrix **out, const imx_merge_part *parts, size_t n_parts,
                             imx_error *err) {
    IMX_TRY(imx_imatrix_new(out, err));
    const imx_status status = merge_parts(*out, parts, n_parts, err);
    if (status != IMX_OK) {
        imx_imatrix_free(*out);
        *out = NULL;
    }
    return status;
}
