// SPDX-License-Identifier: MIT
//
// How often a model finds the right choice of a multiple-choice task the most probable, as
// llama-perplexity counts it. Source of the rules: docs/evaluation.md.

#ifndef IMX_CALIB_TASKS_H
#define IMX_CALIB_TASKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calib/evaluation/score_statistics.h"
#include "calib/evaluation/task_file.h"
#include "calib/model/model.h"
#include "formats/error.h"
#include "formats/progress.h"

typedef struct imx_task_outcome {
    size_t number;       // of the task in its file, from 0
    size_t first_choice; // in the result's ln_p
    size_t n_choices;
    size_t chosen; // choice with the largest ln_p, from 0
    bool is_right;
} imx_task_outcome;

typedef struct imx_task_result {
    imx_task_outcome *tasks; // (n_tasks) in the order of the task file
    size_t n_tasks;
    double *ln_p; // (n_choices) of every choice of these tasks the mean ln p of a token; NAN where
                  // no token is scored
    size_t n_choices;
    imx_estimate accuracy; // share of right choices
    double interval[2];    // of it, 95 %, Wilson's
    double chance;         // accuracy of guessing
} imx_task_result;

typedef struct imx_task_options {
    int n_threads;                // 0 = all processors
    uint64_t pass_bytes;          // of hidden states at a time; 0 = 1 GiB
    const imx_progress *progress; // may be NULL
} imx_task_options;

// Runs the tasks of `file`. The result does not depend on the options, to the bit. *result is the
// caller's to imx_task_result_free, also on failure.
imx_status imx_tasks_run(imx_task_result *result, const imx_model *model, const imx_task_file *file,
                         const imx_task_options *options, imx_error *err);
void imx_task_result_free(imx_task_result *result);

#endif
