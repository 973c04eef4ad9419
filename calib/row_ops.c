// SPDX-License-Identifier: MIT

#include "calib/row_ops.h"

#include <math.h>

void imx_norm_rms(const float *x, const float *weight, float eps, size_t n, float *out) {
    double sum2 = 0;
    for (size_t j = 0; j < n; ++j) {
        sum2 += (double)x[j] * (double)x[j];
    }
    const float scale = (float)(1.0 / sqrt(sum2 / (double)n + (double)eps));
    for (size_t j = 0; j < n; ++j) {
        out[j] = x[j] * scale * weight[j];
    }
}

void imx_rotate_pairs(float *head, const float *cosines, const float *sines, size_t n_pairs) {
    for (size_t i = 0; i < n_pairs; ++i) {
        const float x = head[2 * i];
        const float y = head[2 * i + 1];
        head[2 * i] = x * cosines[i] - y * sines[i];
        head[2 * i + 1] = x * sines[i] + y * cosines[i];
    }
}

void imx_gate_silu(const float *gate, float *up, size_t n) {
    for (size_t j = 0; j < n; ++j) {
        up[j] *= gate[j] / (1.0f + expf(-gate[j]));
    }
}
