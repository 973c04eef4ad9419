// SPDX-License-Identifier: MIT
//
// IEEE 754 binary16 and bfloat16. Conversions to half precision round to nearest, ties to even,
// and keep infinities and NaN; conversions to float are exact.

#ifndef IMX_FORMATS_HALF_H
#define IMX_FORMATS_HALF_H

#include <stdint.h>
#include <string.h>

typedef uint16_t imx_f16;  // 1 sign, 5 exponent, 10 fraction bits
typedef uint16_t imx_bf16; // 1 sign, 8 exponent, 7 fraction bits

static inline float imx_f32_from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t imx_f32_to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

// Both cases are computed and one is selected by a mask, so that a loop over halves becomes vector
// code with every compiler.
static inline float imx_f16_to_f32(imx_f16 half) {
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    const uint32_t magnitude = half & 0x7fffu;
    // Normal: rebias the exponent from 15 to 127; infinity and NaN: from 31 to 255.
    const uint32_t rebias = magnitude >= 0x7c00u ? 0x70000000u : 0x38000000u;
    const uint32_t normal = (magnitude << 13) + rebias;
    const uint32_t subnormal = imx_f32_to_bits((float)(int32_t)magnitude * 0x1p-24f); // exact
    const uint32_t is_normal = 0u - (uint32_t)(magnitude >= 0x0400u);
    return imx_f32_from_bits(sign | (normal & is_normal) | (subnormal & ~is_normal));
}

static inline imx_f16 imx_f16_from_f32(float value) {
    const uint32_t bits = imx_f32_to_bits(value);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) { // NaN stays quiet
        return (imx_f16)(sign | 0x7e00u);
    }
    if (magnitude >= 0x477ff000u) { // rounds to 2^16 or more
        return (imx_f16)(sign | 0x7c00u);
    }
    if (magnitude < 0x38800000u) { // subnormal: let the float adder round at 2^-24
        const float shifted = imx_f32_from_bits(magnitude) + 0.5f;
        return (imx_f16)(sign | (uint16_t)(imx_f32_to_bits(shifted) - 0x3f000000u));
    }
    const uint32_t odd = magnitude >> 13 & 1u;
    return (imx_f16)(sign | (uint16_t)((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}

static inline float imx_bf16_to_f32(imx_bf16 half) {
    return imx_f32_from_bits((uint32_t)half << 16);
}

static inline imx_bf16 imx_bf16_from_f32(float value) {
    const uint32_t bits = imx_f32_to_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return (imx_bf16)(bits >> 16 | 0x40u);
    }
    return (imx_bf16)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

#endif
