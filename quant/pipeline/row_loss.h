// SPDX-License-Identifier: MIT
//
// What encoding cost.

#ifndef IMX_QUANT_ROW_LOSS_H
#define IMX_QUANT_ROW_LOSS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct imx_tensor_loss {
    double weighted_error; // sum over rows and columns of importance · (x - decoded)²
    double weighted_power; // the same sum of x²; their ratio is the weighted relative error
    double squared_error;  // unweighted
    double squared_power;
} imx_tensor_loss;

// The loss of one row of `n` weights; `diagonal` (n) is its importance, NULL = all 1. The same bits
// on every machine; products that float cannot hold come out as 0 or infinity.
imx_tensor_loss imx_row_loss(const float *x, const float *decoded, const float *diagonal, size_t n);

void imx_tensor_loss_add(imx_tensor_loss *sum, const imx_tensor_loss *loss);

// Whether no weight is an infinity or NaN.
bool imx_row_is_finite(const float *x, size_t n);

#endif
