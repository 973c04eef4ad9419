// SPDX-License-Identifier: MIT

#include "calib/model/shown_weights.h"

// Roles whose input is that of another, beside which they always stand.
static const imx_role_set sharers =
    (imx_role_set)1 << IMX_ROLE_ATTN_K | (imx_role_set)1 << IMX_ROLE_ATTN_V |
    (imx_role_set)1 << IMX_ROLE_ATTN_KV_A | (imx_role_set)1 << IMX_ROLE_FFN_GATE |
    (imx_role_set)1 << IMX_ROLE_EXPERTS_GATE | (imx_role_set)1 << IMX_ROLE_SHARED_ROUTER |
    (imx_role_set)1 << IMX_ROLE_SHARED_GATE;

imx_input_shape imx_model_input_shape(const imx_model *model, imx_role role) {
    const imx_role_row *row = imx_role_row_of(role);
    const size_t n_in = imx_model_dim(model, row->n_in);
    const uint32_t n_mats = (uint32_t)imx_model_dim(model, row->n_mats);
    return row->n_mats == IMX_DIM_HEADS ? (imx_input_shape){n_in * n_mats, 1}
                                        : (imx_input_shape){n_in, n_mats};
}

static bool is_shown(const imx_model *model, uint32_t layer, imx_role role) {
    return layer == model->hparams.n_layers
               ? role == imx_model_head_role(model)
               : role >= IMX_FIRST_LAYER_ROLE && imx_role_is_product(role) &&
                     imx_model_has(model, layer, role);
}

static imx_shown_weight describe(const imx_model *model, uint32_t layer, imx_role role) {
    const uint32_t row = layer < model->hparams.n_layers ? layer : 0;
    return (imx_shown_weight){
        .name = model->bindings[row][role].weight->name,
        .layer = layer,
        .role = role,
        .shape = imx_model_input_shape(model, role),
        .is_sharer = imx_role_is_in(sharers, role),
    };
}

bool imx_shown_weights_step(imx_shown_weights *shown, const imx_model *model, bool with_head) {
    const uint32_t n_layers = model->hparams.n_layers + (with_head ? 1 : 0);
    for (uint32_t layer = shown->weight.layer; layer < n_layers; ++layer) {
        while (shown->next_role < IMX_N_ROLES) {
            const imx_role role = shown->next_role++;
            if (is_shown(model, layer, role)) {
                shown->weight = describe(model, layer, role);
                return true;
            }
        }
        shown->next_role = 0;
    }
    return false;
}
