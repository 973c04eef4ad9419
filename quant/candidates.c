// SPDX-License-Identifier: MIT

#include "quant/candidates.h"

#include <stddef.h>
#include <string.h>

typedef struct moment_lanes {
    float q[IMX_LANES];
    float qq[IMX_LANES];
    float xq[IMX_LANES];
} moment_lanes;

static void invert_scales(const imx_grids *grids, float inverse[IMX_LANES]) {
    for (int l = 0; l < IMX_LANES; ++l) {
        inverse[l] = imx_inverse(grids->scale[l]);
    }
}

static void sum_moments(const imx_grids *grids, const imx_group *group, moment_lanes *sums) {
    float inverse[IMX_LANES];
    invert_scales(grids, inverse);
    const imx_code_range codes = group->codes;
    memset(sums, 0, sizeof *sums);
    for (int j = 0; j < group->n; ++j) {
        const float x = group->x[j];
        const float w = group->w[j];
        for (int l = 0; l < IMX_LANES; ++l) {
            const float q = imx_clamp(imx_round((x - grids->offset[l]) * inverse[l]), codes.lowest,
                                      codes.highest);
            const float wq = w * q;
            sums->q[l] += wq;
            sums->qq[l] += wq * q;
            sums->xq[l] += wq * x;
        }
    }
}

static void sum_errors(const imx_grids *grids, const imx_group *group, float error[IMX_LANES]) {
    float inverse[IMX_LANES];
    invert_scales(grids, inverse);
    const imx_code_range codes = group->codes;
    memset(error, 0, IMX_LANES * sizeof *error);
    for (int j = 0; j < group->n; ++j) {
        const float x = group->x[j];
        const float w = group->w[j];
        for (int l = 0; l < IMX_LANES; ++l) {
            const float y = x - grids->offset[l];
            const float q = imx_clamp(imx_round(y * inverse[l]), codes.lowest, codes.highest);
            const float e = y - grids->scale[l] * q;
            error[l] += w * e * e;
        }
    }
}

// scale = cov(x, q) / var(q), offset = mean(x) - scale · mean(q).
static void fit_affine(imx_grids *grids, const moment_lanes *sums, float sum_w, float sum_x,
                       float highest_offset) {
    for (int l = 0; l < IMX_LANES; ++l) {
        const float mean_q = sums->q[l] / sum_w;
        const float variance = sums->qq[l] - mean_q * sums->q[l];
        const float covariance = sums->xq[l] - mean_q * sum_x;
        const float scale =
            covariance * imx_inverse(variance > 1e-6f * sums->qq[l] ? variance : 0.0f);
        const float offset = (sum_x - scale * sums->q[l]) / sum_w;
        const float linear = sums->xq[l] * imx_inverse(sums->qq[l]);
        grids->scale[l] = offset > highest_offset ? linear : scale;
        grids->offset[l] = offset > highest_offset ? 0.0f : offset;
    }
}

static void fit_linear(imx_grids *grids, const moment_lanes *sums) {
    for (int l = 0; l < IMX_LANES; ++l) {
        grids->scale[l] = sums->xq[l] * imx_inverse(sums->qq[l]);
    }
}

void imx_improve_grids(imx_grids *grids, const imx_group *group, imx_offset_rule rule,
                       int n_rounds) {
    float sum_w = 0.0f;
    float sum_x = 0.0f;
    for (int j = 0; j < group->n; ++j) {
        sum_w += group->w[j];
        sum_x += group->w[j] * group->x[j];
    }
    moment_lanes sums;
    for (int round = 0; round < n_rounds; ++round) {
        sum_moments(grids, group, &sums);
        if (rule == IMX_OFFSET_ZERO) {
            fit_linear(grids, &sums);
        } else {
            fit_affine(grids, &sums, sum_w, sum_x, rule == IMX_OFFSET_FREE ? 3e38f : 0.0f);
        }
    }
}

int imx_best_grid(const imx_grids *grids, const imx_group *group, float *error) {
    float errors[IMX_LANES];
    sum_errors(grids, group, errors);
    int best = 0;
    for (int l = 1; l < IMX_LANES; ++l) {
        best = errors[l] < errors[best] ? l : best;
    }
    if (error != NULL) {
        *error = errors[best];
    }
    return best;
}

void imx_group_codes(const imx_group *group, imx_grid grid, float *codes) {
    const float inverse = imx_inverse(grid.scale);
    for (int j = 0; j < group->n; ++j) {
        codes[j] = imx_clamp(imx_round((group->x[j] - grid.offset) * inverse),
                             group->codes.lowest, group->codes.highest);
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
