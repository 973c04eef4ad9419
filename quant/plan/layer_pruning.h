// SPDX-License-Identifier: MIT
//
// Layers left out of a model: those behind move up, so that "blk.N" counts without gaps.

#ifndef IMX_QUANT_LAYER_PRUNING_H
#define IMX_QUANT_LAYER_PRUNING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"

// Whether `layers` (n), in any order, can be left out of `n_layers`: IMX_ERR_ARGUMENT for a layer
// that does not exist or is named twice, and when none would remain.
imx_status imx_check_pruning(const uint32_t *layers, size_t n, uint64_t n_layers, imx_error *err);

bool imx_layer_is_pruned(const uint32_t *layers, size_t n, uint64_t layer);

// How many of the pruned layers come before `layer`: so far it moves up.
uint64_t imx_n_pruned_before(const uint32_t *layers, size_t n, uint64_t layer);

#endif
