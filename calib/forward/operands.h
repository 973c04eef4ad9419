// SPDX-License-Identifier: MIT
//
// What the factors of the big products are turned into before they are multiplied.

#ifndef IMX_CALIB_OPERANDS_H
#define IMX_CALIB_OPERANDS_H

#include <stddef.h>

#include "kernels/gemm.h"
#include "formats/error.h"

// How closely products are computed. With a the activations, b the weights and u = 2⁻⁸, half a unit
// in the last of the 8 bits of a bf16:
//     exact  |error| <= (2⁻²⁴ · (3k + 8) + 3 u²) · sum of |a b|;  u² for weights of BF16, 2 u² of
//            F16; no u² at all where there is no matrix unit
//     fast   |error| <= (2⁻²⁴ · (k + 8) + 2 u + u²) · sum of |a b|
typedef enum imx_precision { IMX_PRECISION_EXACT, IMX_PRECISION_FAST } imx_precision;

// fast where a matrix unit makes it several times as fast as exact, else exact, which then costs
// the same.
imx_precision imx_precision_by_default(void);

typedef enum imx_operands {
    IMX_OPERANDS_F32,       // exact: as they are
    IMX_OPERANDS_ROUNDED,   // fast: f32 rounded to bf16
    IMX_OPERANDS_BF16,      // fast, for a matrix unit: bf16
    IMX_OPERANDS_BF16_PARTS // exact, for a matrix unit: sums of two bf16
} imx_operands;

// What a precision means on this processor.
imx_operands imx_operands_for(imx_precision precision);

enum {
    IMX_STRIP = 16,  // outputs that are stored together
    IMX_PIECE = 256, // inputs that are; every block length divides it
};

// Where a strip of outputs goes in a panel, and from which input on.
typedef struct imx_strip {
    void *panel;
    size_t width;      // columns of the panel, a multiple of the kind's group
    size_t n_in;       // inputs, a multiple of the kind's depth
    size_t n_products; // products per weight
    size_t column;     // of the strip's first output
    size_t input;      // first of the piece
} imx_strip;

// One call of a kernel: c (m, n) = a (m, k) · b, part of a panel of width b_width; k counts the
// inputs once for every product.
typedef struct imx_tile {
    size_t m, n, k;
    const void *a;
    size_t a_stride;
    const void *b;
    size_t b_width;
    float *c;
    size_t c_stride;
} imx_tile;

// A kind of operands.
typedef struct imx_operand_kind {
    size_t value_bytes;
    size_t group;        // columns of a panel come in multiples of it
    size_t depth;        // inputs too
    size_t max_products; // products per weight, at most

    // Stores piece[i][l] as output column + i, input `input` + l, for i < IMX_STRIP and l < n.
    void (*store)(const imx_strip *strip, const float piece[IMX_STRIP][IMX_PIECE], size_t n);

    // A row of n values, as it is multiplied: `out` (n_products, n padded to `depth`), zero beyond
    // n. NULL: as it is.
    void (*prepare)(const float *x, size_t n, size_t n_products, void *out);

    imx_status (*multiply)(const imx_tile *tile);
} imx_operand_kind;

const imx_operand_kind *imx_operand_kind_of(imx_operands operands);

// Products a weight needs: fewer than max_products where its values are bf16 as they are.
size_t imx_operand_products(imx_operands operands, bool is_bf16);

#endif
