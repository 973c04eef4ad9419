// SPDX-License-Identifier: MIT
//
// A layer is coded when the walk leaves it, or, where the layers behind it are to see what it has
// become, between the two passes that the walk then makes. Nothing of a layer under way is kept: a
// run goes on between two layers. A checkpoint therefore is the walk's state at such a place, and a
// promise that all layers before it are on the disk in every file. So files are brought to the disk
// before a checkpoint is written, an old checkpoint goes before files begin anew, and the last one
// goes before complete files get their names.
//
// What a checkpoint is of is told by the model, the text and a line of settings. How each file is
// made stands in its header, which the file itself is held against; how far it came does not, so
// each carries a mark of the run that began it.

#include "imatrix/calibrated_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calib/monotonic_clock.h"
#include "calib/statistics/checkpoint.h"
#include "calib/statistics/embedding_readers.h"
#include "calib/statistics/input_sums.h"
#include "formats/atomic_file.h"
#include "formats/file_hash.h"
#include "formats/memory.h"
#include "formats/path_parts.h"
#include "imatrix/calibrated_layers.h"
#include "imatrix/calibrated_plan.h"
#include "imatrix/calibrated_progress.h"
#include "imatrix/calibration.h"
#include "imatrix/facade.h"
#include "imatrix/quantizer.h"
#include "kernels/split.h"
#include "quant/plan/tensor_role.h"

typedef struct calibrated_run {
    imatrix_calibration *calibration;
    imx_calibrated_file *files; // (n_files)
    size_t n_files;
    imx_calibrated_plan plan;
    char *checkpoint_path;
    char *settings;
    char mark[IMX_HASH_HEX_BYTES]; // of the run, by its settings; in all its files
    char model_hash[33];
    imx_residual_stream *stream;
    bool resumes; // an earlier run, which has come to `start`
    imx_walk_place start;
    imx_input_sums sums;
    imx_layer_covariances *covariances;
    imx_layer_coder coder;
    imx_calibrated_progress progress;
    double last_checkpoint; // seconds
} calibrated_run;

static bool sees_quantized(const calibrated_run *r) {
    return r->calibration->options.inputs == IMATRIX_INPUTS_QUANTIZED;
}

// ---- keeping safe ------------------------------------------------------------------------------

static imx_checkpoint describe_run(const calibrated_run *r) {
    const imx_text_run *text = &r->calibration->text;
    return (imx_checkpoint){
        .model_hash = r->model_hash,
        .settings = r->settings,
        .corpus = text->corpus,
        .imatrix = r->calibration->imatrix,
        .stream = r->stream,
        .n_embd = imx_model_n_embd(text->model),
        .max_rows = imx_walk_block_rows(text->model, text->corpus),
    };
}

static imx_status write_checkpoint(calibrated_run *r, const imx_walk_place *place, imx_error *err) {
    imx_checkpoint checkpoint = describe_run(r);
    checkpoint.place = *place;
    for (size_t i = 0; i < r->n_files; ++i) {
        IMX_TRY(imx_calibrated_output_sync(r->files[i].output, err));
    }
    IMX_TRY(imx_input_sums_list_left_out(&r->sums, err));
    IMX_TRY(imx_checkpoint_write(&checkpoint, r->checkpoint_path, err));
    r->last_checkpoint = imx_monotonic_seconds();
    return IMX_OK;
}

static imx_status keep_when_due(calibrated_run *r, const imx_walk_place *place, imx_error *err) {
    const double interval = (double)r->calibration->options.run.checkpoint_seconds;
    return imx_monotonic_seconds() - r->last_checkpoint >= interval
               ? write_checkpoint(r, place, err)
               : IMX_OK;
}

// Finds where an earlier run came to, if this one is to go on with it.
static imx_status resume(calibrated_run *r, imx_error *err) {
    imx_checkpoint checkpoint = describe_run(r);
    r->resumes = true;
    for (size_t i = 0; i < r->n_files; ++i) {
        r->resumes = r->resumes && r->files[i].quantizer->resume;
    }
    if (!r->resumes) {
        imx_checkpoint_remove(r->checkpoint_path);
        return IMX_OK;
    }
    IMX_TRY(imx_checkpoint_read(&checkpoint, r->checkpoint_path, &r->resumes, err));
    r->start = checkpoint.place;
    return IMX_OK;
}

// ---- files -------------------------------------------------------------------------------------

static imx_status list_awaited(const calibrated_run *r, imx_calibrated_file *file, imx_error *err) {
    const imx_plan *plan = file->quantizer->plan;
    IMX_TRY(imx_alloc_zeroed(&file->is_awaited, plan->n_items, sizeof *file->is_awaited, err));
    IMX_TRY(imx_alloc_zeroed(&file->is_pending, plan->n_items, sizeof *file->is_pending, err));
    for (size_t i = 0; i < plan->n_items; ++i) {
        file->is_awaited[i] = imx_calibration_awaits(r->calibration, file->quantizer, i);
        file->is_pending[i] = file->is_awaited[i];
        if (!file->is_awaited[i] && !plan->items[i].is_copied) {
            imx_calibration_outcome_add_unseen(&file->quantizer->outcomes[i],
                                               imx_gguf_tensor_mats(plan->items[i].source));
        }
    }
    return IMX_OK;
}

// Whether an earlier run has coded a tensor, and this one does not need it to go on.
static bool is_kept(const calibrated_run *r, const char *name) {
    const int layer = imx_layer_of(name);
    if (strcmp(name, imx_token_embedding) == 0 && imx_calibration_leads_embedding(r->calibration)) {
        return r->resumes && !(sees_quantized(r) && r->start.layer == 0);
    }
    return layer >= 0 && (uint32_t)layer < r->start.layer;
}

// Counts what is to be coded, and passes over what an earlier run has.
static void pass_over_kept(calibrated_run *r, imx_calibrated_file *file) {
    imatrix_quantizer *quantizer = file->quantizer;
    for (size_t i = 0; i < quantizer->plan->n_items; ++i) {
        const imx_gguf_tensor *tensor = quantizer->plan->items[i].source;
        const uint64_t n_weights = imx_gguf_tensor_cols(tensor) * imx_gguf_tensor_rows(tensor);
        if (!file->is_awaited[i]) {
            continue;
        }
        r->progress.n_weights += n_weights;
        if (is_kept(r, tensor->name)) {
            file->is_pending[i] = false;
            quantizer->losses[i] = (imx_tensor_loss){NAN, NAN, NAN, NAN};
            ++quantizer->n_kept;
            r->progress.n_coded += n_weights;
        }
    }
}

static imx_status open_file(calibrated_run *r, imx_calibrated_file *file, const char *path,
                            imx_error *err) {
    imatrix_quantizer *quantizer = file->quantizer;
    const imx_text_run *text = &r->calibration->text;
    imx_pipeline_options options = imx_quantizer_pipeline_options(quantizer, &text->progress);
    options.resume = r->resumes;
    IMX_TRY(list_awaited(r, file, err));
    IMX_TRY(imx_quantizer_set_keys(&file->builder, quantizer, err));
    IMX_TRY(imx_calibrated_output_open(&file->output, quantizer->plan, quantizer->source,
                                       file->builder, path, file->is_awaited, &options, err));
    IMX_TRY(imx_calibrated_output_tie(file->output, r->mark, err));
    pass_over_kept(r, file);
    return imx_calibrated_output_write_rest(file->output, quantizer->losses, err);
}

// Gives all files their names; without a checkpoint, which would no longer find them.
static imx_status commit(calibrated_run *r, imx_error *err) {
    for (size_t i = 0; i < r->n_files; ++i) {
        IMX_TRY(imx_calibrated_output_sync(r->files[i].output, err));
    }
    imx_checkpoint_remove(r->checkpoint_path);
    for (size_t i = 0; i < r->n_files; ++i) {
        imx_calibrated_output *output = r->files[i].output;
        r->files[i].output = NULL;
        IMX_TRY(imx_calibrated_output_commit(output, r->model_hash, err));
        r->files[i].quantizer->has_run = true;
    }
    return IMX_OK;
}

// Bad weights would only be met again; else what is there can be gone on with.
static void close_files(calibrated_run *r, imx_status status) {
    if (r->files == NULL) {
        return;
    }
    if (status == IMX_ERR_FORMAT && r->files[0].output != NULL) {
        imx_checkpoint_remove(r->checkpoint_path);
    }
    for (size_t i = 0; i < r->n_files; ++i) {
        imx_calibrated_file *file = &r->files[i];
        (status == IMX_ERR_FORMAT ? imx_calibrated_output_discard
                                  : imx_calibrated_output_close)(file->output);
        imx_gguf_builder_free(file->builder);
        free(file->is_awaited);
        free(file->is_pending);
    }
    free(r->files);
}

// ---- the walk ----------------------------------------------------------------------------------

static imx_status add_input(void *context, const imx_walk_input *input, imx_error *err) {
    calibrated_run *r = context;
    IMX_TRY(imx_input_sums_add(&r->sums, input, err));
    return imx_layer_covariances_add(r->covariances, input, err);
}

static imx_status code_layer(void *context, uint32_t layer, imx_error *err) {
    calibrated_run *r = context;
    return imx_layer_coder_code(&r->coder, (int)layer, err);
}

// Codes the layer that the walk has left, unless that has been done, and keeps safe what is there.
static imx_status finish_layer(void *context, const imx_walk_place *next, bool is_stopping,
                               imx_error *err) {
    calibrated_run *r = context;
    const uint32_t n_layers = imx_model_n_layers(r->calibration->text.model);
    if (next->chunk > 0 || next->layer == r->start.layer || next->layer > n_layers || is_stopping) {
        return IMX_OK;
    }
    if (!sees_quantized(r)) {
        IMX_TRY(code_layer(r, next->layer - 1, err));
    }
    return keep_when_due(r, next, err);
}

static imx_status walk(calibrated_run *r, imx_error *err) {
    const imx_text_run *text = &r->calibration->text;
    const imx_walk_hook hook = {
        .on_input = add_input,
        .on_block = finish_layer,
        .on_layer = sees_quantized(r) ? code_layer : NULL,
        .context = r,
    };
    const imx_progress progress = imx_calibrated_progress_of_walk(&r->progress);
    const imx_walk_options options = {
        .n_threads = text->options->n_threads,
        .precision = (imx_precision)text->options->precision,
        .head_input_to_hook = text->options->process_output,
        .read_ahead = r->plan.walk.read_ahead,
        .start = r->start,
        .hook = &hook,
        .progress = &progress,
    };
    IMX_TRY(imx_walk_run(text->model, text->corpus, &options, r->stream, err));
    return imx_layer_coder_code(&r->coder, -1, err);
}

// Codes the token embedding, which no input leads, by what reads it.
static imx_status code_embedding(calibrated_run *r, imx_error *err) {
    const imx_model *model = r->calibration->text.model;
    imx_input_covariance readers;
    if (!imx_calibration_leads_embedding(r->calibration) ||
        !imx_layer_coder_awaits(&r->coder, imx_token_embedding)) {
        return IMX_OK;
    }
    imx_status status = imx_embedding_readers_sum(&readers, model, imx_model_n_embd(model),
                                                  r->coder.n_threads, err);
    if (status == IMX_OK) {
        status = imx_layer_coder_code_lasting(&r->coder, imx_token_embedding, &readers, err);
    }
    imx_embedding_readers_free(&readers);
    return status == IMX_OK ? keep_when_due(r, &r->start, err) : status;
}

// ---- the run -----------------------------------------------------------------------------------

static imx_status describe_settings(calibrated_run *r, const char *const *out_paths,
                                    imx_error *err) {
    const imatrix_calibration_options *options = &r->calibration->options;
    size_t size;
    FILE *text = open_memstream(&r->settings, &size);
    if (text == NULL) {
        return imx_fail_memory(err, 1);
    }
    fprintf(text, "calibration inputs=%d process_output=%d precision=%d products=%llu",
            (int)options->inputs, options->run.process_output, (int)options->run.precision,
            (unsigned long long)r->plan.products_bytes);
    for (size_t i = 0; i < r->n_files; ++i) {
        fprintf(text, " %s", imx_base_name(out_paths[i]));
    }
    if (fclose(text) != 0) {
        return imx_fail_memory(err, size);
    }
    imx_hash_to_hex(XXH3_128bits(r->settings, size), r->mark);
    return IMX_OK;
}

static imx_status open_statistics(calibrated_run *r, imx_error *err) {
    const imx_text_run *text = &r->calibration->text;
    const int n_threads = imx_thread_count(text->options->n_threads);
    r->sums = (imx_input_sums){
        .imatrix = r->calibration->imatrix,
        .corpus = text->corpus,
        .model_path = imx_model_gguf(text->model)->path,
        .n_threads = n_threads,
    };
    IMX_TRY(imx_input_sums_open(&r->sums, err));
    const imx_layer_covariances_options options = {
        .corpus = text->corpus,
        .left_out = r->sums.left_out,
        .budget_bytes = r->plan.products_bytes,
        .n_threads = n_threads,
    };
    IMX_TRY(imx_layer_covariances_open(&r->covariances, &options, err));
    r->coder = (imx_layer_coder){
        .files = r->files,
        .n_files = r->n_files,
        .model = sees_quantized(r) ? text->model : NULL,
        .covariances = r->covariances,
        .progress = &r->progress,
        .n_threads = n_threads,
    };
    return IMX_OK;
}

// Whether the files can be written is known before the model is read.
static imx_status check_paths(calibrated_run *r, const char *const *out_paths, imx_error *err) {
    IMX_TRY(imx_name_beside(&r->checkpoint_path, out_paths[0], ".calibration", err));
    if (r->checkpoint_path == NULL) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "%s: is a device or a pipe; a calibrated run writes files", out_paths[0]);
    }
    for (size_t i = 0; i < r->n_files; ++i) {
        IMX_TRY(imx_atomic_file_probe(out_paths[i], err));
    }
    return IMX_OK;
}

static imx_status prepare(calibrated_run *r, imatrix_quantizer *const *quantizers,
                          const char *const *out_paths, imx_error *err) {
    const imx_text_run *text = &r->calibration->text;
    IMX_TRY(check_paths(r, out_paths, err));
    IMX_TRY(imx_calibrated_plan_make(&r->plan, r->calibration, quantizers, r->n_files, err));
    IMX_TRY(describe_settings(r, out_paths, err));
    imx_hash_model(imx_model_gguf(text->model), r->model_hash);
    IMX_TRY(
        imx_residual_stream_new(&r->stream, text->corpus->n_tokens, imx_model_n_embd(text->model),
                                imx_walk_block_rows(text->model, text->corpus),
                                r->plan.walk.scratch_bytes > 0 ? r->checkpoint_path : NULL, err));
    IMX_TRY(resume(r, err));
    imx_text_run_start(text, &r->plan.walk, &r->start);
    for (size_t i = 0; i < r->n_files; ++i) {
        IMX_TRY(open_file(r, &r->files[i], out_paths[i], err));
    }
    return open_statistics(r, err);
}

static imx_status run_all(calibrated_run *r, imatrix_quantizer *const *quantizers,
                          const char *const *out_paths, imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(&r->files, r->n_files, sizeof *r->files, err));
    for (size_t i = 0; i < r->n_files; ++i) {
        r->files[i].quantizer = quantizers[i];
    }
    IMX_TRY(prepare(r, quantizers, out_paths, err));
    r->last_checkpoint = imx_monotonic_seconds();
    IMX_TRY(code_embedding(r, err));
    IMX_TRY(walk(r, err));
    return commit(r, err);
}

// Tells the user of an interrupted run where the work is.
static imx_status explain(const calibrated_run *r, imx_status status, imx_error *err) {
    if (status == IMX_ERR_INTERRUPTED && err != NULL && access(r->checkpoint_path, F_OK) == 0) {
        const imx_error stopped = *err;
        imx_error_set(err, status, "%s; with %s the run can be resumed", stopped.message,
                      r->checkpoint_path);
    }
    return status;
}

imx_status imx_calibrated_run(imatrix_calibration *calibration,
                              imatrix_quantizer *const *quantizers, const char *const *out_paths,
                              size_t n_quantizers, imx_error *err) {
    calibrated_run r = {
        .calibration = calibration,
        .n_files = n_quantizers,
        .progress =
            {
                .outer = &calibration->text.progress,
                .n_files = n_quantizers,
                .n_tokens = calibration->text.corpus->n_tokens,
            },
    };
    if (sees_quantized(&r)) {
        r.progress.n_tokens *= 2; // passes
    }
    const imx_status status = explain(&r, run_all(&r, quantizers, out_paths, err), err);
    imx_layer_coder_close(&r.coder);
    imx_layer_covariances_close(r.covariances);
    imx_input_sums_close(&r.sums);
    close_files(&r, status);
    imx_residual_stream_free(r.stream);
    free(r.settings);
    free(r.checkpoint_path);
    return status;
}
