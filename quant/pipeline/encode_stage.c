// SPDX-License-Identifier: MIT
//
// All threads take rows of a run: each decodes a source row, checks it, encodes it into the run's
// result and measures what that cost. What a thread needs is two rows. Rows of a matrix share the
// metrics that its errors are counted by (quant/encode/run_metric.h), which are made when it is
// entered.
//
// Rows are independent and every row's sums are its own, added up in row order afterwards: neither
// the bytes nor the losses depend on the number of threads.

#include "quant/pipeline/encode_stage.h"

#include <assert.h>
#include <omp.h>
#include <stdbool.h>
#include <stdlib.h>

#include "formats/memory.h"
#include "quant/pipeline/row_loss.h"
#include "quant/pipeline/source_row.h"
#include "quant/plan/item_importance.h"

// Runs are long enough for the wait at their end not to count, and short enough for a few of them
// to be held in memory.
enum {
    MIN_RUN_WEIGHTS = 1 << 20,
    MAX_RUN_WEIGHTS = 1 << 23,
    RUN_WEIGHTS_PER_THREAD = 1 << 17,
    MAX_RUN_ROWS = 1 << 16,
    CHUNK_WEIGHTS = 1 << 14, // that a thread takes at a time
};

struct imx_encode_stage {
    const imx_gguf *source;
    imx_encode_options options;
    int n_threads;
    size_t run_bytes;        // of the largest run's result
    uint64_t memory_bytes;   // of the stage, at most
    float *rows;             // (n_threads, 2, columns of the longest row)
    imx_tensor_loss *losses; // (rows of the longest run)

    // Of the present item.
    const imx_plan_item *item;
    const imx_encoder *encoder;
    void (*decode_result)(const void *blocks, float *out, size_t n_weights);
    size_t n_cols;
    size_t result_row_bytes;
    float *diagonals; // (n_mats, n_cols) importance; NULL = uniform

    // Of the matrix whose rows are being encoded.
    uint64_t mat;
    imx_run_metric *metrics; // (n_cols / IMX_COV_RUN of the longest row that has them)
};

// ---- rows --------------------------------------------------------------------------------------

// Encodes row `first_row + r` as row r of the run. False when it holds an infinity or NaN.
static bool encode_one_row(const imx_encode_stage *stage, uint64_t first_row, uint64_t r,
                           uint8_t *results, float *scratch) {
    const imx_gguf_tensor *tensor = stage->item->source;
    const size_t n_cols = stage->n_cols;
    const uint64_t row = first_row + r;
    float *x = scratch;
    float *decoded = scratch + n_cols;
    uint8_t *result = results + r * stage->result_row_bytes;
    imx_importance importance = {.kind = IMX_IMPORTANCE_UNIFORM};
    if (stage->diagonals != NULL) {
        importance.kind = IMX_IMPORTANCE_DIAGONAL;
        importance.diagonal = stage->diagonals + row / tensor->dims[1] * n_cols;
    }
    if (!imx_source_row_read(tensor, row, x)) {
        return false;
    }
    stage->encoder->encode_row(x, n_cols, &importance, &stage->options, result);
    stage->decode_result(result, decoded, n_cols);
    stage->losses[r] = imx_row_loss(x, decoded, importance.diagonal, n_cols);
    return true;
}

// Encodes rows [begin, end) of a run; returns the first bad one, or `end` when all are sound.
static uint64_t encode_rows(const imx_encode_stage *stage, uint64_t first_row, uint64_t begin,
                            uint64_t end, uint8_t *results) {
    const int chunk_rows = (int)(CHUNK_WEIGHTS / stage->n_cols) + 1;
    uint64_t bad_row = end;
#pragma omp parallel for schedule(dynamic, chunk_rows) num_threads(stage->n_threads)               \
    reduction(min                                                                                  \
              : bad_row)
    for (uint64_t r = begin; r < end; ++r) {
        float *scratch = stage->rows + (size_t)omp_get_thread_num() * 2 * stage->n_cols;
        if (!encode_one_row(stage, first_row, r, results, scratch) && r < bad_row) {
            bad_row = r;
        }
    }
    return bad_row;
}

// ---- matrices ----------------------------------------------------------------------------------

// Makes the metrics of a matrix, unless they are there.
static void enter_matrix(imx_encode_stage *stage, uint64_t mat) {
    if (mat == stage->mat) {
        return;
    }
    const float *products = imx_item_products(stage->item, mat);
    stage->mat = mat;
    stage->options.metrics = products != NULL ? stage->metrics : NULL;
    if (products != NULL) {
        const size_t n_runs = stage->n_cols / IMX_COV_RUN;
#pragma omp parallel for schedule(dynamic) num_threads(stage->n_threads)
        for (size_t i = 0; i < n_runs; ++i) {
            imx_run_metric_init(&stage->metrics[i], products + i * IMX_COV_PAIRS, imx_run_belief);
        }
    }
}

// Where the rows of a run end that share the present metrics.
static uint64_t end_of_matrix(const imx_encode_stage *stage, uint64_t first_row, uint64_t n_rows) {
    if (!stage->item->feeds_back) {
        return n_rows;
    }
    const uint64_t mat_rows = stage->item->source->dims[1];
    const uint64_t end = (stage->mat + 1) * mat_rows - first_row;
    return end < n_rows ? end : n_rows;
}

imx_status imx_encode_stage_run(imx_encode_stage *stage, uint64_t first_row, uint64_t n_rows,
                                uint8_t *result, imx_tensor_loss *loss, imx_error *err) {
    const imx_gguf_tensor *tensor = stage->item->source;
    uint64_t bad_row = n_rows;
    for (uint64_t row = 0; row < n_rows && bad_row == n_rows;) {
        enter_matrix(stage, (first_row + row) / tensor->dims[1]);
        const uint64_t end = end_of_matrix(stage, first_row, n_rows);
        const uint64_t bad = encode_rows(stage, first_row, row, end, result);
        bad_row = bad < end ? bad : n_rows;
        row = end;
    }
    if (bad_row < n_rows) {
        return imx_source_row_fail(stage->source, tensor, first_row + bad_row, err);
    }
    for (uint64_t r = 0; r < n_rows; ++r) {
        imx_tensor_loss_add(loss, &stage->losses[r]);
    }
    return IMX_OK;
}

// ---- items -------------------------------------------------------------------------------------

static imx_status gather_importance(imx_encode_stage *stage, imx_error *err) {
    const imx_gguf_tensor *tensor = stage->item->source;
    free(stage->diagonals);
    stage->diagonals = NULL;
    if (stage->item->statistics == NULL) {
        return IMX_OK;
    }
    IMX_TRY(imx_alloc_aligned(&stage->diagonals, (size_t)imx_gguf_tensor_mats(tensor),
                              stage->n_cols * sizeof *stage->diagonals, err));
    imx_item_importance(stage->item, stage->diagonals);
    return IMX_OK;
}

imx_status imx_encode_stage_begin(imx_encode_stage *stage, const imx_plan_item *item,
                                  imx_error *err) {
    stage->item = item;
    stage->mat = UINT64_MAX;
    stage->encoder = imx_encoder_of(item->type);
    stage->decode_result = imx_type_traits_of(item->type)->decode;
    stage->n_cols = (size_t)imx_gguf_tensor_cols(item->source);
    stage->result_row_bytes = (size_t)imx_type_row_bytes(item->type, stage->n_cols);
    assert(!item->is_copied && stage->encoder != NULL && stage->decode_result != NULL);
    return gather_importance(stage, err);
}

// ---- the stage ---------------------------------------------------------------------------------

static size_t max_size(size_t a, size_t b) {
    return a > b ? a : b;
}

static uint64_t run_rows_of(const imx_plan_item *item, int n_threads) {
    uint64_t n = (uint64_t)n_threads * RUN_WEIGHTS_PER_THREAD;
    n = n < MIN_RUN_WEIGHTS ? MIN_RUN_WEIGHTS : n > MAX_RUN_WEIGHTS ? MAX_RUN_WEIGHTS : n;
    const uint64_t n_rows = n / imx_gguf_tensor_cols(item->source) + 1;
    return n_rows < MAX_RUN_ROWS ? n_rows : MAX_RUN_ROWS;
}

// Room for the largest of everything in the plan.
static imx_status allocate(imx_encode_stage *stage, const imx_plan *plan, imx_error *err) {
    size_t n_cols = 0;
    size_t n_rows = 0;
    size_t n_importances = 0;
    size_t n_metrics = 0;
    for (size_t i = 0; i < plan->n_items; ++i) {
        const imx_plan_item *item = &plan->items[i];
        if (!item->is_copied) {
            const size_t item_cols = (size_t)imx_gguf_tensor_cols(item->source);
            const size_t run_rows = (size_t)run_rows_of(item, stage->n_threads);
            const size_t row_bytes = (size_t)imx_type_row_bytes(item->type, item_cols);
            n_cols = max_size(n_cols, item_cols);
            n_rows = max_size(n_rows, run_rows);
            if (item->statistics != NULL) {
                n_importances =
                    max_size(n_importances, (size_t)imx_gguf_tensor_mats(item->source) * item_cols);
            }
            if (item->feeds_back) {
                n_metrics = max_size(n_metrics, item_cols / IMX_COV_RUN);
            }
            stage->run_bytes = max_size(stage->run_bytes, run_rows * row_bytes);
        }
    }
    const size_t n_thread_rows = (size_t)stage->n_threads * 2;
    stage->memory_bytes = (n_thread_rows * n_cols + n_importances) * sizeof(float) +
                          n_rows * sizeof *stage->losses + n_metrics * sizeof *stage->metrics;
    IMX_TRY(imx_alloc_aligned(&stage->metrics, n_metrics, sizeof *stage->metrics, err));
    IMX_TRY(imx_alloc_aligned(&stage->rows, n_thread_rows, n_cols * sizeof(float), err));
    return imx_alloc_zeroed(&stage->losses, n_rows, sizeof *stage->losses, err);
}

imx_status imx_encode_stage_open(imx_encode_stage **out, const imx_plan *plan,
                                 const imx_gguf *source, const imx_pipeline_options *options,
                                 imx_error *err) {
    imx_encode_stage *stage;
    *out = NULL;
    IMX_TRY(imx_alloc_zeroed(&stage, 1, sizeof *stage, err));
    stage->source = source;
    stage->options = options->encode;
    stage->n_threads = options->n_threads > 0 ? options->n_threads : omp_get_num_procs();
    const imx_status status = allocate(stage, plan, err);
    if (status != IMX_OK) {
        imx_encode_stage_close(stage);
        return status;
    }
    *out = stage;
    return IMX_OK;
}

uint64_t imx_encode_stage_run_rows(const imx_encode_stage *stage) {
    return run_rows_of(stage->item, stage->n_threads);
}

uint64_t imx_encode_stage_memory(const imx_encode_stage *stage) {
    return stage->memory_bytes;
}

size_t imx_encode_stage_run_bytes(const imx_encode_stage *stage) {
    return stage->run_bytes;
}

void imx_encode_stage_close(imx_encode_stage *stage) {
    if (stage != NULL) {
        free(stage->diagonals);
        free(stage->metrics);
        free(stage->rows);
        free(stage->losses);
        free(stage);
    }
}
