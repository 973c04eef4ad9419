// SPDX-License-Identifier: MIT
//
// Hyperparameters: the numbers in a model's metadata that shape its forward pass.

#ifndef IMX_CALIB_HPARAMS_H
#define IMX_CALIB_HPARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/gguf.h"

typedef struct imx_hparams {
    uint32_t n_vocab; // rows of the token embedding
    uint32_t n_embd;
    uint32_t n_layers;
    uint32_t n_ff;
    uint32_t n_heads;
    uint32_t n_kv_heads; // divides n_heads
    uint32_t head_dim_k; // of queries and keys
    uint32_t head_dim_v;
    uint32_t n_rot; // leading values of a head that are rotated; even, at most head_dim_k
    float norm_eps;
    float rope_base;
    float rope_factor; // positions are divided by it
} imx_hparams;

// Sizes that tensor shapes are made of.
typedef enum imx_dim {
    IMX_DIM_ONE,
    IMX_DIM_EMBD,
    IMX_DIM_Q,   // all heads' queries
    IMX_DIM_K,   // all heads' keys
    IMX_DIM_V,   // all heads' values
    IMX_DIM_MIX, // all heads' mixed values, the attention's output
    IMX_DIM_FF,
    IMX_DIM_VOCAB,
    IMX_DIM_PAIRS, // rotated pairs of a head
} imx_dim;

size_t imx_hparams_dim(const imx_hparams *hparams, imx_dim dim);

// One metadata key "ARCH.suffix" and the field it fills.
typedef struct imx_hparam_row {
    const char *suffix;
    bool is_float; // the field is a float, else a uint32_t
    size_t offset; // of the field in imx_hparams
    bool required;
} imx_hparam_row;

#define IMX_HPARAM_U32(field) false, offsetof(imx_hparams, field)
#define IMX_HPARAM_F32(field) true, offsetof(imx_hparams, field)

// Reads the rows' keys under `arch_name` in order (a later key overrides an earlier one of the same
// field), fills in what is absent and checks that the numbers make a model. A key outside the rows
// that is not at a value without effect is IMX_ERR_UNSUPPORTED by name.
imx_status imx_hparams_read(imx_hparams *hparams, const char *arch_name, const imx_hparam_row *rows,
                            size_t n_rows, const imx_gguf *gguf, imx_error *err);

#endif
