// SPDX-License-Identifier: MIT
//
// From final hidden states to how well the next tokens were predicted, position by position.

#ifndef IMX_CALIB_SCORING_H
#define IMX_CALIB_SCORING_H

#include <stddef.h>
#include <stdint.h>

#include "calib/evaluation/logit_rows.h"
#include "calib/evaluation/logits_base.h"
#include "calib/evaluation/score_statistics.h"
#include "calib/forward/residual_stream.h"
#include "calib/model/model.h"
#include "calib/text/corpus.h"
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

// What is scored, and against what: at most one of the bases is not NULL.
typedef struct imx_scoring {
    imx_scored_model model;
    const imx_scored_model *base;       // with the same vocabulary
    const imx_logits_base *stored_base; // of the same chunks, and perhaps more behind them
    imx_logits_writer *record;          // gets the model's predictions; may be NULL
    const imx_corpus *corpus;
    int n_threads;                // 0 = all processors
    const imx_progress *progress; // may be NULL
} imx_scoring;

// Predictions that the corpus allows; 0 when every chunk is too short.
size_t imx_scores_count(const imx_corpus *corpus);

// Memory for scoring one model, its hidden states not counted.
uint64_t imx_scores_bytes(const imx_model *model, const imx_corpus *corpus);

// *scores is the caller's to imx_scores_free, also on failure.
imx_status imx_scores_run(imx_scores *scores, const imx_scoring *scoring, imx_error *err);

// The same for `model`, against `base` unless that is NULL.
imx_status imx_scores_new(imx_scores *scores, const imx_scored_model *model,
                          const imx_scored_model *base, const imx_corpus *corpus, int n_threads,
                          const imx_progress *progress, imx_error *err);
void imx_scores_free(imx_scores *scores);

// ln p (n) of each prediction, in any order of positions. Reports no progress.
imx_status imx_score_predictions(double *ln_p, const imx_scored_model *model,
                                 const imx_prediction *predictions, size_t n, int n_threads,
                                 imx_error *err);

// IMX_ERR_FORMAT naming the model's file unless all x (n) that come of its predictions are finite.
imx_status imx_check_finite(const double *x, size_t n, const char *path, imx_error *err);

#endif
