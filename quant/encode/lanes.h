// SPDX-License-Identifier: MIT
//
// Sixteen floats side by side: what the searches compute with. A lane usually stands for one
// candidate, and all of them meet the same weights; sums then run over the weights in order, with
// the same bits whatever instruction set carries the lanes. Each operation is the IEEE operation in
// every lane, none is fused. imx_lanes_min and _max give b when a or b is NaN, as a < b ? a : b
// does. What reduces lanes to one number halves them: l with l + 8, then l + 4, l + 2, l + 1.

#ifndef IMX_QUANT_LANES_H
#define IMX_QUANT_LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

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

// a + b where the mask is set, else a. No lane of a may be -0.
static inline imx_lanes imx_lanes_add_where(imx_lane_mask mask, imx_lanes a, imx_lanes b) {
    return _mm512_mask_add_ps(a, mask, a, b);
}

static inline imx_lanes imx_lanes_sqrt(imx_lanes a) {
    return _mm512_sqrt_ps(a);
}

static inline imx_lanes imx_lanes_abs(imx_lanes a) {
    return _mm512_abs_ps(a);
}

static inline __m256 imx_lanes_low(imx_lanes a) {
    return _mm512_castps512_ps256(a);
}

static inline __m256 imx_lanes_high(imx_lanes a) {
    return _mm512_extractf32x8_ps(a, 1);
}

// The first lane that equals `value`, which one must.
static inline int imx_lanes_find(imx_lanes a, float value) {
    return __builtin_ctz(_mm512_cmp_ps_mask(a, _mm512_set1_ps(value), _CMP_EQ_OQ));
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

static inline imx_lanes imx_lanes_add_where(imx_lane_mask mask, imx_lanes a, imx_lanes b) {
    return (imx_lanes){_mm256_add_ps(a.low, _mm256_and_ps(mask.low, b.low)),
                       _mm256_add_ps(a.high, _mm256_and_ps(mask.high, b.high))};
}

static inline imx_lanes imx_lanes_sqrt(imx_lanes a) {
    return (imx_lanes){_mm256_sqrt_ps(a.low), _mm256_sqrt_ps(a.high)};
}

static inline imx_lanes imx_lanes_abs(imx_lanes a) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return (imx_lanes){_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}

static inline __m256 imx_lanes_low(imx_lanes a) {
    return a.low;
}

static inline __m256 imx_lanes_high(imx_lanes a) {
    return a.high;
}

static inline int imx_lanes_find(imx_lanes a, float value) {
    const __m256 wanted = _mm256_set1_ps(value);
    const int low = _mm256_movemask_ps(_mm256_cmp_ps(a.low, wanted, _CMP_EQ_OQ));
    const int high = _mm256_movemask_ps(_mm256_cmp_ps(a.high, wanted, _CMP_EQ_OQ));
    return __builtin_ctz((unsigned)(low | high << 8));
}

#else

// Vectors of the compiler, which every processor has in some form: arrays of single floats would be
// as fast, but take a compiler with sanitizers minutes.
typedef float imx_four __attribute__((vector_size(16)));
typedef int imx_four_bits __attribute__((vector_size(16)));

typedef struct imx_lanes {
    imx_four at[IMX_N_LANES / 4];
} imx_lanes;
typedef struct imx_lane_mask {
    imx_four_bits at[IMX_N_LANES / 4]; // all bits of a lane
} imx_lane_mask;

static inline imx_four imx_four_select(imx_four_bits mask, imx_four a, imx_four b) {
    return (imx_four)((mask & (imx_four_bits)a) | (~mask & (imx_four_bits)b));
}

static inline imx_four imx_four_add(imx_four a, imx_four b) {
    return a + b;
}

static inline imx_four imx_four_min(imx_four a, imx_four b) {
    return imx_four_select(a < b, a, b);
}

static inline imx_four imx_four_max(imx_four a, imx_four b) {
    return imx_four_select(a > b, a, b);
}

#define IMX_LANES_PLAIN(name, expression)                                                          \
    static inline imx_lanes imx_lanes_##name(imx_lanes a, imx_lanes b) {                           \
        for (int i = 0; i < IMX_N_LANES / 4; ++i) {                                                \
            a.at[i] = expression;                                                                  \
        }                                                                                          \
        return a;                                                                                  \
    }

static inline imx_lanes imx_lanes_all(float value) {
    const imx_four four = {value, value, value, value};
    return (imx_lanes){{four, four, four, four}};
}

static inline imx_lanes imx_lanes_load(const float values[IMX_N_LANES]) {
    imx_lanes result;
    memcpy(&result, values, sizeof result);
    return result;
}

static inline void imx_lanes_store(float values[IMX_N_LANES], imx_lanes a) {
    memcpy(values, &a, sizeof a);
}

static inline imx_lane_mask imx_lanes_greater(imx_lanes a, imx_lanes b) {
    imx_lane_mask mask;
    for (int i = 0; i < IMX_N_LANES / 4; ++i) {
        mask.at[i] = a.at[i] > b.at[i];
    }
    return mask;
}

static inline imx_lanes imx_lanes_select(imx_lane_mask mask, imx_lanes a, imx_lanes b) {
    for (int i = 0; i < IMX_N_LANES / 4; ++i) {
        a.at[i] = imx_four_select(mask.at[i], a.at[i], b.at[i]);
    }
    return a;
}

static inline imx_lanes imx_lanes_add_where(imx_lane_mask mask, imx_lanes a, imx_lanes b) {
    for (int i = 0; i < IMX_N_LANES / 4; ++i) {
        a.at[i] += (imx_four)(mask.at[i] & (imx_four_bits)b.at[i]);
    }
    return a;
}

static inline imx_lanes imx_lanes_sqrt(imx_lanes a) {
    for (int l = 0; l < IMX_N_LANES; ++l) {
        a.at[l / 4][l % 4] = sqrtf(a.at[l / 4][l % 4]);
    }
    return a;
}

static inline imx_lanes imx_lanes_abs(imx_lanes a) {
    for (int i = 0; i < IMX_N_LANES / 4; ++i) {
        a.at[i] = (imx_four)((imx_four_bits)a.at[i] & INT32_MAX);
    }
    return a;
}

static inline int imx_lanes_find(imx_lanes a, float value) {
    int l = 0;
    while (a.at[l / 4][l % 4] != value) {
        ++l;
    }
    return l;
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
IMX_LANES_PLAIN(add, a.at[i] + b.at[i])
IMX_LANES_PLAIN(sub, a.at[i] - b.at[i])
IMX_LANES_PLAIN(mul, a.at[i] * b.at[i])
IMX_LANES_PLAIN(div, a.at[i] / b.at[i])
IMX_LANES_PLAIN(min, imx_four_min(a.at[i], b.at[i]))
IMX_LANES_PLAIN(max, imx_four_max(a.at[i], b.at[i]))
#endif

#if defined __AVX512F__ || defined __AVX2__
#define IMX_LANES_REDUCTION(name, operation)                                                       \
    static inline float imx_lanes_##name(imx_lanes a) {                                            \
        const __m256 eight = _mm256_##operation##_ps(imx_lanes_low(a), imx_lanes_high(a));         \
        const __m128 four =                                                                        \
            _mm_##operation##_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));  \
        const __m128 two = _mm_##operation##_ps(four, _mm_movehl_ps(four, four));                  \
        return _mm_cvtss_f32(_mm_##operation##_ss(two, _mm_movehdup_ps(two)));                     \
    }
#else
#define IMX_LANES_REDUCTION(name, operation)                                                       \
    static inline float imx_lanes_##name(imx_lanes a) {                                            \
        const imx_four low = imx_four_##operation(a.at[0], a.at[2]);                               \
        const imx_four high = imx_four_##operation(a.at[1], a.at[3]);                              \
        const imx_four four = imx_four_##operation(low, high);                                     \
        const imx_four two = imx_four_##operation(four, (imx_four){four[2], four[3], 0, 0});       \
        return imx_four_##operation(two, (imx_four){two[1], 0, 0, 0})[0];                          \
    }
#endif
IMX_LANES_REDUCTION(sum, add)
IMX_LANES_REDUCTION(least, min)
IMX_LANES_REDUCTION(greatest, max)

// The nearest integers, as imx_round (quant/encode/grid.h).
static inline imx_lanes imx_lanes_round(imx_lanes a) {
    const imx_lanes magic = imx_lanes_all(0x1.8p23f);
    return imx_lanes_sub(imx_lanes_add(a, magic), magic);
}

// 0, 1, ..., 15.
static inline imx_lanes imx_lanes_numbers(void) {
    static const float numbers[IMX_N_LANES] = {0, 1, 2,  3,  4,  5,  6,  7,
                                               8, 9, 10, 11, 12, 13, 14, 15};
    return imx_lanes_load(numbers);
}

// first, first + step, ...
static inline imx_lanes imx_lanes_series(float first, float step) {
    return imx_lanes_add(imx_lanes_all(first),
                         imx_lanes_mul(imx_lanes_numbers(), imx_lanes_all(step)));
}

static inline float imx_lanes_at(imx_lanes a, int l) {
    float values[IMX_N_LANES];
    imx_lanes_store(values, a);
    return values[l];
}

#endif
