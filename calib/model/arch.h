// SPDX-License-Identifier: MIT
//
// Architectures as data. One row says everything that tells a family of models from another: which
// metadata means something to it, which tensors it has, which functions stand at the points where
// families differ. The forward pass asks the row, never the name.

#ifndef IMX_CALIB_ARCH_H
#define IMX_CALIB_ARCH_H

#include "calib/forward/row_ops.h"
#include "calib/model/hparams.h"
#include "calib/model/role.h"
#include "formats/error.h"
#include "formats/gguf.h"

typedef enum imx_trait {
    IMX_TRAIT_PLAIN_NORMS = 1,           // there are norms, but they have no weights
    IMX_TRAIT_ROTATES_BEFORE_NORM = 2,   // queries and keys are rotated, then normed
    IMX_TRAIT_LOGITS_ARE_DIVIDED = 4,    // by logit_scale, instead of multiplied
    IMX_TRAIT_PARALLEL_WITHOUT_NORM = 8, // a layer without ffn_norm is parallel
} imx_trait;

enum { IMX_MAX_IGNORED_KEYS = 3 };

typedef struct imx_arch {
    const char *name;          // value of general.architecture, prefix of its keys
    unsigned keys;             // of imx_key_group
    imx_role_set roles;        // that it has
    imx_role_set optional;     // of these, may be absent
    imx_role_set unscaled;     // of these, whose scales are passed over, as by llama.cpp
    imx_role_set unbiased;     // of these, whose biases are
    imx_norm_fn *norm;         //
    imx_rotate_fn *rotate;     // queries and keys by position; NULL: they are not rotated
    imx_activate_fn *activate; // in the feed-forward network
    unsigned traits;           // of imx_trait
    imx_hparams defaults;      // where the metadata is silent
    imx_finish_fn *finish;     // may be NULL
    const char *ignored_keys[IMX_MAX_IGNORED_KEYS + 1]; // fnmatch patterns, see imx_hparams_rules
} imx_arch;

// All rows, in the order of their names.
extern const imx_arch imx_archs[];
extern const size_t imx_n_archs;

// The row of the model's general.architecture; IMX_ERR_UNSUPPORTED says what kind of model it is
// and lists those that can be run.
imx_status imx_arch_find(const imx_arch **out, const imx_gguf *gguf, imx_error *err);

#endif
