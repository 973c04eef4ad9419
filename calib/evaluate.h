// SPDX-License-Identifier: MIT
//
// What a quantized model has lost: perplexity, and against a base model KL divergence and
// agreement. Both models are walked and only their final hidden states are kept; logits exist for a
// block of rows at a time, so no file of logits is needed.
//
// Scored positions are those of llama-perplexity: in a chunk of n tokens the predictions made at
// positions n_ctx/2 .. n-2 of tokens n_ctx/2+1 .. n-1.

#ifndef IMX_CALIB_EVALUATE_H
#define IMX_CALIB_EVALUATE_H

#include <stdbool.h>
#include <stdint.h>

#include "calib/corpus.h"
#include "calib/model.h"
#include "formats/error.h"
#include "formats/progress.h"

// A mean with its standard error.
typedef struct imx_estimate {
    double value;
    double error;
} imx_estimate;

typedef struct imx_evaluation {
    uint64_t n_scored;       // predictions
    imx_estimate perplexity; // exp(mean negative log-likelihood)
    bool has_base;           // whether the rest is filled in
    imx_estimate base_perplexity;
    imx_estimate ln_ratio; // ln(perplexity / base_perplexity), error from paired differences
    imx_estimate perplexity_ratio; // exp of it
    imx_estimate kl_mean;          // KL(base || model) in nats
    double kl_median, kl_p99, kl_max;
    imx_estimate top1; // share of positions where both models' best token is the same, 0..1
} imx_evaluation;

typedef struct imx_evaluate_options {
    int n_threads;                // 0 = all processors
    const imx_progress *progress; // may be NULL
} imx_evaluate_options;

// `base` may be NULL. A base with another vocabulary size is IMX_ERR_MISMATCH.
imx_status imx_evaluate(const imx_model *model, const imx_model *base, const imx_corpus *corpus,
                        const imx_evaluate_options *options, imx_evaluation *result,
                        imx_error *err);

#endif
