// SPDX-License-Identifier: MIT
//
// A run of 256 weights with the codes and grids that a type can store: one super-block, or eight
// blocks of 32. Group g of the run has the grid
//
//     x̂ = d_h · scale_g · level - dmin_h · min_g,
//
// where h is the run, or in types whose every block has its own halves the group; scale and min are
// small integers, and a level is a code or what a table has in its place.

#ifndef IMX_QUANT_CODED_RUN_H
#define IMX_QUANT_CODED_RUN_H

#include "formats/blocks.h"
#include "quant/encode/block_view.h"
#include "quant/encode/grid.h"

enum {
    IMX_MAX_HALVES = 8,
    IMX_MAX_GROUPS = 16,
};

typedef struct imx_run_shape {
    int n_groups;          // 8 or 16
    int group_len;         // 256 / n_groups
    int n_halves;          // 1, or n_groups
    imx_code_range codes;  // of the levels, where there is no table
    const int8_t *values;  // (16) ascending levels; NULL = all integers of `codes`
    imx_code_range scales; // 1..1 where groups have halves of their own
    imx_code_range mins;   // likewise; 0..0 where the type has none
} imx_run_shape;

typedef struct imx_coded_run {
    imx_f16 d[IMX_MAX_HALVES];         // (n_halves), of either sign
    imx_f16 dmin[IMX_MAX_HALVES];      // (n_halves), of either sign; 0 where the type has none
    float scales[IMX_MAX_GROUPS];      // (n_groups) integers
    float mins[IMX_MAX_GROUPS];        // (n_groups) integers
    float levels[IMX_SUPER_BLOCK_LEN]; // integers
} imx_coded_run;

static inline imx_group imx_group_at(const imx_block_view *view, const imx_run_shape *shape,
                                     int g) {
    const int first = g * shape->group_len;
    return (imx_group){view->x + first, view->w + first, shape->group_len, shape->codes};
}

// Which of the halves rule group g.
static inline int imx_half_of_group(const imx_run_shape *shape, int g) {
    return shape->n_halves == 1 ? 0 : g;
}

#endif
