// SPDX-License-Identifier: MIT
//
// Three stages work at the same time, each on data the one before has left in memory:
//
//     read_stage     a thread: source pages in file order, a bounded window ahead; the hash
//     encode_stage   all threads of the team: a run of rows into a buffer
//     write_stage    a thread: the run before, into output_files
//
// This file moves the runs along. A tensor passes in runs of whole rows of bounded size, so memory
// depends on the row length and the number of threads alone. Tensors that are copied pass from the
// source's pages to the writer.

#include "quant/pipeline/passage.h"

#include <assert.h>
#include <math.h>

#include "formats/memory.h"
#include "quant/pipeline/encode_stage.h"
#include "quant/pipeline/read_stage.h"
#include "quant/pipeline/write_stage.h"

#define COPY_BYTES (UINT64_C(4) << 20) // of a run that is copied

typedef struct pipeline {
    const imx_plan *plan;
    const bool *is_left_out; // (plan->n_items), or NULL
    const imx_progress *progress;
    uint64_t alignment;
    size_t n_items; // that pass
    size_t n_items_done;
    uint64_t n_weights;
    uint64_t n_weights_done;
    imx_output_files *files;
    imx_read_stage *read;
    imx_encode_stage *encode;
    imx_write_stage *write;
} pipeline;

// A tensor on its way.
typedef struct passage {
    const imx_plan_item *item;
    size_t index;         // of the item
    uint64_t n_written;   // bytes handed to the writer
    imx_tensor_loss loss; // so far
} passage;

static uint64_t at_most(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

// ---- progress ----------------------------------------------------------------------------------

// `finished` is the item that has just been completed, or NULL within one.
static imx_status stop_on_request(const pipeline *p, const imx_plan_item *finished,
                                  imx_error *err) {
    const imx_progress_report report = {
        .phase = "tensors",
        .item = finished != NULL ? finished->name : NULL,
        .done = p->n_items_done,
        .total = p->n_items,
        .work_done = p->n_weights_done,
        .work_total = p->n_weights,
    };
    return imx_progress_continue(p->progress, &report)
               ? IMX_OK
               : imx_fail(err, IMX_ERR_INTERRUPTED, "quantization was stopped");
}

static uint64_t n_weights(const imx_plan_item *item) {
    return imx_gguf_tensor_cols(item->source) * imx_gguf_tensor_rows(item->source);
}

// ---- tensors -----------------------------------------------------------------------------------

// Hands the next bytes of a tensor to the writer, with padding behind the last.
static void hand_over(pipeline *p, passage *pass, const void *data, uint64_t size_bytes) {
    const uint64_t total = pass->item->size_bytes;
    const uint64_t end = pass->n_written + size_bytes;
    assert(end <= total);
    const imx_write_job job = {
        .item = pass->index,
        .offset = pass->n_written,
        .data = data,
        .size_bytes = (size_t)size_bytes,
        .n_zeros = end == total ? (size_t)(imx_align_up(total, p->alignment) - total) : 0,
    };
    imx_write_stage_put(p->write, &job);
    pass->n_written = end;
}

// Of the source or of the result, by the bytes of all rows.
static uint64_t row_bytes_of(uint64_t tensor_bytes, const imx_plan_item *item) {
    return tensor_bytes / imx_gguf_tensor_rows(item->source);
}

// Encodes rows as soon as their bytes have been read.
static imx_status encode_when_read(pipeline *p, passage *pass, uint64_t first_row, uint64_t n_rows,
                                   uint8_t *result, imx_error *err) {
    const imx_gguf_tensor *tensor = pass->item->source;
    const uint64_t source_row_bytes = row_bytes_of(tensor->size_bytes, pass->item);
    imx_read_stage_want(p->read, tensor, (first_row + n_rows) * source_row_bytes);
    return imx_encode_stage_run(p->encode, first_row, n_rows, result, &pass->loss, err);
}

static imx_status encode_tensor(pipeline *p, passage *pass, imx_error *err) {
    const imx_plan_item *item = pass->item;
    const uint64_t n_rows = imx_gguf_tensor_rows(item->source);
    IMX_TRY(imx_encode_stage_begin(p->encode, item, err));
    const uint64_t max_rows = imx_encode_stage_run_rows(p->encode);
    for (uint64_t row = 0; row < n_rows; row += max_rows) {
        const uint64_t n_run_rows = at_most(n_rows - row, max_rows);
        uint8_t *buffer;
        IMX_TRY(imx_write_stage_turn(p->write, &buffer, err));
        IMX_TRY(encode_when_read(p, pass, row, n_run_rows, buffer, err));
        hand_over(p, pass, buffer, n_run_rows * row_bytes_of(item->size_bytes, item));
        p->n_weights_done += n_run_rows * imx_gguf_tensor_cols(item->source);
        IMX_TRY(stop_on_request(p, NULL, err));
    }
    return IMX_OK;
}

static imx_status copy_tensor(pipeline *p, passage *pass, imx_error *err) {
    const imx_plan_item *item = pass->item;
    while (pass->n_written < item->size_bytes) {
        const uint64_t done = pass->n_written;
        const uint64_t n_bytes = at_most(item->size_bytes - done, COPY_BYTES);
        uint8_t *unused;
        IMX_TRY(imx_write_stage_turn(p->write, &unused, err));
        imx_read_stage_want(p->read, item->source, done + n_bytes);
        hand_over(p, pass, item->source->data + done, n_bytes);
    }
    p->n_weights_done += n_weights(item);
    return IMX_OK;
}

// Makes the first row of a kept tensor once more. The header has told that the job is the same; but
// two sources can have the same keys, and then their weights differ.
static imx_status check_kept(pipeline *p, passage *pass, imx_error *err) {
    const imx_plan_item *item = pass->item;
    const size_t row_bytes = (size_t)row_bytes_of(item->size_bytes, item);
    const uint8_t *row = item->source->data;
    uint8_t *buffer;
    if (!item->is_copied) {
        IMX_TRY(imx_write_stage_turn(p->write, &buffer, err));
        IMX_TRY(imx_encode_stage_begin(p->encode, item, err));
        IMX_TRY(encode_when_read(p, pass, 0, 1, buffer, err));
        row = buffer;
    }
    pass->loss = (imx_tensor_loss){NAN, NAN, NAN, NAN};
    p->n_weights_done += n_weights(item);
    return imx_output_files_check_kept(p->files, pass->index, row, row_bytes, err);
}

static imx_status pass_item(pipeline *p, size_t i, imx_tensor_loss *losses, imx_error *err) {
    passage pass = {.item = &p->plan->items[i], .index = i};
    if (i < imx_output_files_n_kept(p->files)) {
        IMX_TRY(check_kept(p, &pass, err));
    } else if (pass.item->is_copied) {
        IMX_TRY(copy_tensor(p, &pass, err));
    } else {
        IMX_TRY(encode_tensor(p, &pass, err));
    }
    if (losses != NULL) {
        losses[i] = pass.loss;
    }
    ++p->n_items_done;
    return stop_on_request(p, pass.item, err);
}

// ---- all of them -------------------------------------------------------------------------------

static bool passes(const pipeline *p, size_t i) {
    return p->is_left_out == NULL || !p->is_left_out[i];
}

static void count_items(pipeline *p) {
    for (size_t i = 0; i < p->plan->n_items; ++i) {
        if (passes(p, i)) {
            ++p->n_items;
            p->n_weights += n_weights(&p->plan->items[i]);
        }
    }
}

static imx_status pass_items(pipeline *p, imx_tensor_loss *losses, imx_error *err) {
    for (size_t i = 0; i < p->plan->n_items; ++i) {
        if (passes(p, i)) {
            IMX_TRY(pass_item(p, i, losses, err));
        }
    }
    return imx_write_stage_finish(p->write, err);
}

imx_status imx_pass_items(const imx_plan *plan, const imx_gguf *source, imx_output_files *files,
                          const bool *is_left_out, const imx_pipeline_options *options,
                          imx_tensor_loss *losses, char source_hash[33], imx_error *err) {
    imx_status status;
    pipeline p = {
        .plan = plan,
        .is_left_out = is_left_out,
        .progress = options->progress,
        .alignment = source->alignment,
        .files = files,
    };
    count_items(&p);
    IMX_TRY_GOTO(done, imx_encode_stage_open(&p.encode, plan, source, options, err));
    const size_t run_bytes = imx_encode_stage_run_bytes(p.encode);
    IMX_TRY_GOTO(done, imx_write_stage_open(&p.write, files, run_bytes, err));
    IMX_TRY_GOTO(done, imx_read_stage_open(&p.read, source, err));
    IMX_TRY_GOTO(done, pass_items(&p, losses, err));
    if (source_hash != NULL) {
        imx_read_stage_hash(p.read, source_hash);
    }
done:
    imx_read_stage_close(p.read);
    imx_write_stage_close(p.write);
    imx_encode_stage_close(p.encode);
    return status;
}
