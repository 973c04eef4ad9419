// SPDX-License-Identifier: MIT
//
// One layer of the model at work: its unpacked weights and the scratch memory for a block of
// tokens. The same object serves all layers in turn.

#ifndef IMX_CALIB_LAYER_H
#define IMX_CALIB_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calib/model_internal.h"
#include "calib/param.h"
#include "calib/rope.h"
#include "calib/walk.h"

typedef struct imx_layer {
    const imx_model *model;
    const imx_walk_hook *hook; // may be NULL
    int n_threads;             // at least 1
    size_t n_ctx;              // no chunk has more tokens
    imx_rope rope;             // over n_ctx positions
    imx_param params[IMX_N_ROLES];
    uint32_t *positions; // (max_rows) of each token in its chunk; as all below: of one block
    float *normed;       // (max_rows, n_embd)
    float *q;            // (max_rows, n_heads · head_dim_k)
    float *k;            // (max_rows, n_kv_heads · head_dim_k)
    float *v;            // (max_rows, n_kv_heads · head_dim_v)
    float *mixed;        // (max_rows, n_heads · head_dim_v)
    float *gate;         // (max_rows, n_ff)
    float *up;           // (max_rows, n_ff)
    float *change;       // (max_rows, n_embd)
} imx_layer;

// Prepares a layer for blocks of up to `max_rows` tokens; no weights yet. *layer is the caller's to
// imx_layer_close, also on failure.
imx_status imx_layer_open(imx_layer *layer, const imx_model *model, size_t n_ctx, size_t max_rows,
                          const imx_walk_hook *hook, int n_threads, imx_error *err);
void imx_layer_close(imx_layer *layer);

// Memory of a layer opened so and loaded, that of its products and its attention included.
uint64_t imx_layer_bytes(const imx_model *model, size_t n_ctx, size_t max_rows, int n_threads);

// Unpacks the weights of layer `index`.
imx_status imx_layer_load(imx_layer *layer, uint32_t index, imx_error *err);

// Carries a block of whole chunks through the layer: chunk c is the tokens starts[c] up to, without
// it, starts[c + 1], and x (starts[n_chunks] − starts[0], n_embd) the residual stream of them all.
// With `stop_at_last_input` the work ends when the hook has seen the input of the last product, and
// x is then unfinished.
imx_status imx_layer_run(imx_layer *layer, float *x, const size_t *starts, size_t n_chunks,
                         bool stop_at_last_input, imx_error *err);

// out (n_rows, n_embd) = the norm of x with the weight of `role`. `out` may be x.
void imx_layer_norm_rows(const imx_layer *layer, imx_role role, const float *x, size_t n_rows,
                         float *out);

// Shows the hook x (n_rows, n_cols) as the input of those of the `n_roles` roles that the model
// has.
imx_status imx_layer_show_input(const imx_layer *layer, const imx_role *roles, size_t n_roles,
                                const float *x, size_t first_token, size_t n_rows, imx_error *err);

#endif
