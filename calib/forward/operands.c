// SPDX-License-Identifier: MIT
//
// A matrix unit multiplies bf16 many times as fast as the processor multiplies f32. A bf16 has 8 of
// the 24 bits, so a value is written as a sum of bf16, each the rounding of what those before it
// leave over:
//
//     a = a₀ + a₁ + r     |a₁| <= u |a|, |r| <= u² |a|, u = 2⁻⁸; likewise b = b₀ + b₁ + s
//     a b = a₀ b₀ + a₁ b₀ + a₀ b₁ + (a₁ b₁ + r b + a s + ...)
//
// What is in parentheses is left out: 3 u² |a b| at most. An F16 weight has 11 bits, two bf16 hold
// it, and s = 0, which leaves 2⁻¹⁵; a BF16 weight is b₀, and b₁ = s = 0. From 512 terms on that is
// less than what the bound of a sum in f32 allows, 2⁻²⁴ k; and the leavings are of either sign, so
// that they grow like √k and not like k. llama.cpp rounds activations to the type of the weights,
// by 2⁻¹¹ for F16 and 2⁻⁸ for BF16.
//
// The three products are one: [a₀ a₁ a₀] · [b₀; b₀; b₁], three times as deep, whose sums stay in
// the unit's registers throughout.
//
// Considered and dropped: all five products of a₀ a₁ a₂ and b₀ b₁ above u³. They err by 2⁻²⁴, but
// at the rates measured on an AMX core, 760 GFLOP/s of bf16 against 159 of f32, they gain nothing.

#include "calib/forward/operands.h"

#include <string.h>

#include "calib/processor_variants.h"
#include "formats/half.h"
#include "formats/memory.h"

// Which parts of a and b each product takes.
enum { MAX_PRODUCTS = 3 };
static const int a_part[MAX_PRODUCTS] = {0, 1, 0};
static const int b_part[MAX_PRODUCTS] = {0, 0, 1};

// As imx_bf16_from_f32, without a branch.
IMX_INLINE uint32_t rounded_bits(float x) {
    const uint32_t bits = imx_f32_to_bits(x);
    const uint32_t rounded = bits + 0x7fffu + (bits >> 16 & 1u);
    return (x == x ? rounded : bits | 0x400000u) & 0xffff0000u;
}

// Part 0 of x is its rounding, part 1 the rounding of what is left.
IMX_INLINE float part_of(float x, int part) {
    const float first = imx_f32_from_bits(rounded_bits(x));
    return part == 0 ? first : imx_f32_from_bits(rounded_bits(x - first));
}

// ---- f32 -------------------------------------------------------------------------------------

IMX_INLINE void store_rows(const imx_strip *strip, const float piece[IMX_STRIP][IMX_PIECE],
                           size_t n, bool is_rounded) {
    float *out = (float *)strip->panel + strip->input * strip->width + strip->column;
    for (size_t l = 0; l < n; ++l) {
        for (size_t i = 0; i < IMX_STRIP; ++i) {
            const float value = piece[i][l];
            out[l * strip->width + i] = is_rounded ? part_of(value, 0) : value;
        }
    }
}

IMX_INLINE void store_as_is(const imx_strip *strip, const float piece[IMX_STRIP][IMX_PIECE],
                            size_t n) {
    store_rows(strip, piece, n, false);
}

IMX_INLINE void store_rounded(const imx_strip *strip, const float piece[IMX_STRIP][IMX_PIECE],
                              size_t n) {
    store_rows(strip, piece, n, true);
}

IMX_INLINE void prepare_rounded(const float *x, size_t n, float *out) {
    for (size_t l = 0; l < n; ++l) {
        out[l] = part_of(x[l], 0);
    }
}

// ---- bf16 ------------------------------------------------------------------------------------

IMX_INLINE void store_part(const imx_strip *strip, const float piece[IMX_STRIP][IMX_PIECE],
                           size_t n, size_t first_row, int part) {
    const size_t column = strip->column % IMX_BF16_GROUP;
    imx_bf16 *group =
        (imx_bf16 *)strip->panel + (strip->column - column) * strip->n_in * strip->n_products;
    for (size_t l = 0; l < n; l += 2) {
        imx_bf16 *out = group + ((first_row + l) / 2 * IMX_BF16_GROUP + column) * 2;
        for (size_t i = 0; i < IMX_STRIP; ++i) {
            const uint32_t even = imx_f32_to_bits(part_of(piece[i][l], part));
            const uint32_t odd = imx_f32_to_bits(part_of(piece[i][l + 1], part));
            out[2 * i] = (imx_bf16)(even >> 16);
            out[2 * i + 1] = (imx_bf16)(odd >> 16);
        }
    }
}

IMX_INLINE void store_pairs(const imx_strip *strip, const float piece[IMX_STRIP][IMX_PIECE],
                            size_t n) {
    for (size_t p = 0; p < strip->n_products; ++p) {
        store_part(strip, piece, n, p * strip->n_in + strip->input, b_part[p]);
    }
}

IMX_INLINE void prepare_part(const float *x, size_t n, int part, imx_bf16 *out) {
    for (size_t l = 0; l < n; ++l) {
        out[l] = (imx_bf16)(imx_f32_to_bits(part_of(x[l], part)) >> 16);
    }
}

// ---- by processor ----------------------------------------------------------------------------

IMX_PROCESSOR_VARIANTS(store_as_is,
                       (const imx_strip *strip, const float piece[IMX_STRIP][IMX_PIECE], size_t n),
                       (strip, piece, n))
IMX_PROCESSOR_VARIANTS(store_rounded,
                       (const imx_strip *strip, const float piece[IMX_STRIP][IMX_PIECE], size_t n),
                       (strip, piece, n))
IMX_PROCESSOR_VARIANTS(store_pairs,
                       (const imx_strip *strip, const float piece[IMX_STRIP][IMX_PIECE], size_t n),
                       (strip, piece, n))
IMX_PROCESSOR_VARIANTS(prepare_rounded, (const float *x, size_t n, float *out), (x, n, out))
IMX_PROCESSOR_VARIANTS(prepare_part, (const float *x, size_t n, int part, imx_bf16 *out),
                       (x, n, part, out))

static void prepare_f32(const float *x, size_t n, size_t n_products, void *out) {
    (void)n_products;
    prepare_rounded_here(x, n, out);
}

static void prepare_bf16(const float *x, size_t n, size_t n_products, void *out) {
    const size_t padded = (size_t)imx_align_up(n, IMX_BF16_DEPTH);
    for (size_t p = 0; p < n_products; ++p) {
        imx_bf16 *row = (imx_bf16 *)out + p * padded;
        prepare_part_here(x, n, a_part[p], row);
        memset(row + n, 0, (padded - n) * sizeof *row);
    }
}

static imx_status multiply_f32(const imx_tile *tile) {
    return imx_gemm_run(&(imx_gemm){.m = tile->m,
                                    .n = tile->n,
                                    .k = tile->k,
                                    .a = tile->a,
                                    .a_stride = tile->a_stride,
                                    .b = tile->b,
                                    .b_stride = tile->b_width,
                                    .c = tile->c,
                                    .c_stride = tile->c_stride});
}

static imx_status multiply_bf16(const imx_tile *tile) {
    return imx_gemm_bf16_run(&(imx_gemm_bf16){.m = tile->m,
                                              .n = tile->n,
                                              .k = tile->k,
                                              .a = tile->a,
                                              .b = tile->b,
                                              .c = tile->c,
                                              .c_stride = tile->c_stride});
}

// clang-format off
static const imx_operand_kind kinds[] = {
    [IMX_OPERANDS_F32]        = {4, IMX_STRIP, 1, 1, store_as_is_here, NULL, multiply_f32},
    [IMX_OPERANDS_ROUNDED]    = {4, IMX_STRIP, 1, 1, store_rounded_here, prepare_f32, multiply_f32},
    [IMX_OPERANDS_BF16]       = {2, IMX_BF16_GROUP, IMX_BF16_DEPTH, 1, store_pairs_here, prepare_bf16, multiply_bf16},
    [IMX_OPERANDS_BF16_PARTS] = {2, IMX_BF16_GROUP, IMX_BF16_DEPTH, MAX_PRODUCTS, store_pairs_here, prepare_bf16, multiply_bf16},
};
// clang-format on

const imx_operand_kind *imx_operand_kind_of(imx_operands operands) {
    return &kinds[operands];
}

imx_precision imx_precision_by_default(void) {
    return imx_gemm_has_bf16() ? IMX_PRECISION_FAST : IMX_PRECISION_EXACT;
}

imx_operands imx_operands_for(imx_precision precision) {
    static const imx_operands table[2][2] = {
        [IMX_PRECISION_EXACT] = {IMX_OPERANDS_F32, IMX_OPERANDS_BF16_PARTS},
        [IMX_PRECISION_FAST] = {IMX_OPERANDS_ROUNDED, IMX_OPERANDS_BF16},
    };
    return table[precision][imx_gemm_has_bf16()];
}

size_t imx_operand_products(imx_operands operands, bool is_bf16) {
    const size_t n = kinds[operands].max_products;
    return is_bf16 && n == MAX_PRODUCTS ? MAX_PRODUCTS - 1 : n; // b₁ = 0
}
