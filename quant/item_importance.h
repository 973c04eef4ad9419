// SPDX-License-Identifier: MIT
//
// What the columns of a planned tensor are worth. See item_importance.c for the mathematics.

#ifndef IMX_QUANT_ITEM_IMPORTANCE_H
#define IMX_QUANT_ITEM_IMPORTANCE_H

#include "quant/plan.h"

// Fills `importance` (n_mats, n_cols; of item->source) from item->statistics, which must not be
// NULL: the mean squared input of every column, for experts that saw few tokens shrunk towards the
// mean over all experts.
void imx_item_importance(const imx_plan_item *item, float *importance);

#endif
