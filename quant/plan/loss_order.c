// SPDX-License-Identifier: MIT
//
// The order of the mean KL divergences in docs/quality.md, with an imatrix. Both models measured
// there have the same, up to IQ4_NL and IQ4_XS, which are even. It is not the order of the sizes:
// Q4_1 is larger than Q4_K_M and loses more, and so with Q5_1 and Q5_K_M. Not measured and placed
// by what they hold: the mixes with 8-bit ends stand before the mix, MXFP4_MOE, which has one scale
// of 8 bits and few codes, behind the other types of 4 bits.

#include "quant/plan/loss_order.h"

#include <string.h>

static const char *const loss_order[] = {
    "COPY", "F32",       "F16",     "BF16",   "Q8_0",   "Q6_K_L", "Q6_K",   "Q5_K_L", "Q5_K_M",
    "Q5_1", "Q5_K_S",    "Q5_0",    "Q4_K_L", "Q4_K_M", "Q4_K_S", "Q4_1",   "IQ4_NL", "IQ4_XS",
    "Q4_0", "MXFP4_MOE", "Q3_K_XL", "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K_L", "Q2_K",   "Q2_K_S",
};

// TQ1_0 and TQ2_0 have no place: they ruin every model that was not trained for them.
size_t imx_recipe_loss_rank(const imx_recipe *recipe) {
    for (size_t i = 0; i < sizeof loss_order / sizeof *loss_order; ++i) {
        if (strcmp(loss_order[i], imx_recipe_name(recipe)) == 0) {
            return i;
        }
    }
    return IMX_NO_LOSS_RANK;
}
