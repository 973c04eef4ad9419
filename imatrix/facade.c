// SPDX-License-Identifier: MIT

#include "imatrix/facade.h"

#include <assert.h>
#include <string.h>

#include "formats/atomic_file.h"
#include "formats/file_hash.h"

static_assert((int)IMATRIX_ERR_INTERRUPTED == (int)IMX_ERR_INTERRUPTED &&
                  (int)IMATRIX_ERR_FORMAT == (int)IMX_ERR_FORMAT,
              "public and internal statuses have the same numbers");
static_assert(sizeof(((imatrix_error *)0)->message) == sizeof(((imx_error *)0)->message),
              "public and internal messages have the same size");

const char *imatrix_version(void) {
    return IMX_VERSION;
}

void imatrix_remove_temporary_files(void) {
    imx_atomic_file_unlink_all();
}

static imx_status write_file(const char *path, const void *data, size_t size_bytes, imx_error *err) {
    imx_atomic_file *file;
    IMX_TRY(imx_atomic_file_open(&file, path, err));
    const imx_status status = imx_atomic_file_write(file, data, size_bytes, err);
    if (status != IMX_OK) {
        imx_atomic_file_abort(file);
        return status;
    }
    return imx_atomic_file_commit(file, err);
}

imatrix_status imatrix_write_file(const char *path, const void *data, size_t size_bytes,
                                  imatrix_error *error) {
    imx_error err;
    return imx_publish_error(write_file(path, data, size_bytes, &err), &err, error);
}

imatrix_status imx_publish_error(imx_status status, const imx_error *err, imatrix_error *error) {
    if (status != IMX_OK && error != NULL) {
        error->status = (imatrix_status)status;
        memcpy(error->message, err->message, sizeof error->message);
    }
    return (imatrix_status)status;
}

static bool forward_report(void *context, const imx_progress_report *report) {
    const imatrix_progress *progress = context;
    const imatrix_progress_report published = {
        .phase = report->phase,
        .item = report->item,
        .done = report->done,
        .total = report->total,
        .work_done = report->work_done,
        .work_total = report->work_total,
        .part_done = report->part_done,
        .part_total = report->part_total,
        .model = report->model,
        .model_index = report->model_index,
        .n_models = report->n_models,
    };
    return progress->report(progress->context, &published);
}

imx_progress imx_adapt_progress(const imatrix_progress *progress) {
    if (progress->report == NULL) {
        return (imx_progress){0};
    }
    // The callee only reads it; context pointers carry no const.
    return (imx_progress){forward_report, (void *)(uintptr_t)progress};
}

void imx_hash_model(const imx_gguf *model, char hex[33]) {
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    for (size_t i = 0; i < imx_gguf_n_files(model); ++i) {
        const imx_file_map *map = &imx_gguf_file(model, i)->map;
        imx_hash_mapped(&state, map->data, map->size_bytes);
    }
    imx_hash_to_hex(XXH3_128bits_digest(&state), hex);
}

imx_status imx_text_open(imx_text *text, const imx_model *model, const char *path,
                         const imx_corpus_options *options, imx_error *err) {
    imx_tokenizer *tokenizer = NULL;
    imx_status status = IMX_OK;
    memset(text, 0, sizeof *text);
    IMX_TRY(imx_file_map_open(&text->map, path, err));
    IMX_TRY_GOTO(done, imx_tokenizer_open(&tokenizer, imx_model_gguf(model), err));
    IMX_TRY_GOTO(done, imx_corpus_new(&text->corpus, tokenizer, (const char *)text->map.data,
                                      (size_t)text->map.size_bytes, path, options, err));
done:
    imx_tokenizer_close(tokenizer);
    return status;
}

void imx_text_close(imx_text *text) {
    imx_corpus_free(text->corpus);
    imx_file_map_close(&text->map);
    memset(text, 0, sizeof *text);
}
