// SPDX-License-Identifier: MIT
//
// A tensor passes through in runs of whole rows. All threads take rows of a run: each decodes a
// source row, checks it, encodes it into the run's output and measures what that cost; then the run
// is written and its source pages are given back. What a thread needs is two rows, and a run is
// about RUN_BYTES of output, so memory depends on the row length and the number of threads alone.
//
// Rows are independent and every row's sums are its own, added up in row order afterwards: neither
// the bytes nor the losses depend on the number of threads.

#include "quant/pipeline.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>

#include "formats/atomic_file.h"
#include "formats/file_map.h"
#include "formats/memory.h"
#include "quant/encoder.h"
#include "quant/item_importance.h"

#define RUN_BYTES (UINT64_C(4) << 20)

typedef struct pipeline {
    const imx_plan *plan;
    const imx_gguf *source;
    const imx_progress *progress;
    imx_encode_options encode;
    int n_threads;
    uint64_t alignment;
    uint64_t data_start; // of the data section in the new file
    uint64_t n_weights_done;
    size_t n_items_done;
    imx_atomic_file *file;
    imx_error *err;
} pipeline;

// What one tensor needs while it is encoded.
typedef struct tensor_job {
    const imx_plan_item *item;
    const imx_encoder *encoder;
    const imx_encode_options *encode_options;
    void (*decode_source)(const void *blocks, float *out, size_t n_weights);
    void (*decode_result)(const void *blocks, float *out, size_t n_weights);
    size_t n_cols;
    uint64_t n_rows;
    uint64_t rows_per_mat;
    uint64_t rows_per_run;
    size_t source_row_bytes;
    size_t result_row_bytes;
    float *diagonals;        // (n_mats, n_cols) importance; NULL = uniform
    uint8_t *results;        // (rows_per_run, result_row_bytes)
    float *rows;             // (n_threads, 2, n_cols)
    imx_tensor_loss *losses; // (rows_per_run)
} tensor_job;

// ---- rows --------------------------------------------------------------------------------------

static bool all_finite(const float *x, size_t n) {
    // The exponent of an infinity or NaN is all ones: x · 0 is then NaN, and a NaN sum stays NaN.
    float sum = 0.0f;
    for (size_t j = 0; j < n; ++j) {
        sum += x[j] * 0.0f;
    }
    return sum == 0.0f;
}

static imx_tensor_loss measure_row(const float *x, const float *decoded, const float *diagonal,
                                   size_t n) {
    imx_tensor_loss loss = {0};
    for (size_t j = 0; j < n; ++j) {
        const double importance = diagonal != NULL ? (double)diagonal[j] : 1.0;
        const double e = (double)x[j] - (double)decoded[j];
        const double power = (double)x[j] * (double)x[j];
        loss.weighted_error += importance * e * e;
        loss.weighted_power += importance * power;
        loss.squared_error += e * e;
        loss.squared_power += power;
    }
    return loss;
}

static void add_loss(imx_tensor_loss *sum, const imx_tensor_loss *loss) {
    sum->weighted_error += loss->weighted_error;
    sum->weighted_power += loss->weighted_power;
    sum->squared_error += loss->squared_error;
    sum->squared_power += loss->squared_power;
}

// Encodes row `first_row + r` as row r of the run. False when it holds an infinity or NaN.
static bool encode_row(const tensor_job *job, uint64_t first_row, uint64_t r, float *scratch) {
    const uint64_t row = first_row + r;
    float *x = scratch;
    float *decoded = scratch + job->n_cols;
    uint8_t *result = job->results + r * job->result_row_bytes;
    job->decode_source(job->item->source->data + row * job->source_row_bytes, x, job->n_cols);
    if (!all_finite(x, job->n_cols)) {
        return false;
    }
    imx_importance importance = {IMX_IMPORTANCE_UNIFORM, NULL};
    if (job->diagonals != NULL) {
        importance.kind = IMX_IMPORTANCE_DIAGONAL;
        importance.diagonal = job->diagonals + row / job->rows_per_mat * job->n_cols;
    }
    job->encoder->encode_row(x, job->n_cols, &importance, job->encode_options, result);
    job->decode_result(result, decoded, job->n_cols);
    job->losses[r] = measure_row(x, decoded, importance.diagonal, job->n_cols);
    return true;
}

// Encodes a run; returns its first bad row, or n_rows when all are sound.
static uint64_t encode_run(const tensor_job *job, uint64_t first_row, uint64_t n_rows,
                           int n_threads) {
    uint64_t bad_row = n_rows;
#pragma omp parallel for schedule(dynamic) num_threads(n_threads) reduction(min : bad_row)
    for (uint64_t r = 0; r < n_rows; ++r) {
        float *scratch = job->rows + (size_t)omp_get_thread_num() * 2 * job->n_cols;
        if (!encode_row(job, first_row, r, scratch) && r < bad_row) {
            bad_row = r;
        }
    }
    return bad_row;
}

// ---- tensors -----------------------------------------------------------------------------------

// True to go on. `finished` is the item that has just been completed, or NULL within one.
static bool report(const pipeline *p, const imx_plan_item *finished) {
    const imx_progress_report now = {
        .phase = "tensors",
        .item = finished != NULL ? finished->source->name : NULL,
        .done = p->n_items_done,
        .total = p->plan->n_items,
        .work_done = p->n_weights_done,
        .work_total = p->plan->n_weights,
    };
    return imx_progress_continue(p->progress, &now);
}

static imx_status stop_on_request(const pipeline *p, const imx_plan_item *finished) {
    return report(p, finished) ? IMX_OK
                               : imx_fail(p->err, IMX_ERR_INTERRUPTED, "quantization was stopped");
}

static imx_status gather_importance(tensor_job *job, imx_error *err) {
    const imx_imatrix_entry *entry = job->item->statistics;
    if (entry == NULL) {
        return IMX_OK;
    }
    IMX_TRY(imx_alloc_aligned(&job->diagonals, (size_t)(entry->n_mats * entry->n_cols),
                              sizeof *job->diagonals, err));
    imx_item_importance(job->item, job->diagonals);
    return IMX_OK;
}

static imx_status open_job(tensor_job *job, const imx_plan_item *item, const pipeline *p,
                           imx_error *err) {
    const imx_gguf_tensor *tensor = item->source;
    *job = (tensor_job){
        .item = item,
        .encoder = imx_encoder_of(item->type),
        .encode_options = &p->encode,
        .decode_source = imx_type_traits_of(tensor->type)->decode,
        .decode_result = imx_type_traits_of(item->type)->decode,
        .n_cols = (size_t)imx_gguf_tensor_cols(tensor),
        .n_rows = imx_gguf_tensor_rows(tensor),
        .rows_per_mat = tensor->dims[1],
    };
    assert(job->encoder != NULL && job->decode_source != NULL && job->decode_result != NULL);
    job->source_row_bytes = (size_t)imx_type_row_bytes(tensor->type, job->n_cols);
    job->result_row_bytes = (size_t)imx_type_row_bytes(item->type, job->n_cols);
    job->rows_per_run = RUN_BYTES / (job->n_cols * sizeof(float)) + 1;
    const size_t n_run_rows = (size_t)job->rows_per_run;
    IMX_TRY(gather_importance(job, err));
    IMX_TRY(imx_alloc_aligned(&job->results, n_run_rows, job->result_row_bytes, err));
    IMX_TRY(imx_alloc_aligned(&job->rows, (size_t)p->n_threads * 2 * job->n_cols, sizeof *job->rows,
                              err));
    return imx_alloc_zeroed(&job->losses, n_run_rows, sizeof *job->losses, err);
}

static void close_job(tensor_job *job) {
    free(job->diagonals);
    free(job->results);
    free(job->rows);
    free(job->losses);
}

static imx_status encode_rows(pipeline *p, const tensor_job *job, imx_tensor_loss *loss) {
    const imx_gguf_tensor *tensor = job->item->source;
    for (uint64_t first = 0; first < job->n_rows; first += job->rows_per_run) {
        const uint64_t left = job->n_rows - first;
        const uint64_t n_rows = left < job->rows_per_run ? left : job->rows_per_run;
        const uint64_t bad_row = encode_run(job, first, n_rows, p->n_threads);
        if (bad_row < n_rows) {
            return imx_fail(p->err, IMX_ERR_FORMAT,
                            "%s: tensor %s, row %" PRIu64
                            " holds an infinity or NaN: convert the model again",
                            p->source->path, tensor->name, first + bad_row);
        }
        IMX_TRY(imx_atomic_file_write(p->file, job->results, (size_t)n_rows * job->result_row_bytes,
                                      p->err));
        imx_file_map_release(tensor->data + first * job->source_row_bytes,
                             n_rows * job->source_row_bytes);
        for (uint64_t r = 0; r < n_rows; ++r) {
            add_loss(loss, &job->losses[r]);
        }
        p->n_weights_done += n_rows * job->n_cols;
        IMX_TRY(stop_on_request(p, NULL));
    }
    return IMX_OK;
}

static imx_status encode_tensor(pipeline *p, const imx_plan_item *item, imx_tensor_loss *loss) {
    tensor_job job;
    imx_status status = open_job(&job, item, p, p->err);
    if (status == IMX_OK) {
        status = encode_rows(p, &job, loss);
    }
    close_job(&job);
    return status;
}

static imx_status copy_tensor(pipeline *p, const imx_plan_item *item) {
    for (uint64_t done = 0; done < item->size_bytes; done += RUN_BYTES) {
        const uint64_t left = item->size_bytes - done;
        const uint64_t n_bytes = left < RUN_BYTES ? left : RUN_BYTES;
        const uint8_t *data = item->source->data + done;
        IMX_TRY(imx_atomic_file_write(p->file, data, (size_t)n_bytes, p->err));
        imx_file_map_release(data, n_bytes);
    }
    p->n_weights_done += imx_gguf_tensor_cols(item->source) * imx_gguf_tensor_rows(item->source);
    return IMX_OK;
}

static imx_status pad(pipeline *p) {
    static const uint8_t zeros[64];
    const uint64_t size = imx_atomic_file_size(p->file);
    uint64_t n_left = imx_align_up(size, p->alignment) - size;
    while (n_left > 0) {
        const size_t n = n_left < sizeof zeros ? (size_t)n_left : sizeof zeros;
        IMX_TRY(imx_atomic_file_write(p->file, zeros, n, p->err));
        n_left -= n;
    }
    return IMX_OK;
}

// ---- the file ----------------------------------------------------------------------------------

static imx_status write_header(pipeline *p, imx_gguf_builder *builder) {
    uint8_t *header = NULL;
    size_t header_bytes = 0;
    for (size_t i = 0; i < p->plan->n_items; ++i) {
        const imx_plan_item *item = &p->plan->items[i];
        const imx_gguf_tensor *tensor = item->source;
        IMX_TRY(imx_gguf_add_tensor(builder, item->name, item->type, tensor->n_dims, tensor->dims,
                                    p->err));
    }
    IMX_TRY(imx_gguf_builder_header(builder, &header, &header_bytes, p->err));
    const imx_status status = imx_atomic_file_write(p->file, header, header_bytes, p->err);
    free(header);
    return status;
}

// The next byte to write is the one the plan has at `offset`.
static void assert_at(const pipeline *p, uint64_t offset) {
    assert(imx_atomic_file_size(p->file) == p->data_start + offset);
    (void)p;
    (void)offset;
}

static imx_status write_tensors(pipeline *p, imx_tensor_loss *losses) {
    p->data_start = imx_atomic_file_size(p->file);
    for (size_t i = 0; i < p->plan->n_items; ++i) {
        const imx_plan_item *item = &p->plan->items[i];
        imx_tensor_loss loss = {0};
        assert_at(p, item->offset);
        IMX_TRY(item->is_copied ? copy_tensor(p, item) : encode_tensor(p, item, &loss));
        assert_at(p, item->offset + item->size_bytes);
        IMX_TRY(pad(p));
        if (losses != NULL) {
            losses[i] = loss;
        }
        p->n_items_done = i + 1;
        IMX_TRY(stop_on_request(p, item));
    }
    assert_at(p, p->plan->size_bytes);
    return IMX_OK;
}

imx_status imx_pipeline_run(const imx_plan *plan, const imx_gguf *source, imx_gguf_builder *builder,
                            const char *path, const imx_pipeline_options *options,
                            imx_tensor_loss *losses, imx_error *err) {
    pipeline p = {
        .plan = plan,
        .source = source,
        .progress = options->progress,
        .encode = options->encode,
        .n_threads = options->n_threads > 0 ? options->n_threads : omp_get_num_procs(),
        .alignment = imx_gguf_builder_alignment(builder),
        .err = err,
    };
    if (p.alignment != source->alignment) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "the alignment of %s is %" PRIu64 " and cannot be changed to %" PRIu64,
                        source->path, source->alignment, p.alignment);
    }
    IMX_TRY(imx_atomic_file_open(&p.file, path, err));
    imx_status status;
    IMX_TRY_GOTO(fail, write_header(&p, builder));
    IMX_TRY_GOTO(fail, write_tensors(&p, losses));
    return imx_atomic_file_commit(p.file, err);
fail:
    imx_atomic_file_abort(p.file);
    return status;
}
