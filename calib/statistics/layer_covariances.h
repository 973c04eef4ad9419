// SPDX-License-Identifier: MIT
//
// The covariances of the inputs of one layer, while the walk is in it: of all columns where memory
// allows, else of those of a super-block. Chunks are in one of two parts, to fit by and to judge
// by.

#ifndef IMX_CALIB_LAYER_COVARIANCES_H
#define IMX_CALIB_LAYER_COVARIANCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calib/forward/walk.h"
#include "calib/text/corpus.h"
#include "formats/error.h"
#include "formats/importance.h"

typedef struct imx_layer_covariances imx_layer_covariances;

typedef struct imx_layer_covariances_options {
    const imx_corpus *corpus;
    const bool *left_out;  // (n_chunks) chunks that are passed over; read anew at every input
    uint64_t budget_bytes; // for covariances of all of more than IMX_COV_RUN columns, in the order
                           // in which inputs come
    int n_threads;         // at least 1
} imx_layer_covariances_options;

// *out is the caller's to imx_layer_covariances_close.
imx_status imx_layer_covariances_open(imx_layer_covariances **out,
                                      const imx_layer_covariances_options *options, imx_error *err);
void imx_layer_covariances_close(imx_layer_covariances *covariances);

// Adds an input of the layer, when imx_input_sums_add has seen it: what is not finite is in chunks
// that are left out. The same bits for any n_threads. IMX_ERR_MEMORY.
imx_status imx_layer_covariances_add(imx_layer_covariances *covariances,
                                     const imx_walk_input *input, imx_error *err);

// That of the input of matrix `mat` of a weight, borrowed until the next _clear; false when the
// layer has shown none of that name. An expert that has seen no token has counts of 0.
bool imx_layer_covariances_find(const imx_layer_covariances *covariances, const char *weight,
                                uint64_t mat, imx_input_covariance *covariance);

// Inputs of the layer so far, in the order in which they came: weights that share one, borrowed
// until the next call that is not const.
size_t imx_layer_covariances_n_inputs(const imx_layer_covariances *covariances);
void imx_layer_covariances_input(const imx_layer_covariances *covariances, size_t i,
                                 const char *const **weights, size_t *n_weights, uint64_t *n_mats);

// Forgets everything, for the next layer.
void imx_layer_covariances_clear(imx_layer_covariances *covariances);

// Bytes of the covariances of the layer with the largest inputs: of all columns, which is the
// budget that none exceeds, and of super-blocks, which are taken whatever the budget.
uint64_t imx_layer_covariances_most_bytes(const imx_model *model, bool process_output);
uint64_t imx_layer_covariances_least_bytes(const imx_model *model, bool process_output);

#endif
