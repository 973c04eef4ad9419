// SPDX-License-Identifier: MIT
//
// What the files of this room know about an open model.

#ifndef IMX_CALIB_MODEL_INTERNAL_H
#define IMX_CALIB_MODEL_INTERNAL_H

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
};

// The role that is multiplied with the final hidden states: the output, or the embedding when the
// file has no output.
imx_role imx_model_head_role(const imx_model *model);

#endif
