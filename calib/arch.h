// SPDX-License-Identifier: MIT
//
// Architectures as data. One row says everything that tells a family of models from another: which
// metadata means something to it, which tensors it has, which functions stand at the points where
// families differ. The forward pass asks the row, never the name.

#ifndef IMX_CALIB_ARCH_H
#define IMX_CALIB_ARCH_H

#include "calib/hparams.h"
#include "calib/role.h"
#include "calib/row_ops.h"
#include "formats/error.h"
#include "formats/gguf.h"

typedef enum imx_trait {
    IMX_TRAIT_PLAIN_NORMS = 1,           // norms have no weights
    IMX_TRAIT_ROTATES_BEFORE_NORM = 2,   // queries and keys are rotated, then normed
    IMX_TRAIT_LOGITS_ARE_DIVIDED = 4,    // by logit_scale, instead of multiplied
    IMX_TRAIT_PARALLEL_WITHOUT_NORM = 8, // a layer without ffn_norm is parallel
} imx_trait;

typedef struct imx_arch {
    const char *name;          // value of general.architecture, prefix of its keys
    unsigned keys;             // of imx_key_group
    imx_role_set roles;        // that it has
    imx_role_set optional;     // of these, may be absent
    imx_norm_fn *norm;         //
    imx_rotate_fn *rotate;     // queries and keys by position; NULL: they are not rotated
    imx_activate_fn *activate; // in the feed-forward network
    unsigned traits;           // of imx_trait
    imx_hparams defaults;      // where the metadata is silent
    void (*finish)(imx_hparams *hparams); // see imx_hparams_rules; may be NULL
} imx_arch;

// The row of the model's general.architecture; IMX_ERR_UNSUPPORTED lists those that exist.
imx_status imx_arch_find(const imx_arch **out, const imx_gguf *gguf, imx_error *err);

#endif
