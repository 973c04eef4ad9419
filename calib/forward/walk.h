// SPDX-License-Identifier: MIT
//
// The walk: all chunks are carried through layer l before layer l+1 is opened. Each weight is read
// and unpacked once whatever the corpus; the residual stream (n_tokens × n_embd floats) is what
// lives between layers, in memory or in a file. Each chunk attends within itself; there is no KV
// cache.
//
// A hook sees the input of every weight product. Products that share their input are one call.

#ifndef IMX_CALIB_WALK_H
#define IMX_CALIB_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calib/forward/operands.h"
#include "calib/forward/residual_stream.h"
#include "calib/model/model.h"
#include "calib/text/corpus.h"
#include "formats/error.h"
#include "formats/progress.h"

// The input of one or several weight products, for tokens of the corpus in ascending order.
typedef struct imx_walk_input {
    const char *const *weights; // (n_weights) names of the weights multiplied with this input; the
                                // strings live as long as the model
    size_t n_weights;
    const float *x;         // (n_rows, n_cols), row-major
    size_t n_rows;          // tokens
    size_t n_cols;          // inputs of a row
    size_t first_token;     // index of row 0 in corpus->tokens, if the rows are consecutive tokens
    const uint32_t *tokens; // (n_rows) else the index of each row; NULL when they are
    uint32_t mat;           // which matrix of the weight (expert); 0 for a dense weight
    uint32_t n_mats;        // matrices of the weight; 1 for a dense weight
} imx_walk_input;

// A place between two blocks of the walk: all chunks have passed the layers below `layer`, and
// those below `chunk` this one too. The final norm counts as layer n_layers. A walk is over at a
// `layer` beyond its last.
typedef struct imx_walk_place {
    uint32_t layer;
    size_t chunk;
} imx_walk_place;

// Calls come from one thread, layer by layer and, for a given weight, in token order.
typedef struct imx_walk_hook {
    imx_status (*on_input)(void *context, const imx_walk_input *input, imx_error *err);

    // Before the first block and after each, at most a few thousand tokens apart; may be NULL. A
    // walk over the same corpus can start at `next` with the stream as it is now. `is_stopping`:
    // this is the last call, because the progress callback wants the walk to stop. Not between
    // blocks that are only shown (on_layer): a walk that stops there can go on from the last call.
    imx_status (*on_block)(void *context, const imx_walk_place *next, bool is_stopping,
                           imx_error *err);

    // When a layer's inputs have all been seen; NULL, or else every layer is passed twice: once to
    // show its inputs, with nothing kept, and after this call once more, with its weights as they
    // are then (imx_model_substitute) and nothing shown. Not for the final norm. A walk that starts
    // within a layer goes on with the second pass: its weights are to be again what they were.
    imx_status (*on_layer)(void *context, uint32_t layer, imx_error *err);
    void *context;
} imx_walk_hook;

typedef struct imx_walk_options {
    int n_threads;                // 0 = all processors
    bool need_hidden;             // final hidden states are wanted; else work behind the last input
                                  // that a hook sees is not done
    bool all_experts;             // the hook sees every token at every expert
    imx_precision precision;      // of the products with weights
    bool head_input_to_hook;      // report the head's input as that of output.weight
    bool read_ahead;              // read a layer's weights while the one before it is computed
    imx_walk_place start;         // {0, 0} unless an earlier walk has come so far
    const imx_walk_hook *hook;    // may be NULL
    const imx_progress *progress; // may be NULL; the first report comes before the first block
} imx_walk_options;

// Runs the corpus. `stream` (n_tokens, n_embd, with room for imx_walk_block_rows rows) holds the
// residual stream and, with need_hidden, at the end the hidden states after the final norm, ready
// for imx_head_logits; NULL: one of the walk's own, in memory. The results do not depend on
// n_threads nor on where the stream lies nor on where the walk was interrupted, to the bit.
imx_status imx_walk_run(const imx_model *model, const imx_corpus *corpus,
                        const imx_walk_options *options, imx_residual_stream *stream,
                        imx_error *err);

// Where a walk with need_hidden ends.
imx_walk_place imx_walk_end(const imx_model *model);

// The most tokens that are carried through a layer at a time.
size_t imx_walk_block_rows(const imx_model *model, const imx_corpus *corpus);

// Memory of a walk besides its stream.
typedef struct imx_walk_memory {
    uint64_t layer_bytes;  // a layer, unpacked, and its scratch memory
    uint64_t mapped_bytes; // of the model's file, at most at a time
} imx_walk_memory;

imx_walk_memory imx_walk_measure(const imx_model *model, const imx_corpus *corpus,
                                 imx_precision precision, int n_threads);

// The head: logits (n_rows, n_vocab) of `n_rows` final hidden states (n_rows, n_embd). An object
// because the unpacked head serves many calls.
typedef struct imx_head imx_head;
imx_status imx_head_open(imx_head **out, const imx_model *model, int n_threads, imx_error *err);
imx_status imx_head_logits(imx_head *head, const float *hidden, size_t n_rows, float *logits,
                           imx_error *err);
void imx_head_close(imx_head *head);

// Memory of opening a head: its values, and the part of the model's file they are unpacked from.
uint64_t imx_head_bytes(const imx_model *model);

#endif
