// SPDX-License-Identifier: MIT
//
// One layer of the model at work: its unpacked weights and the scratch memory for a block of
// tokens. The same object serves all layers in turn.

#ifndef IMX_CALIB_LAYER_H
#define IMX_CALIB_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calib/forward/attention.h"
#include "calib/forward/param.h"
#include "calib/forward/rope.h"
#include "calib/forward/walk.h"
#include "calib/model/model_internal.h"

typedef struct imx_layer_settings {
    const imx_model *model;
    const imx_walk_hook *hook; // may be NULL
    int n_threads;             // at least 1
    size_t n_ctx;              // no chunk has more tokens
    size_t wanted_ctx;         // that the text was cut for; chunks may all be shorter
    size_t max_rows;           // tokens of the largest block
    bool all_experts;          // every expert sees every token, for the hook
    imx_precision precision;   // of products with weights
} imx_layer_settings;

// Rows of the scratch memory. Most of it is for a piece of a block: as many whole chunks of it as
// are worth multiplying at a time. A mixture of experts sees a whole block at once, because an
// expert has only a share of the tokens.
typedef struct imx_layer {
    imx_layer_settings settings;
    uint32_t index; // of the layer that is loaded
    size_t piece_rows;
    imx_rope ropes[2]; // over n_ctx positions, of layers without a window and, if any, with one
    float *slopes;     // (n_heads) of the attention, or NULL
    imx_param params[IMX_N_ROLES];
    imx_panel_rows rows_in_hand; // of the product that runs

    // Of a piece.
    uint32_t *positions; // (piece_rows) of each token in its chunk
    float *qkv;   // (piece_rows, n_heads · dim_k + n_kv_heads · dim_k + n_kv_heads · dim_v)
    float *mixed; // (piece_rows, n_heads · dim_v)
    float *gate;  // (piece_rows, n_ff), or twice that where gate and up are one product
    float *up;    // (piece_rows, n_ff)

    // Of a piece, for latent attention.
    float *q_low;        // (piece_rows, q_rank)
    float *latent_key;   // (piece_rows, latent + n_rot)
    float *latent;       // (piece_rows, latent), where keys and values are unfolded from it
    float *unfolded;     // (piece_rows, n_kv_heads · (dim_k − n_rot + dim_v))
    float *unrotated;    // (piece_rows, n_heads · (dim_k − n_rot)), where queries are folded
    float *folded;       // (piece_rows, n_heads · (latent + n_rot))
    float *mixed_latent; // (piece_rows, n_heads · latent)

    // Of a block.
    float *normed; // (max_rows, n_embd)
    float *change; // (max_rows, n_embd) what the layer will add

    // Of a mixture of experts.
    float *gathered;     // (piece_rows, n_embd) inputs of one expert
    float *expert_out;   // (piece_rows, n_embd)
    float *gate_weights; // (max_rows, n_experts) 0: this expert does not see this token
    uint32_t *rows;      // (max_rows) of the block that one expert sees
    uint32_t *tokens;    // (max_rows) which tokens of the corpus they are
} imx_layer;

// Prepares a layer; no weights yet. *layer is the caller's to imx_layer_close, also on failure.
imx_status imx_layer_open(imx_layer *layer, const imx_layer_settings *settings, imx_error *err);
void imx_layer_close(imx_layer *layer);

// Memory of a layer opened so and loaded, that of its products and its attention included.
uint64_t imx_layer_bytes(const imx_layer_settings *settings);

// Unpacks the weights of layer `index`.
imx_status imx_layer_load(imx_layer *layer, uint32_t index, imx_error *err);

// Carries a block of whole chunks through the layer: chunk c is the tokens starts[c] up to, without
// it, starts[c + 1], and x (starts[n_chunks] − starts[0], n_embd) the residual stream of them all.
// With `stop_at_last_input` the work ends when the hook has seen the input of the last product, and
// x is then unfinished.
imx_status imx_layer_run(imx_layer *layer, float *x, const size_t *starts, size_t n_chunks,
                         bool stop_at_last_input, imx_error *err);

// How many chunks from the first on have at most `max_tokens` tokens together; at least one.
size_t imx_layer_chunks_within(const size_t *starts, size_t n_chunks, size_t max_tokens);

// Tokens that are worth a product.
enum { IMX_LAYER_PIECE_TOKENS = 2048 };

// ---------------------------------------------------------------------------------------------
// What the parts of a layer share

// Whether the loaded layer has a role; IMX_N_ROLES is none.
static inline bool imx_layer_has(const imx_layer *layer, imx_role role) {
    return role < IMX_N_ROLES && layer->params[role].weight != NULL;
}

// out (n_rows, n_embd) = the norm of x with the weight of `role`. `out` may be x.
void imx_layer_norm_rows(const imx_layer *layer, imx_role role, const float *x, size_t n_rows,
                         float *out);

// The input of one or several products.
typedef struct imx_layer_input {
    const float *x; // (n_rows, n_in)
    size_t n_rows;
    size_t first_token;     // of the corpus, if the rows are consecutive tokens
    const uint32_t *tokens; // (n_rows) else which tokens, ascending; may be NULL
    uint32_t mat;           // which matrix of the weight
} imx_layer_input;

// Shows the hook the input of those of the roles in `set` that the model has.
imx_status imx_layer_show_input(const imx_layer *layer, imx_role_set set,
                                const imx_layer_input *input, imx_error *err);

// y (n_rows, n_out) = the product of a role; x is (n_rows, n_in), and rows of y are y_stride apart.
imx_status imx_layer_apply(const imx_layer *layer, imx_role role, const float *x, size_t n_rows,
                           float *y, size_t y_stride, imx_error *err);

// Consecutive tokens on their way through the layer.
typedef struct imx_layer_piece {
    const size_t *starts; // (n_chunks + 1) as in imx_layer_run
    size_t n_chunks;
    size_t first_token;
    size_t n_rows;
    float *x; // (n_rows, n_embd) the residual stream
} imx_layer_piece;

// The slopes of ALiBi, if the model has them.
imx_status imx_layer_open_slopes(imx_layer *layer, imx_error *err);

// layer->change = what the attention adds, from the input (n_rows, n_embd) that has been normed.
imx_status imx_layer_attend(imx_layer *layer, const imx_layer_piece *piece, const float *input,
                            imx_error *err);

// Queries or keys of all tokens.
typedef struct imx_heads {
    float *values; // (n_rows, n_heads, head_dim), rows `stride` apart
    size_t n_heads;
    size_t head_dim;
    size_t stride;
} imx_heads;

// Norms runs of `n` values of every row by a role, if the layer has it. The weight is as long as a
// run, or as the row.
void imx_layer_norm_runs(const imx_layer *layer, imx_role role, const imx_heads *h, size_t n_rows,
                         size_t n);

// Rotates the first n_rot values of each head by the token's position, if the layer does that.
void imx_layer_rotate(const imx_layer *layer, const imx_heads *h, size_t n_rows);

// Multiplies queries by what grows with the position, if the model does that.
void imx_layer_temper(const imx_layer *layer, const imx_heads *q, size_t n_rows);

// What attention of this layer has in common whatever its inputs come from; the output is
// layer->mixed.
imx_attention imx_layer_describe_attention(const imx_layer *layer, const imx_layer_piece *piece);

// layer->mixed = the mixed values of all heads, of a layer with latent attention.
imx_status imx_layer_mix_latent(imx_layer *layer, const imx_layer_piece *piece, const float *input,
                                imx_error *err);

// layer->change = what the feed-forward network adds, and with `stop_at_last_input` nothing.
imx_status imx_layer_feed_forward(imx_layer *layer, const imx_layer_piece *piece,
                                  const float *input, bool stop_at_last_input, imx_error *err);

// The same for a mixture of experts, of a whole block.
imx_status imx_layer_feed_experts(imx_layer *layer, const imx_layer_piece *block,
                                  const float *input, bool stop_at_last_input, imx_error *err);

// The roles of a network of two steps.
typedef struct imx_network {
    imx_role gate, up, gate_up, down;
    imx_dim width; // of its inner values
} imx_network;

extern const imx_network imx_dense_network, imx_shared_network, imx_expert_network;

// layer->up (n_rows, width) = the inner values of a network, which is what its last product
// multiplies: activation(gate · x) ∘ up · x or activation(up · x).
imx_status imx_layer_run_inner(imx_layer *layer, const imx_network *network, const float *x,
                               size_t n_rows, imx_error *err);

#define IMX_ROLE_BIT(name) ((imx_role_set)1 << IMX_ROLE_##name)

#endif
