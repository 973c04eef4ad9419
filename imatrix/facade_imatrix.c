// SPDX-License-Identifier: MIT
//
// imatrix_file: statistics that were collected, to look at, join and write again.

#include "imatrix/facade_imatrix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/imatrix_merge.h"
#include "formats/imatrix_rounding.h"
#include "formats/memory.h"
#include "imatrix/facade.h"
#include "quant/plan/statistics_fit.h"

void imatrix_file_close(imatrix_file *file) {
    if (file != NULL) {
        imx_imatrix_free(file->imatrix);
        free(file->path);
        free(file);
    }
}

// Hands `file` over, or releases it after a failure.
static imatrix_status publish_file(imatrix_file *file, imx_status status, const imx_error *err,
                                   imatrix_file **out, imatrix_error *error) {
    if (status != IMX_OK) {
        imatrix_file_close(file);
        file = NULL;
    }
    *out = file;
    return imx_publish_error(status, err, error);
}

static imx_status read_imatrix(imatrix_file *file, const char *path, imx_error *err) {
    file->path = strdup(path);
    if (file->path == NULL) {
        return imx_fail_memory(err, strlen(path) + 1);
    }
    return imx_imatrix_read(&file->imatrix, path, &file->format, err);
}

imatrix_status imatrix_file_open(imatrix_file **out, const char *path, imatrix_error *error) {
    imatrix_file *file;
    imx_error err = {0};
    imx_status status = imx_alloc_zeroed(&file, 1, sizeof *file, &err);
    if (status == IMX_OK) {
        status = read_imatrix(file, path, &err);
    }
    return publish_file(file, status, &err, out, error);
}

// ---- what it holds -----------------------------------------------------------------------------

static void count_entry(const imx_imatrix_entry *entry, imatrix_file_info *info) {
    const uint64_t n_unseen = imx_count_matrices_unseen(entry);
    const bool has_data = n_unseen < entry->n_mats;
    info->n_with_sums += entry->in_sum != NULL || entry->in_max != NULL;
    info->n_with_products += entry->in_cov != NULL;
    info->n_with_experts += entry->n_mats > 1;
    info->n_without_data += !has_data;
    info->n_unseen_experts += has_data ? n_unseen : 0;
}

void imatrix_file_get_info(const imatrix_file *file, imatrix_file_info *info) {
    const imx_imatrix *imatrix = file->imatrix;
    const imx_imatrix_origin *origin = &imatrix->origin;
    *info = (imatrix_file_info){
        .format = (imatrix_format)file->format,
        .n_entries = imatrix->n_entries,
        .n_texts = imatrix->n_datasets,
        .n_chunks = imatrix->chunk_count,
        .chunk_size = imatrix->chunk_size,
        .n_tokens = origin->n_tokens,
        .n_left_out = origin->n_left_out,
        .digits = origin->digits,
        .all_experts = origin->all_experts,
        .program = origin->program,
        .model_name = origin->model_name,
        .model_hash = origin->model_hash,
        .precision = origin->precision,
    };
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        count_entry(&imatrix->entries[i], info);
    }
}

void imatrix_file_text(const imatrix_file *file, size_t i, imatrix_text_share *share) {
    const imx_imatrix *imatrix = file->imatrix;
    *share = (imatrix_text_share){.weight = 1};
    snprintf(share->name, sizeof share->name, "%s", imatrix->datasets[i]);
    if (i < imatrix->n_sources) {
        const imx_imatrix_source *source = &imatrix->sources[i];
        memcpy(share->hash, source->hash, sizeof share->hash);
        share->weight = source->weight;
        share->n_tokens = source->n_tokens;
        share->n_chunks = source->n_chunks;
    }
}

// ---- made anew ---------------------------------------------------------------------------------

static imx_status join_files(imatrix_file *out, const imatrix_file *const *files,
                             const double *weights, size_t n_files, imx_error *err) {
    imx_merge_part *parts;
    if (n_files == 0) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "no files to merge");
    }
    IMX_TRY(imx_alloc_zeroed(&parts, n_files, sizeof *parts, err));
    for (size_t i = 0; i < n_files; ++i) {
        parts[i] = (imx_merge_part){
            .imatrix = files[i]->imatrix,
            .path = files[i]->path != NULL ? files[i]->path : "a merged imatrix",
            .weight = weights != NULL ? weights[i] : 1,
        };
    }
    imx_status status = imx_imatrix_merge(&out->imatrix, parts, n_files, err);
    free(parts);
    if (status == IMX_OK) {
        out->imatrix->origin.program = strdup(IMX_PROGRAM);
        status = out->imatrix->origin.program != NULL ? IMX_OK
                                                      : imx_fail_memory(err, sizeof IMX_PROGRAM);
    }
    return status;
}

imatrix_status imatrix_file_merge(imatrix_file **out, const imatrix_file *const *files,
                                  const double *weights, size_t n_files, imatrix_error *error) {
    imatrix_file *file;
    imx_error err = {0};
    imx_status status = imx_alloc_zeroed(&file, 1, sizeof *file, &err);
    if (status == IMX_OK) {
        status = join_files(file, files, weights, n_files, &err);
    }
    return publish_file(file, status, &err, out, error);
}

imatrix_status imatrix_file_round(imatrix_file *file, uint32_t digits, imatrix_error *error) {
    imx_error err = {0};
    const imx_status status = imx_check_digits(digits, &err);
    if (status == IMX_OK) {
        imx_imatrix_round(file->imatrix, digits);
    }
    return imx_publish_error(status, &err, error);
}

imatrix_status imatrix_file_write(const imatrix_file *file, const char *path, imatrix_format format,
                                  imatrix_error *error) {
    imx_error err = {0};
    const imx_status status =
        imx_imatrix_write(file->imatrix, path, (imx_imatrix_format)format, &err);
    return imx_publish_error(status, &err, error);
}
