// SPDX-License-Identifier: MIT
//
// imatrix_collect: model and text in, imatrix file out.

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "calib/collect.h"
#include "formats/atomic_file.h"
#include "formats/imatrix_file.h"
#include "imatrix/facade.h"

void imatrix_collect_options_init(imatrix_collect_options *options) {
    *options = (imatrix_collect_options){
        .struct_size = sizeof *options,
        .format = IMATRIX_FORMAT_ZST,
        .n_ctx = 512,
    };
}

static imx_status set_string(char **field, const char *value, imx_error *err) {
    *field = strdup(value);
    return *field != NULL ? IMX_OK : imx_fail_memory(err, strlen(value) + 1);
}

// Writes down what the statistics were made of.
static imx_status record_origin(imx_imatrix *imatrix, const imatrix_collect_options *options,
                                const imx_gguf *model, const imx_text *text, imx_error *err) {
    imx_imatrix_origin *origin = &imatrix->origin;
    char hex[33];
    IMX_TRY(imx_imatrix_add_dataset(imatrix, imx_base_name(options->text_path), err));
    IMX_TRY(set_string(&origin->program, IMX_PROGRAM, err));
    IMX_TRY(set_string(&origin->model_name, imx_base_name(options->model_path), err));
    imx_hash_hex(model->map.data, (size_t)model->map.size_bytes, hex);
    IMX_TRY(set_string(&origin->model_hash, hex, err));
    imx_hash_hex(text->map.data, (size_t)text->map.size_bytes, hex);
    IMX_TRY(set_string(&origin->text_hash, hex, err));
    origin->has_options = true;
    origin->parse_special = options->parse_special;
    origin->process_output = options->process_output;
    return IMX_OK;
}

static imx_status check_options(const imatrix_collect_options *options, imx_error *err) {
    if (options->struct_size != sizeof *options) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "imatrix_collect_options was not initialised by this version's _init");
    }
    if (options->model_path == NULL || options->text_path == NULL || options->out_path == NULL) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "a model, a text and an output path are needed");
    }
    return IMX_OK;
}

static imx_status collect(const imatrix_collect_options *options, imatrix_collect_result *result,
                          imx_error *err) {
    const imx_progress progress = imx_adapt_progress(&options->progress);
    const imx_corpus_options corpus_options = {
        .n_ctx = options->n_ctx,
        .from_chunk = options->from_chunk,
        .max_chunks = options->max_chunks,
        .drop_tail = options->drop_tail,
        .parse_special = options->parse_special,
    };
    const imx_collect_options collect_options = {
        .n_threads = options->n_threads,
        .process_output = options->process_output,
        .perplexity = options->perplexity,
        .progress = &progress,
    };
    imx_collect_result measured = {NAN, NAN};
    imx_model *model = NULL;
    imx_text text = {0};
    imx_imatrix *imatrix = NULL;
    struct stat written = {0};
    imx_status status = check_options(options, err);
    if (status != IMX_OK) {
        return status;
    }
    IMX_TRY_GOTO(done, imx_model_open(&model, options->model_path, err));
    IMX_TRY_GOTO(done, imx_text_open(&text, model, options->text_path, &corpus_options, err));
    IMX_TRY_GOTO(done, imx_atomic_file_probe(options->out_path, err));
    IMX_TRY_GOTO(done, imx_collect(&imatrix, model, text.corpus, &collect_options, &measured, err));
    IMX_TRY_GOTO(done, record_origin(imatrix, options, imx_model_gguf(model), &text, err));
    IMX_TRY_GOTO(done, imx_imatrix_write(imatrix, options->out_path,
                                         (imx_imatrix_format)options->format, err));
    stat(options->out_path, &written);
    *result = (imatrix_collect_result){
        .n_tokens = text.corpus->n_tokens,
        .n_chunks = text.corpus->n_chunks,
        .n_entries = imatrix->n_entries,
        .out_bytes = (uint64_t)written.st_size,
        .perplexity = measured.perplexity,
        .perplexity_error = measured.perplexity_error,
    };
done:
    imx_imatrix_free(imatrix);
    imx_text_close(&text);
    imx_model_close(model);
    return status;
}

imatrix_status imatrix_collect(const imatrix_collect_options *options,
                               imatrix_collect_result *result, imatrix_error *error) {
    imatrix_collect_result unused;
    imx_error err = {0};
    const imx_status status = collect(options, result != NULL ? result : &unused, &err);
    return imx_publish_error(status, &err, error);
}
