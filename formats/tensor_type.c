// SPDX-License-Identifier: MIT

#include "formats/tensor_type.h"

#include <stdio.h>
#include <strings.h>

#include "formats/block_decode.h"
#include "formats/blocks.h"

#define PLAIN(type_name, bytes, decoder)                                                           \
    { type_name, 1, bytes, false, decoder }
#define BLOCKS(type_name, block, decoder)                                                          \
    { type_name, IMX_BLOCK_LEN, sizeof(block), true, decoder }
#define SUPER(type_name, block, decoder)                                                           \
    { type_name, IMX_SUPER_BLOCK_LEN, sizeof(block), true, decoder }
#define OPAQUE(type_name, len, bytes)                                                              \
    { type_name, len, bytes, true, NULL } // carried, not decoded

// clang-format off
static const imx_type_traits type_table[IMX_TYPE_COUNT] = {
    [IMX_TYPE_F32]     = PLAIN("F32", 4, imx_decode_f32),
    [IMX_TYPE_F16]     = PLAIN("F16", 2, imx_decode_f16),
    [IMX_TYPE_BF16]    = PLAIN("BF16", 2, imx_decode_bf16),
    [IMX_TYPE_F64]     = PLAIN("F64", 8, NULL),
    [IMX_TYPE_I8]      = PLAIN("I8", 1, NULL),
    [IMX_TYPE_I16]     = PLAIN("I16", 2, NULL),
    [IMX_TYPE_I32]     = PLAIN("I32", 4, NULL),
    [IMX_TYPE_I64]     = PLAIN("I64", 8, NULL),
    [IMX_TYPE_Q4_0]    = BLOCKS("Q4_0", imx_block_q4_0, imx_decode_q4_0),
    [IMX_TYPE_Q4_1]    = BLOCKS("Q4_1", imx_block_q4_1, imx_decode_q4_1),
    [IMX_TYPE_Q5_0]    = BLOCKS("Q5_0", imx_block_q5_0, imx_decode_q5_0),
    [IMX_TYPE_Q5_1]    = BLOCKS("Q5_1", imx_block_q5_1, imx_decode_q5_1),
    [IMX_TYPE_Q8_0]    = BLOCKS("Q8_0", imx_block_q8_0, imx_decode_q8_0),
    [IMX_TYPE_Q2_K]    = SUPER("Q2_K", imx_block_q2_k, imx_decode_q2_k),
    [IMX_TYPE_Q3_K]    = SUPER("Q3_K", imx_block_q3_k, imx_decode_q3_k),
    [IMX_TYPE_Q4_K]    = SUPER("Q4_K", imx_block_q4_k, imx_decode_q4_k),
    [IMX_TYPE_Q5_K]    = SUPER("Q5_K", imx_block_q5_k, imx_decode_q5_k),
    [IMX_TYPE_Q6_K]    = SUPER("Q6_K", imx_block_q6_k, imx_decode_q6_k),
    [IMX_TYPE_IQ4_NL]  = BLOCKS("IQ4_NL", imx_block_iq4_nl, imx_decode_iq4_nl),
    [IMX_TYPE_IQ4_XS]  = SUPER("IQ4_XS", imx_block_iq4_xs, imx_decode_iq4_xs),
    [IMX_TYPE_TQ1_0]   = SUPER("TQ1_0", imx_block_tq1_0, imx_decode_tq1_0),
    [IMX_TYPE_TQ2_0]   = SUPER("TQ2_0", imx_block_tq2_0, imx_decode_tq2_0),
    [IMX_TYPE_MXFP4]   = BLOCKS("MXFP4", imx_block_mxfp4, imx_decode_mxfp4),
    [IMX_TYPE_Q8_1]    = OPAQUE("Q8_1", 32, 36),
    [IMX_TYPE_Q8_K]    = OPAQUE("Q8_K", 256, 292),
    [IMX_TYPE_IQ2_XXS] = OPAQUE("IQ2_XXS", 256, 66),
    [IMX_TYPE_IQ2_XS]  = OPAQUE("IQ2_XS", 256, 74),
    [IMX_TYPE_IQ2_S]   = OPAQUE("IQ2_S", 256, 82),
    [IMX_TYPE_IQ3_XXS] = OPAQUE("IQ3_XXS", 256, 98),
    [IMX_TYPE_IQ3_S]   = OPAQUE("IQ3_S", 256, 110),
    [IMX_TYPE_IQ1_S]   = OPAQUE("IQ1_S", 256, 50),
    [IMX_TYPE_IQ1_M]   = OPAQUE("IQ1_M", 256, 56),
    [IMX_TYPE_NVFP4]   = OPAQUE("NVFP4", 64, 36),
    [IMX_TYPE_Q1_0]    = OPAQUE("Q1_0", 128, 18),
    [IMX_TYPE_Q2_0]    = OPAQUE("Q2_0", 64, 18),
};
// clang-format on

const imx_type_traits *imx_type_traits_of(uint32_t type) {
    if (type >= IMX_TYPE_COUNT || type_table[type].name == NULL) {
        return NULL;
    }
    return &type_table[type];
}

const char *imx_type_name(uint32_t type) {
    static _Thread_local char unknown[24];
    const imx_type_traits *traits = imx_type_traits_of(type);
    if (traits != NULL) {
        return traits->name;
    }
    snprintf(unknown, sizeof unknown, "type %u", type);
    return unknown;
}

bool imx_type_from_name(const char *name, uint32_t *type) {
    for (uint32_t t = 0; t < IMX_TYPE_COUNT; ++t) {
        if (type_table[t].name != NULL && strcasecmp(type_table[t].name, name) == 0) {
            *type = t;
            return true;
        }
    }
    return false;
}

uint64_t imx_type_row_bytes(uint32_t type, uint64_t n_cols) {
    const imx_type_traits *traits = imx_type_traits_of(type);
    if (traits == NULL || n_cols % traits->block_len != 0) {
        return 0;
    }
    const uint64_t n_blocks = n_cols / traits->block_len;
    return n_blocks <= UINT64_MAX / traits->block_bytes ? n_blocks * traits->block_bytes : 0;
}
