// SPDX-License-Identifier: MIT

#include "quant/weighting.h"

#include <math.h>

#define FLOOR 0x1p-20f // of the largest importance in the block

imx_emphasis imx_emphasis_of(imx_weighting weighting, imx_emphasis by_type) {
    static const imx_emphasis fixed[IMX_WEIGHTING_COUNT] = {
        [IMX_WEIGHTING_PLAIN] = IMX_EMPHASIS_NONE,
        [IMX_WEIGHTING_SQRT] = IMX_EMPHASIS_STRONG,
    };
    return weighting == IMX_WEIGHTING_AUTO ? by_type : fixed[weighting];
}

static float largest(const float *values, size_t n) {
    float max = 0.0f;
    for (size_t j = 0; j < n; ++j) {
        max = values[j] > max ? values[j] : max;
    }
    return max;
}

// (σ² + x²)^p
static void weigh_by_magnitude(const float *x, size_t n, imx_emphasis emphasis, float *w) {
    if (emphasis == IMX_EMPHASIS_NONE) {
        for (size_t j = 0; j < n; ++j) {
            w[j] = 1.0f;
        }
        return;
    }
    float power = 0.0f;
    for (size_t j = 0; j < n; ++j) {
        power += x[j] * x[j];
    }
    const float variance = power / (float)n;
    for (size_t j = 0; j < n; ++j) {
        w[j] = sqrtf(variance + x[j] * x[j]);
    }
    if (emphasis == IMX_EMPHASIS_WEAK) {
        for (size_t j = 0; j < n; ++j) {
            w[j] = sqrtf(w[j]);
        }
    }
}

void imx_weigh_block(const float *x, size_t n, const imx_importance *importance, size_t first,
                     imx_emphasis emphasis, float *w) {
    weigh_by_magnitude(x, n, emphasis, w);
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
