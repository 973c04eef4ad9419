// SPDX-License-Identifier: MIT
//
// Standard errors treat predictions as independent, as llama-perplexity does. The ratio of two
// perplexities on one text is far better known than either: its error comes from the differences
// of the log-likelihoods position by position, in which the difficulty of the text cancels.

#include "calib/evaluate.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "calib/scoring.h"
#include "calib/walk.h"
#include "formats/memory.h"

// The final hidden states of the whole corpus; *out is the caller's to imx_residual_stream_free,
// also on failure.
static imx_status run_model(imx_residual_stream **out, const imx_model *model,
                            const imx_corpus *corpus, const imx_evaluate_options *options,
                            imx_error *err) {
    const imx_walk_options walk_options = {
        .n_threads = options->n_threads,
        .need_hidden = true,
        .progress = options->progress,
    };
    IMX_TRY(imx_residual_stream_new(out, corpus->n_tokens, imx_model_n_embd(model), 0, NULL, err));
    return imx_walk_run(model, corpus, &walk_options, *out, err);
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

// Linear between the two values of sorted x (n) around rank `share` · (n − 1).
static double quantile(const double *x, size_t n, double share) {
    const double rank = share * (double)(n - 1);
    const size_t below = (size_t)rank;
    const size_t above = below + 1 < n ? below + 1 : below;
    const double weight = rank - (double)below;
    return (1 - weight) * x[below] + weight * x[above];
}

// Leaves scores->kl sorted and scores->base_nll as differences of ln p.
static void compare_with_base(imx_scores *scores, imx_evaluation *result) {
    const size_t n = scores->n;
    result->has_base = true;
    result->base_perplexity = imx_estimate_exp(imx_estimate_mean(scores->base_nll, n));
    for (size_t i = 0; i < n; ++i) {
        scores->base_nll[i] = scores->nll[i] - scores->base_nll[i];
    }
    result->ln_ratio = imx_estimate_mean(scores->base_nll, n);
    result->perplexity_ratio = imx_estimate_exp(result->ln_ratio);
    result->kl_mean = imx_estimate_mean(scores->kl, n);
    qsort(scores->kl, n, sizeof *scores->kl, compare_doubles);
    result->kl_median = quantile(scores->kl, n, 0.5);
    result->kl_p99 = quantile(scores->kl, n, 0.99);
    result->kl_max = scores->kl[n - 1];
    result->top1 = imx_estimate_mean(scores->same_top, n);
}

static imx_status check_inputs(const imx_model *model, const imx_model *base,
                               const imx_corpus *corpus, imx_error *err) {
    if (imx_scores_count(corpus) == 0) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "the text has %zu tokens, and the first half of every %" PRIu32
                        " is not scored: take a longer text or a smaller context",
                        corpus->n_tokens, corpus->n_ctx);
    }
    if (base != NULL && imx_model_n_vocab(base) != imx_model_n_vocab(model)) {
        return imx_fail(err, IMX_ERR_MISMATCH,
                        "%s has a vocabulary of %" PRIu32 " and the base %s one of %" PRIu32
                        "; they do not come from one model",
                        imx_model_gguf(model)->path, imx_model_n_vocab(model),
                        imx_model_gguf(base)->path, imx_model_n_vocab(base));
    }
    return IMX_OK;
}

static imx_status check_finite(const imx_model *model, imx_estimate perplexity, imx_error *err) {
    if (!isfinite(perplexity.value)) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: its predictions are not finite; its weights are damaged or overflow",
                        imx_model_gguf(model)->path);
    }
    return IMX_OK;
}

imx_status imx_evaluate(const imx_model *model, const imx_model *base, const imx_corpus *corpus,
                        const imx_evaluate_options *options, imx_evaluation *result,
                        imx_error *err) {
    imx_residual_stream *hidden = NULL, *base_hidden = NULL;
    imx_scores scores = {0};
    imx_status status;
    IMX_TRY(check_inputs(model, base, corpus, err));
    IMX_TRY_GOTO(done, run_model(&hidden, model, corpus, options, err));
    if (base != NULL) {
        IMX_TRY_GOTO(done, run_model(&base_hidden, base, corpus, options, err));
    }
    const imx_scored_model model_side = {model, hidden};
    const imx_scored_model base_side = {base, base_hidden};
    IMX_TRY_GOTO(done, imx_scores_new(&scores, &model_side, base != NULL ? &base_side : NULL,
                                      corpus, options->n_threads, options->progress, err));
    *result = (imx_evaluation){
        .n_scored = scores.n,
        .perplexity = imx_estimate_exp(imx_estimate_mean(scores.nll, scores.n)),
    };
    IMX_TRY_GOTO(done, check_finite(model, result->perplexity, err));
    if (base != NULL) {
        compare_with_base(&scores, result);
        IMX_TRY_GOTO(done, check_finite(base, result->base_perplexity, err));
    }
done:
    imx_residual_stream_free(hidden);
    imx_residual_stream_free(base_hidden);
    imx_scores_free(&scores);
    return status;
}
