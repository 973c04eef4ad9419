// SPDX-License-Identifier: MIT
//
// The hidden states of a block are gathered first, so that predictions may lie anywhere and the
// head still multiplies a full block: the endings of a task are often a dozen tokens long.
//
// lse(z) = max + ln sum exp(z − max). Exponentials are f32, their sum is f64, in order.

#include "calib/evaluation/logit_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calib/forward/row_ops.h"
#include "formats/memory.h"

uint64_t imx_logit_rows_bytes(const imx_model *model) {
    const uint64_t row_values = (uint64_t)imx_model_n_embd(model) + imx_model_n_vocab(model);
    return imx_head_bytes(model) + IMX_LOGIT_ROWS * row_values * sizeof(float);
}

imx_status imx_logit_rows_open(imx_logit_rows *rows, const imx_scored_model *side, int n_threads,
                               imx_error *err) {
    *rows = (imx_logit_rows){
        .side = *side,
        .n_embd = imx_model_n_embd(side->model),
        .n_vocab = imx_model_n_vocab(side->model),
    };
    IMX_TRY(imx_head_open(&rows->head, side->model, n_threads, err));
    IMX_TRY(imx_alloc_aligned(&rows->hidden, IMX_LOGIT_ROWS, rows->n_embd * sizeof(float), err));
    return imx_alloc_aligned(&rows->logits, IMX_LOGIT_ROWS, rows->n_vocab * sizeof(float), err);
}

void imx_logit_rows_close(imx_logit_rows *rows) {
    imx_head_close(rows->head);
    free(rows->hidden);
    free(rows->logits);
    *rows = (imx_logit_rows){0};
}

imx_status imx_logit_rows_load(imx_logit_rows *rows, const imx_prediction *predictions, size_t n,
                               imx_error *err) {
    for (size_t i = 0; i < n; ++i) {
        float *state;
        IMX_TRY(
            imx_residual_stream_load(rows->side.hidden, predictions[i].position, 1, &state, err));
        memcpy(rows->hidden + i * rows->n_embd, state, rows->n_embd * sizeof(float));
    }
    return imx_head_logits(rows->head, rows->hidden, n, rows->logits, err);
}

imx_row_summary imx_row_summarize(const float *logits, size_t n_vocab) {
    imx_row_summary summary = {.top = imx_index_of_largest(logits, n_vocab)};
    double sum = 0;
    const float max = logits[summary.top];
    for (size_t j = 0; j < n_vocab; ++j) {
        sum += (double)expf(logits[j] - max);
    }
    summary.lse = (double)max + log(sum);
    return summary;
}
