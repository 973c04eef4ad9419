// SPDX-License-Identifier: MIT
//
// A few rows of each matrix, coded in a way and judged on the chunks that were held out.

#ifndef IMX_QUANT_TRIAL_H
#define IMX_QUANT_TRIAL_H

#include <stdbool.h>
#include <stddef.h>

#include "formats/error.h"
#include "formats/importance.h"
#include "quant/solver/row_coding.h"

typedef struct imx_trial {
    const imx_solver_job *jobs; // (n_jobs)
    size_t n_jobs;
    const imx_input_covariance *covariance;
    imx_coding_bench *benches; // (n_threads)
    int n_threads;
} imx_trial;

// losses[i] = what the errors of job i's sample would have cost, for jobs with is_tried[i]; the
// others stay. Rows that are not finite cost nothing. IMX_ERR_MEMORY; IMX_ERR_FORMAT where the
// numbers cannot be those of inputs: nothing was tried.
imx_status imx_trial_run(const imx_trial *trial, const imx_coding_way *way, const bool *is_tried,
                         double *losses, imx_error *err);

// Memory of a trial besides the benches.
uint64_t imx_trial_bytes(size_t n_cols, size_t n_jobs, int n_threads);

#endif
