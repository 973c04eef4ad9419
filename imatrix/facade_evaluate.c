// SPDX-License-Identifier: MIT
//
// imatrix_evaluate: model, base and text in, losses out.

#include <string.h>

#include "calib/evaluate.h"
#include "imatrix/facade.h"

void imatrix_evaluate_options_init(imatrix_evaluate_options *options) {
    *options = (imatrix_evaluate_options){.struct_size = sizeof *options, .n_ctx = 512};
}

static imatrix_estimate publish_estimate(imx_estimate estimate) {
    return (imatrix_estimate){estimate.value, estimate.error};
}

static void publish_evaluation(const imx_evaluation *measured, uint64_t n_tokens,
                               imatrix_evaluation *result) {
    *result = (imatrix_evaluation){
        .n_tokens = n_tokens,
        .n_scored = measured->n_scored,
        .perplexity = publish_estimate(measured->perplexity),
        .has_base = measured->has_base,
        .base_perplexity = publish_estimate(measured->base_perplexity),
        .ln_ratio = publish_estimate(measured->ln_ratio),
        .perplexity_ratio = publish_estimate(measured->perplexity_ratio),
        .kl_mean = publish_estimate(measured->kl_mean),
        .kl_median = measured->kl_median,
        .kl_p99 = measured->kl_p99,
        .kl_max = measured->kl_max,
        .top1 = publish_estimate(measured->top1),
    };
}

static imx_status check_options(const imatrix_evaluate_options *options, imx_error *err) {
    if (options->struct_size != sizeof *options) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "imatrix_evaluate_options was not initialised by this version's _init");
    }
    if (options->model_path == NULL || options->text_path == NULL) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "a model and a text are needed");
    }
    return IMX_OK;
}

static imx_status evaluate(const imatrix_evaluate_options *options, imatrix_evaluation *result,
                           imx_error *err) {
    const imx_progress progress = imx_adapt_progress(&options->progress);
    // As llama-perplexity: full chunks only.
    const imx_corpus_options corpus_options = {
        .n_ctx = options->n_ctx,
        .max_chunks = options->max_chunks,
        .drop_tail = true,
        .parse_special = options->parse_special,
    };
    const imx_evaluate_options evaluate_options = {
        .n_threads = options->n_threads,
        .progress = &progress,
    };
    imx_model *model = NULL;
    imx_model *base = NULL;
    imx_text text = {0};
    imx_evaluation measured;
    imx_status status = check_options(options, err);
    if (status != IMX_OK) {
        return status;
    }
    IMX_TRY_GOTO(done, imx_model_open(&model, options->model_path, err));
    if (options->base_path != NULL) {
        IMX_TRY_GOTO(done, imx_model_open(&base, options->base_path, err));
    }
    IMX_TRY_GOTO(done, imx_text_open(&text, model, options->text_path, &corpus_options, err));
    IMX_TRY_GOTO(done, imx_evaluate(model, base, text.corpus, &evaluate_options, &measured, err));
    publish_evaluation(&measured, text.corpus->n_tokens, result);
done:
    imx_text_close(&text);
    imx_model_close(base);
    imx_model_close(model);
    return status;
}

imatrix_status imatrix_evaluate(const imatrix_evaluate_options *options, imatrix_evaluation *result,
                                imatrix_error *error) {
    imx_error err = {0};
    return imx_publish_error(evaluate(options, result, &err), &err, error);
}
