// SPDX-License-Identifier: MIT
//
// What a tensor is for. GGUF names the same thing the same in all architectures, so that one table
// says of every role what its tensors are called and what shape they have; an architecture says
// which roles it has.

#ifndef IMX_CALIB_ROLE_H
#define IMX_CALIB_ROLE_H

#include <stdbool.h>
#include <stdint.h>

#include "calib/model/hparams.h"

// Those from IMX_ROLE_ATTN_NORM on exist once per layer.
typedef enum imx_role {
    IMX_ROLE_TOKEN_EMBD,
    IMX_ROLE_TOKEN_EMBD_NORM,
    IMX_ROLE_POSITION_EMBD,
    IMX_ROLE_ROPE_FREQS, // divisors of the rotation frequencies
    IMX_ROLE_ROPE_LONG,  // the same for contexts beyond the original one
    IMX_ROLE_ROPE_SHORT, // the same for others
    IMX_ROLE_OUTPUT_NORM,
    IMX_ROLE_OUTPUT,

    IMX_ROLE_ATTN_NORM,
    IMX_ROLE_ATTN_NORM_2, // of the attention, where the one above is the feed-forward network's
    IMX_ROLE_ATTN_Q,
    IMX_ROLE_ATTN_K,
    IMX_ROLE_ATTN_V,
    IMX_ROLE_ATTN_QKV,         // the three one above another
    IMX_ROLE_ATTN_Q_NORM,      // of each head, the same weight for all
    IMX_ROLE_ATTN_K_NORM,      //
    IMX_ROLE_ATTN_Q_NORM_EACH, // of each head, each with its own weight
    IMX_ROLE_ATTN_K_NORM_EACH, //
    IMX_ROLE_ATTN_Q_NORM_ALL,  // of all heads as one row
    IMX_ROLE_ATTN_K_NORM_ALL,  //
    IMX_ROLE_ATTN_Q_A,         // latent attention: down to the rank of queries
    IMX_ROLE_ATTN_Q_A_NORM,    //
    IMX_ROLE_ATTN_Q_B,         // and up to the heads
    IMX_ROLE_ATTN_KV_A,        // down to the latent, and the rotated part of all keys
    IMX_ROLE_ATTN_KV_A_NORM,   //
    IMX_ROLE_ATTN_KV_B,        // up to keys and values, head by head
    IMX_ROLE_ATTN_K_B,         // keys of each head, transposed: queries down to the latent
    IMX_ROLE_ATTN_V_B,         // values of each head
    IMX_ROLE_ATTN_SINKS,       // score of each head for attending to nothing
    IMX_ROLE_ATTN_OUTPUT,
    IMX_ROLE_ATTN_POST_NORM,
    IMX_ROLE_FFN_NORM,
    IMX_ROLE_FFN_NORM_LATE, // the same by the name of the one above
    IMX_ROLE_FFN_GATE,
    IMX_ROLE_FFN_UP,
    IMX_ROLE_FFN_GATE_UP, // the two one above the other, by the name of the lower
    IMX_ROLE_FFN_DIVISOR, // of the input of the one below, column by column
    IMX_ROLE_FFN_DOWN,
    IMX_ROLE_FFN_POST_NORM,
    IMX_ROLE_ROUTER, // chooses experts
    IMX_ROLE_ROUTER_BIAS,
    IMX_ROLE_EXPERTS_GATE,
    IMX_ROLE_EXPERTS_UP,
    IMX_ROLE_EXPERTS_GATE_UP,
    IMX_ROLE_EXPERTS_DOWN,
    IMX_ROLE_SHARED_ROUTER, // how much of the shared expert
    IMX_ROLE_SHARED_GATE,
    IMX_ROLE_SHARED_UP,
    IMX_ROLE_SHARED_DOWN,
    IMX_N_ROLES,
    IMX_FIRST_LAYER_ROLE = IMX_ROLE_ATTN_NORM,
} imx_role;

// A set of roles, by bit.
typedef uint64_t imx_role_set;

_Static_assert(IMX_N_ROLES <= 64, "roles fit into a set");

static inline bool imx_role_is_in(imx_role_set set, imx_role role) {
    return (set >> role & 1) != 0;
}

typedef enum imx_role_flag {
    IMX_ROLE_HAS_BIAS = 1,    // may have a bias
    IMX_ROLE_HAS_SCALE = 2,   // may have a scale
    IMX_ROLE_SCALES_BIAS = 4, // y = scale · (W x + bias) instead of scale · W x + bias
    IMX_ROLE_IS_NORM = 8,     //
    IMX_ROLE_HAS_SHIFT = 16,  // may have a bias where the architecture's norm has one
    IMX_ROLE_IS_BIAS = 32,    // the vector itself is called STEM.bias
    IMX_ROLE_IS_SCALES = 64,  // the vector itself is called STEM.scales
} imx_role_flag;

// Tensors of a role: STEM.weight and, where the flags allow, STEM.bias (n_out) and STEM.scale (1),
// in a layer with "blk.N." in front. Together they compute y = scale · W x + bias. Where there are
// several matrices each has its bias and its scale.
typedef struct imx_role_row {
    const char *stem;
    imx_dim n_in; // IMX_DIM_ONE: a vector (n_out)
    imx_dim n_out;
    imx_dim n_mats;
    unsigned flags; // of imx_role_flag
} imx_role_row;

// The row of a role.
const imx_role_row *imx_role_row_of(imx_role role);

// Whether the role multiplies hidden states: neither a vector nor a table to look rows up in.
bool imx_role_is_product(imx_role role);

#endif
