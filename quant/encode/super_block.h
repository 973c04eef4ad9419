// SPDX-License-Identifier: MIT
//
// A K-quant super-block before it is packed into bits: 256 weights in groups that share a grid,
// whose scales and mins are integers times half-precision numbers of the super-block:
//
//     x̂ = d · scale_g · q - dmin · min_g.
//
// d and dmin may have either sign.

#ifndef IMX_QUANT_SUPER_BLOCK_H
#define IMX_QUANT_SUPER_BLOCK_H

#include "quant/encode/block_view.h"
#include "quant/encode/grid.h"

enum { IMX_MAX_GROUPS = 16 };

typedef struct imx_super_shape {
    int n_groups;
    int group_len;
    imx_code_range codes;
    imx_code_range scales;
    imx_code_range mins; // 0..0 where the type has none
} imx_super_shape;

typedef struct imx_super_block {
    imx_f16 d;
    imx_f16 dmin;
    float scales[IMX_MAX_GROUPS];     // integers
    float mins[IMX_MAX_GROUPS];       // integers
    float codes[IMX_SUPER_BLOCK_LEN]; // integers
} imx_super_block;

static inline imx_group imx_group_at(const imx_block_view *view, const imx_super_shape *shape,
                                     int g) {
    const int first = g * shape->group_len;
    return (imx_group){view->x + first, view->w + first, shape->group_len, shape->codes};
}

#endif
