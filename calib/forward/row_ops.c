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

#include "calib/forward/row_ops.h"

#include <math.h>

#include "calib/processor_variants.h"
#include "formats/half.h"

// exp(x) in the parts that the sum above is made of: power · (1 + rest).
typedef struct exp_parts {
    float power;
    float rest;
} exp_parts;

IMX_INLINE exp_parts exp_in_parts(float x) {
    const float magic = 0x1.8p23f; // added, it leaves n in the last bits
    x = x < -87.33f ? -87.33f : x;
    x = x > 88.37f ? 88.37f : x;
    const float shifted = x * 0x1.715476p+0f + magic;
    const float n = shifted - magic;
    const float r = (x - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f; // ln 2 in two parts
    const float p =
        (((0.0013926184f * r + 0.008363179f) * r + 0.041666555f) * r + 0.16666577f) * r + 0.5f;
    return (exp_parts){imx_f32_from_bits((imx_f32_to_bits(shifted) + 127) << 23), r + r * r * p};
}

// Within 2⁻²² of exp(x); beyond the range of normal numbers, its ends. NaN stays NaN.
IMX_INLINE float exp_approximately(float x) {
    const exp_parts e = exp_in_parts(x);
    return (1.0f + e.rest) * e.power;
}

// (exp(2x) − 1) / (exp(2x) + 1). Near zero the power is 1 and the difference is the rest alone, so
// that small values keep all their digits.
IMX_INLINE float tanh_approximately(float x) {
    const exp_parts e = exp_in_parts(2.0f * x);
    const float difference = e.power * e.rest + (e.power - 1.0f);
    return difference / (difference + 2.0f);
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

IMX_INLINE void exponentiate(float *row, size_t n, float scale, float *sum, float *max) {
    int32_t greatest = INT32_MIN;
    for (size_t j = 0; j < n; ++j) {
        const int32_t order = order_of(row[j]);
        greatest = order > greatest ? order : greatest;
    }
    *max = value_at(greatest);
    const float subtrahend = *max;
    for (size_t j = 0; j < n; ++j) {
        row[j] = exp_approximately(scale * (row[j] - subtrahend));
    }
    double total = 0;
#pragma omp simd reduction(+ : total)
    for (size_t j = 0; j < n; ++j) {
        total += (double)row[j];
    }
    *sum = (float)total;
}

IMX_INLINE float silu(float x) {
    return x / (1.0f + exp_approximately(-x));
}

// (1 + tanh(u)) / 2 = 1 / (1 + exp(−2 u))
IMX_INLINE float gelu(float x) {
    const float twice_u = x * (0x1.988454p+0f + 0x1.2444f2p-4f * (x * x));
    return x / (1.0f + exp_approximately(-twice_u));
}

// A NaN stays one.
IMX_INLINE float relu_squared(float x) {
    return x < 0.0f ? 0.0f : x * x;
}

// The two loops of an activation.
#define DEFINE_ACTIVATION(name)                                                                    \
    IMX_INLINE void activate_##name(const float *gate, const float *up, size_t n, float *out) {    \
        if (gate != NULL) {                                                                        \
            _Pragma("omp simd") for (size_t j = 0; j < n; ++j) {                                   \
                out[j] = name(gate[j]) * up[j];                                                    \
            }                                                                                      \
        } else {                                                                                   \
            _Pragma("omp simd") for (size_t j = 0; j < n; ++j) {                                   \
                out[j] = name(up[j]);                                                              \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
    IMX_PROCESSOR_VARIANTS(activate_##name,                                                        \
                           (const float *gate, const float *up, size_t n, float *out),             \
                           (gate, up, n, out))                                                     \
    void imx_activate_##name(const float *gate, const float *up, size_t n, float *out) {           \
        activate_##name##_here(gate, up, n, out);                                                  \
    }

// A NaN stays one.
IMX_INLINE float clip(float x, float low, float high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

IMX_INLINE void activate_clipped(const float *gate, const float *up, size_t n, float *out) {
    const float limit = 7.0f;
#pragma omp simd
    for (size_t j = 0; j < n; ++j) {
        const float g = clip(gate[j], -INFINITY, limit);
        out[j] = g / (1.0f + exp_approximately(-1.702f * g)) * (clip(up[j], -limit, limit) + 1.0f);
    }
}

IMX_PROCESSOR_VARIANTS(activate_clipped, (const float *gate, const float *up, size_t n, float *out),
                       (gate, up, n, out))

void imx_activate_clipped(const float *gate, const float *up, size_t n, float *out) {
    activate_clipped_here(gate, up, n, out);
}

DEFINE_ACTIVATION(silu)
DEFINE_ACTIVATION(gelu)
DEFINE_ACTIVATION(relu_squared)

IMX_PROCESSOR_VARIANTS(exponentiate, (float *row, size_t n, float scale, float *sum, float *max),
                       (row, n, scale, sum, max))

void imx_exponentiate(float *row, size_t n, float scale, float *sum, float *max) {
    exponentiate_here(row, n, scale, sum, max);
}

IMX_INLINE void softcap(float *row, size_t n, float scale, float cap) {
    const float inner = scale / cap;
    for (size_t j = 0; j < n; ++j) {
        row[j] = cap * tanh_approximately(inner * row[j]);
    }
}

IMX_PROCESSOR_VARIANTS(softcap, (float *row, size_t n, float scale, float cap),
                       (row, n, scale, cap))

void imx_softcap(float *row, size_t n, float scale, float cap) {
    softcap_here(row, n, scale, cap);
}

// Times the weight, plus the bias.
static void scale_and_shift(float *out, const float *weight, const float *bias, size_t n) {
    for (size_t j = 0; j < n && weight != NULL; ++j) {
        out[j] *= weight[j];
    }
    for (size_t j = 0; j < n && bias != NULL; ++j) {
        out[j] += bias[j];
    }
}

// out (n) = (x − mean) / sqrt(sum of squares about the mean / n + eps)
static void norm_about(const float *x, double mean, float eps, size_t n, float *out) {
    double sum2 = 0;
    for (size_t j = 0; j < n; ++j) {
        const double distance = (double)x[j] - mean;
        sum2 += distance * distance;
    }
    const float scale = (float)(1.0 / sqrt(sum2 / (double)n + (double)eps));
    for (size_t j = 0; j < n; ++j) {
        out[j] = (x[j] - (float)mean) * scale;
    }
}

void imx_norm_rms(const float *x, const float *weight, const float *bias, float eps, size_t n,
                  float *out) {
    norm_about(x, 0, eps, n, out);
    scale_and_shift(out, weight, bias, n);
}

void imx_norm_layer(const float *x, const float *weight, const float *bias, float eps, size_t n,
                    float *out) {
    double sum = 0;
    for (size_t j = 0; j < n; ++j) {
        sum += (double)x[j];
    }
    norm_about(x, sum / (double)n, eps, n, out);
    scale_and_shift(out, weight, bias, n);
}

void imx_rotate_pairs(float *head, const float *cosines, const float *sines, size_t n_pairs) {
    for (size_t i = 0; i < n_pairs; ++i) {
        const float x = head[2 * i];
        const float y = head[2 * i + 1];
        head[2 * i] = x * cosines[i] - y * sines[i];
        head[2 * i + 1] = x * sines[i] + y * cosines[i];
    }
}

void imx_rotate_halves(float *head, const float *cosines, const float *sines, size_t n_pairs) {
    for (size_t i = 0; i < n_pairs; ++i) {
        const float x = head[i];
        const float y = head[n_pairs + i];
        head[i] = x * cosines[i] - y * sines[i];
        head[n_pairs + i] = x * sines[i] + y * cosines[i];
    }
}

size_t imx_index_of_largest(const float *values, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; ++i) {
        best = values[i] > values[best] ? i : best;
    }
    return best;
}
