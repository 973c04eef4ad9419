// SPDX-License-Identifier: MIT

#include "quant/encode/grid.h"

void imx_group_codes(const imx_group *group, imx_grid grid, float *codes) {
    const float inverse = imx_inverse(grid.scale);
    for (int j = 0; j < group->n; ++j) {
        codes[j] = imx_clamp(imx_round((group->x[j] - grid.offset) * inverse), group->codes);
    }
}

imx_moments imx_group_moments(const imx_group *group, const float *codes) {
    imx_moments sums = {0};
    for (int j = 0; j < group->n; ++j) {
        const float wq = group->w[j] * codes[j];
        sums.w += group->w[j];
        sums.x += group->w[j] * group->x[j];
        sums.q += wq;
        sums.qq += wq * codes[j];
        sums.xq += wq * group->x[j];
    }
    return sums;
}
