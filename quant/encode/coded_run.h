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

#include "quant/encode/super_block.h"

enum { IMX_MAX_HALVES = 8 };

typedef struct imx_run_shape {
    int n_groups;          // 8 or 16
    int n_halves;          // 1, or n_groups
    imx_code_range codes;  // of the levels, where there is no table
    const int8_t *values;  // (16) ascending levels; NULL = all integers of `codes`
    imx_code_range scales; // 1..1 where groups have halves of their own
    imx_code_range mins;   // likewise; 0..0 where the type has none
} imx_run_shape;

typedef struct imx_coded_run {
    imx_f16 d[IMX_MAX_HALVES];         // (n_halves), of either sign
    imx_f16 dmin[IMX_MAX_HALVES];      // (n_halves)
    float scales[IMX_MAX_GROUPS];      // (n_groups) integers
    float mins[IMX_MAX_GROUPS];        // (n_groups) integers
    float levels[IMX_SUPER_BLOCK_LEN]; // integers
} imx_coded_run;

#endif
