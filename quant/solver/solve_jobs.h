// SPDX-License-Identifier: MIT
//
// Encodes all matrices that share an input, in all types that are wanted, each as well as the
// calibration text allows: what the covariance is believed to say, or whether it is used at all,
// is decided matrix by matrix on chunks that were held out.

#ifndef IMX_QUANT_SOLVE_JOBS_H
#define IMX_QUANT_SOLVE_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/gguf.h"
#include "formats/importance.h"
#include "quant/encode/encoder.h"
#include "quant/pipeline/row_loss.h"
#include "quant/plan/plan.h"

// Over what errors pay for each other.
typedef enum imx_solver_reach {
    IMX_REACH_COLUMN, // nothing: the diagonal search
    IMX_REACH_RUN,    // a super-block
    IMX_REACH_ROW,    // all columns
} imx_solver_reach;

// Why a matrix was not coded with the reach of a row.
typedef enum imx_solver_reason {
    IMX_REASON_NONE,       // it was
    IMX_REASON_TYPE,       // the type has no grid, or rows shorter than a run
    IMX_REASON_UNSEEN,     // no input was seen: `covariance` was NULL
    IMX_REASON_FEW_TOKENS, // fewer than twice the columns that would pay for each other
    IMX_REASON_MEMORY,     // products of all columns had no room
    IMX_REASON_HELD_OUT,   // it was worse on the chunks held out
    IMX_REASON_COUNT,
} imx_solver_reason;

// One matrix in one type.
typedef struct imx_solver_job {
    const imx_plan_item *item;
    uint64_t mat;               // of item->source
    imx_encode_options options; // metrics is NULL
    const float *importance;    // (n_cols) of this matrix, or NULL: uniform

    // Results.
    imx_solver_reach reach;
    imx_solver_reason reason;
    double damping;       // that was chosen, where reach is not COLUMN
    imx_tensor_loss loss; // of the whole matrix, as in the other pipelines
    double gain; // held-out loss of what was chosen over that of the diagonal search, of the rows
                 // it was judged by; 1 where nothing was to be judged
} imx_solver_job;

// Takes rows [first_row, first_row + n_rows) of a job's matrix, encoded; called from one thread,
// in ascending order for each job. A status other than IMX_OK ends the work with it.
typedef struct imx_solver_sink {
    imx_status (*put)(void *context, const imx_solver_job *job, uint64_t first_row, uint64_t n_rows,
                      const uint8_t *blocks, imx_error *err);
    void *context;
} imx_solver_sink;

// `covariance` is that of the input that all jobs share; NULL when nothing is known of it. `source`
// is the model the items are of. The same bytes for any n_threads. IMX_ERR_FORMAT naming file,
// tensor and row for weights that are not finite.
imx_status imx_solve_jobs(imx_solver_job *jobs, size_t n_jobs,
                          const imx_input_covariance *covariance, const imx_gguf *source,
                          int n_threads, const imx_solver_sink *sink, imx_error *err);

// Memory of a call, besides the covariance.
uint64_t imx_solve_jobs_bytes(size_t n_cols, size_t n_jobs, int n_threads);

#endif
