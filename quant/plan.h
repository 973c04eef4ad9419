// SPDX-License-Identifier: MIT
//
// The plan of a quantized file: a pure function of the source model's metadata, the recipe and the
// names in the imatrix. Nothing is read from tensor data and nothing is written.

#ifndef IMX_QUANT_PLAN_H
#define IMX_QUANT_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/gguf.h"
#include "formats/imatrix_file.h"
#include "quant/recipe.h"

typedef struct imx_plan_item {
    const imx_gguf_tensor *source;       // in the source file
    uint32_t type;                       // to write
    uint64_t size_bytes;                 // to write, without padding
    uint64_t offset;                     // in the data section of the new file
    bool is_copied;                      // bytes pass through unchanged (type == source->type)
    bool is_fallback;                    // the rule's type does not fit the row length
    const imx_imatrix_entry *statistics; // NULL = uniform importance
    bool lacks_statistics; // an imatrix was given, this tensor will be quantized, and the
                           // imatrix has nothing for it though it could
} imx_plan_item;

typedef struct imx_plan {
    const imx_recipe *recipe;
    size_t n_items;
    imx_plan_item *items; // (n_items), in the order they will be written
    uint64_t n_weights;   // in all tensors
    uint64_t size_bytes;  // of the data section, padding included
} imx_plan;

// `imatrix` may be NULL. An imatrix entry whose shape disagrees with the tensor is
// IMX_ERR_MISMATCH. A source tensor that is already quantized is IMX_ERR_ARGUMENT unless its type
// stays, one that cannot be decoded is IMX_ERR_UNSUPPORTED. `source` and `imatrix` must outlive the
// plan. *out is the caller's to imx_plan_free.
imx_status imx_plan_new(imx_plan **out, const imx_gguf *source, const imx_recipe *recipe,
                        const imx_imatrix *imatrix, imx_error *err);
void imx_plan_free(imx_plan *plan);

#endif
