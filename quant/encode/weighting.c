// SPDX-License-Identifier: MIT

#include "quant/encode/weighting.h"

#include "quant/encode/lanes.h"

#define FLOOR 0x1p-20f // of the largest importance in the block

// Square roots that make a power of 1 one of p.
static const int n_roots[] = {[IMX_EMPHASIS_WEAK] = 2, [IMX_EMPHASIS_STRONG] = 1};

imx_emphasis imx_emphasis_of(imx_weighting weighting, imx_emphasis by_type) {
    static const imx_emphasis fixed[IMX_WEIGHTING_COUNT] = {
        [IMX_WEIGHTING_PLAIN] = IMX_EMPHASIS_NONE,
        [IMX_WEIGHTING_SQRT] = IMX_EMPHASIS_STRONG,
    };
    return weighting == IMX_WEIGHTING_AUTO ? by_type : fixed[weighting];
}

static float largest(const float *values, size_t n) {
    imx_lanes max = imx_lanes_all(0.0f);
    for (size_t j = 0; j < n; j += IMX_N_LANES) {
        max = imx_lanes_max(imx_lanes_load(values + j), max);
    }
    return imx_lanes_greatest(max);
}

static float mean_square(const float *x, size_t n) {
    imx_lanes sum = imx_lanes_all(0.0f);
    for (size_t j = 0; j < n; j += IMX_N_LANES) {
        const imx_lanes values = imx_lanes_load(x + j);
        sum = imx_lanes_add(sum, imx_lanes_mul(values, values));
    }
    return imx_lanes_sum(sum) / (float)n;
}

// (σ² + x²)^p
static void weigh_by_magnitude(const float *x, size_t n, imx_emphasis emphasis, float *w) {
    const imx_lanes variance = imx_lanes_all(mean_square(x, n));
    for (size_t j = 0; j < n; j += IMX_N_LANES) {
        const imx_lanes values = imx_lanes_load(x + j);
        imx_lanes power = imx_lanes_add(variance, imx_lanes_mul(values, values));
        for (int halving = 0; halving < n_roots[emphasis]; ++halving) {
            power = imx_lanes_sqrt(power);
        }
        imx_lanes_store(w + j, power);
    }
}

static void weigh_equally(size_t n, float *w) {
    for (size_t j = 0; j < n; j += IMX_N_LANES) {
        imx_lanes_store(w + j, imx_lanes_all(1.0f));
    }
}

void imx_weigh_block(const float *x, size_t n, const imx_importance *importance, size_t first,
                     imx_emphasis emphasis, float *w) {
    if (emphasis == IMX_EMPHASIS_NONE) {
        weigh_equally(n, w);
    } else {
        weigh_by_magnitude(x, n, emphasis, w);
    }
    if (importance->kind == IMX_IMPORTANCE_UNIFORM) {
        return;
    }
    const float *diagonal = importance->diagonal + first;
    const float max = largest(diagonal, n);
    if (max == 0.0f) {
        return;
    }
    for (size_t j = 0; j < n; j += IMX_N_LANES) {
        const imx_lanes share = imx_lanes_div(imx_lanes_load(diagonal + j), imx_lanes_all(max));
        imx_lanes_store(w + j, imx_lanes_mul(imx_lanes_load(w + j),
                                             imx_lanes_max(share, imx_lanes_all(FLOOR))));
    }
}
