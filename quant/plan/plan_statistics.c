// SPDX-License-Identifier: MIT
//
// Which entry of the imatrix guides a tensor. Entries are named as in the source model, wherever
// pruning moves its layers.

#include <inttypes.h>
#include <string.h>

#include "quant/plan/plan_internal.h"
#include "quant/plan/statistics_fit.h"

static bool contains_any(const char *name, const char *const *parts, size_t n_parts) {
    for (size_t i = 0; i < n_parts; ++i) {
        if (strstr(name, parts[i]) != NULL) {
            return true;
        }
    }
    return false;
}

bool imx_plan_uses_statistics(const imx_plan_options *options, const char *name) {
    return (options->n_included == 0 ||
            contains_any(name, options->include_weights, options->n_included)) &&
           !contains_any(name, options->exclude_weights, options->n_excluded);
}

static imx_status refuse_shape(const imx_imatrix_entry *entry, const imx_gguf_tensor *tensor,
                               imx_error *err) {
    return imx_fail(err, IMX_ERR_MISMATCH,
                    "tensor %s has %" PRIu64 " columns in %" PRIu64
                    " matrices, but its imatrix entry has %" PRIu64 " in %" PRIu64
                    ": is the imatrix of another model?",
                    tensor->name, imx_gguf_tensor_cols(tensor), imx_gguf_tensor_mats(tensor),
                    entry->n_cols, entry->n_mats);
}

imx_status imx_plan_find_statistics(imx_plan_item *item, const imx_plan_options *options,
                                    imx_mix_role role, bool is_tied, imx_error *err) {
    const imx_gguf_tensor *tensor = item->source;
    if (options->imatrix == NULL || !imx_plan_uses_statistics(options, tensor->name)) {
        return IMX_OK;
    }
    const imx_imatrix_entry *entry = imx_imatrix_find(options->imatrix, tensor->name);
    if (entry == NULL && role == IMX_MIX_ROLE_TOKEN_EMBD && is_tied) {
        entry = imx_imatrix_find(options->imatrix, "output.weight");
    }
    if (entry != NULL && !imx_statistics_fit(entry, tensor)) {
        if (role != IMX_MIX_ROLE_TOKEN_EMBD) {
            return refuse_shape(entry, tensor, err);
        }
        entry = NULL; // columns are looked up, not multiplied, unless it is the head
    }
    const bool follows = options->statistics_follow;
    if (entry != NULL && (follows || imx_count_matrices_unseen(entry) < entry->n_mats)) {
        item->statistics = entry;
        item->prior_tokens = options->prior_tokens;
        item->n_starved = entry->n_mats > 1 && !follows
                              ? imx_count_matrices_below(entry, options->prior_tokens)
                              : 0;
    }
    item->lacks_statistics = item->statistics == NULL && imx_layer_of(tensor->name) >= 0;
    return IMX_OK;
}
