// SPDX-License-Identifier: MIT

#include "quant/plan/layer_pruning.h"

#include <inttypes.h>

bool imx_layer_is_pruned(const uint32_t *layers, size_t n, uint64_t layer) {
    for (size_t i = 0; i < n; ++i) {
        if (layers[i] == layer) {
            return true;
        }
    }
    return false;
}

uint64_t imx_n_pruned_before(const uint32_t *layers, size_t n, uint64_t layer) {
    uint64_t n_before = 0;
    for (size_t i = 0; i < n; ++i) {
        n_before += layers[i] < layer;
    }
    return n_before;
}

imx_status imx_check_pruning(const uint32_t *layers, size_t n, uint64_t n_layers, imx_error *err) {
    for (size_t i = 0; i < n; ++i) {
        if (layers[i] >= n_layers) {
            return imx_fail(err, IMX_ERR_ARGUMENT,
                            "layer %" PRIu32 " cannot be pruned: the model has %" PRIu64
                            " layers, counted from 0",
                            layers[i], n_layers);
        }
        if (imx_layer_is_pruned(layers, i, layers[i])) {
            return imx_fail(err, IMX_ERR_ARGUMENT, "layer %" PRIu32 " is to be pruned twice",
                            layers[i]);
        }
    }
    if (n > 0 && n == n_layers) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "all %" PRIu64 " layers are to be pruned; leave at least one", n_layers);
    }
    return IMX_OK;
}
