// SPDX-License-Identifier: MIT
//
// What happens to one token's values between the products, by kind. Every function works on one row
// or one head, so that any cut of the tokens over threads gives the same bits.

#ifndef IMX_CALIB_ROW_OPS_H
#define IMX_CALIB_ROW_OPS_H

#include <stddef.h>

// out (n) = the norm of x (n), times `weight` (n), plus `bias` (n); each of them may be NULL. `out`
// may be x.
typedef void imx_norm_fn(const float *x, const float *weight, const float *bias, float eps,
                         size_t n, float *out);

// Rotates the first 2 · n_pairs values of one head by the angles whose cosines and sines are given.
typedef void imx_rotate_fn(float *head, const float *cosines, const float *sines, size_t n_pairs);

// out[j] = activation(gate[j]) · up[j], or activation(up[j]) where `gate` is NULL. `out` may be up.
typedef void imx_activate_fn(const float *gate, const float *up, size_t n, float *out);

imx_norm_fn imx_norm_rms;   // x[j] / sqrt(mean of squares + eps)
imx_norm_fn imx_norm_layer; // (x[j] − mean) / sqrt(variance + eps)

// row[j] = exp(scale · (row[j] − *max)), *max being the largest of the row; *sum is their sum.
void imx_exponentiate(float *row, size_t n, float scale, float *sum, float *max);

// row[j] = cap · tanh(scale · row[j] / cap): within ±cap, and nearly scale · row[j] well within.
void imx_softcap(float *row, size_t n, float scale, float cap);

// The place of the largest value, the first of equal ones; n is at least 1.
size_t imx_index_of_largest(const float *values, size_t n);

imx_rotate_fn imx_rotate_pairs;  // pair i is the values 2i and 2i + 1
imx_rotate_fn imx_rotate_halves; // pair i is the values i and n_pairs + i

imx_activate_fn imx_activate_silu;         // g / (1 + exp(−g))
imx_activate_fn imx_activate_gelu;         // g / 2 · (1 + tanh(√(2/π) · (g + 0.044715 g³)))
imx_activate_fn imx_activate_relu_squared; // max(g, 0)²

// g σ(1.702 g) · (u + 1) of a gate g that is at most 7 and u = up[j] within ±7; always with a gate.
imx_activate_fn imx_activate_clipped;

#endif
