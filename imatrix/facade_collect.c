// SPDX-License-Identifier: MIT
//
// imatrix_collect: model and text in, imatrix file out.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "calib/forward/operands.h"
#include "calib/statistics/collect.h"
#include "calib/text/corpus.h"
#include "formats/atomic_file.h"
#include "formats/imatrix_file.h"
#include "formats/imatrix_rounding.h"
#include "imatrix/collect_run.h"
#include "imatrix/expert_coverage.h"
#include "imatrix/facade.h"

void imatrix_collect_options_init(imatrix_collect_options *options) {
    *options = (imatrix_collect_options){
        .struct_size = sizeof *options,
        .format = IMATRIX_FORMAT_ZST,
        .n_ctx = 512,
        .precision = (imatrix_precision)imx_precision_by_default(),
        .checkpoint_seconds = 600,
    };
}

static imx_status set_string(char **field, const char *value, imx_error *err) {
    *field = strdup(value);
    return *field != NULL ? IMX_OK : imx_fail_memory(err, strlen(value) + 1);
}

static imx_status record_texts(imx_imatrix *imatrix, const imx_text_share *shares, size_t n_texts,
                               imx_error *err) {
    for (size_t i = 0; i < n_texts; ++i) {
        const imx_text_share *share = &shares[i];
        imx_imatrix_source source = {
            .weight = share->weight,
            .n_tokens = share->n_tokens,
            .n_chunks = share->n_chunks,
        };
        memcpy(source.hash, share->hash, sizeof source.hash);
        IMX_TRY(imx_imatrix_add_source(imatrix, imx_base_name(share->path), &source, err));
    }
    return n_texts == 1 ? set_string(&imatrix->origin.text_hash, shares[0].hash, err) : IMX_OK;
}

static void publish_shares(const imx_text_share *shares, const imatrix_collect_options *options) {
    for (size_t i = 0; options->shares != NULL && i < options->n_texts; ++i) {
        imatrix_text_share *out = &options->shares[i];
        *out = (imatrix_text_share){
            .weight = shares[i].weight,
            .n_tokens = shares[i].n_tokens,
            .n_chunks = shares[i].n_chunks,
        };
        snprintf(out->name, sizeof out->name, "%s", imx_base_name(shares[i].path));
        memcpy(out->hash, shares[i].hash, sizeof out->hash);
    }
}

static void publish_left_out(const imx_imatrix_origin *origin, imatrix_collect_result *result) {
    result->n_left_out = origin->n_left_out;
    for (size_t i = 0; i < origin->n_left_out && i < IMATRIX_N_NAMED_CHUNKS; ++i) {
        result->left_out[i] = origin->left_out_chunks[i];
    }
}

// Writes down what the statistics were made of.
static imx_status record_origin(imx_imatrix *imatrix, const imatrix_collect_options *options,
                                const char *model_hash, const imx_text_share *shares,
                                imx_error *err) {
    imx_imatrix_origin *origin = &imatrix->origin;
    IMX_TRY(record_texts(imatrix, shares, options->n_texts, err));
    IMX_TRY(set_string(&origin->program, IMX_PROGRAM, err));
    IMX_TRY(set_string(&origin->model_name, imx_base_name(options->model_path), err));
    IMX_TRY(set_string(&origin->model_hash, model_hash, err));
    IMX_TRY(set_string(&origin->precision,
                       options->precision == IMATRIX_PRECISION_FAST ? "fast" : "exact", err));
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
    if (options->model_path == NULL || options->n_texts == 0 || options->out_path == NULL) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "a model, a text and an output path are needed");
    }
    if (options->precision != IMATRIX_PRECISION_EXACT &&
        options->precision != IMATRIX_PRECISION_FAST) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "precision %d is unknown", (int)options->precision);
    }
    return imx_check_digits(options->digits, err);
}

// Tokenizes the texts with the vocabulary of the model.
static imx_status read_texts(imx_corpus **corpus, imx_text_share **shares, const imx_model *model,
                             const imatrix_collect_options *options, imx_error *err) {
    const imx_gguf *gguf = imx_model_gguf(model);
    const imx_corpus_options corpus_options = {
        .n_ctx = options->n_ctx,
        .from_chunk = options->from_chunk,
        .max_chunks = options->max_chunks,
        .sample = options->sample,
        .seed = options->seed,
        .drop_tail = options->drop_tail,
        .parse_special = options->parse_special,
        .by_document = options->by_document,
    };
    imx_tokenizer *tokenizer;
    IMX_TRY(imx_tokenizer_open(&tokenizer, gguf, err));
    const imx_status status = imx_corpus_read(corpus, shares, options->texts, options->n_texts,
                                              tokenizer, gguf, &corpus_options, err);
    imx_tokenizer_close(tokenizer);
    return status;
}

static imx_status collect(const imatrix_collect_options *options, imatrix_collect_result *result,
                          imx_error *err) {
    imx_collect_run run = {0};
    imx_collect_result measured = {NAN, NAN};
    imx_model *model = NULL;
    imx_text_share *shares = NULL; // (n_texts)
    imx_corpus *corpus = NULL;
    imx_imatrix *imatrix = NULL;
    struct stat written = {0};
    imx_status status = check_options(options, err);
    if (status != IMX_OK) {
        return status;
    }
    IMX_TRY_GOTO(done, imx_model_open(&model, options->model_path, err));
    IMX_TRY_GOTO(done, read_texts(&corpus, &shares, model, options, err));
    IMX_TRY_GOTO(done, imx_atomic_file_probe(options->out_path, err));
    IMX_TRY_GOTO(done, imx_collect_run_open(&run, options, model, corpus, err));
    IMX_TRY_GOTO(done, imx_collect(&imatrix, model, corpus, &run.options, &measured, err));
    IMX_TRY_GOTO(done, record_origin(imatrix, options, run.model_hash, shares, err));
    imx_imatrix_round(imatrix, options->digits);
    IMX_TRY_GOTO(done, imx_imatrix_write(imatrix, options->out_path,
                                         (imx_imatrix_format)options->format, err));
    imx_collect_run_finish(&run);
    stat(options->out_path, &written);
    *result = (imatrix_collect_result){
        .n_tokens = corpus->n_tokens,
        .n_chunks = corpus->n_chunks,
        .n_entries = imatrix->n_entries,
        .out_bytes = (uint64_t)written.st_size,
        .perplexity = measured.perplexity,
        .perplexity_error = measured.perplexity_error,
    };
    publish_left_out(&imatrix->origin, result);
    imx_publish_coverage(imatrix, result);
    publish_shares(shares, options);
done:
    imx_collect_run_close(&run);
    imx_text_shares_free(shares, options->n_texts);
    imx_imatrix_free(imatrix);
    imx_corpus_free(corpus);
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
