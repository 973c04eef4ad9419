// SPDX-License-Identifier: MIT
//
// The rows of a sample are spread evenly over the matrix, so that heads and experts of every kind
// are among them. They are few, so threads share them by sixteens, whose products are half as
// fast as those of a whole batch.

#include "quant/solver/trial.h"

#include <stdlib.h>

#include "formats/memory.h"
#include "kernels/split.h"
#include "quant/solver/held_out_loss.h"

enum {
    SAMPLE_ROWS = 64,
    PIECE_ROWS = 16,
    N_PIECES = SAMPLE_ROWS / PIECE_ROWS,
};

// Codes piece `p` of a sample and notes what it errs in `errors` (SAMPLE_ROWS, n_cols).
static imx_status code_piece(imx_coding_bench *bench, const imx_row_coding *coding,
                             const imx_solver_job *job, size_t p, float *errors) {
    const uint64_t n_rows = job->item->source->dims[1];
    const uint64_t n_sample = n_rows < SAMPLE_ROWS ? n_rows : SAMPLE_ROWS;
    uint64_t rows[PIECE_ROWS];
    size_t n = 0;
    size_t n_sound;
    for (uint64_t i = p * PIECE_ROWS; i < n_sample && n < PIECE_ROWS; ++i) {
        rows[n++] = i * n_rows / n_sample;
    }
    IMX_TRY(imx_code_rows(bench, coding, job, rows, n, &n_sound));
    errors += p * PIECE_ROWS * bench->n_cols;
    for (size_t j = 0; n_sound == n && j < n * bench->n_cols; ++j) {
        errors[j] = bench->x[j] - bench->decoded[j];
    }
    return IMX_OK;
}

// `errors` (n_jobs, SAMPLE_ROWS, n_cols) comes as zeros.
static imx_status code_samples(const imx_trial *trial, const imx_row_coding *coding,
                               const bool *is_tried, float *errors, imx_error *err) {
    const size_t sample_len = SAMPLE_ROWS * trial->covariance->n_cols;
    bool failed = false;
#pragma omp parallel for schedule(dynamic) num_threads(trial->n_threads) reduction(|| : failed)
    for (size_t i = 0; i < trial->n_jobs * N_PIECES; ++i) {
        const size_t job = i / N_PIECES;
        failed = (is_tried[job] &&
                  code_piece(&trial->benches[omp_get_thread_num()], coding, &trial->jobs[job],
                             i % N_PIECES, errors + job * sample_len) != IMX_OK) ||
                 failed;
    }
    return failed ? imx_fail(err, IMX_ERR_MEMORY, "out of memory: no room to code rows") : IMX_OK;
}

static imx_status judge_samples(const imx_trial *trial, const float *errors, const bool *is_tried,
                                double *losses, imx_error *err) {
    double *row_losses;
    IMX_TRY(imx_alloc_zeroed(&row_losses, trial->n_jobs * SAMPLE_ROWS, sizeof *row_losses, err));
    const imx_status status = imx_held_out_losses(
        trial->covariance, errors, trial->n_jobs * SAMPLE_ROWS, trial->n_threads, row_losses, err);
    for (size_t i = 0; i < trial->n_jobs && status == IMX_OK; ++i) {
        losses[i] = is_tried[i] ? 0.0 : losses[i];
        for (size_t r = 0; r < SAMPLE_ROWS && is_tried[i]; ++r) {
            losses[i] += row_losses[i * SAMPLE_ROWS + r];
        }
    }
    free(row_losses);
    return status;
}

imx_status imx_trial_run(const imx_trial *trial, const imx_coding_way *way, const bool *is_tried,
                         double *losses, imx_error *err) {
    imx_row_coding coding;
    float *errors = NULL;
    imx_status status;
    IMX_TRY_GOTO(done, imx_row_coding_open(&coding, way, trial->covariance, IMX_PART_FITTED,
                                           trial->n_threads, err));
    IMX_TRY_GOTO(done, imx_alloc_zeroed(&errors, trial->n_jobs * SAMPLE_ROWS,
                                        trial->covariance->n_cols * sizeof *errors, err));
    IMX_TRY_GOTO(done, code_samples(trial, &coding, is_tried, errors, err));
    imx_row_coding_close(&coding);
    status = judge_samples(trial, errors, is_tried, losses, err);
done:
    imx_row_coding_close(&coding);
    free(errors);
    return status;
}

uint64_t imx_trial_bytes(size_t n_cols, size_t n_jobs, int n_threads) {
    return n_jobs * SAMPLE_ROWS * n_cols * sizeof(float) +
           imx_held_out_losses_bytes(n_cols, n_jobs * SAMPLE_ROWS, n_threads);
}
