// SPDX-License-Identifier: MIT
//
// The table of tensor types: the one place that knows their names, numbers and block sizes.

#ifndef IMX_FORMATS_TENSOR_TYPE_H
#define IMX_FORMATS_TENSOR_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Numbers as stored in GGUF tensor records.
typedef enum imx_type {
    IMX_TYPE_F32 = 0,
    IMX_TYPE_F16 = 1,
    IMX_TYPE_Q4_0 = 2,
    IMX_TYPE_Q4_1 = 3,
    IMX_TYPE_Q5_0 = 6,
    IMX_TYPE_Q5_1 = 7,
    IMX_TYPE_Q8_0 = 8,
    IMX_TYPE_Q8_1 = 9,
    IMX_TYPE_Q2_K = 10,
    IMX_TYPE_Q3_K = 11,
    IMX_TYPE_Q4_K = 12,
    IMX_TYPE_Q5_K = 13,
    IMX_TYPE_Q6_K = 14,
    IMX_TYPE_Q8_K = 15,
    IMX_TYPE_IQ2_XXS = 16,
    IMX_TYPE_IQ2_XS = 17,
    IMX_TYPE_IQ3_XXS = 18,
    IMX_TYPE_IQ1_S = 19,
    IMX_TYPE_IQ4_NL = 20,
    IMX_TYPE_IQ3_S = 21,
    IMX_TYPE_IQ2_S = 22,
    IMX_TYPE_IQ4_XS = 23,
    IMX_TYPE_I8 = 24,
    IMX_TYPE_I16 = 25,
    IMX_TYPE_I32 = 26,
    IMX_TYPE_I64 = 27,
    IMX_TYPE_F64 = 28,
    IMX_TYPE_IQ1_M = 29,
    IMX_TYPE_BF16 = 30,
    IMX_TYPE_TQ1_0 = 34,
    IMX_TYPE_TQ2_0 = 35,
    IMX_TYPE_MXFP4 = 39,
    IMX_TYPE_NVFP4 = 40,
    IMX_TYPE_Q1_0 = 41,
    IMX_TYPE_Q2_0 = 42,
    IMX_TYPE_COUNT,
} imx_type;

typedef struct imx_type_traits {
    const char *name;     // as users write it: "Q4_K"
    uint32_t block_len;   // weights in a block
    uint32_t block_bytes; // bytes in a block
    bool is_quantized;    // weights share scales within a block

    // Decodes `n_weights` (a multiple of block_len) from `blocks` (any alignment) into `out`.
    // NULL where this version cannot decode the type.
    void (*decode)(const void *blocks, float *out, size_t n_weights);
} imx_type_traits;

// The row of a type number, or NULL when the number is unknown.
const imx_type_traits *imx_type_traits_of(uint32_t type);

// "Q4_K", or "type 97" (static storage, not for keeping) when the number is unknown.
const char *imx_type_name(uint32_t type);

// The number of a type by its name, upper or lower case; false when there is none.
bool imx_type_from_name(const char *name, uint32_t *type);

// Bytes of a row of `n_cols` weights; 0 when the type is unknown, n_cols is not a multiple of its
// block length, or the bytes are more than 64 bits can count.
uint64_t imx_type_row_bytes(uint32_t type, uint64_t n_cols);

#endif
