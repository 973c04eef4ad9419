// SPDX-License-Identifier: MIT
//
// What an input's covariance costs to factor is shared by all that is multiplied with this input:
// the weights of the model, queries, keys and values, say, times the types that are wanted. They
// are one call of the solver for each expert, or one in all.
//
// Tensors are found by their names in the model, so that a file with layers left out takes its part
// as any other. Every tensor that waits for the walk is written when its layer is left, whether or
// not the walk has shown an input for it: a weight of experts that nothing was sent to, or one that
// every head has its own part of, is coded by what its columns tell alone.

#include "imatrix/calibrated_layers.h"

#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"
#include "imatrix/quantizer.h"
#include "quant/plan/item_importance.h"
#include "quant/plan/statistics_fit.h"
#include "quant/plan/tensor_role.h"

// A tensor of a file.
typedef struct imx_code_member {
    imx_calibrated_file *file;
    size_t index; // of the item
    const imx_plan_item *item;
    float *importance; // (n_mats, n_cols) owned; NULL: uniform
    uint8_t *kept;     // (item->size_bytes) the coded tensor, where the model will run with it
} code_member;

// ---- what is coded together --------------------------------------------------------------------

static imx_status gather_importance(code_member *member, imx_error *err) {
    const imx_plan_item *item = member->item;
    const imx_imatrix_entry *entry = item->statistics;
    if (entry == NULL || imx_count_matrices_unseen(entry) == entry->n_mats) {
        return IMX_OK;
    }
    IMX_TRY(imx_alloc_aligned(&member->importance, (size_t)imx_gguf_tensor_mats(item->source),
                              (size_t)imx_gguf_tensor_cols(item->source) * sizeof(float), err));
    imx_item_importance(item, member->importance);
    return IMX_OK;
}

static imx_status add_member(imx_layer_coder *coder, imx_calibrated_file *file, size_t index,
                             imx_error *err) {
    IMX_TRY(imx_grow(&coder->members, &coder->member_capacity, coder->n_members + 1,
                     sizeof *coder->members, err));
    code_member *member = &coder->members[coder->n_members++];
    *member = (code_member){
        .file = file,
        .index = index,
        .item = &file->quantizer->plan->items[index],
    };
    IMX_TRY(gather_importance(member, err));
    return coder->model == NULL
               ? IMX_OK
               : imx_alloc_zeroed(&member->kept, (size_t)member->item->size_bytes, 1, err);
}

static void clear_members(imx_layer_coder *coder) {
    for (size_t i = 0; i < coder->n_members; ++i) {
        free(coder->members[i].importance);
        free(coder->members[i].kept);
    }
    coder->n_members = 0;
}

static bool is_pending_as(const imx_calibrated_file *file, size_t i, const char *name) {
    return file->is_pending[i] && strcmp(file->quantizer->plan->items[i].source->name, name) == 0;
}

bool imx_layer_coder_awaits(const imx_layer_coder *coder, const char *name) {
    bool any = false;
    for (size_t f = 0; f < coder->n_files; ++f) {
        for (size_t i = 0; i < coder->files[f].quantizer->plan->n_items; ++i) {
            any = any || is_pending_as(&coder->files[f], i, name);
        }
    }
    return any;
}

// Adds the pending tensors of that name in the source, one of each file at most.
static imx_status add_named(imx_layer_coder *coder, const char *name, imx_error *err) {
    for (size_t f = 0; f < coder->n_files; ++f) {
        imx_calibrated_file *file = &coder->files[f];
        for (size_t i = 0; i < file->quantizer->plan->n_items; ++i) {
            if (is_pending_as(file, i, name)) {
                IMX_TRY(add_member(coder, file, i, err));
            }
        }
    }
    return IMX_OK;
}

// ---- coding ------------------------------------------------------------------------------------

// Jobs for matrix `mat` of the members that have so many.
static size_t list_jobs(imx_layer_coder *coder, uint64_t mat) {
    size_t n = 0;
    for (size_t i = 0; i < coder->n_members; ++i) {
        const code_member *member = &coder->members[i];
        const imx_gguf_tensor *tensor = member->item->source;
        const float *importance = member->importance;
        if (mat < imx_gguf_tensor_mats(tensor)) {
            coder->jobs[n++] = (imx_solver_job){
                .item = member->item,
                .mat = mat,
                .options = member->file->quantizer->settings.encode,
                .importance =
                    importance != NULL ? importance + mat * imx_gguf_tensor_cols(tensor) : NULL,
            };
        }
    }
    return n;
}

static const code_member *member_of(const imx_layer_coder *coder, const imx_solver_job *job) {
    const code_member *member = coder->members;
    while (member->item != job->item) {
        ++member;
    }
    return member;
}

// Takes encoded rows to the file, and keeps them where the model will run with them.
static imx_status put_rows(void *context, const imx_solver_job *job, uint64_t first_row,
                           uint64_t n_rows, const uint8_t *blocks, imx_error *err) {
    const imx_layer_coder *coder = context;
    const code_member *member = member_of(coder, job);
    const imx_gguf_tensor *tensor = job->item->source;
    const uint64_t row_bytes = job->item->size_bytes / imx_gguf_tensor_rows(tensor);
    const uint64_t offset = (job->mat * tensor->dims[1] + first_row) * row_bytes;
    const size_t size_bytes = (size_t)(n_rows * row_bytes);
    if (member->kept != NULL) {
        memcpy(member->kept + offset, blocks, size_bytes);
    }
    IMX_TRY(imx_calibrated_output_put(member->file->output, member->index, offset, blocks,
                                      size_bytes, err));
    return imx_calibrated_progress_add(coder->progress, n_rows * imx_gguf_tensor_cols(tensor), err);
}

// The covariance of what matrix `mat` of a tensor is multiplied with, if there is one.
static bool find_covariance(const imx_layer_coder *coder, const imx_gguf_tensor *tensor,
                            uint64_t mat, imx_input_covariance *covariance) {
    if (coder->given != NULL) {
        *covariance = *coder->given;
        return covariance->n_fitted > 0;
    }
    return imx_layer_covariances_find(coder->covariances, tensor->name, mat, covariance) &&
           covariance->n_cols == imx_gguf_tensor_cols(tensor) &&
           covariance->n_fitted + covariance->n_held_out > 0;
}

static imx_status solve(imx_layer_coder *coder, uint64_t mat, imx_error *err) {
    const imx_solver_sink sink = {put_rows, coder};
    const size_t n_jobs = list_jobs(coder, mat);
    const imx_gguf *source = member_of(coder, coder->jobs)->file->quantizer->source;
    imx_input_covariance covariance;
    const bool is_known = find_covariance(coder, coder->jobs[0].item->source, mat, &covariance);
    IMX_TRY(imx_solve_jobs(coder->jobs, n_jobs, is_known ? &covariance : NULL, source,
                           coder->n_threads, &sink, err));
    for (size_t i = 0; i < n_jobs; ++i) {
        const code_member *member = member_of(coder, &coder->jobs[i]);
        const imatrix_quantizer *quantizer = member->file->quantizer;
        imx_tensor_loss_add(&quantizer->losses[member->index], &coder->jobs[i].loss);
        imx_calibration_outcome_add(&quantizer->outcomes[member->index], &coder->jobs[i]);
    }
    return IMX_OK;
}

// Lets the model run with what the member has become.
static imx_status substitute(imx_layer_coder *coder, code_member *member, imx_error *err) {
    const imx_plan_item *item = member->item;
    IMX_TRY(imx_grow(&coder->coded, &coder->coded_capacity, coder->n_coded + 1,
                     sizeof *coder->coded, err));
    IMX_TRY(imx_model_substitute(coder->model, item->source->name, item->type, member->kept, err));
    coder->coded[coder->n_coded++] = (imx_coded_weight){item->source->name, member->kept};
    member->kept = NULL;
    return IMX_OK;
}

// Gives the model its own weights back but for the first `n_left`.
static void give_back(imx_layer_coder *coder, size_t n_left) {
    while (coder->n_coded > n_left) {
        const imx_coded_weight *weight = &coder->coded[--coder->n_coded];
        imx_model_substitute(coder->model, weight->name, 0, NULL, NULL);
        free(weight->data);
    }
}

static imx_status code_members(imx_layer_coder *coder, imx_error *err) {
    uint64_t n_mats = 0;
    IMX_TRY(
        imx_grow(&coder->jobs, &coder->job_capacity, coder->n_members, sizeof *coder->jobs, err));
    for (size_t i = 0; i < coder->n_members; ++i) {
        const uint64_t n = imx_gguf_tensor_mats(coder->members[i].item->source);
        n_mats = n > n_mats ? n : n_mats;
    }
    for (uint64_t mat = 0; mat < n_mats; ++mat) {
        IMX_TRY(solve(coder, mat, err));
    }
    for (size_t i = 0; i < coder->n_members; ++i) {
        code_member *member = &coder->members[i];
        member->file->is_pending[member->index] = false;
        if (coder->model != NULL) {
            IMX_TRY(substitute(coder, member, err));
        }
    }
    return IMX_OK;
}

// Codes the members and forgets them.
static imx_status finish_members(imx_layer_coder *coder, imx_error *err) {
    const imx_status status = code_members(coder, err);
    clear_members(coder);
    return status;
}

// ---- layers ------------------------------------------------------------------------------------

static imx_status code_inputs(imx_layer_coder *coder, imx_error *err) {
    const size_t n_inputs = imx_layer_covariances_n_inputs(coder->covariances);
    for (size_t i = 0; i < n_inputs; ++i) {
        const char *const *weights;
        size_t n_weights;
        uint64_t n_mats;
        imx_layer_covariances_input(coder->covariances, i, &weights, &n_weights, &n_mats);
        for (size_t w = 0; w < n_weights; ++w) {
            IMX_TRY(add_named(coder, weights[w], err));
        }
        IMX_TRY(finish_members(coder, err));
    }
    return IMX_OK;
}

static imx_status code_unseen(imx_layer_coder *coder, int layer, imx_error *err) {
    for (size_t f = 0; f < coder->n_files; ++f) {
        imx_calibrated_file *file = &coder->files[f];
        const imx_plan *plan = file->quantizer->plan;
        for (size_t i = 0; i < plan->n_items; ++i) {
            if (file->is_pending[i] && imx_layer_of(plan->items[i].source->name) == layer) {
                IMX_TRY(add_member(coder, file, i, err));
                IMX_TRY(finish_members(coder, err));
            }
        }
    }
    return IMX_OK;
}

imx_status imx_layer_coder_code(imx_layer_coder *coder, int layer, imx_error *err) {
    give_back(coder, coder->n_lasting);
    IMX_TRY(code_inputs(coder, err));
    IMX_TRY(code_unseen(coder, layer, err));
    imx_layer_covariances_clear(coder->covariances);
    return IMX_OK;
}

imx_status imx_layer_coder_code_lasting(imx_layer_coder *coder, const char *name,
                                        const imx_input_covariance *covariance, imx_error *err) {
    IMX_TRY(add_named(coder, name, err));
    coder->given = covariance;
    const imx_status status = coder->n_members > 0 ? finish_members(coder, err) : IMX_OK;
    coder->given = NULL;
    coder->n_lasting = coder->n_coded;
    return status;
}

void imx_layer_coder_close(imx_layer_coder *coder) {
    give_back(coder, 0);
    clear_members(coder);
    free(coder->members);
    free(coder->jobs);
    free(coder->coded);
}
