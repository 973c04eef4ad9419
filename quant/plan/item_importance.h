// SPDX-License-Identifier: MIT
//
// What the columns of a planned tensor are worth. See item_importance.c for the mathematics.

#ifndef IMX_QUANT_ITEM_IMPORTANCE_H
#define IMX_QUANT_ITEM_IMPORTANCE_H

#include <stdbool.h>

#include "quant/plan/plan.h"

// Fills `importance` (n_mats, n_cols; of item->source) from item->statistics, which must not be
// NULL: the mean squared input of every column, finite and >= 0. The columns of an expert lean on
// those of all experts together as if item->prior_tokens had been seen of them; an expert that saw
// nothing takes them as they are.
void imx_item_importance(const imx_plan_item *item, float *importance);

// Whether the mean products of inputs are known well enough for at least one matrix of `tensor`.
bool imx_has_products(const imx_imatrix_entry *entry, const imx_gguf_tensor *tensor);

// The mean products of matrix `mat` (n_cols / IMX_COV_RUN, IMX_COV_PAIRS), borrowed from the
// imatrix; NULL when the item does not feed errors back or the matrix has seen too few tokens.
const float *imx_item_products(const imx_plan_item *item, uint64_t mat);

#endif
