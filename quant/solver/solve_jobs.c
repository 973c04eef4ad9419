// SPDX-License-Identifier: MIT
//
// What a covariance says of the calibration text is not all true of another text, and of how much
// nobody knows beforehand. So each matrix is tried: a few dozen of its rows, spread evenly, are
// coded in every way there is, by what most of the chunks say (the part `fitted`), and what the
// errors would have cost on the chunks that were held out decides. All its rows are then coded in
// the best way, by what all chunks say. Feedback is thus never used where the diagonal search did
// better on text that neither had seen.
//
// The dearest part of a way is its factor; so ways are the outer loop, in the trial over all and
// then over those that a matrix wants, and one is open at a time. More damping is not tried where
// less was better.
//
// Rows are cut into batches at fixed rows and a batch is one thread's: neither bytes nor losses
// depend on the number of threads.
//
// Tried and dropped: judging all rows once more when they are coded. They are then fitted to what
// they would be judged by.

#include "quant/solver/solve_jobs.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"
#include "formats/tensor_type.h"
#include "kernels/split.h"
#include "quant/pipeline/source_row.h"
#include "quant/solver/row_coding.h"
#include "quant/solver/trial.h"

enum { THREAD_ROWS = 4 * IMX_SOLVER_ROWS }; // for each thread between two waits

// Of products of all columns; solver.c has the figures.
static const imx_belief row_beliefs[] = {{0.0, 0.03}, {0.0, 0.01}, {0.0, 0.1}};

enum { WAY_COLUMN, WAY_RUN, WAY_ROW, WAY_ROW_LESS, WAY_ROW_MORE, N_WAYS };

// The first of each reach is what is used where nothing was held out to judge by.
static const imx_coding_way ways[N_WAYS] = {
    [WAY_COLUMN] = {IMX_REACH_COLUMN, NULL},
    [WAY_RUN] = {IMX_REACH_RUN, &imx_run_belief},
    [WAY_ROW] = {IMX_REACH_ROW, &row_beliefs[0]},
    [WAY_ROW_LESS] = {IMX_REACH_ROW, &row_beliefs[1]}, // damped less
    [WAY_ROW_MORE] = {IMX_REACH_ROW, &row_beliefs[2]},
};

typedef struct work {
    imx_solver_job *jobs;
    size_t n_jobs;
    const imx_input_covariance *covariance;
    const imx_gguf *source;
    const imx_solver_sink *sink;
    int n_threads;
    imx_solver_reach *most;      // (n_jobs) that the covariance allows
    double *losses;              // (N_WAYS, n_jobs) of the trials; infinite where there was none
    size_t *chosen;              // (n_jobs) way
    bool *is_meant;              // (n_jobs) by the way at hand
    imx_coding_bench *benches;   // (n_threads)
    uint8_t *blocks;             // (n_threads, THREAD_ROWS, bytes of the longest row)
    imx_tensor_loss *row_losses; // (n_threads, THREAD_ROWS)
} work;

// ---- what the covariance allows ----------------------------------------------------------------

// The farthest reach, and what stands in the way of a farther one.
static imx_solver_reach farthest_reach(const imx_solver_job *job, const imx_input_covariance *c,
                                       imx_solver_reason *reason) {
    const imx_encoder *encoder = imx_encoder_of(job->item->type);
    const size_t n_cols = (size_t)imx_gguf_tensor_cols(job->item->source);
    const double n_tokens = c != NULL ? c->n_fitted + c->n_held_out : 0.0;
    const struct {
        bool applies;
        imx_solver_reason reason;
        imx_solver_reach reach;
    } rules[] = {
        {encoder->runs == NULL || n_cols < IMX_COV_RUN, IMX_REASON_TYPE, IMX_REACH_COLUMN},
        {c == NULL || !(imx_covariance_power(c, IMX_PART_ALL) > 0.0), IMX_REASON_UNSEEN,
         IMX_REACH_COLUMN},
        {n_tokens < 2.0 * IMX_COV_RUN, IMX_REASON_FEW_TOKENS, IMX_REACH_COLUMN},
        {c != NULL && c->run_len < n_cols, IMX_REASON_MEMORY, IMX_REACH_RUN},
        {n_tokens < 2.0 * (double)n_cols, IMX_REASON_FEW_TOKENS, IMX_REACH_RUN},
        {true, IMX_REASON_NONE, IMX_REACH_ROW},
    };
    size_t i = 0;
    while (!rules[i].applies) {
        ++i;
    }
    *reason = rules[i].reason;
    return rules[i].reach;
}

// ---- the choice --------------------------------------------------------------------------------

static double loss_at(const work *w, size_t way, size_t job) {
    return w->losses[way * w->n_jobs + job];
}

// As the damping grows the loss falls, then rises (solver.c).
static bool is_tried(const work *w, size_t way, size_t job) {
    return w->most[job] != IMX_REACH_COLUMN && ways[way].reach <= w->most[job] &&
           !(way == WAY_ROW_MORE && loss_at(w, WAY_ROW_LESS, job) < loss_at(w, WAY_ROW, job));
}

// Whether any job is to be tried in a way; fills in is_meant.
static bool mark_tried(const work *w, size_t way) {
    bool any = false;
    for (size_t i = 0; i < w->n_jobs; ++i) {
        w->is_meant[i] = is_tried(w, way, i);
        any = any || w->is_meant[i];
    }
    return any;
}

// A way that takes the covariance for impossible is not tried.
static imx_status try_ways(const work *w, imx_error *err) {
    const imx_trial trial = {
        .jobs = w->jobs,
        .n_jobs = w->n_jobs,
        .covariance = w->covariance,
        .benches = w->benches,
        .n_threads = w->n_threads,
    };
    for (size_t way = 0; way < N_WAYS; ++way) {
        if (mark_tried(w, way)) {
            const imx_status status =
                imx_trial_run(&trial, &ways[way], w->is_meant, w->losses + way * w->n_jobs, err);
            if (status != IMX_OK && status != IMX_ERR_FORMAT) {
                return status;
            }
        }
    }
    return IMX_OK;
}

static size_t best_way(const work *w, size_t job) {
    size_t best = 0;
    for (size_t way = 1; way < N_WAYS; ++way) {
        best = loss_at(w, way, job) < loss_at(w, best, job) ? way : best;
    }
    return best;
}

static size_t first_way(imx_solver_reach reach) {
    size_t way = 0;
    while (ways[way].reach != reach) {
        ++way;
    }
    return way;
}

static void take_way(const work *w, size_t i, size_t way) {
    imx_solver_job *job = &w->jobs[i];
    const bool is_judged = way > 0 && loss_at(w, way, i) < HUGE_VAL;
    w->chosen[i] = way;
    job->reach = ways[way].reach;
    job->damping = way > 0 ? ways[way].belief->damping : 0.0;
    job->gain = is_judged ? loss_at(w, way, i) / loss_at(w, 0, i) : 1.0;
    if (job->reach < w->most[i]) {
        job->reason = IMX_REASON_HELD_OUT;
    }
}

static imx_status choose_ways(const work *w, imx_error *err) {
    const bool is_judged = w->covariance != NULL && w->covariance->n_held_out > 0.0;
    if (is_judged) {
        IMX_TRY(try_ways(w, err));
    }
    for (size_t i = 0; i < w->n_jobs; ++i) {
        take_way(w, i, is_judged ? best_way(w, i) : first_way(w->most[i]));
    }
    return IMX_OK;
}

// ---- all rows ----------------------------------------------------------------------------------

static size_t row_bytes_of(const imx_solver_job *job) {
    const imx_plan_item *item = job->item;
    return (size_t)imx_type_row_bytes(item->type, imx_gguf_tensor_cols(item->source));
}

// Codes rows first … first + n - 1 of a matrix into `blocks` and `losses`. Returns in *n_sound how
// many come before one that is not finite.
static imx_status code_batch(imx_coding_bench *bench, const imx_row_coding *coding,
                             const imx_solver_job *job, uint64_t first, size_t n, uint8_t *blocks,
                             imx_tensor_loss *losses, size_t *n_sound) {
    uint64_t rows[IMX_SOLVER_ROWS];
    for (size_t r = 0; r < n; ++r) {
        rows[r] = first + r;
    }
    IMX_TRY(imx_code_rows(bench, coding, job, rows, n, n_sound));
    if (*n_sound == n) {
        memcpy(blocks, bench->blocks, n * row_bytes_of(job));
        for (size_t r = 0; r < n; ++r) {
            losses[r] =
                imx_row_loss(bench->x + r * bench->n_cols, bench->decoded + r * bench->n_cols,
                             job->importance, bench->n_cols);
        }
    }
    return IMX_OK;
}

// The same for as many rows as all threads take between two waits, into the work's own; adds to the
// job's loss.
static imx_status code_run(const work *w, const imx_row_coding *coding, imx_solver_job *job,
                           uint64_t first, size_t n, imx_error *err) {
    const imx_gguf_tensor *tensor = job->item->source;
    size_t bad_row = n;
    bool failed = false;
#pragma omp parallel for schedule(dynamic) num_threads(w->n_threads) reduction(||                  \
                                                                               : failed)           \
    reduction(min                                                                                  \
              : bad_row)
    for (size_t r = 0; r < n; r += IMX_SOLVER_ROWS) {
        const size_t n_rows = imx_piece_len(n, r, IMX_SOLVER_ROWS);
        size_t n_sound = n_rows;
        failed =
            code_batch(&w->benches[omp_get_thread_num()], coding, job, first + r, n_rows,
                       w->blocks + r * row_bytes_of(job), w->row_losses + r, &n_sound) != IMX_OK ||
            failed;
        bad_row = n_sound < n_rows && r + n_sound < bad_row ? r + n_sound : bad_row;
    }
    if (failed) {
        return imx_fail(err, IMX_ERR_MEMORY, "out of memory: no room to code rows");
    }
    if (bad_row < n) {
        return imx_source_row_fail(w->source, tensor, job->mat * tensor->dims[1] + first + bad_row,
                                   err);
    }
    for (size_t r = 0; r < n; ++r) {
        imx_tensor_loss_add(&job->loss, &w->row_losses[r]);
    }
    return IMX_OK;
}

static imx_status code_matrix(const work *w, const imx_row_coding *coding, imx_solver_job *job,
                              imx_error *err) {
    const size_t run_rows = (size_t)w->n_threads * THREAD_ROWS;
    const uint64_t n_rows = job->item->source->dims[1];
    job->loss = (imx_tensor_loss){0};
    for (uint64_t first = 0; first < n_rows; first += run_rows) {
        const size_t n = imx_piece_len((size_t)n_rows, (size_t)first, run_rows);
        IMX_TRY(code_run(w, coding, job, first, n, err));
        IMX_TRY(w->sink->put(w->sink->context, job, first, n, w->blocks, err));
    }
    return IMX_OK;
}

// Whether any job has chosen a way; fills in is_meant.
static bool mark_chosen(const work *w, size_t way) {
    bool any = false;
    for (size_t i = 0; i < w->n_jobs; ++i) {
        w->is_meant[i] = w->chosen[i] == way;
        any = any || w->is_meant[i];
    }
    return any;
}

// Where what was held out makes the covariance impossible the diagonal search, which comes last, is
// left.
static imx_status code_chosen(const work *w, size_t way, imx_error *err) {
    imx_row_coding coding;
    imx_status status =
        imx_row_coding_open(&coding, &ways[way], w->covariance, IMX_PART_ALL, w->n_threads, err);
    const bool is_impossible = status == IMX_ERR_FORMAT;
    status = is_impossible ? IMX_OK : status;
    for (size_t i = 0; i < w->n_jobs && status == IMX_OK; ++i) {
        if (w->is_meant[i] && is_impossible) {
            take_way(w, i, 0);
        } else if (w->is_meant[i]) {
            status = code_matrix(w, &coding, &w->jobs[i], err);
        }
    }
    imx_row_coding_close(&coding);
    return status;
}

static imx_status code_all(const work *w, imx_error *err) {
    for (size_t way = N_WAYS; way-- > 0;) {
        if (mark_chosen(w, way)) {
            IMX_TRY(code_chosen(w, way, err));
        }
    }
    return IMX_OK;
}

// ---- the jobs ----------------------------------------------------------------------------------

static imx_status allocate(work *w, size_t n_cols, imx_error *err) {
    size_t row_bytes = 0;
    for (size_t i = 0; i < w->n_jobs; ++i) {
        const size_t n = row_bytes_of(&w->jobs[i]);
        assert(imx_gguf_tensor_cols(w->jobs[i].item->source) == n_cols);
        row_bytes = n > row_bytes ? n : row_bytes;
    }
    const size_t n_rows = (size_t)w->n_threads * THREAD_ROWS;
    IMX_TRY(imx_alloc_zeroed(&w->most, w->n_jobs, sizeof *w->most, err));
    IMX_TRY(imx_alloc_zeroed(&w->losses, w->n_jobs, N_WAYS * sizeof *w->losses, err));
    IMX_TRY(imx_alloc_zeroed(&w->chosen, w->n_jobs, sizeof *w->chosen, err));
    IMX_TRY(imx_alloc_zeroed(&w->is_meant, w->n_jobs, sizeof *w->is_meant, err));
    IMX_TRY(imx_coding_benches_open(&w->benches, w->n_threads, n_cols, err));
    IMX_TRY(imx_alloc_aligned(&w->blocks, n_rows, row_bytes, err));
    return imx_alloc_aligned(&w->row_losses, n_rows, sizeof *w->row_losses, err);
}

static void release(work *w) {
    imx_coding_benches_close(w->benches, w->n_threads);
    free(w->most);
    free(w->losses);
    free(w->chosen);
    free(w->is_meant);
    free(w->blocks);
    free(w->row_losses);
}

static imx_status do_jobs(work *w, imx_error *err) {
    IMX_TRY(allocate(w, (size_t)imx_gguf_tensor_cols(w->jobs[0].item->source), err));
    for (size_t i = 0; i < w->n_jobs; ++i) {
        w->most[i] = farthest_reach(&w->jobs[i], w->covariance, &w->jobs[i].reason);
    }
    for (size_t i = 0; i < N_WAYS * w->n_jobs; ++i) {
        w->losses[i] = HUGE_VAL;
    }
    IMX_TRY(choose_ways(w, err));
    return code_all(w, err);
}

imx_status imx_solve_jobs(imx_solver_job *jobs, size_t n_jobs,
                          const imx_input_covariance *covariance, const imx_gguf *source,
                          int n_threads, const imx_solver_sink *sink, imx_error *err) {
    work w = {
        .jobs = jobs,
        .n_jobs = n_jobs,
        .covariance = covariance,
        .source = source,
        .sink = sink,
        .n_threads = imx_thread_count(n_threads),
    };
    const imx_status status = n_jobs > 0 ? do_jobs(&w, err) : IMX_OK;
    release(&w);
    return status;
}

uint64_t imx_solve_jobs_bytes(size_t n_cols, size_t n_jobs, int n_threads) {
    const int n = imx_thread_count(n_threads);
    const uint64_t row_bytes = n_cols * sizeof(float) + sizeof(imx_tensor_loss);
    return imx_solver_bytes(n_cols) + imx_trial_bytes(n_cols, n_jobs, n) +
           (uint64_t)n * (imx_coding_bench_bytes(n_cols) + THREAD_ROWS * row_bytes);
}
