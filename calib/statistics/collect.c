// SPDX-License-Identifier: MIT
//
// A hook on the walk: it sums what the walk shows and keeps the sums and the walk's place safe.
//
// How to sum is in input_sums.c, how to keep in checkpoint.c.

#include "calib/statistics/collect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calib/evaluation/scoring.h"
#include "calib/model/shown_weights.h"
#include "calib/monotonic_clock.h"
#include "calib/statistics/checkpoint.h"
#include "calib/statistics/input_sums.h"
#include "kernels/split.h"

enum { SETTINGS_BYTES = 96 };

typedef struct collector {
    const imx_model *model;
    const imx_corpus *corpus;
    const imx_collect_options *options;
    imx_collect_result *result;
    imx_imatrix *imatrix;
    imx_residual_stream *stream;
    imx_walk_place start;
    char settings[SETTINGS_BYTES];
    double last_checkpoint; // seconds
    imx_input_sums sums;
} collector;

static imx_status add_input(void *context, const imx_walk_input *input, imx_error *err) {
    collector *c = context;
    return imx_input_sums_add(&c->sums, input, err);
}

// ---------------------------------------------------------------------------------------------
// Keeping safe

static imx_checkpoint describe_run(const collector *c) {
    return (imx_checkpoint){
        .model_hash = c->options->model_hash,
        .settings = c->settings,
        .corpus = c->corpus,
        .imatrix = c->imatrix,
        .stream = c->stream,
        .n_embd = imx_model_n_embd(c->model),
        .max_rows = imx_walk_block_rows(c->model, c->corpus),
    };
}

static imx_status write_checkpoint(collector *c, imx_walk_place place, imx_error *err) {
    imx_checkpoint checkpoint = describe_run(c);
    checkpoint.place = place;
    IMX_TRY(imx_input_sums_list_left_out(&c->sums, err));
    IMX_TRY(imx_checkpoint_write(&checkpoint, c->options->checkpoint_path, err));
    c->last_checkpoint = imx_monotonic_seconds();
    return IMX_OK;
}

static bool is_checkpoint_due(const collector *c, const imx_walk_place *next) {
    const double interval = c->options->checkpoint_seconds;
    return interval > 0 ? imx_monotonic_seconds() - c->last_checkpoint >= interval
                        : next->chunk == 0 && next->layer > c->start.layer;
}

static imx_status finish_block(void *context, const imx_walk_place *next, bool is_stopping,
                               imx_error *err) {
    collector *c = context;
    const bool is_wanted = is_stopping || is_checkpoint_due(c, next);
    return is_wanted && c->options->checkpoint_path != NULL ? write_checkpoint(c, *next, err)
                                                            : IMX_OK;
}

static imx_status resume(collector *c, imx_error *err) {
    imx_checkpoint checkpoint = describe_run(c);
    bool found;
    if (c->options->checkpoint_path == NULL || c->options->restart) {
        return IMX_OK;
    }
    IMX_TRY(imx_checkpoint_read(&checkpoint, c->options->checkpoint_path, &found, err));
    c->start = checkpoint.place;
    return IMX_OK;
}

// ---------------------------------------------------------------------------------------------
// The run

// Chunks that were left out have no predictions worth a number.
static void drop_non_finite(imx_scores *scores) {
    size_t n = 0;
    for (size_t i = 0; i < scores->n; ++i) {
        if (isfinite(scores->nll[i])) {
            scores->nll[n++] = scores->nll[i];
        }
    }
    scores->n = n;
}

static imx_status measure_perplexity(collector *c, imx_error *err) {
    const imx_collect_options *options = c->options;
    const imx_scored_model side = {c->model, c->stream};
    imx_scores scores = {0};
    const imx_status status =
        imx_scores_new(&scores, &side, NULL, c->corpus, options->n_threads, options->progress, err);
    if (status == IMX_OK) {
        drop_non_finite(&scores);
        const imx_estimate perplexity = imx_estimate_exp(imx_estimate_mean(scores.nll, scores.n));
        *c->result = (imx_collect_result){perplexity.value, perplexity.error};
    }
    imx_scores_free(&scores);
    if (status == IMX_ERR_INTERRUPTED && options->checkpoint_path != NULL) {
        IMX_TRY(write_checkpoint(c, imx_walk_end(c->model), err));
    }
    return status;
}

static imx_status prepare(collector *c, bool perplexity, imx_error *err) {
    const imx_collect_options *options = c->options;
    const imx_collect_listener *listener = options->listener;
    snprintf(c->settings, sizeof c->settings,
             "process_output=%d perplexity=%d all_experts=%d precision=%d covariance=%d",
             options->process_output, perplexity, options->all_experts, (int)options->precision,
             options->covariance);
    IMX_TRY(imx_residual_stream_new(&c->stream, c->corpus->n_tokens, imx_model_n_embd(c->model),
                                    imx_walk_block_rows(c->model, c->corpus),
                                    options->scratch_beside, err));
    IMX_TRY(resume(c, err));
    IMX_TRY(imx_input_sums_open(&c->sums, err));
    if (listener != NULL) {
        listener->on_start(listener->context, &c->start);
    }
    c->last_checkpoint = imx_monotonic_seconds();
    return IMX_OK;
}

static imx_status run_collector(collector *c, imx_error *err) {
    const imx_collect_options *options = c->options;
    const bool perplexity = options->perplexity && imx_scores_count(c->corpus) > 0;
    IMX_TRY(prepare(c, perplexity, err));
    const imx_walk_hook hook = {.on_input = add_input, .on_block = finish_block, .context = c};
    const imx_walk_options walk_options = {
        .n_threads = options->n_threads,
        .need_hidden = perplexity,
        .all_experts = options->all_experts,
        .precision = options->precision,
        .head_input_to_hook = options->process_output,
        .read_ahead = options->read_ahead,
        .start = c->start,
        .hook = &hook,
        .progress = options->progress,
    };
    IMX_TRY(imx_walk_run(c->model, c->corpus, &walk_options, c->stream, err));
    IMX_TRY(imx_input_sums_list_left_out(&c->sums, err));
    IMX_TRY(perplexity ? measure_perplexity(c, err) : IMX_OK);
    imx_input_sums_finish(&c->sums);
    return IMX_OK;
}

// Tells the user of an interrupted run where the work is.
static imx_status explain(const collector *c, imx_status status, imx_error *err) {
    if (status == IMX_ERR_INTERRUPTED && c->options->checkpoint_path != NULL && err != NULL) {
        const imx_error stopped = *err;
        imx_error_set(err, status, "%s; %s holds what is done, the same command goes on from there",
                      stopped.message, c->options->checkpoint_path);
    }
    return status;
}

imx_status imx_collect(imx_imatrix **out, const imx_model *model, const imx_corpus *corpus,
                       const imx_collect_options *options, imx_collect_result *result,
                       imx_error *err) {
    collector c = {
        .model = model,
        .corpus = corpus,
        .options = options,
        .result = result,
    };
    *out = NULL;
    *result = (imx_collect_result){NAN, NAN};
    IMX_TRY(imx_imatrix_new(&c.imatrix, err));
    c.imatrix->chunk_count = (uint32_t)corpus->n_chunks;
    c.imatrix->chunk_size = corpus->n_ctx;
    c.imatrix->origin.n_tokens = corpus->n_tokens;
    c.imatrix->origin.all_experts = options->all_experts;
    c.sums = (imx_input_sums){
        .imatrix = c.imatrix,
        .corpus = corpus,
        .model_path = imx_model_gguf(model)->path,
        .with_covariance = options->covariance,
        .n_threads = imx_thread_count(options->n_threads),
    };
    const imx_status status = explain(&c, run_collector(&c, err), err);
    imx_residual_stream_free(c.stream);
    imx_input_sums_close(&c.sums);
    if (status != IMX_OK) {
        imx_imatrix_free(c.imatrix);
        return status;
    }
    *out = c.imatrix;
    return IMX_OK;
}

imx_status imx_collect_announce(imx_imatrix *imatrix, const imx_model *model, bool process_output,
                                imx_error *err) {
    for (imx_shown_weights s = {0}; imx_shown_weights_step(&s, model, process_output);) {
        const imx_input_shape shape = s.weight.shape;
        imx_imatrix_entry *entry;
        IMX_TRY(
            imx_imatrix_add(imatrix, s.weight.name, shape.n_cols, shape.n_mats, true, &entry, err));
    }
    return IMX_OK;
}
