// SPDX-License-Identifier: MIT
//
// Several models made from one base, measured on one text. The base is walked once and its final
// hidden states serve all of them.

#ifndef IMX_CALIB_COMPARE_H
#define IMX_CALIB_COMPARE_H

#include <stddef.h>

#include "calib/evaluation/evaluate.h"
#include "calib/evaluation/tasks.h"
#include "calib/model/model.h"
#include "calib/text/corpus.h"
#include "formats/error.h"
#include "formats/progress.h"

// What is kept of a model: its figures, and what they are means of, by scored position.
typedef struct imx_compared {
    imx_evaluation evaluation;
    double *nll;           // (evaluation.n_scored)
    double *kl;            // (evaluation.n_scored)
    imx_task_result tasks; // without tasks all zeros
} imx_compared;

typedef struct imx_comparison {
    const imx_model *base;
    const imx_model *const *models; // (n_models)
    size_t n_models;
    const imx_corpus *corpus;
    const imx_task_file *tasks;   // that base and models are to solve; may be NULL
    int n_threads;                // 0 = all processors
    const imx_progress *progress; // may be NULL; reports name the model
} imx_comparison;

// Everything that can be refused before the work begins: a model whose vocabulary is not the
// base's is IMX_ERR_MISMATCH, a text too short to be scored IMX_ERR_ARGUMENT.
imx_status imx_compare_check(const imx_comparison *comparison, imx_error *err);

// Fills `results` (n_models), in the order of the models, from zeros, and with tasks *base_tasks.
// They are the caller's to imx_compared_free and imx_task_result_free, also on failure. The inputs
// must have passed imx_compare_check.
imx_status imx_compare_run(imx_compared *results, imx_task_result *base_tasks,
                           const imx_comparison *comparison, imx_error *err);
void imx_compared_free(imx_compared *results, size_t n_models);

#endif
