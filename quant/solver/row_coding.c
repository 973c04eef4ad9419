// SPDX-License-Identifier: MIT

#include "quant/solver/row_coding.h"

#include <stdlib.h>

#include "formats/memory.h"
#include "formats/tensor_type.h"
#include "kernels/split.h"
#include "quant/pipeline/source_row.h"

enum { RUN = IMX_COV_RUN };

// ---- the way -----------------------------------------------------------------------------------

// The products of super-block `run`, cut out of those of a row where these are known.
static void gather_products(const imx_input_covariance *covariance, imx_covariance_part part,
                            size_t run, float products[IMX_COV_PAIRS]) {
    for (size_t i = run * RUN; i < (run + 1) * RUN; ++i) {
        const imx_covariance_row row = imx_covariance_row_of(covariance, i);
        for (size_t j = run * RUN; j <= i; ++j) {
            *products++ = (float)imx_covariance_sum(covariance, part, row.at + j - row.first);
        }
    }
}

static imx_status open_metrics(imx_run_metric **metrics, const imx_input_covariance *covariance,
                               imx_covariance_part part, imx_belief belief, int n_threads,
                               imx_error *err) {
    const size_t n_runs = covariance->n_cols / RUN;
    IMX_TRY(imx_alloc_aligned(metrics, n_runs, sizeof **metrics, err));
#pragma omp parallel for schedule(dynamic) num_threads(n_threads)
    for (size_t run = 0; run < n_runs; ++run) {
        float products[IMX_COV_PAIRS];
        gather_products(covariance, part, run, products);
        imx_run_metric_init(&(*metrics)[run], products, belief);
    }
    return IMX_OK;
}

imx_status imx_row_coding_open(imx_row_coding *coding, const imx_coding_way *way,
                               const imx_input_covariance *covariance, imx_covariance_part part,
                               int n_threads, imx_error *err) {
    *coding = (imx_row_coding){0};
    switch (way->reach) {
    case IMX_REACH_COLUMN:
        return IMX_OK;
    case IMX_REACH_RUN:
        return open_metrics(&coding->metrics, covariance, part, *way->belief, n_threads, err);
    case IMX_REACH_ROW:
        return imx_solver_open(&coding->solver, covariance, part, *way->belief, n_threads, err);
    }
    return IMX_ERR_ARGUMENT;
}

void imx_row_coding_close(imx_row_coding *coding) {
    imx_solver_close(coding->solver);
    free(coding->metrics);
    *coding = (imx_row_coding){0};
}

// ---- the bench ---------------------------------------------------------------------------------

enum { LARGEST_WEIGHT = sizeof(float) }; // bytes

static imx_status open_bench(imx_coding_bench *bench, size_t n_cols, imx_error *err) {
    const size_t n = IMX_SOLVER_ROWS * n_cols;
    bench->n_cols = n_cols;
    IMX_TRY(imx_alloc_aligned(&bench->x, n, sizeof *bench->x, err));
    IMX_TRY(imx_alloc_aligned(&bench->blocks, n, LARGEST_WEIGHT, err));
    IMX_TRY(imx_alloc_aligned(&bench->decoded, n, sizeof *bench->decoded, err));
    return imx_alloc_aligned(&bench->room, 1, (size_t)imx_solver_thread_bytes(n_cols), err);
}

imx_status imx_coding_benches_open(imx_coding_bench **out, int n, size_t n_cols, imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(out, (size_t)n, sizeof **out, err));
    for (int i = 0; i < n; ++i) {
        const imx_status status = open_bench(&(*out)[i], n_cols, err);
        if (status != IMX_OK) {
            imx_coding_benches_close(*out, n);
            *out = NULL;
            return status;
        }
    }
    return IMX_OK;
}

void imx_coding_benches_close(imx_coding_bench *benches, int n) {
    for (int i = 0; i < n && benches != NULL; ++i) {
        free(benches[i].x);
        free(benches[i].blocks);
        free(benches[i].decoded);
        free(benches[i].room);
    }
    free(benches);
}

uint64_t imx_coding_bench_bytes(size_t n_cols) {
    return IMX_SOLVER_ROWS * n_cols * (2 * sizeof(float) + LARGEST_WEIGHT) +
           imx_solver_thread_bytes(n_cols);
}

// ---- rows --------------------------------------------------------------------------------------

// Returns how many come before one that is not finite.
static size_t read_rows(imx_coding_bench *bench, const imx_solver_job *job, const uint64_t *rows,
                        size_t n_rows) {
    const imx_gguf_tensor *tensor = job->item->source;
    size_t r = 0;
    while (r < n_rows && imx_source_row_read(tensor, job->mat * tensor->dims[1] + rows[r],
                                             bench->x + r * bench->n_cols)) {
        ++r;
    }
    return r;
}

static imx_status encode_rows(imx_coding_bench *bench, const imx_row_coding *coding,
                              const imx_solver_job *job, size_t n_rows, size_t row_bytes) {
    const imx_encoder *encoder = imx_encoder_of(job->item->type);
    const imx_importance importance = {
        .kind = job->importance != NULL ? IMX_IMPORTANCE_DIAGONAL : IMX_IMPORTANCE_UNIFORM,
        .diagonal = job->importance,
    };
    imx_encode_options options = job->options;
    options.metrics = coding->metrics;
    if (coding->solver != NULL) {
        return imx_solver_encode(coding->solver, encoder, bench->x, n_rows, &importance, &options,
                                 bench->blocks, bench->room);
    }
    for (size_t r = 0; r < n_rows; ++r) {
        encoder->encode_row(bench->x + r * bench->n_cols, bench->n_cols, &importance, &options,
                            bench->blocks + r * row_bytes);
    }
    return IMX_OK;
}

imx_status imx_code_rows(imx_coding_bench *bench, const imx_row_coding *coding,
                         const imx_solver_job *job, const uint64_t *rows, size_t n_rows,
                         size_t *n_sound) {
    const uint32_t type = job->item->type;
    const size_t row_bytes = (size_t)imx_type_row_bytes(type, bench->n_cols);
    *n_sound = read_rows(bench, job, rows, n_rows);
    if (*n_sound < n_rows) {
        return IMX_OK;
    }
    IMX_TRY(encode_rows(bench, coding, job, n_rows, row_bytes));
    for (size_t r = 0; r < n_rows; ++r) {
        imx_type_traits_of(type)->decode(bench->blocks + r * row_bytes,
                                         bench->decoded + r * bench->n_cols, bench->n_cols);
    }
    return IMX_OK;
}
