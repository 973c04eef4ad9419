// SPDX-License-Identifier: MIT
//
// How many tokens experts have seen. The matrices of an expert all see the same; those of the last
// product stand for it, because every mixture has them, whatever else is fused.

#include "imatrix/expert_coverage.h"

#include <stdio.h>

// Puts an expert where it belongs among those that saw least; the last one drops out.
static void name_expert(imatrix_collect_result *result, const imatrix_expert *expert) {
    const uint64_t n = result->n_starved_experts;
    size_t place = n < IMATRIX_N_NAMED_EXPERTS ? (size_t)n : IMATRIX_N_NAMED_EXPERTS;
    while (place > 0 && result->starved[place - 1].n_tokens > expert->n_tokens) {
        if (place < IMATRIX_N_NAMED_EXPERTS) {
            result->starved[place] = result->starved[place - 1];
        }
        --place;
    }
    if (place < IMATRIX_N_NAMED_EXPERTS) {
        result->starved[place] = *expert;
    }
}

void imx_publish_coverage(const imx_imatrix *imatrix, imatrix_collect_result *result) {
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        const imx_imatrix_entry *entry = &imatrix->entries[i];
        unsigned layer;
        int len = 0;
        sscanf(entry->name, "blk.%u.ffn_down_exps.weight%n", &layer, &len);
        for (uint64_t mat = 0; len > 0 && mat < entry->n_mats; ++mat) {
            const imatrix_expert expert = {layer, mat, (uint64_t)entry->counts[mat]};
            ++result->n_experts;
            if (expert.n_tokens < IMATRIX_FEW_TOKENS) {
                name_expert(result, &expert);
                ++result->n_starved_experts;
            }
        }
    }
}
