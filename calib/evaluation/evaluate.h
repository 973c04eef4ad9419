// SPDX-License-Identifier: MIT
//
// What a quantized model has lost: perplexity, and against a base model KL divergence, agreement
// and changes of probability. Both models are walked and only their final hidden states are kept;
// logits exist for a block of rows at a time, so no file of logits is needed. One that
// llama-perplexity has written can stand for the base, and one can be written for it.
//
// Scored positions are those of llama-perplexity: in a chunk of n tokens the predictions made at
// positions n_ctx/2 .. n-2 of tokens n_ctx/2+1 .. n-1.

#ifndef IMX_CALIB_EVALUATE_H
#define IMX_CALIB_EVALUATE_H

#include <stdbool.h>
#include <stdint.h>

#include "calib/evaluation/logits_base.h"
#include "calib/evaluation/score_statistics.h"
#include "calib/evaluation/scoring.h"
#include "calib/forward/residual_stream.h"
#include "calib/model/model.h"
#include "calib/text/corpus.h"
#include "formats/error.h"
#include "formats/progress.h"

// Δp is the model's probability of the token that follows minus the base's, −1..1.
typedef struct imx_evaluation {
    uint64_t n_scored;       // predictions
    imx_estimate perplexity; // exp(mean negative log-likelihood)
    bool has_base;           // whether the rest is filled in
    imx_estimate base_perplexity;
    imx_estimate ln_ratio; // ln(perplexity / base_perplexity), error from paired differences
    imx_estimate perplexity_ratio;      // exp of it
    imx_estimate perplexity_difference; // perplexity − base_perplexity
    double correlation;   // of the two negative log-likelihoods; NAN when one does not vary
    imx_estimate kl_mean; // KL(base || model) in nats
    double kl[IMX_N_QUANTILES];
    imx_estimate dp_mean;
    imx_estimate dp_rms; // root of the mean square
    double dp[IMX_N_QUANTILES];
    imx_estimate top1; // share of positions where both models' best token is the same, 0..1
} imx_evaluation;

typedef struct imx_evaluate_options {
    const imx_logits_base *stored_base; // instead of a base; the corpus is its own, or NULL
    imx_logits_writer *record;          // gets the model's predictions; NULL: nobody does
    int n_threads;                      // 0 = all processors
    const imx_progress *progress;       // may be NULL
} imx_evaluate_options;

// IMX_ERR_MISMATCH unless both have the same tokens under the same numbers; where one does not say
// which tokens it has, their number is all that is compared.
imx_status imx_check_same_vocabulary(const imx_model *model, const imx_model *base, imx_error *err);

// `base` may be NULL. A base with another vocabulary is IMX_ERR_MISMATCH.
imx_status imx_evaluate(const imx_model *model, const imx_model *base, const imx_corpus *corpus,
                        const imx_evaluate_options *options, imx_evaluation *result,
                        imx_error *err);

// The final hidden states of the whole corpus, in memory. *out is the caller's to
// imx_residual_stream_free, also on failure.
imx_status imx_run_to_hidden(imx_residual_stream **out, const imx_model *model,
                             const imx_corpus *corpus, int n_threads, const imx_progress *progress,
                             imx_error *err);

// IMX_ERR_ARGUMENT when no chunk is long enough to have a scored position.
imx_status imx_check_scorable(const imx_corpus *corpus, imx_error *err);

// The figures of scores, of which kl is sorted on the way. `base_path` is NULL without a base.
// Predictions that are not finite are IMX_ERR_FORMAT naming the file they are of.
imx_status imx_evaluation_compute(imx_evaluation *result, imx_scores *scores,
                                  const char *model_path, const char *base_path, imx_error *err);

#endif
