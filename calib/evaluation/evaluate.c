// SPDX-License-Identifier: MIT
//
// Standard errors treat predictions as independent, as llama-perplexity does. The ratio of two
// perplexities on one text is far better known than either: its error comes from the differences
// of the log-likelihoods position by position, in which the difficulty of the text cancels. To
// first order so does that of their difference,
//
//     P − B = exp(a) − exp(b)      error: that of the mean of P a_i − B b_i
//
// with a, b the mean negative log-likelihoods and a_i, b_i those at a position.

#include "calib/evaluation/evaluate.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calib/evaluation/scoring.h"
#include "calib/forward/walk.h"
#include "formats/memory.h"

imx_status imx_run_to_hidden(imx_residual_stream **out, const imx_model *model,
                             const imx_corpus *corpus, int n_threads, const imx_progress *progress,
                             imx_error *err) {
    const imx_walk_options options = {
        .n_threads = n_threads,
        .need_hidden = true,
        .progress = progress,
    };
    IMX_TRY(imx_residual_stream_new(out, corpus->n_tokens, imx_model_n_embd(model), 0, NULL, err));
    return imx_walk_run(model, corpus, &options, *out, err);
}

// ---------------------------------------------------------------------------------------------
// Checks

static imx_status check_same_tokens(const imx_model *model, const imx_model *base,
                                    const imx_gguf_kv *tokens, const imx_gguf_kv *base_tokens,
                                    imx_error *err) {
    const uint8_t *a = tokens->elems;
    const uint8_t *b = base_tokens->elems;
    for (uint64_t i = 0; i < tokens->n_elems && i < base_tokens->n_elems; ++i) {
        const imx_str x = imx_gguf_next_str(&a);
        const imx_str y = imx_gguf_next_str(&b);
        if (x.len != y.len || memcmp(x.data, y.data, (size_t)x.len) != 0) {
            return imx_fail(err, IMX_ERR_MISMATCH,
                            "token %" PRIu64 " is '%.*s' in %s and '%.*s' in the base %s; they do "
                            "not come from one model",
                            i, (int)x.len, x.data, imx_model_gguf(model)->path, (int)y.len, y.data,
                            imx_model_gguf(base)->path);
        }
    }
    return IMX_OK;
}

imx_status imx_check_same_vocabulary(const imx_model *model, const imx_model *base,
                                     imx_error *err) {
    static const char key[] = "tokenizer.ggml.tokens";
    const imx_gguf_kv *tokens, *base_tokens;
    if (imx_model_n_vocab(base) != imx_model_n_vocab(model)) {
        return imx_fail(err, IMX_ERR_MISMATCH,
                        "%s has a vocabulary of %" PRIu32 " and the base %s one of %" PRIu32
                        "; they do not come from one model",
                        imx_model_gguf(model)->path, imx_model_n_vocab(model),
                        imx_model_gguf(base)->path, imx_model_n_vocab(base));
    }
    IMX_TRY(imx_gguf_get_array(imx_model_gguf(model), key, false, IMX_GGUF_STRING, &tokens, err));
    IMX_TRY(
        imx_gguf_get_array(imx_model_gguf(base), key, false, IMX_GGUF_STRING, &base_tokens, err));
    if (tokens == NULL || base_tokens == NULL) {
        return IMX_OK;
    }
    return check_same_tokens(model, base, tokens, base_tokens, err);
}

imx_status imx_check_scorable(const imx_corpus *corpus, imx_error *err) {
    if (imx_scores_count(corpus) == 0) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "the text has %zu tokens, and the first half of every %" PRIu32
                        " is not scored: take a longer text or a smaller context",
                        corpus->n_tokens, corpus->n_ctx);
    }
    return IMX_OK;
}

static imx_status check_inputs(const imx_model *model, const imx_model *base,
                               const imx_corpus *corpus, const imx_logits_base *stored,
                               imx_error *err) {
    IMX_TRY(imx_check_scorable(corpus, err));
    if (stored != NULL && stored->n_vocab != imx_model_n_vocab(model)) {
        return imx_fail(err, IMX_ERR_MISMATCH,
                        "%s has a vocabulary of %" PRIu32 " and %s was written for one of %" PRIu32
                        "; it does not come from this model's base",
                        imx_model_gguf(model)->path, imx_model_n_vocab(model), stored->map.path,
                        stored->n_vocab);
    }
    return base != NULL ? imx_check_same_vocabulary(model, base, err) : IMX_OK;
}

// ---------------------------------------------------------------------------------------------
// Figures

// Overwrites the scores: kl becomes sorted.
static imx_status compare_with_base(imx_scores *scores, imx_evaluation *result, imx_error *err) {
    const size_t n = scores->n;
    const double *nll = scores->nll, *base_nll = scores->base_nll;
    double *x; // of each position what is to be averaged
    IMX_TRY(imx_alloc_zeroed(&x, n, sizeof *x, err));
    result->has_base = true;
    result->base_perplexity = imx_estimate_exp(imx_estimate_mean(base_nll, n));
    result->correlation = imx_correlation(nll, base_nll, n);

    for (size_t i = 0; i < n; ++i) {
        x[i] = nll[i] - base_nll[i];
    }
    result->ln_ratio = imx_estimate_mean(x, n);
    result->perplexity_ratio = imx_estimate_exp(result->ln_ratio);

    const double p = result->perplexity.value, b = result->base_perplexity.value;
    for (size_t i = 0; i < n; ++i) {
        x[i] = p * nll[i] - b * base_nll[i];
    }
    result->perplexity_difference = (imx_estimate){p - b, imx_estimate_mean(x, n).error};

    for (size_t i = 0; i < n; ++i) {
        x[i] = exp(-nll[i]) - exp(-base_nll[i]);
    }
    result->dp_mean = imx_estimate_mean(x, n);
    result->dp_rms = imx_estimate_rms(x, n);
    imx_sort_and_take_quantiles(x, n, result->dp);

    result->kl_mean = imx_estimate_mean(scores->kl, n);
    imx_sort_and_take_quantiles(scores->kl, n, result->kl);
    result->top1 = imx_estimate_mean(scores->same_top, n);
    free(x);
    return IMX_OK;
}

imx_status imx_evaluation_compute(imx_evaluation *result, imx_scores *scores,
                                  const char *model_path, const char *base_path, imx_error *err) {
    *result = (imx_evaluation){
        .n_scored = scores->n,
        .perplexity = imx_estimate_exp(imx_estimate_mean(scores->nll, scores->n)),
    };
    IMX_TRY(imx_check_finite(&result->perplexity.value, 1, model_path, err));
    if (base_path == NULL) {
        return IMX_OK;
    }
    IMX_TRY(compare_with_base(scores, result, err));
    return imx_check_finite(&result->base_perplexity.value, 1, base_path, err);
}

imx_status imx_evaluate(const imx_model *model, const imx_model *base, const imx_corpus *corpus,
                        const imx_evaluate_options *options, imx_evaluation *result,
                        imx_error *err) {
    const imx_logits_base *stored = options->stored_base;
    imx_scored_model base_side = {base, NULL};
    imx_scoring scoring = {
        .model.model = model,
        .base = base != NULL ? &base_side : NULL,
        .stored_base = stored,
        .record = options->record,
        .corpus = corpus,
        .n_threads = options->n_threads,
        .progress = options->progress,
    };
    imx_scores scores = {0};
    imx_status status;
    IMX_TRY(check_inputs(model, base, corpus, stored, err));
    IMX_TRY_GOTO(done, imx_run_to_hidden(&scoring.model.hidden, model, corpus, options->n_threads,
                                         options->progress, err));
    if (base != NULL) {
        IMX_TRY_GOTO(done, imx_run_to_hidden(&base_side.hidden, base, corpus, options->n_threads,
                                             options->progress, err));
    }
    IMX_TRY_GOTO(done, imx_scores_run(&scores, &scoring, err));
    IMX_TRY_GOTO(done, imx_evaluation_compute(result, &scores, imx_model_gguf(model)->path,
                                              base != NULL     ? imx_model_gguf(base)->path
                                              : stored != NULL ? stored->map.path
                                                               : NULL,
                                              err));
done:
    imx_residual_stream_free(scoring.model.hidden);
    imx_residual_stream_free(base_side.hidden);
    imx_scores_free(&scores);
    return status;
}
