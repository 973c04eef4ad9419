// SPDX-License-Identifier: MIT
//
// Where the values of weights lie: in the file's mapping, of which as little as possible is to stay
// in the process's memory, or in memory of a caller who wants to see what another version of a
// weight would do.
//
// Bindings point into a copy of the file's table of tensors, so that a substitution changes a row
// of it and nothing that holds a pointer hears of it. The system is told only about what is in the
// file: to release another's heap would be to lose it.

#include <stdbool.h>
#include <string.h>

#include "calib/model/model_internal.h"

enum { FAULT_AROUND_BYTES = 1 << 17 }; // that Linux maps around a page that is touched, twice

// ---- substitution ------------------------------------------------------------------------------

static const imx_gguf_tensor *in_file(const imx_model *model, const imx_gguf_tensor *tensor) {
    return &model->gguf->tensors[tensor - model->tensors];
}

static bool is_substituted(const imx_model *model, const imx_gguf_tensor *tensor) {
    return tensor->data != in_file(model, tensor)->data;
}

// The tensor of that name, if it is some role's weight.
static imx_gguf_tensor *find_weight(const imx_model *model, const char *name) {
    for (uint32_t layer = 0; layer < model->hparams.n_layers; ++layer) {
        for (imx_role role = 0; role < IMX_N_ROLES; ++role) {
            const imx_gguf_tensor *weight = model->bindings[layer][role].weight;
            if (weight != NULL && strcmp(weight->name, name) == 0) {
                return &model->tensors[weight - model->tensors];
            }
        }
    }
    return NULL;
}

imx_status imx_model_substitute(imx_model *model, const char *weight, uint32_t type,
                                const uint8_t *data, imx_error *err) {
    imx_gguf_tensor *tensor = find_weight(model, weight);
    if (tensor == NULL) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "%s: the model runs without a weight '%s'",
                        model->gguf->path, weight);
    }
    *tensor = *in_file(model, tensor);
    if (data == NULL) {
        return IMX_OK;
    }
    const imx_type_traits *traits = imx_type_traits_of(type);
    const uint64_t row_bytes = imx_type_row_bytes(type, imx_gguf_tensor_cols(tensor));
    if (row_bytes == 0 || traits->decode == NULL) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "%s: '%s' cannot be of type %s", model->gguf->path,
                        weight, imx_type_name(type));
    }
    tensor->type = type;
    tensor->size_bytes = row_bytes * imx_gguf_tensor_rows(tensor);
    tensor->data = data;
    return IMX_OK;
}

// ---- the file's mapping ------------------------------------------------------------------------

void imx_model_drop_used_weights(imx_model *model) {
    model->drops_used_weights = true;
}

void imx_model_read_ahead(const imx_model *model, uint32_t layer) {
    for (size_t role = IMX_FIRST_LAYER_ROLE; role < IMX_N_ROLES; ++role) {
        const imx_gguf_tensor *weight = model->bindings[layer][role].weight;
        if (weight != NULL && !is_substituted(model, weight)) {
            imx_file_map_will_need(weight->data, weight->size_bytes);
        }
    }
}

static uint64_t mat_bytes(const imx_gguf_tensor *tensor) {
    return tensor->size_bytes / imx_gguf_tensor_mats(tensor);
}

static void release(const imx_model *model, const imx_gguf_tensor *tensor, uint64_t offset,
                    uint64_t size_bytes) {
    if (!is_substituted(model, tensor)) {
        (model->drops_used_weights ? imx_file_map_drop
                                   : imx_file_map_release)(tensor->data + offset, size_bytes);
    }
}

void imx_model_release(const imx_model *model, const imx_gguf_tensor *tensor) {
    release(model, tensor, 0, tensor->size_bytes);
}

void imx_model_release_mat(const imx_model *model, const imx_gguf_tensor *tensor, size_t mat) {
    release(model, tensor, mat * mat_bytes(tensor), mat_bytes(tensor));
}

uint64_t imx_model_mapped_bytes(const imx_model *model, size_t n_rows) {
    const imx_gguf_tensor *embedding = model->bindings[0][IMX_ROLE_TOKEN_EMBD].weight;
    const uint64_t row_bytes = embedding->size_bytes / model->hparams.n_vocab;
    const uint64_t rows_bytes = n_rows * (row_bytes + FAULT_AROUND_BYTES);
    uint64_t most = rows_bytes < embedding->size_bytes ? rows_bytes : embedding->size_bytes;
    for (uint32_t layer = 0; layer < model->hparams.n_layers; ++layer) {
        for (size_t role = IMX_FIRST_LAYER_ROLE; role < IMX_N_ROLES; ++role) {
            const imx_gguf_tensor *weight = model->bindings[layer][role].weight;
            most = weight != NULL && mat_bytes(weight) > most ? mat_bytes(weight) : most;
        }
    }
    return most;
}
