// SPDX-License-Identifier: MIT
//
// What the files of this room know about an open model.

#ifndef IMX_CALIB_MODEL_INTERNAL_H
#define IMX_CALIB_MODEL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calib/arch.h"
#include "calib/hparams.h"
#include "calib/model.h"
#include "formats/gguf.h"

// The tensors of one role in one layer, views into the file. Shapes and types are checked.
typedef struct imx_binding {
    const imx_gguf_tensor *weight; // (n_out, n_in), or (n_out) for a vector; NULL when absent
    const imx_gguf_tensor *bias;   // (n_out) or NULL
    const imx_gguf_tensor *scale;  // (1) or NULL
} imx_binding;

struct imx_model {
    imx_gguf *gguf;
    const imx_arch *arch;
    imx_hparams hparams;
    imx_binding (*bindings)[IMX_N_ROLES]; // (n_layers, n_roles); roles outside layers in row 0
    bool drops_used_weights;
};

// The role that is multiplied with the final hidden states: the output, or the embedding when the
// file has no output.
imx_role imx_model_head_role(const imx_model *model);

// Tells the system that the weights of a layer will be read soon.
void imx_model_read_ahead(const imx_model *model, uint32_t layer);

// Takes what has been read of a tensor out of the process's memory.
void imx_model_release(const imx_model *model, const imx_gguf_tensor *tensor);

// The most bytes of the file that are in the process's memory at a time when every tensor is
// released after use, and `n_rows` tokens are embedded between two releases.
uint64_t imx_model_mapped_bytes(const imx_model *model, size_t n_rows);

#endif
