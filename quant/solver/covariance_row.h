// SPDX-License-Identifier: MIT
//
// Where the products of a column with those before it stand.

#ifndef IMX_QUANT_COVARIANCE_ROW_H
#define IMX_QUANT_COVARIANCE_ROW_H

#include <stddef.h>

#include "formats/importance.h"

typedef enum imx_covariance_part { IMX_PART_FITTED, IMX_PART_ALL } imx_covariance_part;

// Column i's products with columns first … i, in either part from [at] on.
typedef struct imx_covariance_row {
    size_t first;
    size_t at;
} imx_covariance_row;

// i is below covariance->n_cols / covariance->run_len * covariance->run_len.
static inline imx_covariance_row imx_covariance_row_of(const imx_input_covariance *covariance,
                                                       size_t i) {
    const size_t len = covariance->run_len;
    const size_t run = i / len;
    const size_t row = i % len;
    return (imx_covariance_row){run * len, run * (size_t)imx_triangle_len(len) +
                                               (size_t)imx_triangle_len(row)};
}

// The sum of products at [at] in a part.
static inline double imx_covariance_sum(const imx_input_covariance *covariance,
                                        imx_covariance_part part, size_t at) {
    return (double)covariance->fitted[at] + (part == IMX_PART_ALL && covariance->held_out != NULL
                                                 ? (double)covariance->held_out[at]
                                                 : 0.0);
}

// The mean of the diagonal, over the columns that are known.
static inline double imx_covariance_power(const imx_input_covariance *covariance,
                                          imx_covariance_part part) {
    const size_t n = covariance->n_cols / covariance->run_len * covariance->run_len;
    double sum = 0.0;
    for (size_t i = 0; i < n; ++i) {
        const imx_covariance_row row = imx_covariance_row_of(covariance, i);
        sum += imx_covariance_sum(covariance, part, row.at + i - row.first);
    }
    return sum / (double)n;
}

#endif
