// SPDX-License-Identifier: MIT
//
// Latent attention (DeepSeek 2 and 3, Kimi K2): what a token leaves for later ones is not a key and
// a value for each head but one short vector c, the latent, and one rotated key t that all heads
// share.
//
//     q_h, r_h = W_q n          of each head h, or W_qb norm(W_qa n); r_h is rotated
//     c, t     = W_kva n        c is normed, t rotated
//     score    = q_h · K_h c + r_h · t
//     mix_h    = sum of p V_h c
//
// Files come in two forms. The older one has all K_h and V_h in one matrix, which unfolds keys and
// values from the latent; attention is then as elsewhere, with the key (K_h c, t). The newer one
// has every K_h transposed and turns the products around,
//
//     score    = K_hᵀ q_h · c + r_h · t            the query is folded to the size of the latent
//     mix_h    = V_h · sum of p c                  values unfold after they are mixed
//
// so that all heads attend to the same key (c, t) and the same value c. The results are the same;
// the inputs of the products, which the statistics are about, are others: that is why either form
// is computed as the file has it, although unfolding is less work for chunks of several hundred
// tokens.

#include <string.h>

#include "calib/forward/layer.h"

// Sizes of the parts that rows are made of.
typedef struct latent_sizes {
    size_t n_heads;
    size_t unrotated; // of a query or key
    size_t n_rot;
    size_t latent;
    size_t q_stride;   // of layer->qkv
    size_t key_stride; // of layer->latent_key
} latent_sizes;

static latent_sizes sizes_of(const imx_model *model) {
    return (latent_sizes){
        .n_heads = model->hparams.n_heads,
        .unrotated = imx_model_dim(model, IMX_DIM_UNROTATED),
        .n_rot = model->hparams.n_rot,
        .latent = model->hparams.latent,
        .q_stride = imx_model_dim(model, IMX_DIM_QKV),
        .key_stride = imx_model_dim(model, IMX_DIM_LATENT_AND_ROT),
    };
}

static imx_layer_input rows_of(const imx_layer_piece *piece, const float *x) {
    return (imx_layer_input){.x = x, .n_rows = piece->n_rows, .first_token = piece->first_token};
}

// Queries of all heads, in layer->qkv.
static imx_status make_queries(imx_layer *layer, const imx_layer_piece *piece, const float *input,
                               imx_error *err) {
    const size_t rank = layer->settings.model->hparams.q_rank;
    const size_t stride = sizes_of(layer->settings.model).q_stride;
    if (imx_layer_has(layer, IMX_ROLE_ATTN_Q)) {
        return imx_layer_apply(layer, IMX_ROLE_ATTN_Q, input, piece->n_rows, layer->qkv, stride,
                               err);
    }
    const imx_layer_input low = rows_of(piece, layer->q_low);
    const imx_heads whole = {layer->q_low, 1, rank, rank};
    IMX_TRY(
        imx_layer_apply(layer, IMX_ROLE_ATTN_Q_A, input, piece->n_rows, layer->q_low, rank, err));
    imx_layer_norm_runs(layer, IMX_ROLE_ATTN_Q_A_NORM, &whole, piece->n_rows, rank);
    IMX_TRY(imx_layer_show_input(layer, IMX_ROLE_BIT(ATTN_Q_B), &low, err));
    return imx_layer_apply(layer, IMX_ROLE_ATTN_Q_B, layer->q_low, piece->n_rows, layer->qkv,
                           stride, err);
}

// Queries, and layer->latent_key = (c, t).
static imx_status make_inputs(imx_layer *layer, const imx_layer_piece *piece, const float *input,
                              imx_error *err) {
    const latent_sizes s = sizes_of(layer->settings.model);
    const size_t head_dim = s.unrotated + s.n_rot;
    const imx_role_set set =
        IMX_ROLE_BIT(ATTN_Q) | IMX_ROLE_BIT(ATTN_Q_A) | IMX_ROLE_BIT(ATTN_KV_A);
    const imx_layer_input shown = rows_of(piece, input);
    const imx_heads rotated_q = {layer->qkv + s.unrotated, s.n_heads, head_dim, s.q_stride};
    const imx_heads latent = {layer->latent_key, 1, s.latent, s.key_stride};
    const imx_heads rotated_key = {layer->latent_key + s.latent, 1, s.n_rot, s.key_stride};
    IMX_TRY(imx_layer_show_input(layer, set, &shown, err));
    IMX_TRY(make_queries(layer, piece, input, err));
    IMX_TRY(imx_layer_apply(layer, IMX_ROLE_ATTN_KV_A, input, piece->n_rows, layer->latent_key,
                            s.key_stride, err));
    imx_layer_norm_runs(layer, IMX_ROLE_ATTN_KV_A_NORM, &latent, piece->n_rows, s.latent);
    imx_layer_rotate(layer, &rotated_q, piece->n_rows);
    imx_layer_rotate(layer, &rotated_key, piece->n_rows);
    return IMX_OK;
}

static void copy(float *to, const float *from, size_t n) {
    memcpy(to, from, n * sizeof *to);
}

// ---------------------------------------------------------------------------------------------
// The older form

// Puts keys and values of a token in order, from what the latent has unfolded to.
static void sort_unfolded(const imx_layer *layer, size_t row, float *k, float *v) {
    const imx_model *model = layer->settings.model;
    const size_t dim_v = model->hparams.head_dim_v;
    const latent_sizes s = sizes_of(model);
    const float *from = layer->unfolded + row * imx_model_dim(model, IMX_DIM_KV_B);
    const float *shared = layer->latent_key + row * s.key_stride + s.latent;
    for (size_t head = 0; head < model->hparams.n_kv_heads; ++head) {
        copy(k, from, s.unrotated);
        copy(k + s.unrotated, shared, s.n_rot);
        copy(v, from + s.unrotated, dim_v);
        from += s.unrotated + dim_v;
        k += s.unrotated + s.n_rot;
        v += dim_v;
    }
}

static imx_status attend_unfolded(imx_layer *layer, const imx_layer_piece *piece, imx_error *err) {
    const imx_model *model = layer->settings.model;
    const latent_sizes s = sizes_of(model);
    const imx_layer_input shown = rows_of(piece, layer->latent);
    const imx_heads q = {layer->qkv, s.n_heads, s.unrotated + s.n_rot, s.q_stride};
    float *keys = layer->qkv + imx_model_dim(model, IMX_DIM_Q);
    float *values = keys + imx_model_dim(model, IMX_DIM_K);
    for (size_t i = 0; i < piece->n_rows; ++i) {
        copy(layer->latent + i * s.latent, layer->latent_key + i * s.key_stride, s.latent);
    }
    IMX_TRY(imx_layer_show_input(layer, IMX_ROLE_BIT(ATTN_KV_B), &shown, err));
    IMX_TRY(imx_layer_apply(layer, IMX_ROLE_ATTN_KV_B, layer->latent, piece->n_rows,
                            layer->unfolded, imx_model_dim(model, IMX_DIM_KV_B), err));
    for (size_t i = 0; i < piece->n_rows; ++i) {
        sort_unfolded(layer, i, keys + i * s.q_stride, values + i * s.q_stride);
    }
    imx_layer_temper(layer, &q, piece->n_rows);
    imx_attention attention = imx_layer_describe_attention(layer, piece);
    attention.q = layer->qkv;
    attention.k = keys;
    attention.v = values;
    attention.q_stride = attention.k_stride = attention.v_stride = s.q_stride;
    return imx_attend(&attention, layer->settings.n_threads, err);
}

// ---------------------------------------------------------------------------------------------
// The newer form

// y = the product of every head's matrix with its part of x; the parts of a row of y are y_step
// apart.
static imx_status apply_by_head(imx_layer *layer, imx_role role, const imx_layer_input *input,
                                float *y, size_t y_step, imx_error *err) {
    const int n_threads = layer->settings.n_threads;
    imx_param *param = &layer->params[role];
    IMX_TRY(imx_layer_show_input(layer, (imx_role_set)1 << role, input, err));
    for (size_t head = 0; head < param->n_mats; ++head) {
        IMX_TRY(imx_param_unpack(param, head, n_threads, err));
        IMX_TRY(imx_param_apply(param, input->x + head * param->n_in, param->n_mats * param->n_in,
                                input->n_rows, y + head * y_step, param->n_mats * y_step, n_threads,
                                err));
    }
    return IMX_OK;
}

// Cuts the queries into what is folded and what is not.
static void cut_queries(const imx_layer *layer, size_t n_rows) {
    const latent_sizes s = sizes_of(layer->settings.model);
#pragma omp parallel for num_threads(layer->settings.n_threads)
    for (size_t i = 0; i < n_rows; ++i) {
        const float *q = layer->qkv + i * s.q_stride;
        for (size_t head = 0; head < s.n_heads; ++head) {
            const size_t at = i * s.n_heads + head;
            copy(layer->unrotated + at * s.unrotated, q, s.unrotated);
            copy(layer->folded + at * s.key_stride + s.latent, q + s.unrotated, s.n_rot);
            q += s.unrotated + s.n_rot;
        }
    }
}

static imx_status attend_folded(imx_layer *layer, const imx_layer_piece *piece, imx_error *err) {
    const latent_sizes s = sizes_of(layer->settings.model);
    const imx_layer_input unrotated = rows_of(piece, layer->unrotated);
    const imx_layer_input mixed = rows_of(piece, layer->mixed_latent);
    const imx_heads q = {layer->folded, s.n_heads, s.key_stride, s.n_heads * s.key_stride};
    cut_queries(layer, piece->n_rows);
    IMX_TRY(apply_by_head(layer, IMX_ROLE_ATTN_K_B, &unrotated, layer->folded, s.key_stride, err));
    imx_layer_temper(layer, &q, piece->n_rows);
    imx_attention attention = imx_layer_describe_attention(layer, piece);
    attention.n_kv_heads = 1;
    attention.head_dim_k = s.key_stride;
    attention.head_dim_v = s.latent;
    attention.q = layer->folded;
    attention.q_stride = q.stride;
    attention.k = attention.v = layer->latent_key;
    attention.k_stride = attention.v_stride = s.key_stride;
    attention.out = layer->mixed_latent;
    IMX_TRY(imx_attend(&attention, layer->settings.n_threads, err));
    return apply_by_head(layer, IMX_ROLE_ATTN_V_B, &mixed, layer->mixed,
                         layer->settings.model->hparams.head_dim_v, err);
}

imx_status imx_layer_mix_latent(imx_layer *layer, const imx_layer_piece *piece, const float *input,
                                imx_error *err) {
    IMX_TRY(make_inputs(layer, piece, input, err));
    return imx_layer_has(layer, IMX_ROLE_ATTN_KV_B) ? attend_unfolded(layer, piece, err)
                                                    : attend_folded(layer, piece, err);
}
