// SPDX-License-Identifier: MIT
//
// The feed-forward network of a layer: two products with an activation between,
//
//     change = W_down · (activation(W_gate n) ∘ W_up n)    or    W_down · activation(W_up n)
//
// A quantizer that scales columns of W_down by what flows into them (AWQ) leaves the divisors in
// the model.

#include "calib/forward/layer.h"
#include "kernels/split.h"

const imx_network imx_dense_network = {IMX_ROLE_FFN_GATE, IMX_ROLE_FFN_UP, IMX_ROLE_FFN_GATE_UP,
                                       IMX_ROLE_FFN_DOWN, IMX_DIM_FF};
const imx_network imx_shared_network = {IMX_ROLE_SHARED_GATE, IMX_ROLE_SHARED_UP, IMX_N_ROLES,
                                        IMX_ROLE_SHARED_DOWN, IMX_DIM_FF_SHARED};
const imx_network imx_expert_network = {IMX_ROLE_EXPERTS_GATE, IMX_ROLE_EXPERTS_UP,
                                        IMX_ROLE_EXPERTS_GATE_UP, IMX_ROLE_EXPERTS_DOWN,
                                        IMX_DIM_FF_EXPERT};

// Where the two inner products stand, and the activation of them all.
static void activate(const imx_layer *layer, const float *gate, const float *up, size_t stride,
                     size_t width, size_t n_rows) {
    imx_activate_fn *activate_row = layer->settings.model->arch->activate;
#pragma omp parallel for num_threads(layer->settings.n_threads)
    for (size_t i = 0; i < n_rows; ++i) {
        activate_row(gate != NULL ? gate + i * stride : NULL, up + i * stride, width,
                     layer->up + i * width);
    }
}

imx_status imx_layer_run_inner(imx_layer *layer, const imx_network *network, const float *x,
                               size_t n_rows, imx_error *err) {
    const size_t width = imx_model_dim(layer->settings.model, network->width);
    if (imx_layer_has(layer, network->gate_up)) {
        IMX_TRY(imx_layer_apply(layer, network->gate_up, x, n_rows, layer->gate, 2 * width, err));
        activate(layer, layer->gate, layer->gate + width, 2 * width, width, n_rows);
        return IMX_OK;
    }
    const bool is_gated = imx_layer_has(layer, network->gate);
    if (is_gated) {
        IMX_TRY(imx_layer_apply(layer, network->gate, x, n_rows, layer->gate, width, err));
    }
    IMX_TRY(imx_layer_apply(layer, network->up, x, n_rows, layer->up, width, err));
    activate(layer, is_gated ? layer->gate : NULL, layer->up, width, width, n_rows);
    return IMX_OK;
}

// layer->up over the divisors, if the model has them.
static void divide(const imx_layer *layer, size_t n_rows) {
    const imx_param *divisor = &layer->params[IMX_ROLE_FFN_DIVISOR];
    for (size_t i = 0; i < n_rows && divisor->weight != NULL; ++i) {
        for (size_t j = 0; j < divisor->n_out; ++j) {
            layer->up[i * divisor->n_out + j] /= divisor->vector[j];
        }
    }
}

imx_status imx_layer_feed_forward(imx_layer *layer, const imx_layer_piece *piece,
                                  const float *input, bool stop_at_last_input, imx_error *err) {
    const imx_role_set inner =
        IMX_ROLE_BIT(FFN_GATE) | IMX_ROLE_BIT(FFN_UP) | IMX_ROLE_BIT(FFN_GATE_UP);
    imx_layer_input shown = {
        .x = input, .n_rows = piece->n_rows, .first_token = piece->first_token};
    IMX_TRY(imx_layer_show_input(layer, inner, &shown, err));
    IMX_TRY(imx_layer_run_inner(layer, &imx_dense_network, input, piece->n_rows, err));
    divide(layer, piece->n_rows);
    shown.x = layer->up;
    IMX_TRY(imx_layer_show_input(layer, IMX_ROLE_BIT(FFN_DOWN), &shown, err));
    return stop_at_last_input
               ? IMX_OK
               : imx_layer_apply(layer, IMX_ROLE_FFN_DOWN, layer->up, piece->n_rows, layer->change,
                                 layer->settings.model->hparams.n_embd, err);
}
