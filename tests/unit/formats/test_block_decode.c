// SPDX-License-Identifier: MIT
//
// The decoders against the layouts in blocks.h, twice: by an oracle that gathers one weight at a
// time, bit by bit, and by hashes of what ggml's own decoders make of the same blocks.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/half.h"
#include "formats/tensor_type.h"

// ---------------------------------------------------------------------------------------------
// The oracle: weight i of a block at b. Byte offsets are those of the structs in blocks.h.

static int bits_at(const uint8_t *b, int byte, int bit, int n_bits) {
    return b[byte] >> bit & ((1 << n_bits) - 1);
}

static float half_at(const uint8_t *b, int byte) {
    return imx_f16_to_f32((imx_f16)(b[byte] | b[byte + 1] << 8));
}

static int nibble_32(const uint8_t *b, int byte, int i) {
    return bits_at(b, byte + i % 16, 4 * (i / 16), 4);
}

static float oracle_q4_0(const uint8_t *b, int i) {
    return half_at(b, 0) * (float)(nibble_32(b, 2, i) - 8);
}

static float oracle_q4_1(const uint8_t *b, int i) {
    return half_at(b, 0) * (float)nibble_32(b, 4, i) + half_at(b, 2);
}

static float oracle_q5_0(const uint8_t *b, int i) {
    const int q = nibble_32(b, 6, i) + 16 * bits_at(b, 2 + i / 8, i % 8, 1);
    return half_at(b, 0) * (float)(q - 16);
}

static float oracle_q5_1(const uint8_t *b, int i) {
    const int q = nibble_32(b, 8, i) + 16 * bits_at(b, 4 + i / 8, i % 8, 1);
    return half_at(b, 0) * (float)q + half_at(b, 2);
}

static float oracle_q8_0(const uint8_t *b, int i) {
    return half_at(b, 0) * (float)(int8_t)b[2 + i];
}

static int two_bits(const uint8_t *b, int byte, int i) {
    return bits_at(b, byte + 32 * (i / 128) + i % 32, 2 * (i % 128 / 32), 2);
}

static float oracle_q2_k(const uint8_t *b, int i) {
    const float scale = half_at(b, 80) * (float)bits_at(b, i / 16, 0, 4);
    const float min = half_at(b, 82) * (float)bits_at(b, i / 16, 4, 4);
    return scale * (float)two_bits(b, 16, i) - min;
}

static float oracle_q3_k(const uint8_t *b, int i) {
    const int j = i / 16;
    const int q = two_bits(b, 32, i) + 4 * bits_at(b, i % 32, i / 32, 1);
    const int s =
        bits_at(b, 96 + j % 8, 4 * (j / 8), 4) + 16 * bits_at(b, 96 + 8 + j % 4, 2 * (j / 4), 2);
    return half_at(b, 108) * (float)(s - 32) * (float)(q - 4);
}

// x = d · s · q - dmin · m with the scales and mins at byte 4.
static float k_affine(const uint8_t *b, int i, int q) {
    const int j = i / 32;
    int s;
    int m;
    if (j < 4) {
        s = bits_at(b, 4 + j, 0, 6);
        m = bits_at(b, 4 + j + 4, 0, 6);
    } else {
        s = bits_at(b, 4 + j + 4, 0, 4) + 16 * bits_at(b, 4 + j - 4, 6, 2);
        m = bits_at(b, 4 + j + 4, 4, 4) + 16 * bits_at(b, 4 + j, 6, 2);
    }
    return half_at(b, 0) * (float)s * (float)q - half_at(b, 2) * (float)m;
}

static int nibble_k(const uint8_t *b, int byte, int i) {
    return bits_at(b, byte + 32 * (i / 64) + i % 32, 4 * (i % 64 / 32), 4);
}

static float oracle_q4_k(const uint8_t *b, int i) {
    return k_affine(b, i, nibble_k(b, 16, i));
}

static float oracle_q5_k(const uint8_t *b, int i) {
    return k_affine(b, i, nibble_k(b, 48, i) + 16 * bits_at(b, 16 + i % 32, i / 32, 1));
}

static float oracle_q6_k(const uint8_t *b, int i) {
    const int q =
        bits_at(b, 64 * (i / 128) + i % 64, 4 * (i % 128 / 64), 4) + 16 * two_bits(b, 128, i);
    return half_at(b, 208) * (float)(int8_t)b[192 + i / 16] * (float)(q - 32);
}

static const int iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113};

static float oracle_iq4_nl(const uint8_t *b, int i) {
    return half_at(b, 0) * (float)iq4_values[nibble_32(b, 2, i)];
}

static float oracle_iq4_xs(const uint8_t *b, int i) {
    const int j = i / 32;
    const int s =
        bits_at(b, 4 + j / 2, 4 * (j % 2), 4) + 16 * bits_at(b, 2 + j / 4, 2 * (j % 4), 2);
    const int q = nibble_32(b, 8 + 16 * j, i % 32);
    return half_at(b, 0) * (float)(s - 32) * (float)iq4_values[q];
}

// Digit k of b / 256 to base 3.
static int digit(int b, int k) {
    static const int power[5] = {1, 3, 9, 27, 81};
    return b * power[k] % 256 * 3 / 256;
}

static float oracle_tq1_0(const uint8_t *b, int i) {
    const int q = i < 160   ? digit(b[i % 32], i / 32)
                  : i < 240 ? digit(b[32 + i % 16], (i - 160) / 16)
                            : digit(b[48 + i % 4], (i - 240) / 4);
    return half_at(b, 52) * (float)(q - 1);
}

static float oracle_tq2_0(const uint8_t *b, int i) {
    return half_at(b, 64) * (float)(two_bits(b, 0, i) - 1);
}

static float oracle_mxfp4(const uint8_t *b, int i) {
    static const float magnitudes[8] = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
    const int q = nibble_32(b, 1, i);
    const float magnitude = ldexpf(magnitudes[q % 8], b[0] - 127);
    return q > 8 ? -magnitude : magnitude;
}

static float oracle_f16(const uint8_t *b, int i) {
    return half_at(b, 2 * i);
}

static float oracle_bf16(const uint8_t *b, int i) {
    return imx_bf16_to_f32((imx_bf16)(b[2 * i] | b[2 * i + 1] << 8));
}

static float oracle_f32(const uint8_t *b, int i) {
    const uint8_t *p = b + 4 * i;
    return imx_f32_from_bits((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                             (uint32_t)p[3] << 24);
}

// ggml_hash: FNV-1a over the decoded floats of the first N_BLOCKS blocks of fill_block, computed
// with the to_float of ggml's type traits, llama.cpp of 2026-08-18, on x86-64.
static const struct row {
    imx_type type;
    float (*oracle)(const uint8_t *block, int i);
    int halves[2]; // byte offsets of the scales, -1 = none
    uint64_t ggml_hash;
} rows[] = {
    {IMX_TYPE_F32, oracle_f32, {2, -1}, 0x7f629416c5f04fd7},
    {IMX_TYPE_F16, oracle_f16, {0, -1}, 0x3803ece9b83d08c5},
    {IMX_TYPE_BF16, oracle_bf16, {0, -1}, 0x1b278cbbeafc8c5},
    {IMX_TYPE_Q4_0, oracle_q4_0, {0, -1}, 0x8a0a2f7f4014bb25},
    {IMX_TYPE_Q4_1, oracle_q4_1, {0, 2}, 0xd1e491e4eab4b9a8},
    {IMX_TYPE_Q5_0, oracle_q5_0, {0, -1}, 0xa6620814aa231525},
    {IMX_TYPE_Q5_1, oracle_q5_1, {0, 2}, 0x9506f753af566308},
    {IMX_TYPE_Q8_0, oracle_q8_0, {0, -1}, 0x355238b573343d25},
    {IMX_TYPE_Q2_K, oracle_q2_k, {80, 82}, 0x933e5b6d4fd23698},
    {IMX_TYPE_Q3_K, oracle_q3_k, {108, -1}, 0x5dac2d2bbc9f8525},
    {IMX_TYPE_Q4_K, oracle_q4_k, {0, 2}, 0x9ad9738bc0fff40d},
    {IMX_TYPE_Q5_K, oracle_q5_k, {0, 2}, 0xb626ee0aa3b7e3e6},
    {IMX_TYPE_Q6_K, oracle_q6_k, {208, -1}, 0x547c1a54551c4e0b},
    {IMX_TYPE_IQ4_NL, oracle_iq4_nl, {0, -1}, 0x34c53023a2f503e5},
    {IMX_TYPE_IQ4_XS, oracle_iq4_xs, {0, -1}, 0xe45bd6590a1031d7},
    {IMX_TYPE_TQ1_0, oracle_tq1_0, {52, -1}, 0x9fb1380ef3022325},
    {IMX_TYPE_TQ2_0, oracle_tq2_0, {64, -1}, 0xd0bb4fa18f734325},
    {IMX_TYPE_MXFP4, oracle_mxfp4, {-1, -1}, 0x7a0d087889b19725},
};

enum {
    N_ROWS = sizeof rows / sizeof rows[0],
    N_BLOCKS = 200,
    MAX_BLOCK_LEN = 256,
    MAX_BLOCK_BYTES = 210,
};

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

// Random bytes; scales are finite, with an exponent whose top bit is clear.
static void fill_block(const struct row *row, uint8_t *block, uint64_t *seed) {
    const uint32_t n_bytes = imx_type_traits_of(row->type)->block_bytes;
    for (uint32_t i = 0; i < n_bytes; ++i) {
        block[i] = (uint8_t)(next_random(seed) >> 32);
    }
    for (int k = 0; k < 2; ++k) {
        if (row->halves[k] >= 0) {
            block[row->halves[k] + 1] &= 0xbf;
        }
    }
}

static void assert_same_float(float a, float b) {
    assert_true((isnan(a) && isnan(b)) || imx_f32_to_bits(a) == imx_f32_to_bits(b));
}

// Rows of three blocks at odd addresses, exactly as long as they claim.
static void test_against_oracle(void **state) {
    (void)state;
    uint64_t seed = 88172645463325252u;
    for (size_t r = 0; r < N_ROWS; ++r) {
        const imx_type_traits *traits = imx_type_traits_of(rows[r].type);
        const size_t row_bytes = 3 * traits->block_bytes;
        uint8_t *bytes = malloc(row_bytes + 1);
        float *out = malloc(3 * traits->block_len * sizeof *out);
        for (int repeat = 0; repeat < N_BLOCKS; ++repeat) {
            for (size_t i = 0; i < row_bytes; ++i) {
                bytes[1 + i] = (uint8_t)(next_random(&seed) >> 32);
            }
            traits->decode(bytes + 1, out, 3 * traits->block_len);
            for (uint32_t i = 0; i < 3 * traits->block_len; ++i) {
                const uint8_t *block = bytes + 1 + i / traits->block_len * traits->block_bytes;
                assert_same_float(out[i], rows[r].oracle(block, (int)(i % traits->block_len)));
            }
        }
        traits->decode(bytes, out, 0);
        free(bytes);
        free(out);
    }
}

static void test_against_ggml(void **state) {
    (void)state;
    for (size_t r = 0; r < N_ROWS; ++r) {
        const imx_type_traits *traits = imx_type_traits_of(rows[r].type);
        uint64_t seed = 88172645463325252u;
        uint64_t hash = 0xcbf29ce484222325u;
        uint8_t block[MAX_BLOCK_BYTES];
        float out[MAX_BLOCK_LEN];
        for (int n = 0; n < N_BLOCKS; ++n) {
            fill_block(&rows[r], block, &seed);
            traits->decode(block, out, traits->block_len);
            for (uint32_t i = 0; i < traits->block_len; ++i) {
                hash = (hash ^ imx_f32_to_bits(out[i])) * 0x100000001b3u;
            }
        }
        if (hash != rows[r].ggml_hash) {
            fail_msg("%s: hash %#llx", traits->name, (unsigned long long)hash);
        }
    }
}

// Blocks by hand, each weight worked out on paper.
static void test_by_hand(void **state) {
    (void)state;
    float out[MAX_BLOCK_LEN];

    // Q4_0: d = 0.5, first byte 0x2f: weight 0 has q = 15, weight 16 has q = 2.
    const uint8_t q4_0[18] = {0x00, 0x38, 0x2f};
    imx_type_traits_of(IMX_TYPE_Q4_0)->decode(q4_0, out, 32);
    assert_true(out[0] == 3.5f && out[16] == -3.0f && out[1] == -4.0f);

    // Q5_1: d = 2, m = -1, fifth bit of weight 9 set, its nibble 3: 2 · 19 - 1.
    uint8_t q5_1[24] = {0x00, 0x40, 0x00, 0xbc, 0x00, 0x02};
    q5_1[8 + 9] = 0x03;
    imx_type_traits_of(IMX_TYPE_Q5_1)->decode(q5_1, out, 32);
    assert_true(out[9] == 37.0f && out[0] == -1.0f);

    // Q4_K: d = 1, dmin = 1, sub-block 5 (weights 160..191): s = 0x2a, m = 0x15. Weight 161 lies in
    // the high half of byte 65 with q = 7: 42 · 7 - 21.
    uint8_t q4_k[144] = {0x00, 0x3c, 0x00, 0x3c};
    q4_k[4 + 9] = 0x5a;     // low nibbles of s[5] and m[5]
    q4_k[4 + 1] = 0x2 << 6; // bits 4..5 of s[5]
    q4_k[4 + 5] = 0x1 << 6; // bits 4..5 of m[5]
    q4_k[16 + 65] = 0x7 << 4;
    imx_type_traits_of(IMX_TYPE_Q4_K)->decode(q4_k, out, 256);
    assert_true(out[161] == 273.0f && out[160] == -21.0f && out[0] == 0.0f);

    // Q6_K: d = 0.25, scale of weights 208..223 is -3. Weight 213 has low bits 9 in the high half
    // of ql[64 + 21] and high bits 2 at bit 4 of qh[32 + 21]: 0.25 · -3 · (41 - 32).
    uint8_t q6_k[210] = {0};
    q6_k[64 + 21] = 0x9 << 4;
    q6_k[128 + 32 + 21] = 0x2 << 4;
    q6_k[192 + 13] = (uint8_t)-3;
    q6_k[209] = 0x34;
    imx_type_traits_of(IMX_TYPE_Q6_K)->decode(q6_k, out, 256);
    assert_true(out[213] == -6.75f && out[208] == 24.0f);

    // TQ1_0: d = 1. Digits 2, 0, 1, 0, 0 are 2/3 + 1/27 of 256 = 180.1, rounded up: 181.
    uint8_t tq1_0[54] = {0};
    tq1_0[53] = 0x3c;
    tq1_0[7] = 181;
    imx_type_traits_of(IMX_TYPE_TQ1_0)->decode(tq1_0, out, 256);
    assert_true(out[7] == 1.0f && out[39] == -1.0f && out[71] == 0.0f && out[103] == -1.0f);

    // MXFP4: 2^(130 - 127) · -3 for code 13 of weight 16, subnormal steps at e = 0.
    uint8_t mxfp4[17] = {130, 0xd0};
    imx_type_traits_of(IMX_TYPE_MXFP4)->decode(mxfp4, out, 32);
    assert_true(out[16] == -24.0f && out[0] == 0.0f);
    mxfp4[0] = 0;
    imx_type_traits_of(IMX_TYPE_MXFP4)->decode(mxfp4, out, 32);
    assert_true(out[16] == -3 * 0x1p-127f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_oracle),
        cmocka_unit_test(test_against_ggml),
        cmocka_unit_test(test_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
