// SPDX-License-Identifier: MIT

#include "quant/block_view.h"

#include <math.h>

#define LARGEST_HALF  65504.0f
#define SMALLEST_HALF 0x1p-24f // above zero

static float largest_magnitude(const float *x, size_t n) {
    float max = 0.0f;
    for (size_t j = 0; j < n; ++j) {
        max = fabsf(x[j]) > max ? fabsf(x[j]) : max;
    }
    return max;
}

bool imx_view_block(imx_block_view *view, const float *row, size_t first, size_t n,
                    const imx_importance *importance, imx_emphasis emphasis) {
    const float max = largest_magnitude(row + first, n);
    if (max <= 0.5f * SMALLEST_HALF) {
        return false;
    }
    (void)frexpf(max, &view->exponent);
    const float scale = ldexpf(1.0f, -view->exponent);
    for (size_t j = 0; j < n; ++j) {
        view->x[j] = row[first + j] * scale;
    }
    imx_weigh_block(view->x, n, importance, first, emphasis, view->w);
    return true;
}

imx_f16 imx_store_half(float value, int exponent, float *stored) {
    const float magnitude = fminf(fabsf(ldexpf(value, exponent)), LARGEST_HALF);
    const imx_f16 half = imx_f16_from_f32(copysignf(magnitude, value));
    *stored = ldexpf(imx_f16_to_f32(half), -exponent);
    return half;
}

imx_f16 imx_store_scale(float value, int exponent, float *stored) {
    const float smallest = ldexpf(SMALLEST_HALF, -exponent);
    if (value != 0.0f && fabsf(value) < smallest) {
        value = copysignf(smallest, value);
    }
    return imx_store_half(value, exponent, stored);
}
