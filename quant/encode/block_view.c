// SPDX-License-Identifier: MIT

#include "quant/encode/block_view.h"

#include "quant/encode/lanes.h"

#define LARGEST_HALF  65504.0f
#define SMALLEST_HALF 0x1p-24f // above zero

// The least whose power of two and its inverse are both normal floats.
enum { LARGEST_EXPONENT = 126 };

static float largest_magnitude(const float *x, size_t n) {
    imx_lanes max = imx_lanes_all(0.0f);
    for (size_t j = 0; j < n; j += IMX_N_LANES) {
        max = imx_lanes_max(imx_lanes_abs(imx_lanes_load(x + j)), max);
    }
    return imx_lanes_greatest(max);
}

// e with 2^(e - 1) <= value < 2^e, for a normal value.
static int exponent_above(float value) {
    const int exponent = (int)(imx_f32_to_bits(value) >> 23) - 126;
    return exponent < LARGEST_EXPONENT ? exponent : LARGEST_EXPONENT;
}

bool imx_scale_weights(const float *weights, size_t n, int *exponent, float *x) {
    const float max = largest_magnitude(weights, n);
    if (max <= 0.5f * SMALLEST_HALF) {
        return false;
    }
    *exponent = exponent_above(max);
    const imx_lanes scale = imx_lanes_all(imx_power_of_two(-*exponent));
    for (size_t j = 0; j < n; j += IMX_N_LANES) {
        imx_lanes_store(x + j, imx_lanes_mul(imx_lanes_load(weights + j), scale));
    }
    return true;
}

bool imx_view_block(imx_block_view *view, const float *row, size_t first, size_t n,
                    const imx_importance *importance, imx_emphasis emphasis) {
    if (!imx_scale_weights(row + first, n, &view->exponent, view->x)) {
        return false;
    }
    imx_weigh_block(view->x, n, importance, first, emphasis, view->w);
    return true;
}

imx_f16 imx_store_half(float value, int exponent, float *stored) {
    const float magnitude = fabsf(value) * imx_power_of_two(exponent);
    const imx_f16 half = imx_f16_from_f32(magnitude < LARGEST_HALF ? magnitude : LARGEST_HALF);
    *stored = copysignf(imx_f16_to_f32(half) * imx_power_of_two(-exponent), value);
    return (imx_f16)(half | (value < 0.0f ? 0x8000 : 0));
}

imx_f16 imx_store_scale(float value, int exponent, float *stored) {
    const float smallest = SMALLEST_HALF * imx_power_of_two(-exponent);
    if (value != 0.0f && fabsf(value) < smallest) {
        value = copysignf(smallest, value);
    }
    return imx_store_half(value, exponent, stored);
}
