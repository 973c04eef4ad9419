// SPDX-License-Identifier: MIT
//
// What the columns of a planned tensor are worth. See item_importance.c for the mathematics.

#ifndef IMX_QUANT_ITEM_IMPORTANCE_H
#define IMX_QUANT_ITEM_IMPORTANCE_H

#include "quant/plan.h"

// Fills `importance` (n_mats, n_cols; of item->source) from item->statistics, which must not be
// NULL: the mean squared input of every column, finite and >= 0. The columns of an expert lean on
// those of all experts together as if item->prior_tokens had been seen of them; an expert that saw
// nothing takes them as they are.
void imx_item_importance(const imx_plan_item *item, float *importance);

#endif
