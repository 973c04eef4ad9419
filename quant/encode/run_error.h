// SPDX-License-Identifier: MIT
//
// The error e = x - x̂ of a coded run under a metric, kept up to date while levels and grids move.

#ifndef IMX_QUANT_RUN_ERROR_H
#define IMX_QUANT_RUN_ERROR_H

#include <stdbool.h>

#include "quant/encode/coded_run.h"
#include "quant/encode/run_metric.h"

typedef struct imx_run_grid {
    float scale;
    float offset;
    float inverse; // of the scale, 0 for scales that are as good as 0
} imx_run_grid;

typedef struct imx_run_error {
    const imx_run_metric *metric;
    const imx_run_shape *shape;
    imx_coded_run *run; // being improved
    int exponent;
    imx_run_grid grids[IMX_MAX_GROUPS];
    float x[IMX_COV_RUN];     // weights · 2^-exponent, as on a view
    float whole[IMX_COV_RUN]; // H x
    float slope[IMX_COV_RUN]; // H e
} imx_run_error;

// `weights` (IMX_COV_RUN). Fills in everything. False when all weights are as good as 0, or the
// metric is not known.
bool imx_run_error_open(imx_run_error *error, imx_coded_run *run, const imx_run_shape *shape,
                        const float *weights, const imx_run_metric *metric);

// Reads the grids from the parameters of error->run.
void imx_run_error_read_grids(imx_run_error *error);

// Computes the slope anew, from the levels and grids.
void imx_run_error_measure(imx_run_error *error);

// eᵀ H e, of the slope that is kept.
float imx_run_error_loss(const imx_run_error *error);

// The columns [column, column + n_columns) of H v, for each of n_vectors (1 or 2) vectors v that
// are not zero in [first, first + n) alone: v[k] (n) gives out[k] (n_columns). n and n_columns are
// multiples of 16.
void imx_multiply_vectors(const imx_run_metric *metric, int first, int n, int n_vectors,
                          float v[][IMX_COV_RUN], int column, int n_columns,
                          float out[][IMX_COV_RUN]);

// What a half of the run stands for on the view.
static inline float imx_half_on_view(const imx_run_error *error, imx_f16 half) {
    return imx_f16_to_f32(half) * imx_power_of_two(-error->exponent);
}

// sum += factor · values, over the lanes that hold the first n.
static inline void imx_add_scaled(float *sum, float factor, const float *values, int n) {
    const imx_lanes factors = imx_lanes_all(factor);
    for (int j = 0; j < n; j += IMX_N_LANES) {
        const imx_lanes product = imx_lanes_mul(factors, imx_lanes_load(values + j));
        imx_lanes_store(sum + j, imx_lanes_add(imx_lanes_load(sum + j), product));
    }
}

// aᵀb; n is a multiple of 16.
static inline float imx_dot(const float *a, const float *b, int n) {
    imx_lanes sum = imx_lanes_all(0.0f);
    for (int j = 0; j < n; j += IMX_N_LANES) {
        sum = imx_lanes_add(sum, imx_lanes_mul(imx_lanes_load(a + j), imx_lanes_load(b + j)));
    }
    return imx_lanes_sum(sum);
}

#endif
