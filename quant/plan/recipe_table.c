// SPDX-License-Identifier: MIT
//
// Recipes and their rules, equal in effect to those of llama-quantize of 2026-08-18, so that a file
// of ours has the same type map and size as one made with it.
//
// Where a rule there changes what an earlier one has chosen (the 70B rule lifts 3 and 4 bits to 5),
// the rows here list the outcome. Rows are grouped by role; the first that holds wins.

#include "formats/tensor_type.h"
#include "quant/plan/recipe_internal.h"

#define MIX(name, alias, summary, file_type, type)                                                 \
    [IMX_RECIPE_##name] = {#name, alias, summary, file_type, IMX_TYPE_##type, NULL, false}

// The publishers' variants (Q4_K_L and so on) are a mix whose embedding and head, which every token
// passes, have 8 bits. llama.cpp has no number for them; they bear that of the mix.
#define LARGE(name, base, summary, file_type, type)                                                \
    [IMX_RECIPE_##name] = {                                                                        \
        #name, NULL, summary, file_type, IMX_TYPE_##type, &imx_recipe_table[IMX_RECIPE_##base],    \
        false}

// clang-format off
const imx_recipe imx_recipe_table[IMX_RECIPE_COUNT] = {
    MIX(Q4_0, NULL, "4.5 bits per weight, blocks of 32 with a scale", 2, Q4_0),
    MIX(Q4_1, NULL, "5 bits, blocks of 32 with scale and min", 3, Q4_1),
    MIX(Q5_0, NULL, "5.5 bits, blocks of 32 with a scale", 8, Q5_0),
    MIX(Q5_1, NULL, "6 bits, blocks of 32 with scale and min", 9, Q5_1),
    MIX(Q8_0, NULL, "8.5 bits, nearly lossless", 7, Q8_0),
    MIX(TQ1_0, NULL, "1.7 bits, for models trained with ternary weights", 36, TQ1_0),
    MIX(TQ2_0, NULL, "2.1 bits, the same weights as TQ1_0, faster to read", 37, TQ2_0),
    MIX(Q2_K_S, NULL, "2.6 bits, the smallest; wants an imatrix", 21, Q2_K),
    MIX(Q2_K, NULL, "2.6 bits, 3.4 where it hurts most", 10, Q2_K),
    LARGE(Q2_K_L, Q2_K, "Q2_K, embedding and output 8.5 bits", 10, Q2_K),
    MIX(Q3_K_S, NULL, "3.4 bits", 11, Q3_K),
    MIX(Q3_K_M, "Q3_K", "3.4 bits, 4.5 and 5.5 where it hurts most", 12, Q3_K),
    MIX(Q3_K_L, NULL, "3.4 bits, 5.5 where it hurts most", 13, Q3_K),
    LARGE(Q3_K_XL, Q3_K_L, "Q3_K_L, embedding and output 8.5 bits", 13, Q3_K),
    MIX(IQ4_XS, NULL, "4.25 bits, uneven steps, blocks of 256", 30, IQ4_XS),
    MIX(IQ4_NL, NULL, "4.5 bits, uneven steps, blocks of 32", 25, IQ4_NL),
    MIX(Q4_K_S, NULL, "4.5 bits, 5.5 in the first layers", 14, Q4_K),
    MIX(Q4_K_M, "Q4_K", "4.5 bits, 6.6 where it hurts most; a good default", 15, Q4_K),
    LARGE(Q4_K_L, Q4_K_M, "Q4_K_M, embedding and output 8.5 bits", 15, Q4_K),
    MIX(Q5_K_S, NULL, "5.5 bits", 16, Q5_K),
    MIX(Q5_K_M, "Q5_K", "5.5 bits, 6.6 where it hurts most", 17, Q5_K),
    LARGE(Q5_K_L, Q5_K_M, "Q5_K_M, embedding and output 8.5 bits", 17, Q5_K),
    MIX(Q6_K, NULL, "6.6 bits, very small loss", 18, Q6_K),
    LARGE(Q6_K_L, Q6_K, "Q6_K, embedding and output 8.5 bits", 18, Q6_K),
    MIX(MXFP4_MOE, NULL, "4.25 bits in experts, 8.5 elsewhere", 38, MXFP4),
    MIX(F16, NULL, "16 bits, half precision", 1, F16),
    MIX(BF16, NULL, "16 bits, bfloat16", 32, BF16),
    MIX(F32, NULL, "32 bits", 0, F32),
    [IMX_RECIPE_COPY] = {"COPY", NULL, "as many bits as the source: tensors pass unchanged", 0, IMX_TYPE_F32, NULL, true},
};

#define R(name) (1u << IMX_RECIPE_##name)
#define LEGACY (R(Q4_0) | R(Q4_1) | R(Q5_0) | R(Q5_1))
#define TERNARY (R(TQ1_0) | R(TQ2_0))
#define IQ4 (R(IQ4_NL) | R(IQ4_XS))
#define K_QUANTS                                                                                   \
    (R(Q2_K_S) | R(Q2_K) | R(Q3_K_S) | R(Q3_K_M) | R(Q3_K_L) | R(Q4_K_S) | R(Q4_K_M) |             \
     R(Q5_K_S) | R(Q5_K_M) | R(Q6_K))
#define BELOW_8 (LEGACY | TERNARY | IQ4 | K_QUANTS)
#define QUANTIZED (BELOW_8 | R(Q8_0))
#define LARGE_ENDS (R(Q2_K_L) | R(Q3_K_XL) | R(Q4_K_L) | R(Q5_K_L) | R(Q6_K_L))

#define FALCON        IMX_FACT_FALCON
#define NOT_FALCON    IMX_FACT_NOT_FALCON
#define EIGHT         IMX_FACT_EIGHT_EXPERTS
#define NOT_EIGHT     IMX_FACT_NOT_EIGHT_EXPERTS
#define GROUPED       IMX_FACT_GROUPED_HEADS
#define SEVENTY_B     IMX_FACT_SEVENTY_B
#define IMATRIX       IMX_FACT_HAS_IMATRIX
#define NO_IMATRIX    IMX_FACT_NO_IMATRIX
#define EIGHTH        IMX_FACT_FIRST_EIGHTH
#define SIXTEENTH     IMX_FACT_FIRST_SIXTEENTH
#define MORE_BITS     IMX_FACT_MORE_BITS

const imx_rule imx_rule_table[] = {
    {LARGE_ENDS,                      IMX_MIX_ROLE_OUTPUT,      0,                      IMX_TYPE_Q8_0},
    {LARGE_ENDS,                      IMX_MIX_ROLE_TOKEN_EMBD,  0,                      IMX_TYPE_Q8_0},

    {R(MXFP4_MOE),                    IMX_MIX_ROLE_OUTPUT,      0,                      IMX_TYPE_Q8_0},
    {R(MXFP4_MOE),                    IMX_ANY_ROLE,             IMX_FACT_ONE_MATRIX,    IMX_TYPE_Q8_0},

    {QUANTIZED,                       IMX_MIX_ROLE_OUTPUT,      FALCON,                 IMX_TYPE_Q8_0},
    {QUANTIZED,                       IMX_MIX_ROLE_OUTPUT,      IMX_FACT_ROW_UNFIT,     IMX_TYPE_Q8_0},
    {BELOW_8,                         IMX_MIX_ROLE_OUTPUT,      0,                      IMX_TYPE_Q6_K},

    {TERNARY,                         IMX_MIX_ROLE_TOKEN_EMBD,  0,                      IMX_TYPE_Q4_K},

    {QUANTIZED,                       IMX_MIX_ROLE_ATTN_V,      EIGHT,                  IMX_TYPE_Q8_0},
    {R(Q4_K_M) | R(Q5_K_M),           IMX_MIX_ROLE_ATTN_V,      MORE_BITS,              IMX_TYPE_Q6_K},
    {R(Q2_K) | R(Q3_K_S) | R(Q3_K_M) | R(Q4_K_S) | R(Q4_K_M),
                                      IMX_MIX_ROLE_ATTN_V,      SEVENTY_B,              IMX_TYPE_Q5_K},
    {R(Q2_K_S),                       IMX_MIX_ROLE_ATTN_V,      SEVENTY_B | GROUPED,    IMX_TYPE_Q5_K},
    {R(Q2_K_S) | R(Q2_K),             IMX_MIX_ROLE_ATTN_V,      GROUPED,                IMX_TYPE_Q4_K},
    {R(Q2_K),                         IMX_MIX_ROLE_ATTN_V,      0,                      IMX_TYPE_Q3_K},
    {IQ4,                             IMX_MIX_ROLE_ATTN_V,      GROUPED,                IMX_TYPE_Q5_K},
    {R(Q3_K_M),                       IMX_MIX_ROLE_ATTN_V,      IMX_FACT_FIRST_2,       IMX_TYPE_Q5_K},
    {R(Q3_K_M),                       IMX_MIX_ROLE_ATTN_V,      0,                      IMX_TYPE_Q4_K},
    {R(Q3_K_L),                       IMX_MIX_ROLE_ATTN_V,      0,                      IMX_TYPE_Q5_K},
    {R(Q4_K_S),                       IMX_MIX_ROLE_ATTN_V,      IMX_FACT_FIRST_4,       IMX_TYPE_Q5_K},

    {QUANTIZED,                       IMX_MIX_ROLE_ATTN_K,      EIGHT,                  IMX_TYPE_Q8_0},

    {R(Q3_K_L),                       IMX_MIX_ROLE_ATTN_OUTPUT, FALCON,                 IMX_TYPE_Q4_K},
    {R(Q2_K) | R(Q3_K_S) | R(Q3_K_M) | IQ4 | R(Q4_K_S) | R(Q4_K_M),
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
    {IQ4,                             IMX_MIX_ROLE_FFN_DOWN,    NO_IMATRIX | EIGHTH,    IMX_TYPE_Q5_K},
    {R(Q4_0),                         IMX_MIX_ROLE_FFN_DOWN,    IMATRIX | EIGHTH,       IMX_TYPE_Q4_1},
    {R(Q5_0),                         IMX_MIX_ROLE_FFN_DOWN,    IMATRIX | EIGHTH,       IMX_TYPE_Q5_1},
};
// clang-format on

const size_t imx_rule_count = sizeof imx_rule_table / sizeof *imx_rule_table;
