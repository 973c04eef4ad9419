// SPDX-License-Identifier: MIT
//
// Three ways to code rows behind one door: column by column, with feedback within super-blocks, or
// over whole rows; and the bench at which a thread does it.

#ifndef IMX_QUANT_ROW_CODING_H
#define IMX_QUANT_ROW_CODING_H

#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/importance.h"
#include "quant/solver/solve_jobs.h"
#include "quant/solver/solver.h"

typedef struct imx_coding_way {
    imx_solver_reach reach;
    const imx_belief *belief; // NULL where the reach is COLUMN
} imx_coding_way;

// A way, opened for the matrices that share an input.
typedef struct imx_row_coding {
    imx_solver *solver;      // reach ROW
    imx_run_metric *metrics; // (n_cols / IMX_COV_RUN) reach RUN
} imx_row_coding;

// `covariance` may be NULL where the reach is COLUMN. *coding is the caller's to
// imx_row_coding_close, also on failure. IMX_ERR_MEMORY; IMX_ERR_FORMAT where the numbers cannot be
// those of inputs.
imx_status imx_row_coding_open(imx_row_coding *coding, const imx_coding_way *way,
                               const imx_input_covariance *covariance, imx_covariance_part part,
                               int n_threads, imx_error *err);
void imx_row_coding_close(imx_row_coding *coding);

// Of one thread.
typedef struct imx_coding_bench {
    size_t n_cols;
    float *x;        // (IMX_SOLVER_ROWS, n_cols) rows of the source
    uint8_t *blocks; // (IMX_SOLVER_ROWS, row bytes) the same coded
    float *decoded;  // (IMX_SOLVER_ROWS, n_cols) and decoded
    void *room;      // of the solver
} imx_coding_bench;

// `n` benches in an array, the caller's to imx_coding_benches_close; NULL on failure.
imx_status imx_coding_benches_open(imx_coding_bench **out, int n, size_t n_cols, imx_error *err);
void imx_coding_benches_close(imx_coding_bench *benches, int n);
uint64_t imx_coding_bench_bytes(size_t n_cols);

// Codes `n_rows` (at most IMX_SOLVER_ROWS) rows of a job's matrix, rows[i] each. *n_sound is how
// many of them come before one that is not finite: where it is less than n_rows nothing was coded.
// IMX_ERR_MEMORY only.
imx_status imx_code_rows(imx_coding_bench *bench, const imx_row_coding *coding,
                         const imx_solver_job *job, const uint64_t *rows, size_t n_rows,
                         size_t *n_sound);

#endif
