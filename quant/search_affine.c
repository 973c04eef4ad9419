// SPDX-License-Identifier: MIT
#include "quant/search_affine.h"
#ifndef A_R
#define A_R 3
#define A_LO -0.5f
#define A_HI 0.5f
#endif
imx_grid imx_fit_affine(const imx_group *group, imx_offset_rule rule) {
    float lo = rule == IMX_OFFSET_NEGATIVE ? 0.0f : group->x[0];
    float hi = group->x[0];
    for (int j = 0; j < group->n; ++j) {
        lo = group->x[j] < lo ? group->x[j] : lo;
        hi = group->x[j] > hi ? group->x[j] : hi;
    }
    const float range = hi - lo;
    const float nmax = group->codes.highest;
    imx_grids g;
    // total clipped fraction t: 8, split u: 4
    for (int l = 0; l < IMX_LANES; ++l) {
        const float t = (A_LO / nmax) + (A_HI - A_LO / nmax) * (float)(l / 4) / 7.0f;
        const float u = (float)(l % 4) / 3.0f;
        g.scale[l] = range * (1.0f - t) / nmax;
        g.offset[l] = lo + range * t * u;
    }
    imx_improve_grids(&g, group, rule, A_R);
    const int b = imx_best_grid(&g, group, 0);
    return (imx_grid){g.scale[b], g.offset[b]};
}
