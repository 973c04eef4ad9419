// SPDX-License-Identifier: MIT
#ifndef IMX_QUANT_SUPER_BLOCK_H
#define IMX_QUANT_SUPER_BLOCK_H
#include "quant/candidates.h"
#include "quant/encode_internal.h"
enum { IMX_MAX_GROUPS = 16 };
typedef struct imx_super_shape {
    int n_groups, group_len;
    imx_code_range codes;  // of weights
    imx_code_range scales; // integers
    imx_code_range mins;   // integers; affine only
} imx_super_shape;
typedef struct imx_super_block {
    imx_f16 d, dmin;
    float scales[IMX_MAX_GROUPS];
    float mins[IMX_MAX_GROUPS];
    float codes[IMX_SUPER_BLOCK_LEN];
} imx_super_block;
void imx_search_super_symmetric(const imx_block_view *view, const imx_super_shape *shape, imx_super_block *out);
void imx_search_super_affine(const imx_block_view *view, const imx_super_shape *shape, imx_super_block *out);
#endif
