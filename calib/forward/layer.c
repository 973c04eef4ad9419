// SPDX-License-Identifier: MIT
//
// A layer adds two changes to the residual stream x, each computed from a norm of x:
//
//     x += attention(norm(x))        x += network(norm(x))
//
// Where families differ: a change may be normed before it is added, or scaled; a norm may be
// missing; and both changes may be computed from the same x before either is added ("parallel").
// What is inside the attention, the network and the mixture of experts is in files of their own.

#include "calib/forward/layer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "calib/forward/attention.h"
#include "calib/model/shown_weights.h"
#include "formats/memory.h"
#include "kernels/split.h"

enum { PER_PIECE, PER_BLOCK };
#define ALWAYS IMX_N_ROLES

enum { MAX_PARTS = 6 };

// The scratch memory: what each kind of row is made of, the longest of those parts whose roles the
// model has. What no tensor vouches for takes no memory, whatever the metadata says.
static const struct scratch_row {
    size_t offset; // of the pointer in imx_layer
    int rows;
    struct part {
        imx_role role;
        imx_dim dim;
    } parts[MAX_PARTS]; // up to one of role 0
} scratch[] = {
    {offsetof(imx_layer, positions), PER_PIECE, {{ALWAYS, IMX_DIM_ONE}}},
    {offsetof(imx_layer, qkv), PER_PIECE, {{ALWAYS, IMX_DIM_QKV}}},
    {offsetof(imx_layer, mixed), PER_PIECE, {{ALWAYS, IMX_DIM_MIX}}},
    {offsetof(imx_layer, gate),
     PER_PIECE,
     {{IMX_ROLE_FFN_UP, IMX_DIM_FF},
      {IMX_ROLE_FFN_GATE_UP, IMX_DIM_FF_TWICE},
      {IMX_ROLE_EXPERTS_UP, IMX_DIM_FF_EXPERT},
      {IMX_ROLE_EXPERTS_GATE_UP, IMX_DIM_FF_EXPERT_TWICE},
      {IMX_ROLE_SHARED_UP, IMX_DIM_FF_SHARED}}},
    {offsetof(imx_layer, up),
     PER_PIECE,
     {{IMX_ROLE_FFN_DOWN, IMX_DIM_FF},
      {IMX_ROLE_EXPERTS_DOWN, IMX_DIM_FF_EXPERT},
      {IMX_ROLE_SHARED_DOWN, IMX_DIM_FF_SHARED}}},
    {offsetof(imx_layer, q_low), PER_PIECE, {{IMX_ROLE_ATTN_Q_A, IMX_DIM_Q_RANK}}},
    {offsetof(imx_layer, latent_key), PER_PIECE, {{IMX_ROLE_ATTN_KV_A, IMX_DIM_LATENT_AND_ROT}}},
    {offsetof(imx_layer, latent), PER_PIECE, {{IMX_ROLE_ATTN_KV_B, IMX_DIM_LATENT}}},
    {offsetof(imx_layer, unfolded), PER_PIECE, {{IMX_ROLE_ATTN_KV_B, IMX_DIM_KV_B}}},
    {offsetof(imx_layer, unrotated), PER_PIECE, {{IMX_ROLE_ATTN_K_B, IMX_DIM_Q_UNROTATED}}},
    {offsetof(imx_layer, folded), PER_PIECE, {{IMX_ROLE_ATTN_K_B, IMX_DIM_FOLDED}}},
    {offsetof(imx_layer, mixed_latent), PER_PIECE, {{IMX_ROLE_ATTN_V_B, IMX_DIM_MIX_LATENT}}},
    {offsetof(imx_layer, normed), PER_BLOCK, {{ALWAYS, IMX_DIM_EMBD}}},
    {offsetof(imx_layer, change), PER_BLOCK, {{ALWAYS, IMX_DIM_EMBD}}},
    {offsetof(imx_layer, gathered), PER_PIECE, {{IMX_ROLE_ROUTER, IMX_DIM_EMBD}}},
    {offsetof(imx_layer, expert_out), PER_PIECE, {{IMX_ROLE_ROUTER, IMX_DIM_EMBD}}},
    {offsetof(imx_layer, gate_weights), PER_BLOCK, {{IMX_ROLE_ROUTER, IMX_DIM_EXPERTS}}},
    {offsetof(imx_layer, rows), PER_BLOCK, {{IMX_ROLE_ROUTER, IMX_DIM_ONE}}},
    {offsetof(imx_layer, tokens), PER_BLOCK, {{IMX_ROLE_ROUTER, IMX_DIM_ONE}}},
};

enum { N_SCRATCH = sizeof scratch / sizeof *scratch };

_Static_assert(sizeof(float) == sizeof(uint32_t), "all scratch values are of one size");

static float **scratch_pointer(imx_layer *layer, size_t i) {
    return (float **)((uintptr_t)layer + scratch[i].offset);
}

static size_t piece_rows(const imx_layer_settings *settings) {
    const size_t most =
        settings->n_ctx > IMX_LAYER_PIECE_TOKENS ? settings->n_ctx : IMX_LAYER_PIECE_TOKENS;
    return settings->max_rows < most ? settings->max_rows : most;
}

static bool some_layer_has(const imx_model *model, imx_role role) {
    uint32_t layer = 0;
    while (layer < model->hparams.n_layers && !imx_model_has(model, layer, role)) {
        ++layer;
    }
    return layer < model->hparams.n_layers;
}

// Values of scratch memory of kind `i`.
static size_t scratch_values(const imx_layer_settings *settings, size_t i) {
    const imx_model *model = settings->model;
    const size_t n_rows = scratch[i].rows == PER_PIECE ? piece_rows(settings) : settings->max_rows;
    size_t longest = 0;
    for (const struct part *part = scratch[i].parts; part->role != 0; ++part) {
        const size_t n = imx_model_dim(model, part->dim);
        if (n > longest && (part->role == ALWAYS || some_layer_has(model, part->role))) {
            longest = n;
        }
    }
    return n_rows * longest;
}

// Llama 3 and its like carry one set of divisors, others one for contexts beyond the original one
// and one for the rest. The context is the one that the text was cut for, whatever its chunks have:
// the same model then stands behind all of them. llama.cpp rounds it up so.
static imx_role rope_divisors(const imx_layer_settings *settings) {
    const uint64_t n_ctx = imx_align_up(settings->wanted_ctx, 256);
    if (imx_model_has(settings->model, 0, IMX_ROLE_ROPE_FREQS)) {
        return IMX_ROLE_ROPE_FREQS;
    }
    return n_ctx > settings->model->hparams.n_original_context ? IMX_ROLE_ROPE_LONG
                                                               : IMX_ROLE_ROPE_SHORT;
}

static imx_status open_ropes(imx_layer *layer, imx_error *err) {
    const imx_hparams *hparams = &layer->settings.model->hparams;
    imx_param divisors = {0};
    imx_status status;
    IMX_TRY_GOTO(done, imx_param_load(&divisors, layer->settings.model,
                                      rope_divisors(&layer->settings), 0, 1, err));
    for (int is_windowed = 0; is_windowed <= (hparams->window > 0); ++is_windowed) {
        IMX_TRY_GOTO(done, imx_rope_open(&layer->ropes[is_windowed], layer->settings.n_ctx, hparams,
                                         is_windowed, divisors.vector, err));
    }
done:
    imx_param_free(&divisors);
    return status;
}

// A router is always exact: its choice can turn on a small difference, and its product is small.
static imx_operands operands_of(const imx_layer_settings *settings, imx_role role) {
    return imx_operands_for(role == IMX_ROLE_ROUTER ? IMX_PRECISION_EXACT : settings->precision);
}

imx_status imx_layer_open(imx_layer *layer, const imx_layer_settings *settings, imx_error *err) {
    *layer = (imx_layer){.settings = *settings, .piece_rows = piece_rows(settings)};
    for (imx_role role = 0; role < IMX_N_ROLES; ++role) {
        layer->params[role].panels.operands = operands_of(settings, role);
        layer->params[role].panels.rows = &layer->rows_in_hand;
    }
    for (size_t i = 0; i < N_SCRATCH; ++i) {
        IMX_TRY(imx_alloc_aligned(scratch_pointer(layer, i), scratch_values(settings, i),
                                  sizeof(float), err));
    }
    IMX_TRY(imx_layer_open_slopes(layer, err));
    return open_ropes(layer, err);
}

void imx_layer_close(imx_layer *layer) {
    for (size_t role = 0; role < IMX_N_ROLES; ++role) {
        imx_param_free(&layer->params[role]);
    }
    imx_rope_close(&layer->ropes[0]);
    imx_rope_close(&layer->ropes[1]);
    free(layer->rows_in_hand.values);
    free(layer->slopes);
    for (size_t i = 0; i < N_SCRATCH; ++i) {
        free(*scratch_pointer(layer, i));
    }
}

// The most a role takes in any layer.
static uint64_t most_param_bytes(const imx_layer_settings *settings, imx_role role) {
    uint64_t most = 0;
    for (uint32_t layer = 0; layer < settings->model->hparams.n_layers; ++layer) {
        const uint64_t n_bytes =
            imx_param_bytes(settings->model, role, layer, operands_of(settings, role));
        most = n_bytes > most ? n_bytes : most;
    }
    return most;
}

// The most that the rows of a product take while they are multiplied.
static uint64_t most_product_bytes(const imx_layer_settings *settings) {
    uint64_t most = 0;
    for (imx_role role = IMX_FIRST_LAYER_ROLE; role < IMX_N_ROLES; ++role) {
        const size_t n_in = imx_model_dim(settings->model, imx_role_row_of(role)->n_in);
        const uint64_t n_bytes =
            imx_panels_scratch_bytes(n_in, piece_rows(settings), operands_of(settings, role));
        if (n_bytes > most && imx_role_is_product(role) && some_layer_has(settings->model, role)) {
            most = n_bytes;
        }
    }
    return most;
}

uint64_t imx_layer_bytes(const imx_layer_settings *settings) {
    const imx_model *model = settings->model;
    uint64_t n_bytes = 4 * settings->n_ctx * imx_model_dim(model, IMX_DIM_PAIRS) * sizeof(float) +
                       imx_attention_scratch_bytes(settings->n_ctx, settings->n_threads) +
                       most_product_bytes(settings);
    for (size_t i = 0; i < N_SCRATCH; ++i) {
        n_bytes += scratch_values(settings, i) * sizeof(float);
    }
    for (imx_role role = 0; role < IMX_N_ROLES; ++role) {
        const bool is_whole_vocabulary = role == IMX_ROLE_TOKEN_EMBD || role == IMX_ROLE_OUTPUT;
        n_bytes += is_whole_vocabulary ? 0 : most_param_bytes(settings, role);
    }
    return n_bytes;
}

imx_status imx_layer_load(imx_layer *layer, uint32_t index, imx_error *err) {
    const imx_layer_settings *settings = &layer->settings;
    layer->index = index;
    for (imx_role role = IMX_FIRST_LAYER_ROLE; role < IMX_N_ROLES; ++role) {
        IMX_TRY(imx_param_load(&layer->params[role], settings->model, role, index,
                               settings->n_threads, err));
    }
    return IMX_OK;
}

void imx_layer_norm_rows(const imx_layer *layer, imx_role role, const float *x, size_t n_rows,
                         float *out) {
    const imx_model *model = layer->settings.model;
    const size_t n = model->hparams.n_embd;
    const imx_param *param = &layer->params[role];
#pragma omp parallel for num_threads(layer->settings.n_threads)
    for (size_t i = 0; i < n_rows; ++i) {
        model->arch->norm(x + i * n, param->vector, param->bias, model->hparams.norm_eps, n,
                          out + i * n);
    }
}

imx_status imx_layer_show_input(const imx_layer *layer, imx_role_set set,
                                const imx_layer_input *input, imx_error *err) {
    const imx_walk_hook *hook = layer->settings.hook;
    const char *names[IMX_N_ROLES];
    imx_walk_input shown = {
        .weights = names,
        .x = input->x,
        .n_rows = input->n_rows,
        .first_token = input->first_token,
        .tokens = input->tokens,
        .mat = input->mat,
    };
    for (imx_role role = 0; role < IMX_N_ROLES; ++role) {
        const imx_param *param = &layer->params[role];
        if (imx_role_is_in(set, role) && param->weight != NULL) {
            const imx_input_shape shape = imx_model_input_shape(layer->settings.model, role);
            names[shown.n_weights++] = param->weight->name;
            shown.n_cols = shape.n_cols;
            shown.n_mats = shape.n_mats;
        }
    }
    if (hook == NULL || shown.n_weights == 0 || input->n_rows == 0) {
        return IMX_OK;
    }
    return hook->on_input(hook->context, &shown, err);
}

imx_status imx_layer_apply(const imx_layer *layer, imx_role role, const float *x, size_t n_rows,
                           float *y, size_t y_stride, imx_error *err) {
    const imx_param *param = &layer->params[role];
    return imx_param_apply(param, x, param->n_in, n_rows, y, y_stride, layer->settings.n_threads,
                           err);
}

// x += the change of the first n_rows rows, normed by `post_norm` if the model has that.
static void add_change(const imx_layer *layer, imx_role post_norm, float *x, size_t n_rows) {
    const imx_model *model = layer->settings.model;
    const float scale = model->hparams.residual_scale != 0 ? model->hparams.residual_scale : 1;
    const size_t n = n_rows * model->hparams.n_embd;
    if (imx_role_is_in(model->arch->roles, post_norm)) {
        imx_layer_norm_rows(layer, post_norm, layer->change, n_rows, layer->change);
    }
#pragma omp parallel for num_threads(layer->settings.n_threads)
    for (size_t i = 0; i < n; ++i) {
        x[i] += scale * layer->change[i];
    }
}

static bool has_norm(const imx_layer *layer, imx_role role) {
    return imx_layer_has(layer, role) ||
           (layer->settings.model->arch->traits & IMX_TRAIT_PLAIN_NORMS) != 0;
}

// x normed by the first of two roles that the layer has, or x itself where it has none.
static const float *norm_input(const imx_layer *layer, imx_role first, imx_role second,
                               const float *x, size_t n_rows) {
    if (!has_norm(layer, first) && !has_norm(layer, second)) {
        return x;
    }
    imx_layer_norm_rows(layer, has_norm(layer, first) ? first : second, x, n_rows, layer->normed);
    return layer->normed;
}

static bool is_parallel(const imx_layer *layer) {
    const imx_model *model = layer->settings.model;
    return model->hparams.is_parallel ||
           ((model->arch->traits & IMX_TRAIT_PARALLEL_WITHOUT_NORM) != 0 &&
            !has_norm(layer, IMX_ROLE_FFN_NORM));
}

// Experts are left for the whole block.
static imx_status run_piece(imx_layer *layer, const imx_layer_piece *piece, bool stop_at_last_input,
                            imx_error *err) {
    const size_t n_rows = piece->n_rows;
    const bool parallel = is_parallel(layer);
    const float *input =
        norm_input(layer, IMX_ROLE_ATTN_NORM_2, IMX_ROLE_ATTN_NORM, piece->x, n_rows);
    IMX_TRY(imx_layer_attend(layer, piece, input, err));
    if (parallel) {
        input = norm_input(layer, IMX_ROLE_FFN_NORM, IMX_ROLE_ATTN_NORM, piece->x, n_rows);
    }
    add_change(layer, IMX_ROLE_ATTN_POST_NORM, piece->x, n_rows);
    if (imx_layer_has(layer, IMX_ROLE_ROUTER)) {
        return IMX_OK;
    }
    if (!parallel) {
        input = norm_input(layer, IMX_ROLE_FFN_NORM, IMX_ROLE_FFN_NORM_LATE, piece->x, n_rows);
    }
    IMX_TRY(imx_layer_feed_forward(layer, piece, input, stop_at_last_input, err));
    if (!stop_at_last_input) {
        add_change(layer, IMX_ROLE_FFN_POST_NORM, piece->x, n_rows);
    }
    return IMX_OK;
}

static imx_status run_experts(imx_layer *layer, const imx_layer_piece *block,
                              bool stop_at_last_input, imx_error *err) {
    assert(!is_parallel(layer));
    const float *input =
        norm_input(layer, IMX_ROLE_FFN_NORM, IMX_ROLE_FFN_NORM_LATE, block->x, block->n_rows);
    IMX_TRY(imx_layer_feed_experts(layer, block, input, stop_at_last_input, err));
    if (!stop_at_last_input) {
        add_change(layer, IMX_ROLE_FFN_POST_NORM, block->x, block->n_rows);
    }
    return IMX_OK;
}

size_t imx_layer_chunks_within(const size_t *starts, size_t n_chunks, size_t max_tokens) {
    size_t n = 1;
    while (n < n_chunks && starts[n + 1] - starts[0] <= max_tokens) {
        ++n;
    }
    return n;
}

static imx_layer_piece piece_of(float *x, const size_t *starts, size_t n_chunks) {
    return (imx_layer_piece){starts, n_chunks, starts[0], starts[n_chunks] - starts[0], x};
}

imx_status imx_layer_run(imx_layer *layer, float *x, const size_t *starts, size_t n_chunks,
                         bool stop_at_last_input, imx_error *err) {
    const size_t n_embd = layer->settings.model->hparams.n_embd;
    for (size_t first = 0, n; first < n_chunks; first += n) {
        n = imx_layer_chunks_within(starts + first, n_chunks - first, IMX_LAYER_PIECE_TOKENS);
        const imx_layer_piece piece =
            piece_of(x + (starts[first] - starts[0]) * n_embd, starts + first, n);
        IMX_TRY(run_piece(layer, &piece, stop_at_last_input, err));
    }
    if (!imx_layer_has(layer, IMX_ROLE_ROUTER)) {
        return IMX_OK;
    }
    const imx_layer_piece block = piece_of(x, starts, n_chunks);
    return run_experts(layer, &block, stop_at_last_input, err);
}
