// SPDX-License-Identifier: MIT
//
// What a recipe would make of a model, to the byte, without reading a weight.

#ifndef IMX_QUANT_RECIPE_SIZE_H
#define IMX_QUANT_RECIPE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/gguf.h"
#include "formats/imatrix_file.h"
#include "quant/plan/recipe.h"

typedef struct imx_recipe_size {
    uint64_t file_bytes;    // header included
    double bits_per_weight; // tensor data only, padding included
    bool requantizes;       // some tensor is quantized already and would be again
    size_t n_fallbacks;     // tensors whose rows the recipe's type does not fit
    size_t n_lacking;       // tensors that the imatrix has nothing for
} imx_recipe_size;

// With default options: one file. `imatrix` may be NULL; `imatrix_name` is the base name of its
// file. Fails as imx_plan_new does, except for tensors that are quantized already. Nothing is kept
// of the arguments.
imx_status imx_recipe_size_measure(imx_recipe_size *size, const imx_recipe *recipe,
                                   const imx_gguf *source, const imx_imatrix *imatrix,
                                   const char *imatrix_name, imx_error *err);

#endif
