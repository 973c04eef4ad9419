// SPDX-License-Identifier: MIT
//
// A layer adds two changes to the residual stream x, each computed from a norm of x:
//
//     x += W_output · attention(rotated W_q n, rotated W_k n, W_v n)      n = norm(x)
//     x += W_down · (activation(W_gate n) ∘ W_up n)                       n = norm(x)

#include "calib/layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calib/attention.h"
#include "calib/split.h"
#include "formats/memory.h"

// The scratch memory of a block: what each kind of row is made of.
static const struct {
    size_t offset; // of the float * in imx_layer
    imx_dim dim;
} scratch[] = {
    {offsetof(imx_layer, normed), IMX_DIM_EMBD}, {offsetof(imx_layer, q), IMX_DIM_Q},
    {offsetof(imx_layer, k), IMX_DIM_K},         {offsetof(imx_layer, v), IMX_DIM_V},
    {offsetof(imx_layer, mixed), IMX_DIM_MIX},   {offsetof(imx_layer, gate), IMX_DIM_FF},
    {offsetof(imx_layer, up), IMX_DIM_FF},       {offsetof(imx_layer, change), IMX_DIM_EMBD},
};

enum { N_SCRATCH = sizeof scratch / sizeof *scratch };

static float **scratch_rows(imx_layer *layer, size_t i) {
    return (float **)((uintptr_t)layer + scratch[i].offset);
}

static imx_status open_rope(imx_layer *layer, imx_error *err) {
    const imx_hparams *hparams = &layer->model->hparams;
    imx_param divisors = {0};
    imx_status status;
    IMX_TRY_GOTO(done, imx_param_unpack(&divisors, layer->model, IMX_ROLE_ROPE_FREQS, 0, 1, err));
    IMX_TRY_GOTO(done,
                 imx_rope_open(&layer->rope, layer->n_ctx, hparams->n_rot / 2, hparams->rope_base,
                               hparams->rope_factor, divisors.weight, err));
done:
    imx_param_free(&divisors);
    return status;
}

imx_status imx_layer_open(imx_layer *layer, const imx_model *model, size_t n_ctx, size_t max_rows,
                          const imx_walk_hook *hook, int n_threads, imx_error *err) {
    *layer = (imx_layer){.model = model, .hook = hook, .n_threads = n_threads, .n_ctx = n_ctx};
    IMX_TRY(imx_alloc_zeroed(&layer->positions, max_rows, sizeof *layer->positions, err));
    for (size_t i = 0; i < N_SCRATCH; ++i) {
        const size_t row_bytes = imx_hparams_dim(&model->hparams, scratch[i].dim) * sizeof(float);
        IMX_TRY(imx_alloc_aligned(scratch_rows(layer, i), max_rows, row_bytes, err));
    }
    return open_rope(layer, err);
}

void imx_layer_close(imx_layer *layer) {
    for (size_t role = 0; role < IMX_N_ROLES; ++role) {
        imx_param_free(&layer->params[role]);
    }
    imx_rope_close(&layer->rope);
    free(layer->positions);
    for (size_t i = 0; i < N_SCRATCH; ++i) {
        free(*scratch_rows(layer, i));
    }
}

uint64_t imx_layer_bytes(const imx_model *model, size_t n_ctx, size_t max_rows, int n_threads) {
    const imx_hparams *hparams = &model->hparams;
    uint64_t n_floats = 2 * n_ctx * (hparams->n_rot / 2);
    for (size_t i = 0; i < N_SCRATCH; ++i) {
        n_floats += max_rows * imx_hparams_dim(hparams, scratch[i].dim);
    }
    for (imx_role role = IMX_FIRST_LAYER_ROLE; role < IMX_N_ROLES; ++role) {
        const imx_role_row *row = &model->arch->roles[role];
        if (row->stem != NULL) { // a bias, if there is one, is as long as a column
            n_floats +=
                (imx_hparams_dim(hparams, row->n_in) + 1) * imx_hparams_dim(hparams, row->n_out);
        }
    }
    return n_floats * sizeof(float) + imx_attention_scratch_bytes(n_ctx, n_threads);
}

imx_status imx_layer_load(imx_layer *layer, uint32_t index, imx_error *err) {
    for (imx_role role = IMX_FIRST_LAYER_ROLE; role < IMX_N_ROLES; ++role) {
        IMX_TRY(imx_param_unpack(&layer->params[role], layer->model, role, index, layer->n_threads,
                                 err));
    }
    return IMX_OK;
}

void imx_layer_norm_rows(const imx_layer *layer, imx_role role, const float *x, size_t n_rows,
                         float *out) {
    const size_t n = layer->model->hparams.n_embd;
    const float eps = layer->model->hparams.norm_eps;
    const float *weight = layer->params[role].weight;
#pragma omp parallel for num_threads(layer->n_threads)
    for (size_t i = 0; i < n_rows; ++i) {
        layer->model->arch->norm(x + i * n, weight, eps, n, out + i * n);
    }
}

static void number_positions(imx_layer *layer, const size_t *starts, size_t n_chunks) {
    uint32_t *position = layer->positions;
    for (size_t c = 0; c < n_chunks; ++c) {
        for (size_t i = 0; i < starts[c + 1] - starts[c]; ++i) {
            *position++ = (uint32_t)i;
        }
    }
}

static void rotate_rows(const imx_layer *layer, float *heads, size_t n_heads, size_t n_rows) {
    const imx_rope *rope = &layer->rope;
    const size_t head_dim = layer->model->hparams.head_dim_k;
#pragma omp parallel for num_threads(layer->n_threads)
    for (size_t i = 0; i < n_rows; ++i) {
        const size_t angles = layer->positions[i] * rope->n_pairs;
        for (size_t h = 0; h < n_heads; ++h) {
            layer->model->arch->rotate(heads + (i * n_heads + h) * head_dim, rope->cosines + angles,
                                       rope->sines + angles, rope->n_pairs);
        }
    }
}

static void gate_rows(const imx_layer *layer, size_t n_rows) {
    const size_t n = layer->model->hparams.n_ff;
#pragma omp parallel for num_threads(layer->n_threads)
    for (size_t i = 0; i < n_rows; ++i) {
        layer->model->arch->gate(layer->gate + i * n, layer->up + i * n, n);
    }
}

static void add_change(const imx_layer *layer, float *x, size_t n_rows) {
    const size_t n = n_rows * layer->model->hparams.n_embd;
#pragma omp parallel for num_threads(layer->n_threads)
    for (size_t i = 0; i < n; ++i) {
        x[i] += layer->change[i];
    }
}

imx_status imx_layer_show_input(const imx_layer *layer, const imx_role *roles, size_t n_roles,
                                const float *x, size_t first_token, size_t n_rows, imx_error *err) {
    const char *names[IMX_N_ROLES];
    imx_walk_input input = {
        .weights = names,
        .x = x,
        .n_rows = n_rows,
        .first_token = first_token,
        .n_mats = 1,
    };
    for (size_t i = 0; i < n_roles; ++i) {
        const imx_param *param = &layer->params[roles[i]];
        if (param->name != NULL) {
            names[input.n_weights++] = param->name;
            input.n_cols = param->n_in;
        }
    }
    if (layer->hook == NULL || input.n_weights == 0) {
        return IMX_OK;
    }
    return layer->hook->on_input(layer->hook->context, &input, err);
}

static imx_status apply(const imx_layer *layer, imx_role role, const float *x, size_t n_rows,
                        float *y, imx_error *err) {
    return imx_param_apply(&layer->params[role], x, n_rows, y, layer->n_threads, err);
}

static imx_status attend(imx_layer *layer, const size_t *starts, size_t n_chunks, imx_error *err) {
    const imx_hparams *hparams = &layer->model->hparams;
    const size_t n_rows = starts[n_chunks] - starts[0];
    number_positions(layer, starts, n_chunks);
    rotate_rows(layer, layer->q, hparams->n_heads, n_rows);
    rotate_rows(layer, layer->k, hparams->n_kv_heads, n_rows);
    return imx_attend(&(imx_attention){.n_heads = hparams->n_heads,
                                       .n_kv_heads = hparams->n_kv_heads,
                                       .head_dim_k = hparams->head_dim_k,
                                       .head_dim_v = hparams->head_dim_v,
                                       .scale = 1.0f / sqrtf((float)hparams->head_dim_k),
                                       .n_ctx = layer->n_ctx,
                                       .n_chunks = n_chunks,
                                       .starts = starts,
                                       .q = layer->q,
                                       .k = layer->k,
                                       .v = layer->v,
                                       .out = layer->mixed},
                      layer->n_threads, err);
}

static imx_status run_attention(imx_layer *layer, float *x, const size_t *starts, size_t n_chunks,
                                imx_error *err) {
    static const imx_role inner[] = {IMX_ROLE_ATTN_Q, IMX_ROLE_ATTN_K, IMX_ROLE_ATTN_V};
    static const imx_role outer[] = {IMX_ROLE_ATTN_OUTPUT};
    const size_t first_token = starts[0];
    const size_t n_rows = starts[n_chunks] - first_token;
    imx_layer_norm_rows(layer, IMX_ROLE_ATTN_NORM, x, n_rows, layer->normed);
    IMX_TRY(imx_layer_show_input(layer, inner, 3, layer->normed, first_token, n_rows, err));
    IMX_TRY(apply(layer, IMX_ROLE_ATTN_Q, layer->normed, n_rows, layer->q, err));
    IMX_TRY(apply(layer, IMX_ROLE_ATTN_K, layer->normed, n_rows, layer->k, err));
    IMX_TRY(apply(layer, IMX_ROLE_ATTN_V, layer->normed, n_rows, layer->v, err));
    IMX_TRY(attend(layer, starts, n_chunks, err));
    IMX_TRY(imx_layer_show_input(layer, outer, 1, layer->mixed, first_token, n_rows, err));
    IMX_TRY(apply(layer, IMX_ROLE_ATTN_OUTPUT, layer->mixed, n_rows, layer->change, err));
    add_change(layer, x, n_rows);
    return IMX_OK;
}

static imx_status run_feed_forward(imx_layer *layer, float *x, size_t first_token, size_t n_rows,
                                   bool stop_at_last_input, imx_error *err) {
    static const imx_role inner[] = {IMX_ROLE_FFN_GATE, IMX_ROLE_FFN_UP};
    static const imx_role outer[] = {IMX_ROLE_FFN_DOWN};
    imx_layer_norm_rows(layer, IMX_ROLE_FFN_NORM, x, n_rows, layer->normed);
    IMX_TRY(imx_layer_show_input(layer, inner, 2, layer->normed, first_token, n_rows, err));
    IMX_TRY(apply(layer, IMX_ROLE_FFN_GATE, layer->normed, n_rows, layer->gate, err));
    IMX_TRY(apply(layer, IMX_ROLE_FFN_UP, layer->normed, n_rows, layer->up, err));
    gate_rows(layer, n_rows);
    IMX_TRY(imx_layer_show_input(layer, outer, 1, layer->up, first_token, n_rows, err));
    if (stop_at_last_input) {
        return IMX_OK;
    }
    IMX_TRY(apply(layer, IMX_ROLE_FFN_DOWN, layer->up, n_rows, layer->change, err));
    add_change(layer, x, n_rows);
    return IMX_OK;
}

imx_status imx_layer_run(imx_layer *layer, float *x, const size_t *starts, size_t n_chunks,
                         bool stop_at_last_input, imx_error *err) {
    const size_t n_rows = starts[n_chunks] - starts[0];
    IMX_TRY(run_attention(layer, x, starts, n_chunks, err));
    return run_feed_forward(layer, x, starts[0], n_rows, stop_at_last_input, err);
}
