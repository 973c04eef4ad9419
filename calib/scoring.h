// SPDX-License-Identifier: MIT
//
// From final hidden states to how well the next tokens were predicted, position by position.

#ifndef IMX_CALIB_SCORING_H
#define IMX_CALIB_SCORING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calib/corpus.h"
#include "calib/evaluate.h"
#include "calib/model.h"
#include "calib/residual_stream.h"
#include "formats/error.h"
#include "formats/progress.h"

// Predictions at the scored positions (see evaluate.h) in corpus order. Without a base the last
// three are NULL.
typedef struct imx_scores {
    size_t n;
    double *nll;      // (n) −ln p(the token that follows)
    double *base_nll; // (n) the same of the base
    double *kl;       // (n) KL(base || model) in nats
    double *same_top; // (n) 1 where both models' best token is the same, else 0
} imx_scores;

// A model and its final hidden states of the corpus.
typedef struct imx_scored_model {
    const imx_model *model;
    imx_residual_stream *hidden; // as imx_walk_run leaves it
} imx_scored_model;

// Predictions that the corpus allows; 0 when every chunk is too short.
size_t imx_scores_count(const imx_corpus *corpus);

// Memory for scoring one model, its hidden states not counted.
uint64_t imx_scores_bytes(const imx_model *model, const imx_corpus *corpus);

// Scores `model`, against `base` unless that is NULL. *scores is the caller's to imx_scores_free,
// also on failure.
imx_status imx_scores_new(imx_scores *scores, const imx_scored_model *model,
                          const imx_scored_model *base, const imx_corpus *corpus, int n_threads,
                          const imx_progress *progress, imx_error *err);
void imx_scores_free(imx_scores *scores);

// Mean of x (n) and its standard error, sqrt(variance / (n − 1)); the error of one value is 0.
imx_estimate imx_estimate_mean(const double *x, size_t n);

// exp of an estimate, its error to first order.
imx_estimate imx_estimate_exp(imx_estimate estimate);

#endif
