// SPDX-License-Identifier: MIT
#include "quant/search_symmetric.h"
#include <math.h>
#ifndef P_LO
#define P_LO 0.5f
#endif
#ifndef P_HI
#define P_HI 1.1f
#endif
#ifndef P_R1
#define P_R1 2
#endif
#ifndef P_R2
#define P_R2 2
#endif
#ifndef P_Z
#define P_Z 1.0f
#endif
static float farthest(const imx_group *group) {
    float extreme = 0.0f;
    for (int j = 0; j < group->n; ++j) {
        extreme = fabsf(group->x[j]) > fabsf(extreme) ? group->x[j] : extreme;
    }
    return extreme;
}
float imx_fit_scale(const imx_group *group) {
    const float extreme = farthest(group);
    const imx_code_range r = group->codes;
    imx_grids g = {0};
    const int two = r.lowest < 0;
    const int h = two ? IMX_LANES / 2 : IMX_LANES;
    const float step = (P_HI - P_LO) / (float)(h - 1);
    for (int l = 0; l < IMX_LANES; ++l) {
        const float t = P_LO + step * (float)(l % h);
        g.scale[l] = extreme * t / (l < h ? r.highest : r.lowest);
    }
    imx_improve_grids(&g, group, IMX_OFFSET_ZERO, P_R1);
    int best = imx_best_grid(&g, group, 0);
    // zoom
    const float centre = g.scale[best];
    const float z = P_Z*step;
    for (int l = 0; l < IMX_LANES; ++l) {
        g.scale[l] = centre * (1.0f + z * ((float)l / (IMX_LANES - 1) * 2.0f - 1.0f));
    }
    g.scale[0] = centre;
    imx_improve_grids(&g, group, IMX_OFFSET_ZERO, P_R2);
    best = imx_best_grid(&g, group, 0);
    return g.scale[best];
}
