// SPDX-License-Identifier: MIT
//
// The walk: all chunks are carried through layer l before layer l+1 is opened. Each weight is read
// and unpacked once whatever the corpus; the residual stream (n_tokens × n_embd floats) is what
// lives between layers. Each chunk attends within itself; there is no KV cache.
//
// A hook sees the input of every weight product. Products that share their input are one call.

#ifndef IMX_CALIB_WALK_H
#define IMX_CALIB_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calib/corpus.h"
#include "calib/model.h"
#include "formats/error.h"
#include "formats/progress.h"

// The input of one or several weight products, for consecutive tokens of the corpus.
typedef struct imx_walk_input {
    const char *const *weights; // (n_weights) names of the weights multiplied with this input
    size_t n_weights;
    const float *x;     // (n_rows, n_cols), row-major
    size_t n_rows;      // tokens
    size_t n_cols;      // inputs of a row
    size_t first_token; // index of row 0 in corpus->tokens
    uint32_t mat;       // which matrix of the weight (expert); 0 for a dense weight
    uint32_t n_mats;    // matrices of the weight; 1 for a dense weight
} imx_walk_input;

// Calls come from one thread, layer by layer and, for a given weight, in token order.
typedef struct imx_walk_hook {
    imx_status (*on_input)(void *context, const imx_walk_input *input, imx_error *err);
    void *context;
} imx_walk_hook;

typedef struct imx_walk_options {
    int n_threads;                // 0 = all processors
    bool need_hidden;             // final hidden states are wanted; else work behind the last input
                                  // that a hook sees is not done
    bool head_input_to_hook;      // report the head's input as that of output.weight
    const imx_walk_hook *hook;    // may be NULL
    const imx_progress *progress; // may be NULL
} imx_walk_options;

// Runs the corpus. With need_hidden, `hidden` (n_tokens, n_embd) receives the hidden states after
// the final norm, ready for imx_walk_logits; else it may be NULL. The results do not depend on
// n_threads, to the bit.
imx_status imx_walk_run(const imx_model *model, const imx_corpus *corpus,
                        const imx_walk_options *options, float *hidden, imx_error *err);

// The head: logits (n_rows, n_vocab) of `n_rows` final hidden states (n_rows, n_embd). An object
// because the unpacked head serves many calls.
typedef struct imx_head imx_head;
imx_status imx_head_open(imx_head **out, const imx_model *model, int n_threads, imx_error *err);
imx_status imx_head_logits(imx_head *head, const float *hidden, size_t n_rows, float *logits,
                           imx_error *err);
void imx_head_close(imx_head *head);

#endif
