// SPDX-License-Identifier: MIT
//
// Sixteen floats side by side: what the searches compute with. A lane usually stands for one
// candidate, and all of them meet the same weights; sums then run over the weights in order, with
// the same bits whatever instruction set carries the lanes. Each operation is the IEEE operation in
// every lane, none is fused. imx_lanes_min and _max give b when a or b is NaN, as a < b ? a : b
// does.

#ifndef IMX_QUANT_LANES_H
#define IMX_QUANT_LANES_H

#include <math.h>

#if defined __AVX512F__ || defined __AVX2__
#include <immintrin.h>
#endif

enum { IMX_N_LANES = 16 };

#if defined __AVX512F__

typedef __m512 imx_lanes;
typedef __mmask16 imx_lane_mask;

#define IMX_LANES_BINARY(name, intrinsic)                                                          \
    static inline imx_lanes imx_lanes_##name(imx_lanes a, imx_lanes b) {                           \
        return _mm512_##intrinsic(a, b);                                                           \
    }

static inline imx_lanes imx_lanes_all(float value) {
    return _mm512_set1_ps(value);
}

static inline imx_lanes imx_lanes_load(const float values[IMX_N_LANES]) {
    return _mm512_loadu_ps(values);
}

static inline void imx_lanes_store(float values[IMX_N_LANES], imx_lanes a) {
    _mm512_storeu_ps(values, a);
}

static inline imx_lane_mask imx_lanes_greater(imx_lanes a, imx_lanes b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}

// a where the mask is set, else b.
static inline imx_lanes imx_lanes_select(imx_lane_mask mask, imx_lanes a, imx_lanes b) {
    return _mm512_mask_blend_ps(mask, b, a);
}

#elif defined __AVX2__

typedef struct imx_lanes {
    __m256 low;
    __m256 high;
} imx_lanes;
typedef imx_lanes imx_lane_mask; // all bits of a lane

#define IMX_LANES_BINARY(name, intrinsic)                                                          \
    static inline imx_lanes imx_lanes_##name(imx_lanes a, imx_lanes b) {                           \
        return (imx_lanes){_mm256_##intrinsic(a.low, b.low), _mm256_##intrinsic(a.high, b.high)};  \
    }

static inline imx_lanes imx_lanes_all(float value) {
    return (imx_lanes){_mm256_set1_ps(value), _mm256_set1_ps(value)};
}

static inline imx_lanes imx_lanes_load(const float values[IMX_N_LANES]) {
    return (imx_lanes){_mm256_loadu_ps(values), _mm256_loadu_ps(values + 8)};
}

static inline void imx_lanes_store(float values[IMX_N_LANES], imx_lanes a) {
    _mm256_storeu_ps(values, a.low);
    _mm256_storeu_ps(values + 8, a.high);
}

static inline imx_lane_mask imx_lanes_greater(imx_lanes a, imx_lanes b) {
    return (imx_lanes){_mm256_cmp_ps(a.low, b.low, _CMP_GT_OQ),
                       _mm256_cmp_ps(a.high, b.high, _CMP_GT_OQ)};
}

static inline imx_lanes imx_lanes_select(imx_lane_mask mask, imx_lanes a, imx_lanes b) {
    return (imx_lanes){_mm256_blendv_ps(b.low, a.low, mask.low),
                       _mm256_blendv_ps(b.high, a.high, mask.high)};
}

#else

typedef struct imx_lanes {
    float at[IMX_N_LANES];
} imx_lanes;
typedef struct imx_lane_mask {
    int at[IMX_N_LANES];
} imx_lane_mask;

#define IMX_LANES_PLAIN(name, expression)                                                          \
    static inline imx_lanes imx_lanes_##name(imx_lanes a, imx_lanes b) {                           \
        imx_lanes result;                                                                          \
        for (int l = 0; l < IMX_N_LANES; ++l) {                                                    \
            result.at[l] = expression;                                                             \
        }                                                                                          \
        return result;                                                                             \
    }

static inline imx_lanes imx_lanes_all(float value) {
    imx_lanes result;
    for (int l = 0; l < IMX_N_LANES; ++l) {
        result.at[l] = value;
    }
    return result;
}

static inline imx_lanes imx_lanes_load(const float values[IMX_N_LANES]) {
    imx_lanes result;
    for (int l = 0; l < IMX_N_LANES; ++l) {
        result.at[l] = values[l];
    }
    return result;
}

static inline void imx_lanes_store(float values[IMX_N_LANES], imx_lanes a) {
    for (int l = 0; l < IMX_N_LANES; ++l) {
        values[l] = a.at[l];
    }
}

static inline imx_lane_mask imx_lanes_greater(imx_lanes a, imx_lanes b) {
    imx_lane_mask mask;
    for (int l = 0; l < IMX_N_LANES; ++l) {
        mask.at[l] = a.at[l] > b.at[l];
    }
    return mask;
}

static inline imx_lanes imx_lanes_select(imx_lane_mask mask, imx_lanes a, imx_lanes b) {
    imx_lanes result;
    for (int l = 0; l < IMX_N_LANES; ++l) {
        result.at[l] = mask.at[l] ? a.at[l] : b.at[l];
    }
    return result;
}

#endif

#ifdef IMX_LANES_BINARY
IMX_LANES_BINARY(add, add_ps)
IMX_LANES_BINARY(sub, sub_ps)
IMX_LANES_BINARY(mul, mul_ps)
IMX_LANES_BINARY(div, div_ps)
IMX_LANES_BINARY(min, min_ps)
IMX_LANES_BINARY(max, max_ps)
#else
IMX_LANES_PLAIN(add, a.at[l] + b.at[l])
IMX_LANES_PLAIN(sub, a.at[l] - b.at[l])
IMX_LANES_PLAIN(mul, a.at[l] * b.at[l])
IMX_LANES_PLAIN(div, a.at[l] / b.at[l])
IMX_LANES_PLAIN(min, a.at[l] < b.at[l] ? a.at[l] : b.at[l])
IMX_LANES_PLAIN(max, a.at[l] > b.at[l] ? a.at[l] : b.at[l])
#endif

// The nearest integers, as imx_round (quant/grid.h).
static inline imx_lanes imx_lanes_round(imx_lanes a) {
    const imx_lanes magic = imx_lanes_all(0x1.8p23f);
    return imx_lanes_sub(imx_lanes_add(a, magic), magic);
}

#endif
