// SPDX-License-Identifier: MIT
//
// Exponentials are most of the work between the products: one per score and per activation. They
// are computed as
//
//     exp(x) = 2ⁿ · exp(r)      n = the integer nearest to x / ln 2,  r = x − n ln 2
//     exp(r) = 1 + r + r² p(r)  |r| <= ln 2 / 2, p of degree 4
//
// with p through the Chebyshev points of that interval, off by 10⁻⁸ of the result at most: an f32
// rounds at 6 · 10⁻⁸. There is no branch and no table in it, and a loop over it becomes vector
// code: five times the speed of calls of expf, which were a tenth of a whole run.
//
// Elements are lanes (processor_variants.h); only sums over a row depend on their number, fixed for
// a processor, as they are in the products around them.

#include "calib/row_ops.h"

#include <math.h>

#include "calib/processor_variants.h"
#include "formats/half.h"

// Within 2⁻²² of exp(x); beyond the range of normal numbers, its ends. NaN stays NaN.
IMX_INLINE float exp_approximately(float x) {
    const float magic = 0x1.8p23f; // added, it leaves n in the last bits
    x = x < -87.33f ? -87.33f : x;
    x = x > 88.37f ? 88.37f : x;
    const float shifted = x * 0x1.715476p+0f + magic;
    const float n = shifted - magic;
    const float r = (x - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f; // ln 2 in two parts
    const float p =
        (((0.0013926184f * r + 0.008363179f) * r + 0.041666555f) * r + 0.16666577f) * r + 0.5f;
    const float power = imx_f32_from_bits((imx_f32_to_bits(shifted) + 127) << 23);
    return (1.0f + (r + r * r * p)) * power;
}

// Floats compare as integers do, once the bits of negative ones are turned around; a maximum of
// integers needs no leave to be found in any order.
IMX_INLINE int32_t order_of(float x) {
    const int32_t bits = (int32_t)imx_f32_to_bits(x);
    return bits ^ ((bits >> 31) & INT32_MAX);
}

IMX_INLINE float value_at(int32_t order) {
    return imx_f32_from_bits((uint32_t)(order ^ ((order >> 31) & INT32_MAX)));
}

IMX_INLINE void exponentiate(float *row, size_t n, float scale, float *sum) {
    int32_t greatest = INT32_MIN;
    for (size_t j = 0; j < n; ++j) {
        const int32_t order = order_of(row[j]);
        greatest = order > greatest ? order : greatest;
    }
    const float max = value_at(greatest);
    for (size_t j = 0; j < n; ++j) {
        row[j] = exp_approximately(scale * (row[j] - max));
    }
    double total = 0;
#pragma omp simd reduction(+ : total)
    for (size_t j = 0; j < n; ++j) {
        total += (double)row[j];
    }
    *sum = (float)total;
}

IMX_INLINE void gate_silu(const float *gate, float *up, size_t n) {
#pragma omp simd
    for (size_t j = 0; j < n; ++j) {
        up[j] *= gate[j] / (1.0f + exp_approximately(-gate[j]));
    }
}

IMX_PROCESSOR_VARIANTS(exponentiate, (float *row, size_t n, float scale, float *sum),
                       (row, n, scale, sum))
IMX_PROCESSOR_VARIANTS(gate_silu, (const float *gate, float *up, size_t n), (gate, up, n))

void imx_exponentiate(float *row, size_t n, float scale, float *sum) {
    exponentiate_here(row, n, scale, sum);
}

void imx_gate_silu(const float *gate, float *up, size_t n) {
    gate_silu_here(gate, up, n);
}

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
