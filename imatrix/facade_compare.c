// SPDX-License-Identifier: MIT
//
// imatrix_compare: a base, models made from it and a text in; who loses what, and which of them
// differ, out.

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calib/evaluation/compare.h"
#include "calib/evaluation/paired.h"
#include "calib/evaluation/task_file.h"
#include "formats/memory.h"
#include "imatrix/compare_ranking.h"
#include "imatrix/facade.h"
#include "imatrix/facade_evaluate.h"

void imatrix_compare_options_init(imatrix_compare_options *options) {
    *options =
        (imatrix_compare_options){.struct_size = sizeof *options, .max_tasks = 400, .n_ctx = 512};
}

// ---- inputs ------------------------------------------------------------------------------------

// What is open during a comparison.
typedef struct inputs {
    imx_model *base;
    imx_model **models; // (n_models)
    size_t n_models;
    imx_text text;
    imx_task_file tasks;
    imx_compared *measured; // (n_models)
    imx_task_result base_tasks;
} inputs;

// The number of against_path; n_models without one.
static imx_status find_reference(const imatrix_compare_options *options, size_t *index,
                                 imx_error *err) {
    *index = options->n_models;
    if (options->against_path == NULL) {
        return IMX_OK;
    }
    for (*index = 0; *index < options->n_models; ++*index) {
        if (strcmp(options->model_paths[*index], options->against_path) == 0) {
            return IMX_OK;
        }
    }
    return imx_fail(err, IMX_ERR_ARGUMENT, "%s is not one of the models that are compared",
                    options->against_path);
}

static imx_status check_options(const imatrix_compare_options *options, imx_error *err) {
    if (options->struct_size != sizeof *options) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "imatrix_compare_options was not initialised by this version's _init");
    }
    if (options->base_path == NULL || options->n_models == 0 || options->text_path == NULL) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "a base, a model made from it and a text are needed");
    }
    return IMX_OK;
}

static imx_status open_inputs(inputs *in, const imatrix_compare_options *options, imx_error *err) {
    // As llama-perplexity: full chunks only.
    const imx_corpus_options corpus_options = {
        .n_ctx = options->n_ctx,
        .max_chunks = options->max_chunks,
        .drop_tail = true,
        .parse_special = options->parse_special,
    };
    IMX_TRY(imx_alloc_zeroed(&in->models, options->n_models, sizeof(imx_model *), err));
    IMX_TRY(imx_alloc_zeroed(&in->measured, options->n_models, sizeof *in->measured, err));
    in->n_models = options->n_models;
    IMX_TRY(imx_model_open(&in->base, options->base_path, err));
    for (size_t i = 0; i < in->n_models; ++i) {
        IMX_TRY(imx_model_open(&in->models[i], options->model_paths[i], err));
    }
    if (options->tasks_path != NULL) {
        IMX_TRY(imx_task_file_open(&in->tasks, options->tasks_path, IMX_TASKS_HELLASWAG,
                                   options->max_tasks, err));
    }
    return imx_text_open(&in->text, in->base, options->text_path, &corpus_options, err);
}

static void close_inputs(inputs *in) {
    imx_text_close(&in->text);
    imx_task_file_close(&in->tasks);
    imx_task_result_free(&in->base_tasks);
    for (size_t i = 0; i < in->n_models; ++i) {
        imx_model_close(in->models[i]);
    }
    imx_compared_free(in->measured, in->n_models);
    imx_model_close(in->base);
    free(in->measured);
    free(in->models);
}

// ---- results -----------------------------------------------------------------------------------

static double bits_per_weight(const imx_gguf *gguf) {
    uint64_t n_bytes = 0, n_weights = 0;
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        const imx_gguf_tensor *tensor = &gguf->tensors[i];
        n_bytes += tensor->size_bytes;
        n_weights += imx_gguf_tensor_cols(tensor) * imx_gguf_tensor_rows(tensor);
    }
    return 8.0 * (double)n_bytes / (double)n_weights;
}

// `gain` is positive where the model is better.
static imatrix_verdict judge(imx_estimate gain) {
    return !imx_is_measurable(gain) ? IMATRIX_NO_DIFFERENCE
           : gain.value > 0         ? IMATRIX_BETTER
                                    : IMATRIX_WORSE;
}

static imx_estimate negative(imx_estimate estimate) {
    return (imx_estimate){-estimate.value, estimate.error};
}

// Tasks are independent of each other, so that the error is that of any mean.
static imx_status publish_tasks(const imx_task_result *tasks, const imx_task_result *base,
                                imatrix_compared_model *model, imx_error *err) {
    const size_t n = tasks->n_tasks;
    double *gains;
    IMX_TRY(imx_alloc_zeroed(&gains, n, sizeof *gains, err));
    for (size_t i = 0; i < n; ++i) {
        gains[i] = (double)tasks->tasks[i].is_right - (double)base->tasks[i].is_right;
    }
    const imx_estimate change = imx_estimate_mean(gains, n);
    model->accuracy = imx_publish_estimate(tasks->accuracy);
    model->accuracy_change = imx_publish_estimate(change);
    model->accuracy_verdict = judge(change);
    free(gains);
    return IMX_OK;
}

static imx_status publish_models(const inputs *in, imatrix_comparison *result, imx_error *err) {
    for (size_t i = 0; i < in->n_models; ++i) {
        imatrix_compared_model *model = &result->models[i];
        model->index = i;
        model->file_bytes = imx_model_file_bytes(in->models[i]);
        model->bits_per_weight = bits_per_weight(imx_model_gguf(in->models[i]));
        imx_publish_evaluation(&in->measured[i].evaluation, in->text.corpus, &model->evaluation);
        model->accuracy = (imatrix_estimate){(double)NAN, (double)NAN};
        model->accuracy_change = model->accuracy;
        if (result->n_tasks > 0) {
            IMX_TRY(publish_tasks(&in->measured[i].tasks, &in->base_tasks, model, err));
        }
    }
    imx_rank_by_size(result->models, result->n_models);
    imx_mark_front(result->models, result->n_models);
    return IMX_OK;
}

static void publish_difference(const inputs *in, const imatrix_comparison *result,
                               imatrix_model_difference *pair) {
    const imx_compared *a = &in->measured[result->models[pair->model].index];
    const imx_compared *b = &in->measured[result->models[pair->against].index];
    const size_t n = (size_t)a->evaluation.n_scored;
    const size_t n_chunks = in->text.corpus->n_chunks;
    const imx_estimate kl = imx_paired_difference(a->kl, b->kl, n, n_chunks);
    const imx_estimate ln_ratio = imx_paired_difference(a->nll, b->nll, n, n_chunks);
    pair->kl = imx_publish_estimate(kl);
    pair->kl_verdict = judge(negative(kl));
    pair->ln_ratio = imx_publish_estimate(ln_ratio);
    pair->ratio_verdict = judge(negative(ln_ratio));
}

// `reference` is a number among the models as they were given.
static void publish_differences(const inputs *in, size_t reference, imatrix_comparison *result) {
    size_t rank = 0;
    while (rank < result->n_models && result->models[rank].index != reference) {
        ++rank;
    }
    result->n_differences =
        imx_choose_pairs(result->differences, result->models, result->n_models, rank);
    for (size_t i = 0; i < result->n_differences; ++i) {
        publish_difference(in, result, &result->differences[i]);
    }
}

static imx_status publish(const inputs *in, size_t reference, imatrix_comparison *result,
                          imx_error *err) {
    const size_t n = in->n_models;
    result->n_models = n;
    result->base_bytes = imx_model_file_bytes(in->base);
    result->base_bits_per_weight = bits_per_weight(imx_model_gguf(in->base));
    result->n_tasks = in->base_tasks.n_tasks;
    result->base_accuracy = imx_publish_estimate(in->base_tasks.accuracy);
    result->n_groups =
        imx_paired_n_groups((size_t)in->measured[0].evaluation.n_scored, in->text.corpus->n_chunks);
    IMX_TRY(imx_alloc_zeroed(&result->models, n, sizeof *result->models, err));
    IMX_TRY(imx_alloc_zeroed(&result->differences, 2 * n, sizeof *result->differences, err));
    IMX_TRY(publish_models(in, result, err));
    publish_differences(in, reference, result);
    return IMX_OK;
}

// ---- the job -----------------------------------------------------------------------------------

static imx_status compare(const imatrix_compare_options *options, imatrix_comparison *result,
                          imx_error *err) {
    const imx_progress progress = imx_adapt_progress(&options->progress);
    inputs in = {0};
    size_t reference;
    imx_status status;
    IMX_TRY(check_options(options, err));
    IMX_TRY(find_reference(options, &reference, err));
    IMX_TRY_GOTO(done, open_inputs(&in, options, err));
    const imx_comparison comparison = {
        .base = in.base,
        .models = (const imx_model *const *)in.models,
        .n_models = in.n_models,
        .corpus = in.text.corpus,
        .tasks = options->tasks_path != NULL ? &in.tasks : NULL,
        .n_threads = options->n_threads,
        .progress = &progress,
    };
    IMX_TRY_GOTO(done, imx_compare_check(&comparison, err));
    IMX_TRY_GOTO(done, imx_compare_run(in.measured, &in.base_tasks, &comparison, err));
    IMX_TRY_GOTO(done, publish(&in, reference, result, err));
done:
    close_inputs(&in);
    return status;
}

imatrix_status imatrix_compare(const imatrix_compare_options *options, imatrix_comparison *result,
                               imatrix_error *error) {
    imx_error err = {0};
    *result = (imatrix_comparison){0};
    return imx_publish_error(compare(options, result, &err), &err, error);
}

void imatrix_comparison_free(imatrix_comparison *comparison) {
    free(comparison->models);
    free(comparison->differences);
    *comparison = (imatrix_comparison){0};
}
