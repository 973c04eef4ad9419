// SPDX-License-Identifier: MIT
//
// The rules of recipes, for the plan and the tests.

#ifndef IMX_QUANT_RECIPE_INTERNAL_H
#define IMX_QUANT_RECIPE_INTERNAL_H

#include "quant/plan/recipe.h"
#include "quant/plan/tensor_role.h"

// A recipe's bit in sets of recipes is its place in the table. Where recipes share a file type
// number, the first has it.
enum {
    IMX_RECIPE_Q4_0,
    IMX_RECIPE_Q4_1,
    IMX_RECIPE_Q5_0,
    IMX_RECIPE_Q5_1,
    IMX_RECIPE_Q8_0,
    IMX_RECIPE_TQ1_0,
    IMX_RECIPE_TQ2_0,
    IMX_RECIPE_Q2_K_S,
    IMX_RECIPE_Q2_K,
    IMX_RECIPE_Q2_K_L,
    IMX_RECIPE_Q3_K_S,
    IMX_RECIPE_Q3_K_M,
    IMX_RECIPE_Q3_K_L,
    IMX_RECIPE_Q3_K_XL,
    IMX_RECIPE_IQ4_XS,
    IMX_RECIPE_IQ4_NL,
    IMX_RECIPE_Q4_K_S,
    IMX_RECIPE_Q4_K_M,
    IMX_RECIPE_Q4_K_L,
    IMX_RECIPE_Q5_K_S,
    IMX_RECIPE_Q5_K_M,
    IMX_RECIPE_Q5_K_L,
    IMX_RECIPE_Q6_K,
    IMX_RECIPE_Q6_K_L,
    IMX_RECIPE_MXFP4_MOE,
    IMX_RECIPE_F16,
    IMX_RECIPE_BF16,
    IMX_RECIPE_F32,
    IMX_RECIPE_COPY,
    IMX_RECIPE_COUNT,
};

struct imx_recipe {
    const char *name;
    const char *alias; // another name for the same, or NULL
    const char *summary;
    uint32_t file_type; // llama.cpp's number
    uint32_t default_type;
    const imx_recipe *base; // whose rules hold after its own, or NULL
    bool is_copy;           // tensors keep their types
};

// What a rule may ask about a tensor and its model, as a bit set. A layer's place i is counted
// among the n tensors of its role.
typedef enum imx_fact {
    IMX_FACT_FALCON = 1 << 0,
    IMX_FACT_NOT_FALCON = 1 << 1,
    IMX_FACT_EIGHT_EXPERTS = 1 << 2,
    IMX_FACT_NOT_EIGHT_EXPERTS = 1 << 3,
    IMX_FACT_GROUPED_HEADS = 1 << 4, // at least 4 query heads share a key head
    IMX_FACT_SEVENTY_B = 1 << 5,     // the 70B models of 80 layers, whose attn_v is small
    IMX_FACT_HAS_IMATRIX = 1 << 6,   // whatever it holds
    IMX_FACT_NO_IMATRIX = 1 << 7,
    IMX_FACT_ONE_MATRIX = 1 << 8,       // not a stack of experts or heads
    IMX_FACT_ROW_UNFIT = 1 << 9,        // not a multiple of the default type's block
    IMX_FACT_FIRST_2 = 1 << 10,         // i < 2
    IMX_FACT_FIRST_4 = 1 << 11,         // i < 4
    IMX_FACT_FIRST_EIGHTH = 1 << 12,    // i < n/8
    IMX_FACT_FIRST_SIXTEENTH = 1 << 13, // i < n/16
    IMX_FACT_MORE_BITS = 1 << 14,       // first or last eighth, or every third between
} imx_fact;

enum { IMX_ANY_ROLE = IMX_MIX_ROLE_COUNT };

typedef struct imx_rule {
    uint32_t recipes; // set of recipes
    int role;         // an imx_mix_role, or IMX_ANY_ROLE
    uint32_t facts;   // all must hold
    uint32_t type;
} imx_rule;

extern const imx_recipe imx_recipe_table[IMX_RECIPE_COUNT];
extern const imx_rule imx_rule_table[];
extern const size_t imx_rule_count;

// The first rule that holds; NULL = the recipe's default type.
const imx_rule *imx_recipe_rule(const imx_recipe *recipe, imx_mix_role role, uint32_t facts);

#endif
