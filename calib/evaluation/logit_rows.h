// SPDX-License-Identifier: MIT
//
// Logits of chosen positions of a corpus, a block at a time. Logits are large (a row has n_vocab)
// and short-lived: no more than IMX_LOGIT_ROWS rows of a model exist at once, whatever the corpus.

#ifndef IMX_CALIB_LOGIT_ROWS_H
#define IMX_CALIB_LOGIT_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "calib/forward/residual_stream.h"
#include "calib/forward/walk.h"
#include "calib/model/model.h"
#include "formats/error.h"

enum { IMX_LOGIT_ROWS = 128 };

// A model and its final hidden states of a corpus.
typedef struct imx_scored_model {
    const imx_model *model;
    imx_residual_stream *hidden; // as imx_walk_run leaves it
} imx_scored_model;

// What is asked of a model: how probable is `token` behind the corpus's token `position`?
typedef struct imx_prediction {
    size_t position;
    int32_t token;
} imx_prediction;

typedef struct imx_logit_rows {
    imx_scored_model side;
    imx_head *head;
    size_t n_embd, n_vocab;
    float *hidden; // (IMX_LOGIT_ROWS, n_embd) scratch
    float *logits; // (IMX_LOGIT_ROWS, n_vocab) of the predictions loaded last
} imx_logit_rows;

// Memory that opening takes.
uint64_t imx_logit_rows_bytes(const imx_model *model);

// *rows is the caller's to imx_logit_rows_close, also on failure.
imx_status imx_logit_rows_open(imx_logit_rows *rows, const imx_scored_model *side, int n_threads,
                               imx_error *err);
void imx_logit_rows_close(imx_logit_rows *rows);

// Fills `logits` for n <= IMX_LOGIT_ROWS predictions.
imx_status imx_logit_rows_load(imx_logit_rows *rows, const imx_prediction *predictions, size_t n,
                               imx_error *err);

// What softmax makes of a row of logits z: ln p = z − lse.
typedef struct imx_row_summary {
    size_t top; // the first of the largest logits
    double lse; // ln sum exp(z)
} imx_row_summary;

imx_row_summary imx_row_summarize(const float *logits, size_t n_vocab);

#endif
