// SPDX-License-Identifier: MIT
//
// A block as the searches want it: values near 1 whatever the magnitude of the model, and the cost
// of an error at each.

#ifndef IMX_QUANT_BLOCK_VIEW_H
#define IMX_QUANT_BLOCK_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "formats/blocks.h"
#include "formats/importance.h"
#include "quant/encode/grid.h"
#include "quant/encode/weighting.h"

typedef struct imx_block_view {
    int exponent;                 // x = weight · 2^-exponent, -24..126
    float x[IMX_SUPER_BLOCK_LEN]; // the farthest in [0.5, 1), or to 4 in the very largest
    float w[IMX_SUPER_BLOCK_LEN]; // their error weights, > 0
} imx_block_view;

// 2^exponent, for exponents from -126 to 127.
static inline float imx_power_of_two(int exponent) {
    return imx_f32_from_bits((uint32_t)(exponent + 127) << 23);
}

// Scales `n` (a multiple of 16) weights as a view has them, x = weight · 2^-exponent. False,
// *exponent and x untouched, when all of them are nearer to zero than to the smallest value a block
// can hold.
bool imx_scale_weights(const float *weights, size_t n, int *exponent, float *x);

// Prepares `n` (<= 256, a multiple of 16) weights from column `first` of a row. False when
// they cannot be scaled: the block is then coded as zeros.
bool imx_view_block(imx_block_view *view, const float *row, size_t first, size_t n,
                    const imx_importance *importance, imx_emphasis emphasis);

// The half that stores value · 2^exponent, a number found on a view; what it stands for there goes
// to *stored. Saturates at the largest finite half.
imx_f16 imx_store_half(float value, int exponent, float *stored);

// The same for a number that integers yet to be chosen multiply: what is not zero does not become
// zero, so that the smallest weights are not lost to it.
imx_f16 imx_store_scale(float value, int exponent, float *stored);

#endif
