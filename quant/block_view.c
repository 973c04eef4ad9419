// SPDX-License-Identifier: MIT

#include <math.h>

#include "quant/encode_internal.h"
#include "quant/weighting.h"

#define HALF_MAX 65504.0f
#define HALF_MIN 0x1p-24f // smallest positive half

static float largest_magnitude(const float *x, size_t n) {
    float max = 0.0f;
    for (size_t j = 0; j < n; ++j) {
        max = fabsf(x[j]) > max ? fabsf(x[j]) : max;
    }
    return max;
}

bool imx_view_block(imx_block_view *view, const float *row, size_t first, size_t n,
                    const imx_importance *importance) {
    const float max = largest_magnitude(row + first, n);
    if (max <= 0.5f * HALF_MIN) {
        return false;
    }
    int exponent;
    (void)frexpf(max, &exponent);
    view->unit = ldexpf(1.0f, exponent - 1);
    const float inverse = 0.5f / view->unit;
    for (size_t j = 0; j < n; ++j) {
        view->x[j] = row[first + j] * inverse;
    }
    view->unit *= 2.0f;
    imx_weigh_block(view->x, n, importance, first, view->w);
    return true;
}

imx_f16 imx_store_half(float value, float unit, float *stored) {
    float magnitude = fabsf(value) * unit;
    if (magnitude > HALF_MAX) {
        magnitude = HALF_MAX;
    }
    if (magnitude > 0.0f && magnitude < HALF_MIN) {
        magnitude = HALF_MIN;
    }
    const imx_f16 half = imx_f16_from_f32(copysignf(magnitude, value));
    *stored = imx_f16_to_f32(half) / unit;
    return half;
}
