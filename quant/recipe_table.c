// SPDX-License-Identifier: MIT
//
// Recipes and their rules, equal in effect to those of llama-quantize of 2026-08-18, so that a file
// of ours has the same type map and size as one made with it.
//
// Where a rule there changes what an earlier one has chosen (the 70B rule lifts 3 and 4 bits to 5),
// the rows here list the outcome. Rows are grouped by role; the first that holds wins.

#include "formats/tensor_type.h"
#include "quant/recipe_internal.h"

// clang-format off
const imx_recipe imx_recipe_table[IMX_RECIPE_COUNT] = {
    [IMX_RECIPE_Q4_0]   = {"Q4_0", NULL, "4.5 bits per weight, blocks of 32 with a scale", 2, IMX_TYPE_Q4_0},
    [IMX_RECIPE_Q4_1]   = {"Q4_1", NULL, "5 bits, blocks of 32 with scale and min", 3, IMX_TYPE_Q4_1},
    [IMX_RECIPE_Q5_0]   = {"Q5_0", NULL, "5.5 bits, blocks of 32 with a scale", 8, IMX_TYPE_Q5_0},
    [IMX_RECIPE_Q5_1]   = {"Q5_1", NULL, "6 bits, blocks of 32 with scale and min", 9, IMX_TYPE_Q5_1},
    [IMX_RECIPE_Q8_0]   = {"Q8_0", NULL, "8.5 bits, nearly lossless", 7, IMX_TYPE_Q8_0},
    [IMX_RECIPE_Q2_K_S] = {"Q2_K_S", NULL, "2.6 bits, the smallest; wants an imatrix", 21, IMX_TYPE_Q2_K},
    [IMX_RECIPE_Q2_K]   = {"Q2_K", NULL, "2.6 bits, 3.4 where it hurts most", 10, IMX_TYPE_Q2_K},
    [IMX_RECIPE_Q3_K_S] = {"Q3_K_S", NULL, "3.4 bits", 11, IMX_TYPE_Q3_K},
    [IMX_RECIPE_Q3_K_M] = {"Q3_K_M", "Q3_K", "3.4 bits, 4.5 and 5.5 where it hurts most", 12, IMX_TYPE_Q3_K},
    [IMX_RECIPE_Q3_K_L] = {"Q3_K_L", NULL, "3.4 bits, 5.5 where it hurts most", 13, IMX_TYPE_Q3_K},
    [IMX_RECIPE_Q4_K_S] = {"Q4_K_S", NULL, "4.5 bits, 5.5 in the first layers", 14, IMX_TYPE_Q4_K},
    [IMX_RECIPE_Q4_K_M] = {"Q4_K_M", "Q4_K", "4.5 bits, 6.6 where it hurts most; a good default", 15, IMX_TYPE_Q4_K},
    [IMX_RECIPE_Q5_K_S] = {"Q5_K_S", NULL, "5.5 bits", 16, IMX_TYPE_Q5_K},
    [IMX_RECIPE_Q5_K_M] = {"Q5_K_M", "Q5_K", "5.5 bits, 6.6 where it hurts most", 17, IMX_TYPE_Q5_K},
    [IMX_RECIPE_Q6_K]   = {"Q6_K", NULL, "6.6 bits, very small loss", 18, IMX_TYPE_Q6_K},
    [IMX_RECIPE_F16]    = {"F16", NULL, "16 bits, half precision", 1, IMX_TYPE_F16},
    [IMX_RECIPE_BF16]   = {"BF16", NULL, "16 bits, bfloat16", 32, IMX_TYPE_BF16},
    [IMX_RECIPE_F32]    = {"F32", NULL, "32 bits", 0, IMX_TYPE_F32},
};

#define R(name) (1u << IMX_RECIPE_##name)
#define LEGACY (R(Q4_0) | R(Q4_1) | R(Q5_0) | R(Q5_1))
#define K_QUANTS                                                                                   \
    (R(Q2_K_S) | R(Q2_K) | R(Q3_K_S) | R(Q3_K_M) | R(Q3_K_L) | R(Q4_K_S) | R(Q4_K_M) |             \
     R(Q5_K_S) | R(Q5_K_M) | R(Q6_K))
#define QUANTIZED (LEGACY | R(Q8_0) | K_QUANTS)

#define FALCON        IMX_FACT_FALCON
#define NOT_FALCON    IMX_FACT_NOT_FALCON
#define EIGHT         IMX_FACT_EIGHT_EXPERTS
#define NOT_EIGHT     IMX_FACT_NOT_EIGHT_EXPERTS
#define GROUPED       IMX_FACT_GROUPED_HEADS
#define SEVENTY_B     IMX_FACT_SEVENTY_B
#define IMATRIX       IMX_FACT_HAS_IMATRIX
#define EIGHTH        IMX_FACT_FIRST_EIGHTH
#define SIXTEENTH     IMX_FACT_FIRST_SIXTEENTH
#define MORE_BITS     IMX_FACT_MORE_BITS

const imx_rule imx_rule_table[] = {
    {QUANTIZED,                       IMX_MIX_ROLE_OUTPUT,      FALCON,                 IMX_TYPE_Q8_0},
    {QUANTIZED,                       IMX_MIX_ROLE_OUTPUT,      IMX_FACT_ROW_UNFIT,     IMX_TYPE_Q8_0},
    {LEGACY | K_QUANTS,               IMX_MIX_ROLE_OUTPUT,      0,                      IMX_TYPE_Q6_K},

    {QUANTIZED,                       IMX_MIX_ROLE_ATTN_V,      EIGHT,                  IMX_TYPE_Q8_0},
    {R(Q4_K_M) | R(Q5_K_M),           IMX_MIX_ROLE_ATTN_V,      MORE_BITS,              IMX_TYPE_Q6_K},
    {R(Q2_K) | R(Q3_K_S) | R(Q3_K_M) | R(Q4_K_S) | R(Q4_K_M),
                                      IMX_MIX_ROLE_ATTN_V,      SEVENTY_B,              IMX_TYPE_Q5_K},
    {R(Q2_K_S),                       IMX_MIX_ROLE_ATTN_V,      SEVENTY_B | GROUPED,    IMX_TYPE_Q5_K},
    {R(Q2_K_S) | R(Q2_K),             IMX_MIX_ROLE_ATTN_V,      GROUPED,                IMX_TYPE_Q4_K},
    {R(Q2_K),                         IMX_MIX_ROLE_ATTN_V,      0,                      IMX_TYPE_Q3_K},
    {R(Q3_K_M),                       IMX_MIX_ROLE_ATTN_V,      IMX_FACT_FIRST_2,       IMX_TYPE_Q5_K},
    {R(Q3_K_M),                       IMX_MIX_ROLE_ATTN_V,      0,                      IMX_TYPE_Q4_K},
    {R(Q3_K_L),                       IMX_MIX_ROLE_ATTN_V,      0,                      IMX_TYPE_Q5_K},
    {R(Q4_K_S),                       IMX_MIX_ROLE_ATTN_V,      IMX_FACT_FIRST_4,       IMX_TYPE_Q5_K},

    {QUANTIZED,                       IMX_MIX_ROLE_ATTN_K,      EIGHT,                  IMX_TYPE_Q8_0},

    {R(Q3_K_L),                       IMX_MIX_ROLE_ATTN_OUTPUT, FALCON,                 IMX_TYPE_Q4_K},
    {R(Q2_K) | R(Q3_K_S) | R(Q3_K_M) | R(Q4_K_S) | R(Q4_K_M),
                                      IMX_MIX_ROLE_ATTN_OUTPUT, NOT_FALCON | EIGHT,     IMX_TYPE_Q5_K},
    {R(Q2_K),                         IMX_MIX_ROLE_ATTN_OUTPUT, NOT_FALCON,             IMX_TYPE_Q3_K},
    {R(Q3_K_M),                       IMX_MIX_ROLE_ATTN_OUTPUT, NOT_FALCON,             IMX_TYPE_Q4_K},
    {R(Q3_K_L),                       IMX_MIX_ROLE_ATTN_OUTPUT, NOT_FALCON | NOT_EIGHT, IMX_TYPE_Q5_K},

    {R(Q2_K),                         IMX_MIX_ROLE_FFN_DOWN,    0,                      IMX_TYPE_Q3_K},
    {R(Q2_K_S),                       IMX_MIX_ROLE_FFN_DOWN,    EIGHTH,                 IMX_TYPE_Q4_K},
    {R(Q3_K_M),                       IMX_MIX_ROLE_FFN_DOWN,    SIXTEENTH,              IMX_TYPE_Q5_K},
    {R(Q3_K_M),                       IMX_MIX_ROLE_FFN_DOWN,    NOT_FALCON,             IMX_TYPE_Q4_K},
    {R(Q3_K_M),                       IMX_MIX_ROLE_FFN_DOWN,    MORE_BITS,              IMX_TYPE_Q4_K},
    {R(Q3_K_L),                       IMX_MIX_ROLE_FFN_DOWN,    FALCON,                 IMX_TYPE_Q4_K},
    {R(Q3_K_L),                       IMX_MIX_ROLE_FFN_DOWN,    0,                      IMX_TYPE_Q5_K},
    {R(Q4_K_M),                       IMX_MIX_ROLE_FFN_DOWN,    FALCON | SIXTEENTH,     IMX_TYPE_Q6_K},
    {R(Q4_K_M),                       IMX_MIX_ROLE_FFN_DOWN,    FALCON | MORE_BITS,     IMX_TYPE_Q5_K},
    {R(Q4_K_M) | R(Q5_K_M),           IMX_MIX_ROLE_FFN_DOWN,    MORE_BITS,              IMX_TYPE_Q6_K},
    {R(Q4_K_S),                       IMX_MIX_ROLE_FFN_DOWN,    NOT_FALCON | EIGHTH,    IMX_TYPE_Q5_K},
    {R(Q4_0),                         IMX_MIX_ROLE_FFN_DOWN,    IMATRIX | EIGHTH,       IMX_TYPE_Q4_1},
    {R(Q5_0),                         IMX_MIX_ROLE_FFN_DOWN,    IMATRIX | EIGHTH,       IMX_TYPE_Q5_1},
};
// clang-format on

const size_t imx_rule_count = sizeof imx_rule_table / sizeof *imx_rule_table;
