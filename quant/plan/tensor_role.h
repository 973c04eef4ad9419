// SPDX-License-Identifier: MIT
//
// What a tensor is for, read from its name. Recipes speak of roles, never of names.

#ifndef IMX_QUANT_TENSOR_ROLE_H
#define IMX_QUANT_TENSOR_ROLE_H

#include <stdbool.h>

typedef enum imx_mix_role {
    IMX_MIX_ROLE_KEPT, // never quantized: norms, biases, routers, small or positional tables
    IMX_MIX_ROLE_OUTPUT,
    IMX_MIX_ROLE_TOKEN_EMBD,
    IMX_MIX_ROLE_ATTN_V, // also the fused q, k, v and the compressed k and v
    IMX_MIX_ROLE_ATTN_K,
    IMX_MIX_ROLE_ATTN_OUTPUT,
    IMX_MIX_ROLE_FFN_DOWN, // also of experts and shared experts
    IMX_MIX_ROLE_OTHER,
    IMX_MIX_ROLE_COUNT,
} imx_mix_role;

imx_mix_role imx_mix_role_of(const char *tensor_name);

// The layer in "blk.LAYER.", or -1.
int imx_layer_of(const char *tensor_name);

#endif
