// SPDX-License-Identifier: MIT
//
// Architectures as data. One row says everything that tells a family of models from another: which
// metadata it reads, which tensors it has and of what shape, which functions stand at the points
// where families differ. The forward pass asks the row, never the name.

#ifndef IMX_CALIB_ARCH_H
#define IMX_CALIB_ARCH_H

#include <stddef.h>

#include "calib/hparams.h"
#include "calib/row_ops.h"
#include "formats/error.h"
#include "formats/gguf.h"

// What a tensor is for. Those from IMX_ROLE_ATTN_NORM on exist once per layer.
typedef enum imx_role {
    IMX_ROLE_TOKEN_EMBD,
    IMX_ROLE_ROPE_FREQS, // divisors of the rotation frequencies
    IMX_ROLE_OUTPUT_NORM,
    IMX_ROLE_OUTPUT,
    IMX_ROLE_ATTN_NORM,
    IMX_ROLE_ATTN_Q,
    IMX_ROLE_ATTN_K,
    IMX_ROLE_ATTN_V,
    IMX_ROLE_ATTN_OUTPUT,
    IMX_ROLE_FFN_NORM,
    IMX_ROLE_FFN_GATE,
    IMX_ROLE_FFN_UP,
    IMX_ROLE_FFN_DOWN,
    IMX_N_ROLES,
    IMX_FIRST_LAYER_ROLE = IMX_ROLE_ATTN_NORM,
} imx_role;

typedef enum imx_role_flag {
    IMX_ROLE_OPTIONAL = 1,    // the weight may be absent
    IMX_ROLE_HAS_PARTS = 2,   // bias and scale are known; each may be absent
    IMX_ROLE_SCALES_BIAS = 4, // y = scale · (W x + bias) instead of scale · W x + bias
} imx_role_flag;

// Tensors of a role: STEM.weight and, where the row allows, STEM.bias (n_out) and STEM.scale (1),
// in a layer with "blk.N." in front. Together they compute y = scale · W x + bias.
typedef struct imx_role_row {
    const char *stem; // NULL: the architecture has no such role
    imx_dim n_in;     // IMX_DIM_ONE: a vector (n_out)
    imx_dim n_out;
    unsigned flags; // of imx_role_flag
} imx_role_row;

typedef struct imx_arch {
    const char *name; // value of general.architecture, prefix of its keys
    const imx_hparam_row *hparams;
    size_t n_hparams;
    const imx_role_row *roles; // (IMX_N_ROLES), indexed by role
    imx_norm_fn *norm;
    imx_rotate_fn *rotate; // queries and keys by position
    imx_gate_fn *gate;     // joins the two inner products of the feed-forward network
} imx_arch;

// The row of the model's general.architecture; IMX_ERR_UNSUPPORTED lists those that exist.
imx_status imx_arch_find(const imx_arch **out, const imx_gguf *gguf, imx_error *err);

#endif
