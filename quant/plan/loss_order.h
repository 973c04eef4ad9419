// SPDX-License-Identifier: MIT
//
// Recipes by what they lose.

#ifndef IMX_QUANT_LOSS_ORDER_H
#define IMX_QUANT_LOSS_ORDER_H

#include <stddef.h>

#include "quant/plan/recipe.h"

// The place of a recipe among all, least loss first; IMX_NO_LOSS_RANK for one that is not for any
// model.
enum { IMX_NO_LOSS_RANK = 1000 };
size_t imx_recipe_loss_rank(const imx_recipe *recipe);

#endif
