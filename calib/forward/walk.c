// SPDX-License-Identifier: MIT
//
// Within a layer, tokens pass in blocks of whole chunks, about IMX_LAYER_PIECE_TOKENS each: enough
// rows for the products to be efficient, few enough for the scratch memory of the layer to stay
// small beside its weights. An expert gets a share of them only, so that blocks are larger where
// there are experts. Blocks depend on corpus and model only, not on threads or memory: where a
// product is cut shows in the last bits of its results.
//
// A block is loaded from the residual stream, carried through the layer and stored. Between blocks
// the stream is therefore whole: the chunks before the cut have passed the layer, those behind it
// not yet. A walk can stop at any such place and another one can start there. The embedding is the
// beginning of the first layer and the final norm is one more layer, so that they need no passes
// and no places of their own.
//
// Where a hook changes a layer's weights after it has seen their inputs, the layer is passed twice.
// The first pass works on copies of the blocks and ends behind the last input; what it leaves is
// with the hook alone, so that there is no place within it to go on from.

#include "calib/forward/walk.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "calib/forward/layer.h"
#include "calib/model/model_internal.h"
#include "formats/memory.h"
#include "kernels/split.h"

enum { MAX_PIECES = 16 };

typedef struct walk {
    const imx_model *model;
    const imx_corpus *corpus;
    const imx_walk_options *options;
    imx_layer layer;
    imx_residual_stream *stream;
    float *copy; // (imx_walk_block_rows, n_embd) of a block, where layers are passed twice
} walk;

// A way of all chunks through a layer.
typedef struct pass {
    uint64_t number; // of those through the same layer
    bool is_shown;   // to the hook
    bool is_kept;    // what comes out, in the stream
} pass;

static const pass only_pass = {0, true, true};
static const pass first_pass = {0, true, false};
static const pass second_pass = {1, false, true};

// Consecutive chunks.
typedef struct block {
    const size_t *starts; // (n_chunks + 1) chunk c is the tokens starts[c] .. starts[c + 1] − 1
    size_t n_chunks;
    size_t n_rows; // tokens
} block;

// Tokens that a block shall have.
static size_t block_tokens(const imx_model *model) {
    const uint32_t used = model->hparams.n_experts_used;
    const size_t n_pieces = used > 0 ? (model->hparams.n_experts + used - 1) / used : 1;
    return IMX_LAYER_PIECE_TOKENS * (n_pieces < MAX_PIECES ? n_pieces : MAX_PIECES);
}

// The block that begins with chunk `first`: as many chunks as fit, at least one.
static block block_at(const imx_model *model, const imx_corpus *corpus, size_t first) {
    block b = {.starts = corpus->starts + first};
    b.n_chunks = imx_layer_chunks_within(b.starts, corpus->n_chunks - first, block_tokens(model));
    b.n_rows = b.starts[b.n_chunks] - b.starts[0];
    return b;
}

size_t imx_walk_block_rows(const imx_model *model, const imx_corpus *corpus) {
    size_t most = 0;
    for (size_t chunk = 0; chunk < corpus->n_chunks;) {
        const block b = block_at(model, corpus, chunk);
        most = b.n_rows > most ? b.n_rows : most;
        chunk += b.n_chunks;
    }
    return most;
}

imx_walk_place imx_walk_end(const imx_model *model) {
    return (imx_walk_place){model->hparams.n_layers + 1, 0};
}

// Tokens of the longest chunk.
static size_t longest_chunk(const imx_corpus *corpus) {
    size_t longest = 0;
    for (size_t chunk = 0; chunk < corpus->n_chunks; ++chunk) {
        const size_t n = imx_corpus_chunk_len(corpus, chunk);
        longest = n > longest ? n : longest;
    }
    return longest;
}

static imx_layer_settings layer_settings(const imx_model *model, const imx_corpus *corpus,
                                         imx_precision precision, int n_threads) {
    return (imx_layer_settings){
        .model = model,
        .n_threads = imx_thread_count(n_threads),
        .n_ctx = longest_chunk(corpus),
        .wanted_ctx = corpus->n_ctx,
        .max_rows = imx_walk_block_rows(model, corpus),
        .precision = precision,
    };
}

imx_walk_memory imx_walk_measure(const imx_model *model, const imx_corpus *corpus,
                                 imx_precision precision, int n_threads) {
    const imx_layer_settings settings = layer_settings(model, corpus, precision, n_threads);
    return (imx_walk_memory){
        .layer_bytes = imx_layer_bytes(&settings),
        .mapped_bytes = imx_model_mapped_bytes(model, settings.max_rows),
    };
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

// Adds the embedding of each token's place in its chunk.
static imx_status add_positions(walk *w, const block *b, float *x, imx_error *err) {
    const size_t n_embd = w->model->hparams.n_embd;
    const imx_param *positions = &w->layer.params[IMX_ROLE_POSITION_EMBD];
    for (size_t c = 0; c < b->n_chunks; ++c) {
        const size_t n = b->starts[c + 1] - b->starts[c];
        if (n > positions->n_out) {
            return imx_fail(err, IMX_ERR_UNSUPPORTED,
                            "%s: the model knows %zu positions, fewer than the %zu tokens of a "
                            "chunk; take a smaller context",
                            w->model->gguf->path, positions->n_out, n);
        }
        float *rows = x + (b->starts[c] - b->starts[0]) * n_embd;
        for (size_t i = 0; i < n * n_embd; ++i) {
            rows[i] += positions->vector[i];
        }
    }
    return IMX_OK;
}

// x = the embedding of each token, with what some families do to it.
static imx_status embed_block(walk *w, const block *b, float *x, imx_error *err) {
    const imx_gguf_tensor *embedding = w->model->bindings[0][IMX_ROLE_TOKEN_EMBD].weight;
    const imx_type_traits *traits = imx_type_traits_of(embedding->type);
    const imx_hparams *hparams = &w->model->hparams;
    const size_t n_embd = hparams->n_embd;
    const size_t row_bytes = (size_t)imx_type_row_bytes(embedding->type, n_embd);
    const float scale = hparams->embedding_scale != 0 ? hparams->embedding_scale : 1;
    const int32_t *tokens = w->corpus->tokens + b->starts[0];
#pragma omp parallel for num_threads(w->layer.settings.n_threads)
    for (size_t i = 0; i < b->n_rows; ++i) {
        traits->decode(embedding->data + (size_t)tokens[i] * row_bytes, x + i * n_embd, n_embd);
        for (size_t j = 0; j < n_embd; ++j) {
            x[i * n_embd + j] *= scale;
        }
    }
    imx_model_release(w->model, embedding);
    if (imx_model_has(w->model, 0, IMX_ROLE_POSITION_EMBD)) {
        IMX_TRY(add_positions(w, b, x, err));
    }
    if (imx_model_has(w->model, 0, IMX_ROLE_TOKEN_EMBD_NORM)) {
        imx_layer_norm_rows(&w->layer, IMX_ROLE_TOKEN_EMBD_NORM, x, b->n_rows, x);
    }
    return IMX_OK;
}

// Whether layers, but for the final norm, are passed twice.
static bool is_twice(const walk *w) {
    return w->options->hook != NULL && w->options->hook->on_layer != NULL;
}

// Layers to pass, the final norm included when its result is wanted.
static uint32_t count_layers(const walk *w) {
    const bool need_output = w->options->need_hidden || w->options->head_input_to_hook;
    return w->model->hparams.n_layers + (need_output ? 1 : 0);
}

static imx_status load_role(walk *w, imx_role role, imx_error *err) {
    return imx_param_load(&w->layer.params[role], w->model, role, 0, w->layer.settings.n_threads,
                          err);
}

static imx_status load_weights(walk *w, const pass *p, uint32_t index, imx_error *err) {
    const uint32_t n_layers = w->model->hparams.n_layers;
    if (index == n_layers) {
        return load_role(w, IMX_ROLE_OUTPUT_NORM, err);
    }
    if (index == 0) {
        IMX_TRY(load_role(w, IMX_ROLE_POSITION_EMBD, err));
        IMX_TRY(load_role(w, IMX_ROLE_TOKEN_EMBD_NORM, err));
    }
    IMX_TRY(imx_layer_load(&w->layer, index, err));
    if (w->options->read_ahead && p->is_kept && index + 1 < n_layers) {
        imx_model_read_ahead(w->model, index + 1);
    }
    return IMX_OK;
}

// The final norm, and the hook on what it yields.
static imx_status finish_block(walk *w, const block *b, float *x, imx_error *err) {
    const imx_role head = imx_model_head_role(w->model);
    imx_layer *layer = &w->layer;
    imx_layer_norm_rows(layer, IMX_ROLE_OUTPUT_NORM, x, b->n_rows, x);
    if (!w->options->head_input_to_hook) {
        return IMX_OK;
    }
    layer->params[head].weight = w->model->bindings[0][head].weight;
    const imx_layer_input input = {.x = x, .n_rows = b->n_rows, .first_token = b->starts[0]};
    return imx_layer_show_input(layer, (imx_role_set)1 << head, &input, err);
}

// The rows of a block in the stream, or a copy of them where nothing is to be kept.
static imx_status load_block(walk *w, const pass *p, const block *b, float **x, imx_error *err) {
    IMX_TRY(imx_residual_stream_load(w->stream, b->starts[0], b->n_rows, x, err));
    if (!p->is_kept) {
        memcpy(w->copy, *x, b->n_rows * w->model->hparams.n_embd * sizeof **x);
        *x = w->copy;
    }
    return IMX_OK;
}

static imx_status run_block(walk *w, const pass *p, uint32_t index, const block *b,
                            imx_error *err) {
    const bool ends_at_last_input = !p->is_kept || index + 1 == count_layers(w);
    float *x;
    IMX_TRY(load_block(w, p, b, &x, err));
    if (index == 0) {
        IMX_TRY(embed_block(w, b, x, err));
    }
    if (index == w->model->hparams.n_layers) {
        IMX_TRY(finish_block(w, b, x, err));
    } else {
        IMX_TRY(imx_layer_run(&w->layer, x, b->starts, b->n_chunks, ends_at_last_input, err));
    }
    return p->is_kept ? imx_residual_stream_store(w->stream, err) : IMX_OK;
}

// Reports the way of a pass to `place` within its layer; false when the walk shall stop. The final
// norm is no work worth a report.
static bool report_progress(const walk *w, const pass *p, const imx_walk_place *place) {
    const imx_corpus *corpus = w->corpus;
    const uint32_t n_layers = w->model->hparams.n_layers;
    const uint64_t n_passes = is_twice(w) ? 2 : 1;
    const uint64_t n_passed = place->layer * n_passes + p->number;
    const imx_progress_report report = {
        .phase = "layers",
        .done = place->layer + (p->is_kept && place->chunk == corpus->n_chunks),
        .total = n_layers,
        .work_done = n_passed * corpus->n_tokens + corpus->starts[place->chunk],
        .work_total = n_layers * n_passes * corpus->n_tokens,
        .part_done = p->number * corpus->n_chunks + place->chunk,
        .part_total = n_passes * corpus->n_chunks,
    };
    return place->layer >= n_layers || imx_progress_continue(w->options->progress, &report);
}

static imx_status finish_place(const walk *w, const pass *p, const imx_walk_place *place,
                               imx_error *err) {
    const imx_walk_hook *hook = w->options->hook;
    const bool is_layer_done = place->chunk == w->corpus->n_chunks;
    const imx_walk_place next = is_layer_done ? (imx_walk_place){place->layer + 1, 0} : *place;
    const bool is_stopping = !report_progress(w, p, place);
    if (p->is_kept && hook != NULL && hook->on_block != NULL) {
        IMX_TRY(hook->on_block(hook->context, &next, is_stopping, err));
    }
    if (is_stopping) {
        return imx_fail(err, IMX_ERR_INTERRUPTED, "stopped in layer %" PRIu32 " of %" PRIu32,
                        place->layer + 1, w->model->hparams.n_layers);
    }
    return IMX_OK;
}

static imx_status run_pass(walk *w, const pass *p, imx_walk_place place, imx_error *err) {
    w->layer.settings.hook = p->is_shown ? w->options->hook : NULL;
    w->layer.settings.all_experts = p->is_shown && w->options->all_experts;
    IMX_TRY(load_weights(w, p, place.layer, err));
    while (place.chunk < w->corpus->n_chunks) {
        const block b = block_at(w->model, w->corpus, place.chunk);
        IMX_TRY(run_block(w, p, place.layer, &b, err));
        place.chunk += b.n_chunks;
        IMX_TRY(finish_place(w, p, &place, err));
    }
    return IMX_OK;
}

// A place within a layer is one of its second pass.
static imx_status run_layer_twice(walk *w, imx_walk_place place, imx_error *err) {
    const imx_walk_hook *hook = w->options->hook;
    if (place.chunk == 0) {
        IMX_TRY(run_pass(w, &first_pass, place, err));
        IMX_TRY(hook->on_layer(hook->context, place.layer, err));
    }
    if (place.layer + 1 < count_layers(w)) {
        return run_pass(w, &second_pass, place, err);
    }
    place.chunk = w->corpus->n_chunks; // nobody reads what would come out
    return finish_place(w, &second_pass, &place, err);
}

static imx_status run_layer(walk *w, imx_walk_place place, imx_error *err) {
    return is_twice(w) && place.layer < w->model->hparams.n_layers
               ? run_layer_twice(w, place, err)
               : run_pass(w, &only_pass, place, err);
}

static imx_status run_walk(walk *w, imx_error *err) {
    const imx_walk_options *options = w->options;
    IMX_TRY(check_tokens(w, err));
    const imx_layer_settings settings =
        layer_settings(w->model, w->corpus, options->precision, options->n_threads);
    IMX_TRY(imx_layer_open(&w->layer, &settings, err));
    if (is_twice(w)) {
        IMX_TRY(imx_alloc_aligned(&w->copy, settings.max_rows,
                                  w->model->hparams.n_embd * sizeof *w->copy, err));
    }
    imx_walk_place place = options->start;
    IMX_TRY(
        finish_place(w, place.chunk > 0 && is_twice(w) ? &second_pass : &only_pass, &place, err));
    for (; place.layer < count_layers(w); place = (imx_walk_place){place.layer + 1, 0}) {
        IMX_TRY(run_layer(w, place, err));
    }
    return IMX_OK;
}

imx_status imx_walk_run(const imx_model *model, const imx_corpus *corpus,
                        const imx_walk_options *options, imx_residual_stream *stream,
                        imx_error *err) {
    walk w = {.model = model, .corpus = corpus, .options = options, .stream = stream};
    imx_residual_stream *own = NULL;
    if (stream == NULL) {
        IMX_TRY(
            imx_residual_stream_new(&own, corpus->n_tokens, model->hparams.n_embd, 0, NULL, err));
        w.stream = own;
    }
    const imx_status status = run_walk(&w, err);
    imx_layer_close(&w.layer);
    free(w.copy);
    imx_residual_stream_free(own);
    return status;
}
