// SPDX-License-Identifier: MIT

#include "quant/item_importance.h"

void imx_item_importance(const imx_plan_item *item, float *importance) {
    const imx_imatrix_entry *entry = item->statistics;
    for (uint64_t mat = 0; mat < entry->n_mats; ++mat) {
        imx_imatrix_mean_squares(entry, mat, importance + mat * entry->n_cols);
    }
}
