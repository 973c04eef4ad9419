// SPDX-License-Identifier: MIT
//
// Within a layer, tokens pass in blocks of whole chunks, about BLOCK_TOKENS each: enough rows for
// the products to be efficient, few enough for the scratch memory of the layer to stay small beside
// its weights. The size of a block does not depend on the number of threads.

#include "calib/walk.h"

#include <inttypes.h>
#include <stdlib.h>

#include "calib/layer.h"
#include "calib/model_internal.h"
#include "calib/split.h"
#include "formats/memory.h"

enum { BLOCK_TOKENS = 2048 };

typedef struct walk {
    const imx_model *model;
    const imx_corpus *corpus;
    const imx_walk_options *options;
    imx_layer layer;
    size_t n_ctx;
    size_t block_rows;
    float *x; // (n_tokens, n_embd) the residual stream
} walk;

static size_t block_len(const walk *w, size_t first_token) {
    return imx_piece_len(w->corpus->n_tokens, first_token, w->block_rows);
}

static imx_status check_tokens(const walk *w, imx_error *err) {
    for (size_t i = 0; i < w->corpus->n_tokens; ++i) {
        const int32_t token = w->corpus->tokens[i];
        if (token < 0 || (uint32_t)token >= w->model->hparams.n_vocab) {
            return imx_fail(err, IMX_ERR_MISMATCH,
                            "%s: token %zu of the text is number %" PRId32
                            " of a vocabulary of %" PRIu32 "; was it made for another model?",
                            w->model->gguf->path, i, token, w->model->hparams.n_vocab);
        }
    }
    return IMX_OK;
}

static void embed_tokens(const walk *w) {
    const imx_gguf_tensor *embedding = w->model->bindings[0][IMX_ROLE_TOKEN_EMBD].weight;
    const imx_type_traits *traits = imx_type_traits_of(embedding->type);
    const size_t n_embd = w->model->hparams.n_embd;
    const size_t row_bytes = (size_t)imx_type_row_bytes(embedding->type, n_embd);
#pragma omp parallel for num_threads(w->layer.n_threads)
    for (size_t i = 0; i < w->corpus->n_tokens; ++i) {
        const size_t token = (size_t)w->corpus->tokens[i];
        traits->decode(embedding->data + token * row_bytes, w->x + i * n_embd, n_embd);
    }
}

static imx_status report_progress(const walk *w, uint32_t layer, size_t n_done, imx_error *err) {
    const size_t n_tokens = w->corpus->n_tokens;
    const uint32_t n_layers = w->model->hparams.n_layers;
    const imx_progress_report report = {
        .phase = "layers",
        .done = n_done == n_tokens ? layer + 1 : layer,
        .total = n_layers,
        .work_done = (uint64_t)layer * n_tokens + n_done,
        .work_total = (uint64_t)n_layers * n_tokens,
    };
    if (!imx_progress_continue(w->options->progress, &report)) {
        return imx_fail(err, IMX_ERR_INTERRUPTED, "stopped in layer %" PRIu32 " of %" PRIu32,
                        layer + 1, n_layers);
    }
    return IMX_OK;
}

static imx_status run_layer(walk *w, uint32_t index, bool stop_at_last_input, imx_error *err) {
    const size_t n_embd = w->model->hparams.n_embd;
    IMX_TRY(imx_layer_load(&w->layer, index, err));
    for (size_t first = 0; first < w->corpus->n_tokens; first += w->block_rows) {
        const size_t n_rows = block_len(w, first);
        IMX_TRY(imx_layer_run(&w->layer, w->x + first * n_embd, first, n_rows, stop_at_last_input,
                              err));
        IMX_TRY(report_progress(w, index, first + n_rows, err));
    }
    return IMX_OK;
}

// The final norm, and the hook on what it yields.
static imx_status finish_walk(walk *w, imx_error *err) {
    const imx_role head = imx_model_head_role(w->model);
    const size_t n_embd = w->model->hparams.n_embd;
    imx_layer *layer = &w->layer;
    IMX_TRY(imx_param_unpack(&layer->params[IMX_ROLE_OUTPUT_NORM], w->model, IMX_ROLE_OUTPUT_NORM,
                             0, layer->n_threads, err));
    imx_layer_norm_rows(layer, IMX_ROLE_OUTPUT_NORM, w->x, w->corpus->n_tokens, w->x);
    if (!w->options->head_input_to_hook) {
        return IMX_OK;
    }
    layer->params[head].name = w->model->bindings[0][head].weight->name;
    layer->params[head].n_in = n_embd;
    for (size_t first = 0; first < w->corpus->n_tokens; first += w->block_rows) {
        IMX_TRY(imx_layer_show_input(layer, &head, 1, w->x + first * n_embd, first,
                                     block_len(w, first), err));
    }
    return IMX_OK;
}

static imx_status run_walk(walk *w, imx_error *err) {
    const uint32_t n_layers = w->model->hparams.n_layers;
    const bool need_output = w->options->need_hidden || w->options->head_input_to_hook;
    IMX_TRY(check_tokens(w, err));
    IMX_TRY(imx_layer_open(&w->layer, w->model, w->n_ctx, w->block_rows, w->options->hook,
                           imx_thread_count(w->options->n_threads), err));
    embed_tokens(w);
    for (uint32_t index = 0; index < n_layers; ++index) {
        IMX_TRY(run_layer(w, index, !need_output && index == n_layers - 1, err));
    }
    return need_output ? finish_walk(w, err) : IMX_OK;
}

imx_status imx_walk_run(const imx_model *model, const imx_corpus *corpus,
                        const imx_walk_options *options, float *hidden, imx_error *err) {
    const size_t n_ctx = imx_piece_len(corpus->n_tokens, 0, corpus->n_ctx);
    const size_t chunks_in_block = BLOCK_TOKENS > n_ctx ? BLOCK_TOKENS / n_ctx : 1;
    walk w = {
        .model = model,
        .corpus = corpus,
        .options = options,
        .n_ctx = n_ctx,
        .block_rows = imx_piece_len(corpus->n_tokens, 0, chunks_in_block * n_ctx),
        .x = hidden,
    };
    if (!options->need_hidden) {
        IMX_TRY(
            imx_alloc_aligned(&w.x, corpus->n_tokens, model->hparams.n_embd * sizeof *w.x, err));
    }
    const imx_status status = run_walk(&w, err);
    imx_layer_close(&w.layer);
    if (!options->need_hidden) {
        free(w.x);
    }
    return status;
}
