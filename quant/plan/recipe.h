// SPDX-License-Identifier: MIT
//
// Recipes: what users call a quantization type ("Q4_K_M") is a default tensor type and a list of
// exceptions by tensor role and layer. Rules are table rows, first match wins.

#ifndef IMX_QUANT_RECIPE_H
#define IMX_QUANT_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"

typedef struct imx_recipe imx_recipe;

// The recipe of a name ("Q4_K_M", any case; "Q3_K", "Q4_K", "Q5_K" mean the _M mix) or of
// llama.cpp's file type number ("15"); NULL when there is none. A number that several share means
// the mix llama.cpp has: 0 is F32, not COPY, and 15 is Q4_K_M, not Q4_K_L.
const imx_recipe *imx_recipe_find(const char *name_or_number);

// Recipes in the order of the help text; NULL beyond the last.
const imx_recipe *imx_recipe_at(size_t i);

const char *imx_recipe_name(const imx_recipe *recipe);
const char *imx_recipe_summary(const imx_recipe *recipe); // one line for the help text
uint32_t imx_recipe_file_type(const imx_recipe *recipe);  // general.file_type
uint32_t imx_recipe_default_type(const imx_recipe *recipe);

// Whether tensors pass unchanged; then the model also keeps its file type.
bool imx_recipe_is_copy(const imx_recipe *recipe);

#endif
