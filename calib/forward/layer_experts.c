// SPDX-License-Identifier: MIT
//
// A mixture of experts: of n_experts networks every token passes through n_experts_used, and what
// it gets is their weighted sum,
//
//     change = Σ_e w_e · network_e(n)  (+ g · shared network(n))
//
// A router makes the weights. Its logits become gates by a softmax or a sigmoid; the experts with
// the largest gates are chosen, in some models after a bias that only sways the choice, in some
// only from the best groups of experts; the gates of the chosen ones are the weights, in some
// models after a normalisation.
//
// Experts are run one after another, each unpacked once per block and given all its tokens in one
// product. What several experts give to a token is summed in their order.

#include <math.h>
#include <string.h>

#include "calib/forward/layer.h"
#include "calib/forward/router.h"
#include "kernels/split.h"

// ---------------------------------------------------------------------------------------------
// Choosing

static imx_status route_all(imx_layer *layer, const imx_layer_piece *block, const float *input,
                            imx_error *err) {
    const imx_hparams *hparams = &layer->settings.model->hparams;
    const size_t n_experts = hparams->n_experts;
    const float *bias = layer->params[IMX_ROLE_ROUTER_BIAS].vector;
    const imx_layer_input shown = {
        .x = input, .n_rows = block->n_rows, .first_token = block->first_token};
    IMX_TRY(imx_layer_show_input(layer, IMX_ROLE_BIT(ROUTER), &shown, err));
    IMX_TRY(imx_layer_apply(layer, IMX_ROLE_ROUTER, input, block->n_rows, layer->gate_weights,
                            n_experts, err));
#pragma omp parallel for num_threads(layer->settings.n_threads)
    for (size_t i = 0; i < block->n_rows; ++i) {
        imx_route(hparams, bias, layer->gate_weights + i * n_experts);
    }
    return IMX_OK;
}

// One way of tokens through an expert.
typedef struct expert_pass {
    size_t expert;
    bool of_all_tokens; // else of those that the router has sent
    bool is_shown;      // to the hook
    bool adds;          // to what the layer adds; else the work ends before the last product
} expert_pass;

// Lists the rows of a pass, and which tokens they are; returns their number. A token whose gates
// are NaN is among them, so that what becomes of it is NaN as well.
static size_t list_rows(imx_layer *layer, const imx_layer_piece *block, const expert_pass *pass) {
    const size_t n_experts = layer->settings.model->hparams.n_experts;
    size_t n = 0;
    for (size_t i = 0; i < block->n_rows; ++i) {
        if (pass->of_all_tokens || !(layer->gate_weights[i * n_experts + pass->expert] < 0)) {
            layer->rows[n] = (uint32_t)i;
            layer->tokens[n++] = (uint32_t)(block->first_token + i);
        }
    }
    return n;
}

// ---------------------------------------------------------------------------------------------
// One expert

static void gather(const imx_layer *layer, const float *input, const uint32_t *rows,
                   size_t n_rows) {
    const size_t n_embd = layer->settings.model->hparams.n_embd;
#pragma omp parallel for num_threads(layer->settings.n_threads)
    for (size_t i = 0; i < n_rows; ++i) {
        memcpy(layer->gathered + i * n_embd, input + rows[i] * n_embd, n_embd * sizeof(float));
    }
}

// Adds rows of layer->expert_out to those of layer->change, each times its weight.
static void scatter(const imx_layer *layer, size_t expert, const uint32_t *rows, size_t n_rows) {
    const imx_hparams *hparams = &layer->settings.model->hparams;
    const size_t n_embd = hparams->n_embd;
#pragma omp parallel for num_threads(layer->settings.n_threads)
    for (size_t i = 0; i < n_rows; ++i) {
        const float weight = layer->gate_weights[rows[i] * (size_t)hparams->n_experts + expert];
        for (size_t j = 0; j < n_embd; ++j) {
            layer->change[rows[i] * n_embd + j] += weight * layer->expert_out[i * n_embd + j];
        }
    }
}

// The rows of a pass from `first` on that are worth a product.
static imx_status run_rows(imx_layer *layer, const float *input, const expert_pass *pass,
                           size_t first, size_t n_rows, imx_error *err) {
    const imx_role_set inner =
        IMX_ROLE_BIT(EXPERTS_GATE) | IMX_ROLE_BIT(EXPERTS_UP) | IMX_ROLE_BIT(EXPERTS_GATE_UP);
    const uint32_t *rows = layer->rows + first;
    imx_layer_input shown = {
        .x = layer->gathered,
        .n_rows = pass->is_shown ? n_rows : 0,
        .tokens = layer->tokens + first,
        .mat = (uint32_t)pass->expert,
    };
    gather(layer, input, rows, n_rows);
    IMX_TRY(imx_layer_show_input(layer, inner, &shown, err));
    IMX_TRY(imx_layer_run_inner(layer, &imx_expert_network, layer->gathered, n_rows, err));
    shown.x = layer->up;
    IMX_TRY(imx_layer_show_input(layer, IMX_ROLE_BIT(EXPERTS_DOWN), &shown, err));
    if (pass->adds) {
        IMX_TRY(imx_layer_apply(layer, IMX_ROLE_EXPERTS_DOWN, layer->up, n_rows, layer->expert_out,
                                layer->settings.model->hparams.n_embd, err));
        scatter(layer, pass->expert, rows, n_rows);
    }
    return IMX_OK;
}

static imx_status unpack_expert(imx_layer *layer, const expert_pass *pass, imx_error *err) {
    static const imx_role roles[] = {IMX_ROLE_EXPERTS_GATE, IMX_ROLE_EXPERTS_UP,
                                     IMX_ROLE_EXPERTS_GATE_UP, IMX_ROLE_EXPERTS_DOWN};
    const size_t n = sizeof roles / sizeof *roles - (pass->adds ? 0 : 1);
    for (size_t i = 0; i < n; ++i) {
        imx_param *param = &layer->params[roles[i]];
        if (param->weight != NULL) {
            IMX_TRY(imx_param_unpack(param, pass->expert, layer->settings.n_threads, err));
        }
    }
    return IMX_OK;
}

static imx_status run_pass(imx_layer *layer, const imx_layer_piece *block, const float *input,
                           const expert_pass *pass, imx_error *err) {
    const size_t n_rows = list_rows(layer, block, pass);
    if (n_rows == 0) {
        return IMX_OK;
    }
    IMX_TRY(unpack_expert(layer, pass, err));
    for (size_t i = 0; i < n_rows; i += layer->piece_rows) {
        IMX_TRY(run_rows(layer, input, pass, i, imx_piece_len(n_rows, i, layer->piece_rows), err));
    }
    return IMX_OK;
}

// Where every token is shown to every expert, what the layer adds is computed apart, from the same
// rows as ever: the outputs are then the same to the bit.
static imx_status run_expert(imx_layer *layer, const imx_layer_piece *block, const float *input,
                             size_t expert, bool stop_at_last_input, imx_error *err) {
    const bool all = layer->settings.all_experts;
    const expert_pass first = {expert, all, true, !all && !stop_at_last_input};
    const expert_pass second = {expert, false, false, true};
    IMX_TRY(run_pass(layer, block, input, &first, err));
    return all && !stop_at_last_input ? run_pass(layer, block, input, &second, err) : IMX_OK;
}

// ---------------------------------------------------------------------------------------------
// What every token passes through

// layer->gathered (n_rows) = how much of the shared network each token gets.
static imx_status gate_shared(imx_layer *layer, const float *x, size_t n_rows, imx_error *err) {
    if (!imx_layer_has(layer, IMX_ROLE_SHARED_ROUTER)) {
        for (size_t i = 0; i < n_rows; ++i) {
            layer->gathered[i] = 1;
        }
        return IMX_OK;
    }
    IMX_TRY(imx_layer_apply(layer, IMX_ROLE_SHARED_ROUTER, x, n_rows, layer->gathered, 1, err));
    for (size_t i = 0; i < n_rows; ++i) {
        layer->gathered[i] = 1 / (1 + expf(-layer->gathered[i]));
    }
    return IMX_OK;
}

static imx_status run_shared_rows(imx_layer *layer, const imx_layer_input *input, float *change,
                                  bool stop_at_last_input, imx_error *err) {
    const imx_role_set inner =
        IMX_ROLE_BIT(SHARED_GATE) | IMX_ROLE_BIT(SHARED_UP) | IMX_ROLE_BIT(SHARED_ROUTER);
    const size_t n_embd = layer->settings.model->hparams.n_embd;
    imx_layer_input down = *input;
    down.x = layer->up;
    IMX_TRY(imx_layer_show_input(layer, inner, input, err));
    IMX_TRY(imx_layer_run_inner(layer, &imx_shared_network, input->x, input->n_rows, err));
    IMX_TRY(imx_layer_show_input(layer, IMX_ROLE_BIT(SHARED_DOWN), &down, err));
    if (stop_at_last_input) {
        return IMX_OK;
    }
    IMX_TRY(imx_layer_apply(layer, IMX_ROLE_SHARED_DOWN, layer->up, input->n_rows,
                            layer->expert_out, n_embd, err));
    IMX_TRY(gate_shared(layer, input->x, input->n_rows, err));
#pragma omp parallel for num_threads(layer->settings.n_threads)
    for (size_t i = 0; i < input->n_rows; ++i) {
        for (size_t j = 0; j < n_embd; ++j) {
            change[i * n_embd + j] += layer->gathered[i] * layer->expert_out[i * n_embd + j];
        }
    }
    return IMX_OK;
}

static imx_status run_shared(imx_layer *layer, const imx_layer_piece *block, const float *input,
                             bool stop_at_last_input, imx_error *err) {
    const size_t n_embd = layer->settings.model->hparams.n_embd;
    if (!imx_layer_has(layer, IMX_ROLE_SHARED_UP)) {
        return IMX_OK;
    }
    for (size_t i = 0; i < block->n_rows; i += layer->piece_rows) {
        const imx_layer_input rows = {
            .x = input + i * n_embd,
            .n_rows = imx_piece_len(block->n_rows, i, layer->piece_rows),
            .first_token = block->first_token + i,
        };
        IMX_TRY(run_shared_rows(layer, &rows, layer->change + i * n_embd, stop_at_last_input, err));
    }
    return IMX_OK;
}

imx_status imx_layer_feed_experts(imx_layer *layer, const imx_layer_piece *block,
                                  const float *input, bool stop_at_last_input, imx_error *err) {
    const imx_hparams *hparams = &layer->settings.model->hparams;
    memset(layer->change, 0, block->n_rows * hparams->n_embd * sizeof(float));
    IMX_TRY(route_all(layer, block, input, err));
    for (size_t expert = 0; expert < hparams->n_experts; ++expert) {
        IMX_TRY(run_expert(layer, block, input, expert, stop_at_last_input, err));
    }
    return run_shared(layer, block, input, stop_at_last_input, err);
}
