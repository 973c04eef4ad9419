// SPDX-License-Identifier: MIT
//
// One model is in work at a time: its hidden states are let go as soon as it is scored, so that
// memory does not grow with the number of models, but for two doubles a scored position. The
// logits of the base are computed anew for every model: a product with its head, little beside a
// walk, where to keep them would take n_vocab floats a position.

#include "calib/evaluation/compare.h"

#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"

// Progress of one model among several.
typedef struct named_progress {
    const imx_progress *inner;
    const char *path;
    size_t index;
    size_t n;
} named_progress;

static bool forward_named(void *context, const imx_progress_report *report) {
    const named_progress *named = context;
    imx_progress_report copy = *report;
    copy.model = named->path;
    copy.model_index = named->index;
    copy.n_models = named->n;
    return imx_progress_continue(named->inner, &copy);
}

// For the model at `index` of the base and the n_models behind it.
static named_progress name_progress(const imx_comparison *comparison, size_t index) {
    const imx_model *model = index == 0 ? comparison->base : comparison->models[index - 1];
    return (named_progress){
        .inner = comparison->progress,
        .path = imx_model_gguf(model)->path,
        .index = index,
        .n = comparison->n_models + 1,
    };
}

imx_status imx_compare_check(const imx_comparison *comparison, imx_error *err) {
    for (size_t i = 0; i < comparison->n_models; ++i) {
        IMX_TRY(imx_check_same_vocabulary(comparison->models[i], comparison->base, err));
    }
    return imx_check_scorable(comparison->corpus, err);
}

static imx_status keep_positions(imx_compared *result, const imx_scores *scores, imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(&result->nll, scores->n, sizeof(double), err));
    IMX_TRY(imx_alloc_zeroed(&result->kl, scores->n, sizeof(double), err));
    memcpy(result->nll, scores->nll, scores->n * sizeof(double));
    memcpy(result->kl, scores->kl, scores->n * sizeof(double));
    return IMX_OK;
}

static imx_status solve_tasks(imx_task_result *result, const imx_model *model,
                              const imx_comparison *comparison, const imx_progress *progress,
                              imx_error *err) {
    const imx_task_options options = {.n_threads = comparison->n_threads, .progress = progress};
    return comparison->tasks == NULL
               ? IMX_OK
               : imx_tasks_run(result, model, comparison->tasks, &options, err);
}

static imx_status measure(imx_compared *result, const imx_comparison *comparison, size_t i,
                          const imx_scored_model *base, imx_error *err) {
    named_progress named = name_progress(comparison, i + 1);
    const imx_progress progress = {forward_named, &named};
    imx_scored_model model = {comparison->models[i], NULL};
    imx_scores scores = {0};
    imx_status status;
    IMX_TRY_GOTO(done, imx_run_to_hidden(&model.hidden, model.model, comparison->corpus,
                                         comparison->n_threads, &progress, err));
    IMX_TRY_GOTO(done, imx_scores_new(&scores, &model, base, comparison->corpus,
                                      comparison->n_threads, &progress, err));
    IMX_TRY_GOTO(done, keep_positions(result, &scores, err));
    IMX_TRY_GOTO(done, imx_evaluation_compute(&result->evaluation, &scores,
                                              imx_model_gguf(model.model)->path,
                                              imx_model_gguf(base->model)->path, err));
    status = solve_tasks(&result->tasks, model.model, comparison, &progress, err);
done:
    imx_residual_stream_free(model.hidden);
    imx_scores_free(&scores);
    return status;
}

imx_status imx_compare_run(imx_compared *results, imx_task_result *base_tasks,
                           const imx_comparison *comparison, imx_error *err) {
    named_progress named = name_progress(comparison, 0);
    const imx_progress progress = {forward_named, &named};
    imx_scored_model base = {comparison->base, NULL};
    imx_status status;
    IMX_TRY_GOTO(done, imx_run_to_hidden(&base.hidden, base.model, comparison->corpus,
                                         comparison->n_threads, &progress, err));
    IMX_TRY_GOTO(done, solve_tasks(base_tasks, base.model, comparison, &progress, err));
    for (size_t i = 0; i < comparison->n_models; ++i) {
        IMX_TRY_GOTO(done, measure(&results[i], comparison, i, &base, err));
    }
done:
    imx_residual_stream_free(base.hidden);
    return status;
}

void imx_compared_free(imx_compared *results, size_t n_models) {
    for (size_t i = 0; i < n_models; ++i) {
        free(results[i].nll);
        free(results[i].kl);
        imx_task_result_free(&results[i].tasks);
    }
}
