// SPDX-License-Identifier: MIT
//
// What the files of this room know about an open model.

#ifndef IMX_CALIB_MODEL_INTERNAL_H
#define IMX_CALIB_MODEL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calib/model/arch.h"
#include "calib/model/hparams.h"
#include "calib/model/model.h"
#include "calib/model/role.h"
#include "formats/gguf.h"

// The tensors of one role in one layer, of model->tensors. Shapes and types are checked.
typedef struct imx_binding {
    const imx_gguf_tensor *weight; // (n_mats, n_out, n_in), or (n_out) for a vector; NULL: absent
    const imx_gguf_tensor *bias;   // (n_mats, n_out) or NULL
    const imx_gguf_tensor *scale;  // (n_mats) or NULL
} imx_binding;

struct imx_model {
    imx_gguf *gguf;
    imx_gguf_tensor *tensors; // (gguf->n_tensors) as in the file, but for those substituted
    const imx_arch *arch;
    imx_hparams hparams;
    imx_binding (*bindings)[IMX_N_ROLES]; // (n_layers, n_roles); roles outside layers in row 0
    bool drops_used_weights;
};

// Whether the model has a tensor of that role in that layer (0 for roles outside layers).
static inline bool imx_model_has(const imx_model *model, uint32_t layer, imx_role role) {
    return model->bindings[layer][role].weight != NULL;
}

// The length of a dimension of the model's tensors.
static inline size_t imx_model_dim(const imx_model *model, imx_dim dim) {
    return imx_hparams_dim(&model->hparams, dim);
}

// The role that is multiplied with the final hidden states: the output, or the embedding when the
// file has no output.
imx_role imx_model_head_role(const imx_model *model);

// Tells the system that the weights of a layer will be read soon.
void imx_model_read_ahead(const imx_model *model, uint32_t layer);

// Takes what has been read of a tensor, or of one of its matrices, out of the process's memory.
void imx_model_release(const imx_model *model, const imx_gguf_tensor *tensor);
void imx_model_release_mat(const imx_model *model, const imx_gguf_tensor *tensor, size_t mat);

// The most bytes of the file that are in the process's memory at a time when every matrix is
// released after use, and `n_rows` tokens are embedded between two releases.
uint64_t imx_model_mapped_bytes(const imx_model *model, size_t n_rows);

#endif
