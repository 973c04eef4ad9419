// SPDX-License-Identifier: MIT
//
// imatrix_evaluate: model, base and text in, losses out.

#include <assert.h>
#include <string.h>

#include "calib/evaluation/evaluate.h"
#include "imatrix/facade.h"
#include "imatrix/facade_evaluate.h"

static_assert((int)IMATRIX_MEDIAN == (int)IMX_MEDIAN &&
                  (int)IMATRIX_N_QUANTILES == (int)IMX_N_QUANTILES,
              "public and internal quantiles have the same numbers");

void imatrix_evaluate_options_init(imatrix_evaluate_options *options) {
    *options = (imatrix_evaluate_options){.struct_size = sizeof *options, .n_ctx = 512};
}

imatrix_estimate imx_publish_estimate(imx_estimate estimate) {
    return (imatrix_estimate){estimate.value, estimate.error};
}

void imx_publish_evaluation(const imx_evaluation *measured, const imx_corpus *corpus,
                            imatrix_evaluation *result) {
    *result = (imatrix_evaluation){
        .n_ctx = corpus->n_ctx,
        .n_tokens = corpus->n_tokens,
        .n_scored = measured->n_scored,
        .perplexity = imx_publish_estimate(measured->perplexity),
        .has_base = measured->has_base,
        .base_perplexity = imx_publish_estimate(measured->base_perplexity),
        .ln_ratio = imx_publish_estimate(measured->ln_ratio),
        .perplexity_ratio = imx_publish_estimate(measured->perplexity_ratio),
        .perplexity_difference = imx_publish_estimate(measured->perplexity_difference),
        .correlation = measured->correlation,
        .kl_mean = imx_publish_estimate(measured->kl_mean),
        .dp_mean = imx_publish_estimate(measured->dp_mean),
        .dp_rms = imx_publish_estimate(measured->dp_rms),
        .top1 = imx_publish_estimate(measured->top1),
    };
    memcpy(result->kl, measured->kl, sizeof result->kl);
    memcpy(result->dp, measured->dp, sizeof result->dp);
}

static imx_status check_options(const imatrix_evaluate_options *options, imx_error *err) {
    if (options->struct_size != sizeof *options) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "imatrix_evaluate_options was not initialised by this version's _init");
    }
    if (options->model_path == NULL ||
        (options->text_path == NULL && options->base_logits_path == NULL)) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "a model and a text are needed");
    }
    if (options->base_logits_path != NULL &&
        (options->base_path != NULL || options->save_logits_path != NULL)) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "predictions of the base are read from a file: there is no place for a "
                        "base model, nor for another file");
    }
    return IMX_OK;
}

// Everything that an evaluation opens.
typedef struct inputs {
    imx_model *model;
    imx_model *base;             // or NULL
    imx_logits_base stored_base; // or all zero
    imx_text text;
    imx_logits_writer *record; // or NULL
} inputs;

static imx_status open_stored_base(inputs *in, const imatrix_evaluate_options *options,
                                   imx_error *err) {
    imx_tokenizer *tokenizer;
    IMX_TRY(imx_logits_base_open(&in->stored_base, options->base_logits_path, err));
    IMX_TRY(imx_tokenizer_open(&tokenizer, imx_model_gguf(in->model), err));
    const imx_status status =
        imx_logits_base_corpus(&in->text.corpus, &in->stored_base,
                               imx_tokenizer_added_bos(tokenizer), options->max_chunks, err);
    imx_tokenizer_close(tokenizer);
    return status;
}

static imx_status open_text(inputs *in, const imatrix_evaluate_options *options, imx_error *err) {
    // As llama-perplexity: full chunks only.
    const imx_corpus_options corpus_options = {
        .n_ctx = options->n_ctx,
        .max_chunks = options->max_chunks,
        .drop_tail = true,
        .parse_special = options->parse_special,
    };
    return imx_text_open(&in->text, in->model, options->text_path, &corpus_options, err);
}

static imx_status open_inputs(inputs *in, const imatrix_evaluate_options *options, imx_error *err) {
    IMX_TRY(imx_model_open(&in->model, options->model_path, err));
    if (options->base_path != NULL) {
        IMX_TRY(imx_model_open(&in->base, options->base_path, err));
    }
    if (options->base_logits_path != NULL) {
        return open_stored_base(in, options, err);
    }
    IMX_TRY(open_text(in, options, err));
    if (options->save_logits_path != NULL) {
        IMX_TRY(imx_logits_writer_open(&in->record, options->save_logits_path, in->text.corpus,
                                       imx_model_n_vocab(in->model), err));
    }
    return IMX_OK;
}

static void close_inputs(inputs *in) {
    imx_logits_writer_abort(in->record);
    imx_text_close(&in->text);
    imx_logits_base_close(&in->stored_base);
    imx_model_close(in->base);
    imx_model_close(in->model);
}

static imx_status commit_record(inputs *in, imx_error *err) {
    imx_logits_writer *record = in->record;
    in->record = NULL;
    return record != NULL ? imx_logits_writer_commit(record, err) : IMX_OK;
}

static imx_status evaluate(const imatrix_evaluate_options *options, imatrix_evaluation *result,
                           imx_error *err) {
    const imx_progress progress = imx_adapt_progress(&options->progress);
    inputs in = {0};
    imx_evaluation measured;
    imx_status status;
    IMX_TRY(check_options(options, err));
    IMX_TRY_GOTO(done, open_inputs(&in, options, err));
    const imx_evaluate_options evaluate_options = {
        .stored_base = options->base_logits_path != NULL ? &in.stored_base : NULL,
        .record = in.record,
        .n_threads = options->n_threads,
        .progress = &progress,
    };
    IMX_TRY_GOTO(
        done, imx_evaluate(in.model, in.base, in.text.corpus, &evaluate_options, &measured, err));
    IMX_TRY_GOTO(done, commit_record(&in, err));
    imx_publish_evaluation(&measured, in.text.corpus, result);
done:
    close_inputs(&in);
    return status;
}

imatrix_status imatrix_evaluate(const imatrix_evaluate_options *options, imatrix_evaluation *result,
                                imatrix_error *error) {
    imx_error err = {0};
    return imx_publish_error(evaluate(options, result, &err), &err, error);
}
