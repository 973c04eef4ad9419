// SPDX-License-Identifier: MIT

#include "quant/encode/run_error.h"

enum { STRIP = 4 * IMX_N_LANES }; // columns whose sums stay in registers

static void multiply_strip(const imx_run_metric *metric, int first, int n, const float *v,
                           int column, float out[STRIP]) {
    imx_lanes sums[4];
    for (int i = 0; i < 4; ++i) {
        sums[i] = imx_lanes_all(0.0f);
    }
    for (int j = 0; j < n; ++j) {
        const float *row = metric->h[first + j] + column;
        const imx_lanes factor = imx_lanes_all(v[j]);
        for (int i = 0; i < 4; ++i) {
            const imx_lanes h = imx_lanes_load(row + i * IMX_N_LANES);
            sums[i] = imx_lanes_add(sums[i], imx_lanes_mul(factor, h));
        }
    }
    for (int i = 0; i < 4; ++i) {
        imx_lanes_store(out + i * IMX_N_LANES, sums[i]);
    }
}

void imx_multiply_columns(const imx_run_metric *metric, int first, int n, const float *v,
                          float out[IMX_COV_RUN]) {
    for (int column = 0; column < IMX_COV_RUN; column += STRIP) {
        multiply_strip(metric, first, n, v, column, out + column);
    }
}

bool imx_run_error_open(imx_run_error *error, imx_coded_run *run, const imx_run_shape *shape,
                        const float *weights, const imx_run_metric *metric) {
    error->metric = metric;
    error->shape = shape;
    error->run = run;
    if (!imx_scale_weights(weights, IMX_COV_RUN, &error->exponent, error->x)) {
        return false;
    }
    imx_run_error_read_grids(error);
    return true;
}

void imx_run_error_read_grids(imx_run_error *error) {
    const imx_coded_run *run = error->run;
    for (int g = 0; g < error->shape->n_groups; ++g) {
        const int h = error->shape->n_halves == 1 ? 0 : g;
        imx_run_grid *grid = &error->grids[g];
        grid->scale = imx_half_on_view(error, run->d[h]) * run->scales[g];
        grid->offset = -(imx_half_on_view(error, run->dmin[h]) * run->mins[g]);
        grid->inverse = imx_inverse(grid->scale);
    }
}

float imx_run_error_measure(imx_run_error *error) {
    const int group_len = imx_group_len(error);
    float e[IMX_COV_RUN];
    for (int j = 0; j < IMX_COV_RUN; ++j) {
        const imx_run_grid *grid = &error->grids[j / group_len];
        e[j] = error->x[j] - (grid->scale * error->run->levels[j] + grid->offset);
    }
    imx_multiply_columns(error->metric, 0, IMX_COV_RUN, e, error->slope);
    return imx_dot(e, error->slope, IMX_COV_RUN);
}
