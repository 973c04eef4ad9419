// SPDX-License-Identifier: MIT
//
// A row w, coded as w - e, loses eᵀ H e on the inputs of a text (quant/encode/run_metric.c); here H
// is of all columns. Its codes and grids are to be chosen so that this is least: the closest vector
// problem, which is out of reach. Two things are within it.
//
// Feedback. With H = L D Lᵀ by super-blocks (block_factor.h) the loss is a sum over super-blocks b,
//
//     (x_b - x̂_b)ᵀ D_b (x_b - x̂_b),    x_b = w_b + Σ_{c>b} L_cbᵀ e_c,
//
// and in x_b there are errors only of super-blocks behind b. So from the last to the first each is
// the problem of one super-block, whose weights x_b are what it would have to be so that all errors
// behind it were paid back, and whose metric D_b counts what those before it cannot pay back. The
// type's search fits scales and mins to x_b, and feedback within the super-block
// (quant/encode/feedback.c) finds its codes. This is GPTQ (Frantar et al., arXiv 2210.17323), from
// the last column to the first, which needs no inverse of H; among all ways to let errors be paid
// back linearly it is the best (LDLQ; Chee et al., QuIP, arXiv 2307.13304), and in lattices it is
// Babai's nearest plane (Chen et al., arXiv 2507.18553).
//
// Sweeps. Feedback never looks back. While all others stay, super-block b loses
//
//     e_bᵀ H_bb e_b + 2 e_bᵀ p_b,    p_b = Σ_{c≠b} H_bc e_c,
//
// which is, but for a constant, again the problem of one super-block, with weights w_b + H_bb⁻¹ p_b
// and the metric H_bb. Feedback looks for other codes on its grids, or else coordinate descent for
// better codes and grids (CDQuant; Nair and Suggala, arXiv 2406.17542, by codes alone); what is not
// better stays. So it goes through a row, twice at most or until nothing moves: a third time is a
// fifth of the whole, for 0.5 to 1.7 % of the loss.
//
// Rows are taken 128 at a time, so that x_b and p_b are products of matrices: n / 2 multiplications
// for every weight, and n for every sweep, of which a core does some fifty in a nanosecond (forty
// with 64 rows, 55 with 256); the work within super-blocks takes several hundred nanoseconds a
// weight. H and L share one matrix: L is needed below the blocks of the diagonal only, H is
// symmetric, and the blocks are kept apart, as metrics.
//
// What is left of the diagonal search's loss on chunks held out (t = 0.03; geometric mean over the
// inputs of two trained models of 11 and 5 million parameters and 52,000 and 70,000 tokens):
//
//                                        11M: Q2_K   Q4_K      5M: Q2_K   Q4_K
//     feedback within super-blocks           0.313   0.345        0.350   0.371
//     feedback                               0.205   0.210        0.317   0.321
//     4 sweeps of descent alone              0.185   0.199        0.309   0.314
//     1 sweep                                0.186   0.196        0.296   0.304
//     2 sweeps                               0.179   0.192        0.291   0.300
//     3 sweeps                               0.176   0.190        0.289   0.299
//
// How far C is believed, H = (1 - s) C + s diag(C) + t mean(diag C) I (11M, Q2_K / Q4_K, 2 sweeps
// of descent; in brackets with 2,300 tokens, 2.3 for each of the columns of the longest rows):
//
//     t             0.003        0.01         0.03         0.1          0.3
//     s = 0         0.193/0.197  0.187/0.197  0.186/0.198  0.191/0.209  0.214/0.235
//                  (0.214/0.223  0.199/0.211  0.191/0.205  0.191/0.210  0.208/0.237)
//     s = 0.1                    0.190/0.209
//                               (0.191/0.215               0.196/0.222)
//
// Unlike within super-blocks (run_metric.c), shrinkage gains nothing in the KL divergence either,
// even on text unlike that of the calibration: 0.42 and 0.33 of the diagonal search's without, 0.47
// and 0.33 with s = 0.2 (t = 0.01). So only t is left to choose.
//
// Tried and dropped, all within 1 % of the loss: the diagonal of D_b or of H_bb, or the root of
// their product, as the importance by which a search fits its grids; sweeps from the first
// super-block to the last; in sweeps, new grids by the search. Without feedback within
// super-blocks, by descent alone: 1.2 times the loss.

#include "quant/solver/solver.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"
#include "kernels/gemm.h"
#include "kernels/split.h"
#include "quant/encode/run_coder.h"
#include "quant/solver/block_factor.h"
#include "quant/solver/inverse_root.h"

enum { RUN = IMX_COV_RUN, MAX_SWEEPS = 2 };

struct imx_solver {
    size_t n_cols;
    size_t n_runs;               // the last may be shorter
    float *h;                    // (n_cols, n_cols): L below the blocks of the diagonal, H above
    imx_run_metric *conditional; // (n_runs) D_b
    imx_run_metric *own;         // (n_runs) H_bb
    float (*roots)[RUN * RUN];   // (n_runs) G⁻¹ of H_bb = G Gᵀ, (RUN, RUN) each
};

static size_t runs_in_row(size_t n_cols) {
    return (n_cols + RUN - 1) / RUN;
}

// ---- the metric --------------------------------------------------------------------------------

// Fills both triangles of H, tile after tile: what is written to the side stays in the cache.
static void fill_metric(imx_solver *solver, const imx_input_covariance *c, imx_covariance_part part,
                        imx_belief belief, double mean, int n_threads) {
    const size_t n = solver->n_cols;
    const double unit = 1.0 / (mean * (1.0 + belief.damping));
    float *h = solver->h;
#pragma omp parallel for schedule(dynamic) num_threads(n_threads)
    for (size_t top = 0; top < n; top += RUN) {
        const size_t end = top + imx_piece_len(n, top, RUN);
        for (size_t left = 0; left <= top; left += RUN) {
            for (size_t i = top; i < end; ++i) {
                const size_t at = imx_covariance_row_of(c, i).at;
                for (size_t j = left; j < left + RUN && j <= i; ++j) {
                    const double sum = unit * imx_covariance_sum(c, part, at + j);
                    h[i * n + j] = h[j * n + i] = (float)((1.0 - belief.shrinkage) * sum);
                }
            }
        }
        for (size_t i = top; i < end; ++i) {
            const double sum = imx_covariance_sum(c, part, imx_covariance_row_of(c, i).at + i);
            h[i * n + i] = (float)(unit * (sum + belief.damping * mean));
        }
    }
}

static void keep_diagonal_blocks(const imx_solver *solver, imx_run_metric *metrics, int n_threads) {
#pragma omp parallel for schedule(dynamic) num_threads(n_threads)
    for (size_t b = 0; b < solver->n_runs; ++b) {
        const size_t first = b * RUN;
        imx_run_metric_from_square(&metrics[b], solver->h + first * (solver->n_cols + 1),
                                   solver->n_cols, imx_piece_len(solver->n_cols, first, RUN));
    }
}

static imx_status keep_roots(const imx_solver *solver, int n_threads, imx_error *err) {
    imx_status status = IMX_OK;
#pragma omp parallel for schedule(dynamic) num_threads(n_threads)
    for (size_t b = 0; b < solver->n_runs; ++b) {
        const size_t n = imx_piece_len(solver->n_cols, b * RUN, RUN);
        imx_error own;
        const imx_status result =
            imx_inverse_root(&solver->own[b].h[0][0], RUN, n, solver->roots[b], &own);
#pragma omp critical
        if (result != IMX_OK && status == IMX_OK) {
            status = result;
            *err = own;
        }
    }
    return status;
}

static imx_status build(imx_solver *solver, const imx_input_covariance *c, imx_covariance_part part,
                        imx_belief belief, int n_threads, imx_error *err) {
    const size_t n = solver->n_cols;
    const double mean = imx_covariance_power(c, part);
    if (!(mean > 0.0)) {
        return imx_fail(err, IMX_ERR_FORMAT, "all inputs that the covariance is of were zero");
    }
    IMX_TRY(imx_alloc_aligned(&solver->h, n, n * sizeof *solver->h, err));
    IMX_TRY(imx_alloc_aligned(&solver->own, solver->n_runs, sizeof *solver->own, err));
    IMX_TRY(
        imx_alloc_aligned(&solver->conditional, solver->n_runs, sizeof *solver->conditional, err));
    IMX_TRY(imx_alloc_aligned(&solver->roots, solver->n_runs, sizeof *solver->roots, err));
    fill_metric(solver, c, part, belief, mean, n_threads);
    keep_diagonal_blocks(solver, solver->own, n_threads);
    IMX_TRY(keep_roots(solver, n_threads, err));
    IMX_TRY(imx_block_factor(solver->h, n, n_threads, err));
    keep_diagonal_blocks(solver, solver->conditional, n_threads);
    return IMX_OK;
}

imx_status imx_solver_open(imx_solver **out, const imx_input_covariance *covariance,
                           imx_covariance_part part, imx_belief belief, int n_threads,
                           imx_error *err) {
    imx_solver *solver;
    *out = NULL;
    IMX_TRY(imx_alloc_zeroed(&solver, 1, sizeof *solver, err));
    solver->n_cols = covariance->n_cols;
    solver->n_runs = runs_in_row(covariance->n_cols);
    const imx_status status = build(solver, covariance, part, belief, n_threads, err);
    if (status != IMX_OK) {
        imx_solver_close(solver);
        return status;
    }
    *out = solver;
    return IMX_OK;
}

void imx_solver_close(imx_solver *solver) {
    if (solver != NULL) {
        free(solver->h);
        free(solver->own);
        free(solver->roots);
        free(solver->conditional);
        free(solver);
    }
}

uint64_t imx_solver_bytes(size_t n_cols) {
    return (uint64_t)n_cols * n_cols * sizeof(float) +
           (uint64_t)runs_in_row(n_cols) * (2 * sizeof(imx_run_metric) + RUN * RUN * sizeof(float));
}

// ---- a batch of rows ---------------------------------------------------------------------------

typedef float strip[IMX_SOLVER_ROWS * RUN]; // (n_rows, RUN) of a super-block, zeros behind a tail

typedef struct batch {
    const imx_solver *solver;
    const imx_run_coder *coder;
    const imx_encode_options *options;
    const imx_importance *importance;
    const float *x; // (n_rows, n_cols)
    size_t n_rows;
    float *errors;       // (n_rows, n_cols) e of what has been coded
    imx_coded_run *runs; // (n_rows, n_runs)
    float *wanted;       // strip: what weights would have to be for errors to be paid back
    float *scratch[2];   // strips
} batch;

// The columns of a super-block.
typedef struct span {
    size_t run;
    size_t first, n, end;
} span;

static span span_of(const batch *b, size_t run) {
    const size_t first = run * RUN;
    const size_t n = imx_piece_len(b->solver->n_cols, first, RUN);
    return (span){run, first, n, first + n};
}

uint64_t imx_solver_thread_bytes(size_t n_cols) {
    return IMX_SOLVER_ROWS *
               (n_cols * sizeof(float) + runs_in_row(n_cols) * sizeof(imx_coded_run)) +
           3 * sizeof(strip);
}

static imx_coded_run *run_at(const batch *b, size_t row, size_t run) {
    return &b->runs[row * b->solver->n_runs + run];
}

// out (n_rows, n) = the errors of columns [begin, end) times the rows of `matrix`, or its columns
// if `is_rows`.
static imx_status multiply_errors(const batch *b, size_t begin, size_t end, const float *matrix,
                                  bool is_rows, size_t n, float *out) {
    const size_t n_cols = b->solver->n_cols;
    const imx_gemm gemm = {
        .m = b->n_rows,
        .n = n,
        .k = end - begin,
        .a = b->errors + begin,
        .a_stride = n_cols,
        .b = matrix,
        .b_stride = n_cols,
        .b_is_rows = is_rows,
        .c = out,
        .c_stride = RUN,
    };
    memset(out, 0, sizeof(strip));
    return begin < end ? imx_gemm_run(&gemm) : IMX_OK;
}

// out = a strip times the root of a super-block's own metric, or its transpose.
static imx_status multiply_root(const batch *b, span s, const float *in, bool is_transposed,
                                float *out) {
    const imx_gemm gemm = {
        .m = b->n_rows,
        .n = RUN,
        .k = RUN,
        .a = in,
        .a_stride = RUN,
        .b = b->solver->roots[s.run],
        .b_stride = RUN,
        .b_is_rows = is_transposed,
        .c = out,
        .c_stride = RUN,
    };
    return imx_gemm_run(&gemm);
}

// Adds the weights of a super-block to b->wanted.
static void add_weights(const batch *b, span s) {
    for (size_t r = 0; r < b->n_rows; ++r) {
        for (size_t j = 0; j < s.n; ++j) {
            b->wanted[r * RUN + j] += b->x[r * b->solver->n_cols + s.first + j];
        }
    }
}

static void note_errors(const batch *b, size_t row, span s) {
    const size_t at = row * b->solver->n_cols + s.first;
    float decoded[RUN];
    b->coder->decode(run_at(b, row, s.run), &b->coder->shape, s.n, decoded);
    for (size_t j = 0; j < s.n; ++j) {
        b->errors[at + j] = b->x[at + j] - decoded[j];
    }
}

// ---- feedback ----------------------------------------------------------------------------------

static imx_status code_run(const batch *b, span s) {
    const size_t n_cols = b->solver->n_cols;
    const float *l = b->solver->h + s.end * n_cols + s.first;
    imx_importance importance = *b->importance;
    if (importance.diagonal != NULL) {
        importance.diagonal += s.first;
    }
    IMX_TRY(multiply_errors(b, s.end, n_cols, l, false, s.n, b->wanted));
    add_weights(b, s);
    for (size_t r = 0; r < b->n_rows; ++r) {
        const float *wanted = b->wanted + r * RUN;
        imx_coded_run *run = run_at(b, r, s.run);
        b->coder->choose(b->coder, wanted, 0, s.n, &importance, b->options, run);
        b->coder->feed_back(run, &b->coder->shape, wanted, &b->solver->conditional[s.run]);
        note_errors(b, r, s);
    }
    return IMX_OK;
}

// ---- sweeps ------------------------------------------------------------------------------------

// wanted = w_b + H_bb⁻¹ p_b.
static imx_status gather_wanted(const batch *b, span s) {
    const size_t n_cols = b->solver->n_cols;
    const float *h = b->solver->h;
    float *pulls = b->scratch[0];
    float *more = b->scratch[1];
    IMX_TRY(multiply_errors(b, 0, s.first, h + s.first, false, s.n, pulls));
    IMX_TRY(multiply_errors(b, s.end, n_cols, h + s.first * n_cols + s.end, true, s.n, more));
    for (size_t j = 0; j < b->n_rows * RUN; ++j) {
        pulls[j] += more[j];
    }
    IMX_TRY(multiply_root(b, s, pulls, true, more));
    IMX_TRY(multiply_root(b, s, more, false, b->wanted));
    add_weights(b, s);
    return IMX_OK;
}

// Codes a super-block of a row anew, if that is better. Returns whether anything moved.
static bool recode(const batch *b, size_t row, span s) {
    const imx_run_coder *coder = b->coder;
    const imx_run_metric *metric = &b->solver->own[s.run];
    const float *wanted = b->wanted + row * RUN;
    imx_coded_run *run = run_at(b, row, s.run);
    const imx_coded_run start = *run;
    coder->feed_back(run, &coder->shape, wanted, metric);
    return memcmp(run, &start, sizeof start) != 0;
}

static imx_status sweep_run(const batch *b, span s, const bool *is_still, bool *has_moved) {
    IMX_TRY(gather_wanted(b, s));
    for (size_t r = 0; r < b->n_rows; ++r) {
        if (!is_still[r] && recode(b, r, s)) {
            note_errors(b, r, s);
            has_moved[r] = true;
        }
    }
    return IMX_OK;
}

// Rows in which a whole sweep moves nothing are done.
static imx_status sweep(const batch *b) {
    bool is_still[IMX_SOLVER_ROWS] = {false};
    bool is_done = false;
    for (int i = 0; i < MAX_SWEEPS && !is_done; ++i) {
        bool has_moved[IMX_SOLVER_ROWS] = {false};
        for (size_t run = b->solver->n_runs; run-- > 0;) {
            IMX_TRY(sweep_run(b, span_of(b, run), is_still, has_moved));
        }
        is_done = true;
        for (size_t r = 0; r < b->n_rows; ++r) {
            is_still[r] = !has_moved[r];
            is_done = is_done && is_still[r];
        }
    }
    return IMX_OK;
}

// ---- encoding ----------------------------------------------------------------------------------

static void pack_rows(const batch *b, uint8_t *blocks) {
    const size_t n_runs = b->solver->n_runs;
    const size_t row_bytes = b->coder->run_bytes * b->solver->n_cols / RUN;
    for (size_t i = 0; i < b->n_rows * n_runs; ++i) {
        const span s = span_of(b, i % n_runs);
        b->coder->pack(&b->runs[i], s.n,
                       blocks + i / n_runs * row_bytes + s.run * b->coder->run_bytes);
    }
}

imx_status imx_solver_encode(const imx_solver *solver, const imx_encoder *encoder, const float *x,
                             size_t n_rows, const imx_importance *importance,
                             const imx_encode_options *options, uint8_t *blocks, void *room) {
    batch b = {
        .solver = solver,
        .coder = encoder->runs,
        .options = options,
        .importance = importance,
        .x = x,
        .n_rows = n_rows,
        .errors = room,
    };
    b.wanted = b.errors + IMX_SOLVER_ROWS * solver->n_cols;
    b.scratch[0] = b.wanted + IMX_SOLVER_ROWS * RUN;
    b.scratch[1] = b.scratch[0] + IMX_SOLVER_ROWS * RUN;
    b.runs = (imx_coded_run *)(b.scratch[1] + IMX_SOLVER_ROWS * RUN);
    for (size_t run = solver->n_runs; run-- > 0;) {
        IMX_TRY(code_run(&b, span_of(&b, run)));
    }
    IMX_TRY(sweep(&b));
    pack_rows(&b, blocks);
    return IMX_OK;
}
