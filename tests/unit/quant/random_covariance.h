// SPDX-License-Identifier: MIT
//
// Covariances of inputs that a few hidden factors drive, as those of trained models are, exactly:
// what infinitely many tokens would show.

#ifndef IMX_TEST_RANDOM_COVARIANCE_H
#define IMX_TEST_RANDOM_COVARIANCE_H

#include <stdlib.h>

#include "formats/importance.h"
#include "random_normal.h"

enum { COVARIANCE_FACTORS = 32 };

static inline size_t covariance_pairs(size_t n_cols, size_t run_len) {
    return n_cols / run_len * (run_len * (run_len + 1) / 2);
}

// A part; the caller's to free. The same random_state gives the same factors for any run_len.
// `link` multiplies the products of columns of different super-blocks.
static inline float *random_covariance_part(size_t n_cols, size_t run_len, double link) {
    float *part = malloc(covariance_pairs(n_cols, run_len) * sizeof *part);
    double *mix = malloc(n_cols * COVARIANCE_FACTORS * sizeof *mix);
    for (size_t i = 0; i < n_cols * COVARIANCE_FACTORS; ++i) {
        mix[i] = random_normal() / (1.0 + (double)(i % COVARIANCE_FACTORS));
    }
    float *out = part;
    for (size_t i = 0; i < n_cols / run_len * run_len; ++i) {
        for (size_t j = i / run_len * run_len; j <= i; ++j) {
            double sum = i == j ? 0.1 : 0.0;
            for (size_t k = 0; k < COVARIANCE_FACTORS; ++k) {
                sum += mix[i * COVARIANCE_FACTORS + k] * mix[j * COVARIANCE_FACTORS + k];
            }
            *out++ = (float)(i / IMX_COV_RUN == j / IMX_COV_RUN ? sum : link * sum);
        }
    }
    free(mix);
    return part;
}

// Both parts the same.
static inline imx_input_covariance random_covariance(size_t n_cols, size_t run_len, double link) {
    float *part = random_covariance_part(n_cols, run_len, link);
    return (imx_input_covariance){
        .n_cols = n_cols,
        .run_len = run_len,
        .fitted = part,
        .held_out = part,
        .n_fitted = 1e5,
        .n_held_out = 1e4,
    };
}

// Of a covariance with run_len == n_cols.
static inline double covariance_at(const float *part, size_t i, size_t j) {
    return (double)(i >= j ? part[i * (i + 1) / 2 + j] : part[j * (j + 1) / 2 + i]);
}

// eᵀ C e.
static inline double covariance_loss(const float *part, const float *e, size_t n_cols) {
    double loss = 0.0;
    for (size_t i = 0; i < n_cols; ++i) {
        double sum = 0.0;
        for (size_t j = 0; j < i; ++j) {
            sum += 2.0 * (double)part[i * (i + 1) / 2 + j] * (double)e[j];
        }
        loss += (double)e[i] * (sum + (double)part[i * (i + 1) / 2 + i] * (double)e[i]);
    }
    return loss;
}

#endif
