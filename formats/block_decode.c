// SPDX-License-Identifier: MIT
//
// Every quantized block is codes and scales: x = scale · (q - centre), x = scale · q + offset or
// x = scale · T[q] with a table T, one scale per sub-block. A decoder therefore works in two steps,
// codes first, then weights.
//
// The codes are stored in planes of 1, 2 or 4 bits, and all planes of all types have one shape with
// two parameters, the width w and the run r: a group of r bytes holds (8 / w) · r codes, byte l of
// the group those of weights l, l + r, l + 2r, ..., low bits first:
//
//     Q4_0 Q4_1 Q5_0 Q5_1   4 bits, r = 16; the fifth bit of the Q5s: 1 bit, r = 1
//     IQ4_NL IQ4_XS MXFP4   4 bits, r = 16
//     Q2_K Q3_K TQ2_0       2 bits, r = 32; the third bit of Q3_K: 1 bit, r = 32
//     Q4_K Q5_K             4 bits, r = 32; the fifth bit of Q5_K: 1 bit, r = 32
//     Q6_K                  4 bits, r = 64; the high two bits: 2 bits, r = 32
//
// TQ1_0 alone has no planes: its groups hold digits to base 3 in the same order.
//
// The products are taken in the order of the formulas in blocks.h, each rounded to float, so that
// the weights are those of any other program that follows them.

#include "formats/block_decode.h"

#include <stdint.h>
#include <string.h>

#include "formats/blocks.h"
#include "formats/half.h"

// Adds a plane of `width`-bit codes with runs of `run` bytes to codes[0..n), `shift` bits up.
static inline void add_plane(uint8_t *codes, int n, const uint8_t *plane, int width, int run,
                             int shift) {
    const int per_byte = 8 / width;
    const int mask = (1 << width) - 1;
    for (int begin = 0; begin < n; begin += per_byte * run, plane += run) {
        for (int k = 0; k < per_byte; ++k) {
            uint8_t *part = codes + begin + k * run;
            for (int l = 0; l < run; ++l) {
                part[l] = (uint8_t)(part[l] | (plane[l] >> (k * width) & mask) << shift);
            }
        }
    }
}

static inline void decode_centred(float *out, const uint8_t *codes, int n, float scale,
                                  int centre) {
    for (int i = 0; i < n; ++i) {
        out[i] = scale * (float)(codes[i] - centre);
    }
}

static inline void decode_affine(float *out, const uint8_t *codes, int n, float scale,
                                 float offset) {
    for (int i = 0; i < n; ++i) {
        out[i] = scale * (float)codes[i] + offset;
    }
}

static inline void decode_table(float *out, const uint8_t *codes, int n, float scale,
                                const int8_t table[16]) {
    for (int i = 0; i < n; ++i) {
        out[i] = scale * (float)table[codes[i]];
    }
}

static inline void decode_block_q4_0(const imx_block_q4_0 *block, float *out) {
    uint8_t codes[IMX_BLOCK_LEN] = {0};
    add_plane(codes, IMX_BLOCK_LEN, block->qs, 4, 16, 0);
    decode_centred(out, codes, IMX_BLOCK_LEN, imx_f16_to_f32(block->d), 8);
}

static inline void decode_block_q4_1(const imx_block_q4_1 *block, float *out) {
    uint8_t codes[IMX_BLOCK_LEN] = {0};
    add_plane(codes, IMX_BLOCK_LEN, block->qs, 4, 16, 0);
    decode_affine(out, codes, IMX_BLOCK_LEN, imx_f16_to_f32(block->d), imx_f16_to_f32(block->m));
}

static inline void decode_block_q5_0(const imx_block_q5_0 *block, float *out) {
    uint8_t codes[IMX_BLOCK_LEN] = {0};
    add_plane(codes, IMX_BLOCK_LEN, block->qs, 4, 16, 0);
    add_plane(codes, IMX_BLOCK_LEN, block->qh, 1, 1, 4);
    decode_centred(out, codes, IMX_BLOCK_LEN, imx_f16_to_f32(block->d), 16);
}

static inline void decode_block_q5_1(const imx_block_q5_1 *block, float *out) {
    uint8_t codes[IMX_BLOCK_LEN] = {0};
    add_plane(codes, IMX_BLOCK_LEN, block->qs, 4, 16, 0);
    add_plane(codes, IMX_BLOCK_LEN, block->qh, 1, 1, 4);
    decode_affine(out, codes, IMX_BLOCK_LEN, imx_f16_to_f32(block->d), imx_f16_to_f32(block->m));
}

static inline void decode_block_q8_0(const imx_block_q8_0 *block, float *out) {
    const float d = imx_f16_to_f32(block->d);
    for (int i = 0; i < IMX_BLOCK_LEN; ++i) {
        out[i] = d * (float)block->qs[i];
    }
}

static inline void decode_block_q2_k(const imx_block_q2_k *block, float *out) {
    const float d = imx_f16_to_f32(block->d);
    const float dmin = imx_f16_to_f32(block->dmin);
    uint8_t codes[IMX_SUPER_BLOCK_LEN] = {0};
    add_plane(codes, IMX_SUPER_BLOCK_LEN, block->qs, 2, 32, 0);
    for (int j = 0; j < 16; ++j) {
        const float scale = d * (float)(block->scales[j] & 15);
        const float min = dmin * (float)(block->scales[j] >> 4);
        decode_affine(out + 16 * j, codes + 16 * j, 16, scale, -min);
    }
}

static inline void decode_block_q3_k(const imx_block_q3_k *block, float *out) {
    const float d = imx_f16_to_f32(block->d);
    uint8_t codes[IMX_SUPER_BLOCK_LEN] = {0};
    add_plane(codes, IMX_SUPER_BLOCK_LEN, block->qs, 2, 32, 0);
    add_plane(codes, IMX_SUPER_BLOCK_LEN, block->hmask, 1, 32, 2);
    for (int j = 0; j < 16; ++j) {
        const float scale = d * (float)imx_q3_k_scale(block->scales, j);
        decode_centred(out + 16 * j, codes + 16 * j, 16, scale, 4);
    }
}

// The eight sub-blocks of Q4_K and Q5_K.
static inline void decode_k_sub_blocks(float *out, const uint8_t *codes, const uint8_t scales[12],
                                       float d, float dmin) {
    for (int j = 0; j < 8; ++j) {
        uint8_t scale;
        uint8_t min;
        imx_k_scale_min(scales, j, &scale, &min);
        decode_affine(out + 32 * j, codes + 32 * j, 32, d * (float)scale, -(dmin * (float)min));
    }
}

static inline void decode_block_q4_k(const imx_block_q4_k *block, float *out) {
    uint8_t codes[IMX_SUPER_BLOCK_LEN] = {0};
    add_plane(codes, IMX_SUPER_BLOCK_LEN, block->qs, 4, 32, 0);
    decode_k_sub_blocks(out, codes, block->scales, imx_f16_to_f32(block->d),
                        imx_f16_to_f32(block->dmin));
}

static inline void decode_block_q5_k(const imx_block_q5_k *block, float *out) {
    uint8_t codes[IMX_SUPER_BLOCK_LEN] = {0};
    add_plane(codes, IMX_SUPER_BLOCK_LEN, block->qs, 4, 32, 0);
    add_plane(codes, IMX_SUPER_BLOCK_LEN, block->qh, 1, 32, 4);
    decode_k_sub_blocks(out, codes, block->scales, imx_f16_to_f32(block->d),
                        imx_f16_to_f32(block->dmin));
}

static inline void decode_block_q6_k(const imx_block_q6_k *block, float *out) {
    const float d = imx_f16_to_f32(block->d);
    uint8_t codes[IMX_SUPER_BLOCK_LEN] = {0};
    add_plane(codes, IMX_SUPER_BLOCK_LEN, block->ql, 4, 64, 0);
    add_plane(codes, IMX_SUPER_BLOCK_LEN, block->qh, 2, 32, 4);
    for (int j = 0; j < 16; ++j) {
        decode_centred(out + 16 * j, codes + 16 * j, 16, d * (float)block->scales[j], 32);
    }
}

static inline void decode_block_iq4_nl(const imx_block_iq4_nl *block, float *out) {
    uint8_t codes[IMX_BLOCK_LEN] = {0};
    add_plane(codes, IMX_BLOCK_LEN, block->qs, 4, 16, 0);
    decode_table(out, codes, IMX_BLOCK_LEN, imx_f16_to_f32(block->d), imx_iq4_values);
}

static inline void decode_block_iq4_xs(const imx_block_iq4_xs *block, float *out) {
    const float d = imx_f16_to_f32(block->d);
    uint8_t codes[IMX_SUPER_BLOCK_LEN] = {0};
    add_plane(codes, IMX_SUPER_BLOCK_LEN, block->qs, 4, 16, 0);
    for (int j = 0; j < 8; ++j) {
        const float scale = d * (float)imx_iq4_xs_scale(block, j);
        decode_table(out + 32 * j, codes + 32 * j, 32, scale, imx_iq4_values);
    }
}

static inline void decode_block_mxfp4(const imx_block_mxfp4 *block, float *out) {
    // 2^(e - 128): subnormal below e = 2.
    const uint32_t bits = block->e < 2 ? 0x00200000u << block->e : (block->e - 1u) << 23;
    uint8_t codes[IMX_BLOCK_LEN] = {0};
    add_plane(codes, IMX_BLOCK_LEN, block->qs, 4, 16, 0);
    decode_table(out, codes, IMX_BLOCK_LEN, imx_f32_from_bits(bits), imx_mxfp4_values);
}

// n_digits codes from each of `run` bytes.
static inline void take_digits(uint8_t *codes, const uint8_t *bytes, int run, int n_digits) {
    for (int l = 0; l < run; ++l) {
        unsigned fraction = bytes[l];
        for (int k = 0; k < n_digits; ++k) {
            fraction *= 3;
            codes[k * run + l] = (uint8_t)(fraction >> 8);
            fraction &= 255;
        }
    }
}

static inline void decode_block_tq1_0(const imx_block_tq1_0 *block, float *out) {
    uint8_t codes[IMX_SUPER_BLOCK_LEN];
    take_digits(codes, block->qs, 32, 5);
    take_digits(codes + 160, block->qs + 32, 16, 5);
    take_digits(codes + 240, block->qh, 4, 4);
    decode_centred(out, codes, IMX_SUPER_BLOCK_LEN, imx_f16_to_f32(block->d), 1);
}

static inline void decode_block_tq2_0(const imx_block_tq2_0 *block, float *out) {
    uint8_t codes[IMX_SUPER_BLOCK_LEN] = {0};
    add_plane(codes, IMX_SUPER_BLOCK_LEN, block->qs, 2, 32, 0);
    decode_centred(out, codes, IMX_SUPER_BLOCK_LEN, imx_f16_to_f32(block->d), 1);
}

// The decoder of a row: blocks are copied out because they may lie at any address.
#define ROW_DECODER(type, block_len)                                                               \
    void imx_decode_##type(const void *blocks, float *out, size_t n_weights) {                     \
        const uint8_t *bytes = blocks;                                                             \
        imx_block_##type block;                                                                    \
        for (size_t i = 0; i < n_weights; i += block_len, bytes += sizeof block) {                 \
            memcpy(&block, bytes, sizeof block);                                                   \
            decode_block_##type(&block, out + i);                                                  \
        }                                                                                          \
    }

ROW_DECODER(q4_0, IMX_BLOCK_LEN)
ROW_DECODER(q4_1, IMX_BLOCK_LEN)
ROW_DECODER(q5_0, IMX_BLOCK_LEN)
ROW_DECODER(q5_1, IMX_BLOCK_LEN)
ROW_DECODER(q8_0, IMX_BLOCK_LEN)
ROW_DECODER(q2_k, IMX_SUPER_BLOCK_LEN)
ROW_DECODER(q3_k, IMX_SUPER_BLOCK_LEN)
ROW_DECODER(q4_k, IMX_SUPER_BLOCK_LEN)
ROW_DECODER(q5_k, IMX_SUPER_BLOCK_LEN)
ROW_DECODER(q6_k, IMX_SUPER_BLOCK_LEN)
ROW_DECODER(iq4_nl, IMX_BLOCK_LEN)
ROW_DECODER(iq4_xs, IMX_SUPER_BLOCK_LEN)
ROW_DECODER(tq1_0, IMX_SUPER_BLOCK_LEN)
ROW_DECODER(tq2_0, IMX_SUPER_BLOCK_LEN)
ROW_DECODER(mxfp4, IMX_BLOCK_LEN)

void imx_decode_f32(const void *blocks, float *out, size_t n_weights) {
    memcpy(out, blocks, n_weights * sizeof *out);
}

void imx_decode_f16(const void *blocks, float *out, size_t n_weights) {
    const uint8_t *bytes = blocks;
    for (size_t i = 0; i < n_weights; ++i) {
        imx_f16 half;
        memcpy(&half, bytes + i * sizeof half, sizeof half);
        out[i] = imx_f16_to_f32(half);
    }
}

void imx_decode_bf16(const void *blocks, float *out, size_t n_weights) {
    const uint8_t *bytes = blocks;
    for (size_t i = 0; i < n_weights; ++i) {
        imx_bf16 half;
        memcpy(&half, bytes + i * sizeof half, sizeof half);
        out[i] = imx_bf16_to_f32(half);
    }
}
