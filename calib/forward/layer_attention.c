// SPDX-License-Identifier: MIT
//
// The attention of a layer: from a normed input n to what is added to the residual stream,
//
//     q, k, v = W_q n, W_k n, W_v n          rotated by position
//     change = W_output · attention(q, k, v)
//
// The three products write side by side into one matrix, as the one product of models that have
// them in one does; the attention takes its strides.

#include <math.h>
#include <stdlib.h>

#include "calib/forward/attention.h"
#include "calib/forward/layer.h"
#include "kernels/split.h"
#include "formats/memory.h"

static float *head_at(const imx_heads *h, size_t row, size_t head) {
    return h->values + row * h->stride + head * h->head_dim;
}

static void number_positions(imx_layer *layer, const imx_layer_piece *piece) {
    uint32_t *position = layer->positions;
    for (size_t c = 0; c < piece->n_chunks; ++c) {
        for (size_t i = 0; i < piece->starts[c + 1] - piece->starts[c]; ++i) {
            *position++ = (uint32_t)i;
        }
    }
}

void imx_layer_rotate(const imx_layer *layer, const imx_heads *h, size_t n_rows) {
    const imx_model *model = layer->settings.model;
    const imx_rope *rope = &layer->ropes[imx_hparams_is_windowed(&model->hparams, layer->index)];
    imx_rotate_fn *rotate =
        model->hparams.rope_has_sections ? imx_rotate_halves : model->arch->rotate;
    if (rotate == NULL || !imx_hparams_is_rotated(&model->hparams, layer->index)) {
        return;
    }
#pragma omp parallel for num_threads(layer->settings.n_threads)
    for (size_t i = 0; i < n_rows; ++i) {
        const size_t angles = layer->positions[i] * rope->n_pairs;
        for (size_t j = 0; j < h->n_heads; ++j) {
            rotate(head_at(h, i, j), rope->cosines + angles, rope->sines + angles, rope->n_pairs);
        }
    }
}

// With temperature τ the queries of position p grow by 1 + τ ln(⌊p / length⌋ + 1): the more keys
// there are, the sharper the attention.
void imx_layer_temper(const imx_layer *layer, const imx_heads *q, size_t n_rows) {
    const imx_hparams *hparams = &layer->settings.model->hparams;
    const uint32_t length = hparams->temperature_length;
    if (hparams->temperature_scale == 0 || length == 0) {
        return;
    }
    for (size_t i = 0; i < n_rows; ++i) {
        const float growth = logf((float)(layer->positions[i] / length) + 1.0f);
        const float scale = 1.0f + hparams->temperature_scale * growth;
        for (size_t j = 0; j < q->n_heads * q->head_dim; ++j) {
            head_at(q, i, 0)[j] *= scale;
        }
    }
}

// Norms runs of n values of every row by a role, if the layer has it. The weight is as long as a
// run, or as the row.
void imx_layer_norm_runs(const imx_layer *layer, imx_role role, const imx_heads *h, size_t n_rows,
                         size_t n) {
    const imx_model *model = layer->settings.model;
    const imx_param *param = &layer->params[role];
    const size_t n_weights = param->n_in * param->n_out;
    if (param->weight == NULL) {
        return;
    }
#pragma omp parallel for num_threads(layer->settings.n_threads)
    for (size_t i = 0; i < n_rows; ++i) {
        float *row = head_at(h, i, 0);
        for (size_t j = 0; j < h->n_heads * h->head_dim; j += n) {
            model->arch->norm(row + j, param->vector + j % n_weights, NULL, model->hparams.norm_eps,
                              n, row + j);
        }
    }
}

static void norm_heads(const imx_layer *layer, const imx_heads *q, const imx_heads *k,
                       size_t n_rows) {
    imx_layer_norm_runs(layer, IMX_ROLE_ATTN_Q_NORM, q, n_rows, q->head_dim);
    imx_layer_norm_runs(layer, IMX_ROLE_ATTN_K_NORM, k, n_rows, k->head_dim);
    imx_layer_norm_runs(layer, IMX_ROLE_ATTN_Q_NORM_EACH, q, n_rows, q->head_dim);
    imx_layer_norm_runs(layer, IMX_ROLE_ATTN_K_NORM_EACH, k, n_rows, k->head_dim);
    imx_layer_norm_runs(layer, IMX_ROLE_ATTN_Q_NORM_ALL, q, n_rows, q->n_heads * q->head_dim);
    imx_layer_norm_runs(layer, IMX_ROLE_ATTN_K_NORM_ALL, k, n_rows, k->n_heads * k->head_dim);
}

static void norm_and_rotate(const imx_layer *layer, const imx_heads *q, const imx_heads *k,
                            size_t n_rows) {
    const bool rotates_first =
        (layer->settings.model->arch->traits & IMX_TRAIT_ROTATES_BEFORE_NORM) != 0;
    if (!rotates_first) {
        norm_heads(layer, q, k, n_rows);
    }
    imx_layer_rotate(layer, q, n_rows);
    imx_layer_rotate(layer, k, n_rows);
    if (rotates_first) {
        norm_heads(layer, q, k, n_rows);
    }
}

// A NaN stays one.
static void clamp(const imx_layer *layer, size_t n) {
    const float limit = layer->settings.model->hparams.clamp_qkv;
    for (size_t i = 0; i < n && limit > 0; ++i) {
        const float x = layer->qkv[i];
        layer->qkv[i] = x < -limit ? -limit : x > limit ? limit : x;
    }
}

// layer->qkv = queries, keys and values side by side.
static imx_status multiply_inputs(imx_layer *layer, const imx_layer_piece *piece,
                                  const float *input, imx_error *err) {
    static const imx_role roles[] = {IMX_ROLE_ATTN_Q, IMX_ROLE_ATTN_K, IMX_ROLE_ATTN_V,
                                     IMX_ROLE_ATTN_QKV};
    const size_t stride = imx_model_dim(layer->settings.model, IMX_DIM_QKV);
    const imx_role_set set =
        IMX_ROLE_BIT(ATTN_Q) | IMX_ROLE_BIT(ATTN_K) | IMX_ROLE_BIT(ATTN_V) | IMX_ROLE_BIT(ATTN_QKV);
    const imx_layer_input shown = {
        .x = input, .n_rows = piece->n_rows, .first_token = piece->first_token};
    IMX_TRY(imx_layer_show_input(layer, set, &shown, err));
    float *out = layer->qkv;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; ++i) {
        if (imx_layer_has(layer, roles[i])) {
            IMX_TRY(imx_layer_apply(layer, roles[i], input, piece->n_rows, out, stride, err));
            out += layer->params[roles[i]].n_out;
        }
    }
    clamp(layer, piece->n_rows * stride);
    return IMX_OK;
}

// What attention of this layer has in common whatever its inputs come from.
imx_attention imx_layer_describe_attention(const imx_layer *layer, const imx_layer_piece *piece) {
    const imx_hparams *hparams = &layer->settings.model->hparams;
    return (imx_attention){
        .n_heads = hparams->n_heads,
        .n_kv_heads = hparams->n_kv_heads,
        .head_dim_k = hparams->head_dim_k,
        .head_dim_v = hparams->head_dim_v,
        .scale = hparams->attention_scale != 0 ? hparams->attention_scale
                                               : 1.0f / sqrtf((float)hparams->head_dim_k),
        .softcap = hparams->attention_softcap,
        .window = imx_hparams_is_windowed(hparams, layer->index) ? hparams->window : 0,
        .slopes = layer->slopes,
        .sinks = layer->params[IMX_ROLE_ATTN_SINKS].vector,
        .n_ctx = layer->settings.n_ctx,
        .n_chunks = piece->n_chunks,
        .starts = piece->starts,
        .out = layer->mixed,
    };
}

static imx_status mix_heads(imx_layer *layer, const imx_layer_piece *piece, const float *input,
                            imx_error *err) {
    const imx_model *model = layer->settings.model;
    const imx_hparams *hparams = &model->hparams;
    const size_t stride = imx_model_dim(model, IMX_DIM_QKV);
    if (imx_layer_has(layer, IMX_ROLE_ATTN_KV_A)) {
        return imx_layer_mix_latent(layer, piece, input, err);
    }
    const imx_heads q = {layer->qkv, hparams->n_heads, hparams->head_dim_k, stride};
    const imx_heads k = {q.values + imx_model_dim(model, IMX_DIM_Q), hparams->n_kv_heads,
                         hparams->head_dim_k, stride};
    IMX_TRY(multiply_inputs(layer, piece, input, err));
    norm_and_rotate(layer, &q, &k, piece->n_rows);
    imx_layer_temper(layer, &q, piece->n_rows);
    imx_attention attention = imx_layer_describe_attention(layer, piece);
    attention.q = q.values;
    attention.k = k.values;
    attention.v = k.values + imx_model_dim(model, IMX_DIM_K);
    attention.q_stride = attention.k_stride = attention.v_stride = stride;
    return imx_attend(&attention, layer->settings.n_threads, err);
}

imx_status imx_layer_attend(imx_layer *layer, const imx_layer_piece *piece, const float *input,
                            imx_error *err) {
    const size_t n_embd = layer->settings.model->hparams.n_embd;
    const imx_layer_input shown = {
        .x = layer->mixed, .n_rows = piece->n_rows, .first_token = piece->first_token};
    number_positions(layer, piece);
    IMX_TRY(mix_heads(layer, piece, input, err));
    IMX_TRY(imx_layer_show_input(layer, IMX_ROLE_BIT(ATTN_OUTPUT), &shown, err));
    return imx_layer_apply(layer, IMX_ROLE_ATTN_OUTPUT, layer->mixed, piece->n_rows, layer->change,
                           n_embd, err);
}

// The slopes of ALiBi fall geometrically from head to head: for 2^a heads, the largest power of two
// not above their number, from 2^(−alibi_max / 2^a) by that same ratio; the heads beyond them lie
// in between.
imx_status imx_layer_open_slopes(imx_layer *layer, imx_error *err) {
    const imx_hparams *hparams = &layer->settings.model->hparams;
    uint32_t n_first = 1;
    if (hparams->alibi_max <= 0) {
        return IMX_OK;
    }
    while (2 * n_first <= hparams->n_heads) {
        n_first *= 2;
    }
    IMX_TRY(imx_alloc_aligned(&layer->slopes, hparams->n_heads, sizeof *layer->slopes, err));
    for (uint32_t head = 0; head < hparams->n_heads; ++head) {
        const double step = head < n_first ? head + 1.0 : (head - n_first) + 0.5;
        layer->slopes[head] = (float)exp2(-(double)hparams->alibi_max * step / n_first);
    }
    return IMX_OK;
}
