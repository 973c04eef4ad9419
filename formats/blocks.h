// SPDX-License-Identifier: MIT
//
// Block layouts of the quantized tensor types, as they lie in a GGUF file: little-endian, packed,
// one block after another along a row. Source of the layouts: the GGUF specification and ggml's
// published formats; `x` is the decoded weight, `q` a code.

#ifndef IMX_FORMATS_BLOCKS_H
#define IMX_FORMATS_BLOCKS_H

#include <assert.h>
#include <stdint.h>

#include "formats/half.h"

enum {
    IMX_BLOCK_LEN = 32,        // weights in a block of the *_0 and *_1 types, IQ4_NL and MXFP4
    IMX_SUPER_BLOCK_LEN = 256, // weights in a super-block of the K-quants, IQ4_XS and the TQs
};

// x = d · (q - 8), q in 0..15: 4.5 bits per weight. Byte j holds weight j low, weight j+16 high.
typedef struct imx_block_q4_0 {
    imx_f16 d;
    uint8_t qs[16];
} imx_block_q4_0;

// x = d · q + m, q in 0..15: 5 bits per weight. Bytes as in Q4_0.
typedef struct imx_block_q4_1 {
    imx_f16 d;
    imx_f16 m;
    uint8_t qs[16];
} imx_block_q4_1;

// x = d · (q - 16), q in 0..31: 5.5 bits per weight. Low nibbles as in Q4_0; bit j of qh
// (little-endian over its four bytes) is the fifth bit of weight j.
typedef struct imx_block_q5_0 {
    imx_f16 d;
    uint8_t qh[4];
    uint8_t qs[16];
} imx_block_q5_0;

// x = d · q + m, q in 0..31: 6 bits per weight. Bits as in Q5_0.
typedef struct imx_block_q5_1 {
    imx_f16 d;
    imx_f16 m;
    uint8_t qh[4];
    uint8_t qs[16];
} imx_block_q5_1;

// x = d · q, q in -128..127: 8.5 bits per weight.
typedef struct imx_block_q8_0 {
    imx_f16 d;
    int8_t qs[32];
} imx_block_q8_0;

// x = d · s · q - dmin · m, q in 0..3, 16 sub-blocks of 16: 2.625 bits per weight.
// scales[j]: scale s of sub-block j in the low nibble, min m in the high one.
// qs: in each half of 128 weights byte l (of 32) holds weights l, l+32, l+64, l+96, low bits first.
typedef struct imx_block_q2_k {
    uint8_t scales[16];
    uint8_t qs[64];
    imx_f16 d;
    imx_f16 dmin;
} imx_block_q2_k;

// x = d · (s - 32) · (q - 4), q in 0..7, 16 sub-blocks of 16: 3.4375 bits per weight.
// hmask: bit k of byte l is the high bit of weight 32·k + l. qs: low two bits as in Q2_K.
// scales: 6-bit s; low nibbles of s[0..7] in the low halves of bytes 0..7, of s[8..15] in the high
// halves; bits 4..5 of s[j] in byte 8 + j % 4 at bit 2 · (j / 4).
typedef struct imx_block_q3_k {
    uint8_t hmask[32];
    uint8_t qs[64];
    uint8_t scales[12];
    imx_f16 d;
} imx_block_q3_k;

// x = d · s · q - dmin · m, q in 0..15, 8 sub-blocks of 32: 4.5 bits per weight.
// scales, 6 bits each: for j < 4 s[j] is the low 6 bits of byte j and m[j] of byte 4 + j; for j >=
// 4 the low nibble of s[j] and m[j] are the low and high halves of byte 4 + j, and their bits 4..5
// are the top two bits of bytes j - 4 and j. qs: in each quarter of 64 weights byte l (of 32) holds
// weight l low and weight l+32 high.
typedef struct imx_block_q4_k {
    imx_f16 d;
    imx_f16 dmin;
    uint8_t scales[12];
    uint8_t qs[128];
} imx_block_q4_k;

// x = d · s · q - dmin · m, q in 0..31, 8 sub-blocks of 32: 5.5 bits per weight.
// scales and qs as in Q4_K; bit j of qh[l] is the fifth bit of weight 32·j + l.
typedef struct imx_block_q5_k {
    imx_f16 d;
    imx_f16 dmin;
    uint8_t scales[12];
    uint8_t qh[32];
    uint8_t qs[128];
} imx_block_q5_k;

// x = d · s · (q - 32), q in 0..63, s in -128..127, 16 sub-blocks of 16: 6.5625 bits per weight.
// In each half of 128 weights (64 bytes of ql, 32 of qh): byte l of ql holds the low nibble of
// weight l low and of weight l+64 high (l in 0..63); byte l of qh (l in 0..31) holds the high two
// bits of weights l, l+32, l+64, l+96, low bits first.
typedef struct imx_block_q6_k {
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t scales[16];
    imx_f16 d;
} imx_block_q6_k;

// x = d · T[q], q in 0..15, T = imx_iq4_values: 4.5 bits per weight. Bytes as in Q4_0.
typedef struct imx_block_iq4_nl {
    imx_f16 d;
    uint8_t qs[16];
} imx_block_iq4_nl;

// x = d · (s - 32) · T[q], q in 0..15, T as in IQ4_NL, 8 sub-blocks of 32: 4.25 bits per weight.
// s, 6 bits: low nibble of s[j] in half j % 2 of scales_l[j / 2], bits 4..5 at bit 2·j of scales_h.
// qs: 16 bytes for each sub-block, as in Q4_0.
typedef struct imx_block_iq4_xs {
    imx_f16 d;
    uint16_t scales_h;
    uint8_t scales_l[4];
    uint8_t qs[128];
} imx_block_iq4_xs;

// x = d · (q - 1), q in 0..2: 1.6875 bits per weight. A byte b holds up to five codes as digits of
// the fraction b / 256 to base 3, first weight first: times 3, what carries out of the byte is the
// code and what stays is the next fraction. Byte l of the first 32 of qs holds weights l, l+32, ..,
// l+128, byte l of the other 16 weights 160 + l + 16·k, k in 0..4, and byte l of qh weights
// 240 + l + 4·k, k in 0..3.
typedef struct imx_block_tq1_0 {
    uint8_t qs[48];
    uint8_t qh[4];
    imx_f16 d;
} imx_block_tq1_0;

// x = d · (q - 1), q in 0..2: 2.0625 bits per weight. qs as in Q2_K.
typedef struct imx_block_tq2_0 {
    uint8_t qs[64];
    imx_f16 d;
} imx_block_tq2_0;

// x = 2^(e - 127) · M[q] / 2, q in 0..15, M = imx_mxfp4_values, the 4-bit floats e2m1 with a sign,
// doubled: 4.25 bits per weight. Bytes as in Q4_0.
typedef struct imx_block_mxfp4 {
    uint8_t e;
    uint8_t qs[16];
} imx_block_mxfp4;

static const int8_t imx_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};
static const int8_t imx_mxfp4_values[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                            0, -1, -2, -3, -4, -6, -8, -12};

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are read as they lie");
static_assert(sizeof(imx_block_q4_0) == 18, "Q4_0 is 18 bytes");
static_assert(sizeof(imx_block_q4_1) == 20, "Q4_1 is 20 bytes");
static_assert(sizeof(imx_block_q5_0) == 22, "Q5_0 is 22 bytes");
static_assert(sizeof(imx_block_q5_1) == 24, "Q5_1 is 24 bytes");
static_assert(sizeof(imx_block_q8_0) == 34, "Q8_0 is 34 bytes");
static_assert(sizeof(imx_block_q2_k) == 84, "Q2_K is 84 bytes");
static_assert(sizeof(imx_block_q3_k) == 110, "Q3_K is 110 bytes");
static_assert(sizeof(imx_block_q4_k) == 144, "Q4_K is 144 bytes");
static_assert(sizeof(imx_block_q5_k) == 176, "Q5_K is 176 bytes");
static_assert(sizeof(imx_block_q6_k) == 210, "Q6_K is 210 bytes");
static_assert(sizeof(imx_block_iq4_nl) == 18, "IQ4_NL is 18 bytes");
static_assert(sizeof(imx_block_iq4_xs) == 136, "IQ4_XS is 136 bytes");
static_assert(sizeof(imx_block_tq1_0) == 54, "TQ1_0 is 54 bytes");
static_assert(sizeof(imx_block_tq2_0) == 66, "TQ2_0 is 66 bytes");
static_assert(sizeof(imx_block_mxfp4) == 17, "MXFP4 is 17 bytes");

// The 6-bit scale and min of sub-block j (0..7) of a Q4_K or Q5_K super-block.
static inline void imx_k_scale_min(const uint8_t scales[12], int j, uint8_t *scale, uint8_t *min) {
    if (j < 4) {
        *scale = scales[j] & 63;
        *min = scales[j + 4] & 63;
    } else {
        *scale = (uint8_t)((scales[j + 4] & 15) | (scales[j - 4] >> 6) << 4);
        *min = (uint8_t)((scales[j + 4] >> 4) | (scales[j] >> 6) << 4);
    }
}

// The signed scale (-32..31) of sub-block j (0..15) of a Q3_K super-block.
static inline int imx_q3_k_scale(const uint8_t scales[12], int j) {
    const int low = j < 8 ? scales[j] & 15 : scales[j - 8] >> 4;
    const int high = scales[8 + j % 4] >> (2 * (j / 4)) & 3;
    return (low | high << 4) - 32;
}

// The signed scale (-32..31) of sub-block j (0..7) of an IQ4_XS super-block.
static inline int imx_iq4_xs_scale(const imx_block_iq4_xs *block, int j) {
    const int low = block->scales_l[j / 2] >> (4 * (j % 2)) & 15;
    const int high = block->scales_h >> (2 * j) & 3;
    return (low | high << 4) - 32;
}

#endif
