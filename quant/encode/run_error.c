// SPDX-License-Identifier: MIT

#include "quant/encode/run_error.h"

#include <string.h>

enum { MAX_SUMS = 4 }; // that stay in registers, whatever the instruction set

// Of v, the columns that n_lanes hold from `column`, to out[k][to] and on. n_vectors and n_lanes
// are constants where this is inlined.
static inline void multiply_strip(const imx_run_metric *metric, int first, int n, int n_vectors,
                                  float v[][IMX_COV_RUN], int column, int n_lanes,
                                  float out[][IMX_COV_RUN], int to) {
    imx_lanes sums[MAX_SUMS];
    for (int i = 0; i < n_vectors * n_lanes; ++i) {
        sums[i] = imx_lanes_all(0.0f);
    }
    for (int j = 0; j < n; ++j) {
        const float *row = metric->h[first + j] + column;
        for (int i = 0; i < n_lanes; ++i) {
            const imx_lanes h = imx_lanes_load(row + i * IMX_N_LANES);
            for (int k = 0; k < n_vectors; ++k) {
                imx_lanes *sum = &sums[k * n_lanes + i];
                *sum = imx_lanes_add(*sum, imx_lanes_mul(imx_lanes_all(v[k][j]), h));
            }
        }
    }
    for (int i = 0; i < n_vectors * n_lanes; ++i) {
        imx_lanes_store(out[i / n_lanes] + to + i % n_lanes * IMX_N_LANES, sums[i]);
    }
}

static inline void multiply_strips(const imx_run_metric *metric, int first, int n, int n_vectors,
                                   float v[][IMX_COV_RUN], int column, int n_columns,
                                   float out[][IMX_COV_RUN]) {
    const int wide = MAX_SUMS / n_vectors;
    int to = 0;
    for (; to + wide * IMX_N_LANES <= n_columns; to += wide * IMX_N_LANES) {
        multiply_strip(metric, first, n, n_vectors, v, column + to, wide, out, to);
    }
    for (; to < n_columns; to += IMX_N_LANES) {
        multiply_strip(metric, first, n, n_vectors, v, column + to, 1, out, to);
    }
}

void imx_multiply_vectors(const imx_run_metric *metric, int first, int n, int n_vectors,
                          float v[][IMX_COV_RUN], int column, int n_columns,
                          float out[][IMX_COV_RUN]) {
    if (n_vectors == 1) {
        multiply_strips(metric, first, n, 1, v, column, n_columns, out);
    } else {
        multiply_strips(metric, first, n, 2, v, column, n_columns, out);
    }
}

// e, on the view.
static void decode_errors(const imx_run_error *error, float e[IMX_COV_RUN]) {
    const int n = error->shape->group_len;
    for (int first = 0; first < IMX_COV_RUN; first += n) {
        const imx_run_grid grid = error->grids[first / n];
        for (int j = first; j < first + n; ++j) {
            e[j] = error->x[j] - (grid.scale * error->run->levels[j] + grid.offset);
        }
    }
}

bool imx_run_error_open(imx_run_error *error, imx_coded_run *run, const imx_run_shape *shape,
                        const float *weights, const imx_run_metric *metric) {
    float in[2][IMX_COV_RUN];
    float out[2][IMX_COV_RUN];
    error->metric = metric;
    error->shape = shape;
    error->run = run;
    if (!metric->is_known || !imx_scale_weights(weights, IMX_COV_RUN, &error->exponent, error->x)) {
        return false;
    }
    imx_run_error_read_grids(error);
    memcpy(in[0], error->x, sizeof in[0]);
    decode_errors(error, in[1]);
    imx_multiply_vectors(metric, 0, IMX_COV_RUN, 2, in, 0, IMX_COV_RUN, out);
    memcpy(error->whole, out[0], sizeof out[0]);
    memcpy(error->slope, out[1], sizeof out[1]);
    return true;
}

void imx_run_error_read_grids(imx_run_error *error) {
    const imx_coded_run *run = error->run;
    for (int g = 0; g < error->shape->n_groups; ++g) {
        const int h = imx_half_of_group(error->shape, g);
        imx_run_grid *grid = &error->grids[g];
        grid->scale = imx_half_on_view(error, run->d[h]) * run->scales[g];
        grid->offset = -(imx_half_on_view(error, run->dmin[h]) * run->mins[g]);
        grid->inverse = imx_inverse(grid->scale);
    }
}

void imx_run_error_measure(imx_run_error *error) {
    float e[IMX_COV_RUN];
    decode_errors(error, e);
    imx_multiply_vectors(error->metric, 0, IMX_COV_RUN, 1, &e, 0, IMX_COV_RUN, &error->slope);
}

float imx_run_error_loss(const imx_run_error *error) {
    float e[IMX_COV_RUN];
    decode_errors(error, e);
    return imx_dot(e, error->slope, IMX_COV_RUN);
}
