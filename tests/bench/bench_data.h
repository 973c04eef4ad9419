// SPDX-License-Identifier: MIT
//
// Matrices for the encoders to work on, with the importance of their columns. Failures end the
// program with a message and status 2.

#ifndef IMX_BENCH_DATA_H
#define IMX_BENCH_DATA_H

#include <stddef.h>

#include "formats/error.h"

typedef struct bench_matrix {
    size_t n_rows;
    size_t n_cols;
    float *weights;    // (n_rows, n_cols)
    float *importance; // (n_cols), NULL = uniform
} bench_matrix;

typedef struct bench_data {
    size_t n_matrices;
    size_t capacity;
    bench_matrix *matrices;
} bench_data;

// One matrix of Gaussian weights; the importance is log-normal, exp(sigma · N(0, 1)), or uniform
// for a sigma of 0.
bench_data bench_data_synthetic(size_t n_rows, size_t n_cols, float sigma);

// At most `n_rows` rows of every matrix of the model that has statistics in the imatrix and `text`
// in its name; of experts, the first one.
bench_data bench_data_from_model(const char *model_path, const char *imatrix_path, const char *text,
                                 size_t n_rows);

void bench_data_free(bench_data *data);

// Prints the message, unless `status` is IMX_OK, and ends the program.
void bench_check(imx_status status, const imx_error *err);

#endif
