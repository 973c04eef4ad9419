// SPDX-License-Identifier: MIT

#include "quant/weighting.h"

#include <math.h>

#define FLOOR 0x1p-20f

static float largest(const float *values, size_t n) {
    float max = 0.0f;
    for (size_t j = 0; j < n; ++j) {
        max = values[j] > max ? values[j] : max;
    }
    return max;
}

// sqrt(σ² + x²)
static void weigh_by_magnitude(const float *x, size_t n, float *w) {
    float power = 0.0f;
    for (size_t j = 0; j < n; ++j) {
        power += x[j] * x[j];
    }
    const float variance = 2.0f * power / (float)n;
    for (size_t j = 0; j < n; ++j) {
        w[j] = sqrtf(variance + x[j] * x[j]);
    }
}

void imx_weigh_block(const float *x, size_t n, const imx_importance *importance, size_t first,
                     float *w) {
    weigh_by_magnitude(x, n, w);
    if (importance->kind == IMX_IMPORTANCE_UNIFORM) {
        return;
    }
    const float *diagonal = importance->diagonal + first;
    const float max = largest(diagonal, n);
    if (max == 0.0f) {
        return;
    }
    for (size_t j = 0; j < n; ++j) {
        const float share = diagonal[j] / max;
        w[j] *= share > FLOOR ? share : FLOOR;
    }
}
