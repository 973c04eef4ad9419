// SPDX-License-Identifier: MIT
//
// Coded runs of any type: every number that the type can store is likely.

#ifndef IMX_TEST_RANDOM_RUN_H
#define IMX_TEST_RANDOM_RUN_H

#include "quant/encode/coded_run.h"
#include "random_normal.h"

static inline float random_integer(imx_code_range range) {
    const double n = (double)(range.highest - range.lowest) + 1.0;
    return range.lowest + (float)floor(random_uniform() * n);
}

static inline imx_f16 random_half(void) {
    return imx_f16_from_f32((float)(0.01 * random_normal()));
}

// *run = random halves of either sign, integers and levels; `shape` is not NULL.
static inline void random_run(const imx_run_shape *shape, imx_coded_run *run) {
    static const imx_code_range sixteen = {0.0f, 15.0f};
    *run = (imx_coded_run){0};
    for (int h = 0; h < shape->n_halves; ++h) {
        run->d[h] = random_half();
        run->dmin[h] = shape->mins.highest > 0.0f ? random_half() : 0;
    }
    for (int g = 0; g < shape->n_groups; ++g) {
        run->scales[g] = random_integer(shape->scales);
        run->mins[g] = random_integer(shape->mins);
    }
    for (int j = 0; j < IMX_SUPER_BLOCK_LEN; ++j) {
        run->levels[j] = shape->values != NULL ? (float)shape->values[(int)random_integer(sixteen)]
                                               : random_integer(shape->codes);
    }
}

#endif
