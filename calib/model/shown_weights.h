// SPDX-License-Identifier: MIT
//
// Which inputs a walk shows, known before it starts.

#ifndef IMX_CALIB_SHOWN_WEIGHTS_H
#define IMX_CALIB_SHOWN_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calib/model/model_internal.h"

// Of an input as it is shown: where every head has a matrix of its own, their parts of a row are
// one row, and the matrices one.
typedef struct imx_input_shape {
    size_t n_cols;
    uint32_t n_mats;
} imx_input_shape;

imx_input_shape imx_model_input_shape(const imx_model *model, imx_role role);

// A weight whose input is shown.
typedef struct imx_shown_weight {
    const char *name;
    uint32_t layer; // n_layers: the head
    imx_role role;
    imx_input_shape shape;
    bool is_sharer; // its input is also that of a weight of the layer that is none
} imx_shown_weight;

// Steps to the next weight that a walk shows, in layers and, `with_head`, behind them; false when
// there is no more. Before the first step *shown is zeroed.
typedef struct imx_shown_weights {
    imx_shown_weight weight;
    imx_role next_role;
} imx_shown_weights;

bool imx_shown_weights_step(imx_shown_weights *shown, const imx_model *model, bool with_head);

#endif
