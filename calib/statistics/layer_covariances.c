// SPDX-License-Identifier: MIT
//
// Error feedback over all columns of a row needs all their products, n² / 2 of them: it is what
// limits the width of a model that can be coded so in given memory. So they live for one layer, and
// inputs take what the budget has in the order in which they come; one that no longer fits gets the
// products within super-blocks, which are never more than 514 bytes a column in each part.
//
// Fitted and held-out rows are summed apart and never mixed: how far a covariance is to be believed
// can only be told by rows that are not in it. Both together are the covariance of the whole text.

#include "calib/statistics/layer_covariances.h"

#include <stdlib.h>
#include <string.h>

#include "calib/model/shown_weights.h"
#include "calib/statistics/chunk_rows.h"
#include "calib/statistics/column_products.h"
#include "formats/memory.h"

enum { MAX_SHARERS = IMX_N_ROLES, HELD_OUT_PERIOD = 8 };

enum { FITTED, HELD_OUT, N_PARTS, LEFT_OUT = N_PARTS }; // parts of the text, and what is in none

// Of the matrices of the weights that share an input.
typedef struct layer_input {
    const char *weights[MAX_SHARERS];
    size_t n_weights;
    uint64_t n_mats;
    size_t n_cols;
    size_t run_len;
    float *sums;    // (n_mats, N_PARTS, part_len) triangles
    double *counts; // (n_mats, N_PARTS) rows
} layer_input;

struct imx_layer_covariances {
    imx_layer_covariances_options options;
    uint64_t n_bytes_left; // of the budget
    layer_input *inputs;   // (n_inputs)
    size_t n_inputs;
    size_t capacity;
};

// One chunk in eight: a text's chunks follow its files, so that every eighth is a sample of all of
// them, and what is fitted by loses an eighth of its tokens only. A text of fewer chunks gives its
// last one, a single chunk cannot be spared.
static bool is_held_out(size_t chunk, size_t n_chunks) {
    return n_chunks < HELD_OUT_PERIOD ? n_chunks > 1 && chunk == n_chunks - 1
                                      : chunk % HELD_OUT_PERIOD == HELD_OUT_PERIOD - 1;
}

static int part_of_chunk(const void *context, size_t chunk) {
    const imx_layer_covariances_options *options = context;
    return options->left_out[chunk]                        ? LEFT_OUT
           : is_held_out(chunk, options->corpus->n_chunks) ? HELD_OUT
                                                           : FITTED;
}

// ---- sizes -------------------------------------------------------------------------------------

// Values of one part of one matrix.
static uint64_t part_len(size_t n_cols, size_t run_len) {
    return n_cols / run_len * imx_triangle_len(run_len);
}

static uint64_t input_bytes(size_t n_cols, uint64_t n_mats, size_t run_len) {
    return n_mats * N_PARTS * part_len(n_cols, run_len) * sizeof(float);
}

// Rows shorter than a run have no products but all of them.
static size_t shortest_run(size_t n_cols) {
    return n_cols < IMX_COV_RUN ? n_cols : IMX_COV_RUN;
}

static size_t longest_run(size_t n_cols) {
    return n_cols;
}

// The most bytes of a layer's inputs, with runs as long as `run_len` says.
static uint64_t most_bytes(const imx_model *model, bool process_output, size_t (*run_len)(size_t)) {
    uint64_t most = 0, n_bytes = 0;
    uint32_t layer = 0;
    for (imx_shown_weights s = {0}; imx_shown_weights_step(&s, model, process_output);) {
        const size_t n_cols = s.weight.shape.n_cols;
        n_bytes = s.weight.layer == layer ? n_bytes : 0;
        layer = s.weight.layer;
        if (!s.weight.is_sharer) {
            n_bytes += input_bytes(n_cols, s.weight.shape.n_mats, run_len(n_cols));
        }
        most = n_bytes > most ? n_bytes : most;
    }
    return most;
}

uint64_t imx_layer_covariances_most_bytes(const imx_model *model, bool process_output) {
    return most_bytes(model, process_output, longest_run);
}

uint64_t imx_layer_covariances_least_bytes(const imx_model *model, bool process_output) {
    return most_bytes(model, process_output, shortest_run);
}

// ---- inputs ------------------------------------------------------------------------------------

static layer_input *find_input(const imx_layer_covariances *c, const char *weight) {
    for (size_t i = 0; i < c->n_inputs; ++i) {
        for (size_t j = 0; j < c->inputs[i].n_weights; ++j) {
            if (strcmp(c->inputs[i].weights[j], weight) == 0) {
                return &c->inputs[i];
            }
        }
    }
    return NULL;
}

// The longest runs that what is left of the budget has room for.
static size_t choose_run(imx_layer_covariances *c, const imx_walk_input *input) {
    const uint64_t n_bytes = input_bytes(input->n_cols, input->n_mats, input->n_cols);
    if (input->n_cols <= IMX_COV_RUN) {
        return input->n_cols;
    }
    if (n_bytes > c->n_bytes_left) {
        return IMX_COV_RUN;
    }
    c->n_bytes_left -= n_bytes;
    return input->n_cols;
}

static imx_status add_input(imx_layer_covariances *c, const imx_walk_input *shown, imx_error *err) {
    IMX_TRY(imx_grow(&c->inputs, &c->capacity, c->n_inputs + 1, sizeof *c->inputs, err));
    layer_input *input = &c->inputs[c->n_inputs++];
    *input = (layer_input){
        .n_weights = shown->n_weights,
        .n_mats = shown->n_mats,
        .n_cols = shown->n_cols,
        .run_len = choose_run(c, shown),
    };
    memcpy(input->weights, shown->weights, shown->n_weights * sizeof *input->weights);
    const uint64_t n_parts = input->n_mats * N_PARTS;
    IMX_TRY(imx_alloc_zeroed(&input->counts, n_parts, sizeof *input->counts, err));
    return imx_alloc_zeroed(&input->sums, n_parts * part_len(input->n_cols, input->run_len),
                            sizeof *input->sums, err);
}

static size_t part_place(uint64_t mat, int part) {
    return (size_t)mat * N_PARTS + (size_t)part;
}

static float *part_sums(const layer_input *input, uint64_t mat, int part) {
    return input->sums + part_place(mat, part) * part_len(input->n_cols, input->run_len);
}

imx_status imx_layer_covariances_add(imx_layer_covariances *c, const imx_walk_input *shown,
                                     imx_error *err) {
    if (find_input(c, shown->weights[0]) == NULL) {
        IMX_TRY(add_input(c, shown, err));
    }
    const layer_input *input = find_input(c, shown->weights[0]);
    for (size_t i = 0; i < shown->n_rows;) {
        const imx_stretch stretch =
            imx_stretch_at(c->options.corpus, shown, i, part_of_chunk, &c->options);
        if (stretch.kind != LEFT_OUT) {
            IMX_TRY(imx_column_products_add(part_sums(input, shown->mat, stretch.kind), stretch.x,
                                            stretch.n_rows, input->n_cols, input->run_len,
                                            c->options.n_threads, err));
            input->counts[part_place(shown->mat, stretch.kind)] += (double)stretch.n_rows;
        }
        i += stretch.n_rows;
    }
    return IMX_OK;
}

bool imx_layer_covariances_find(const imx_layer_covariances *c, const char *weight, uint64_t mat,
                                imx_input_covariance *covariance) {
    const layer_input *input = find_input(c, weight);
    if (input == NULL || mat >= input->n_mats) {
        return false;
    }
    *covariance = (imx_input_covariance){
        .n_cols = input->n_cols,
        .run_len = input->run_len,
        .fitted = part_sums(input, mat, FITTED),
        .held_out = part_sums(input, mat, HELD_OUT),
        .n_fitted = input->counts[part_place(mat, FITTED)],
        .n_held_out = input->counts[part_place(mat, HELD_OUT)],
    };
    return true;
}

size_t imx_layer_covariances_n_inputs(const imx_layer_covariances *c) {
    return c->n_inputs;
}

void imx_layer_covariances_input(const imx_layer_covariances *c, size_t i,
                                 const char *const **weights, size_t *n_weights, uint64_t *n_mats) {
    *weights = c->inputs[i].weights;
    *n_weights = c->inputs[i].n_weights;
    *n_mats = c->inputs[i].n_mats;
}

// ---- lifetime ----------------------------------------------------------------------------------

imx_status imx_layer_covariances_open(imx_layer_covariances **out,
                                      const imx_layer_covariances_options *options,
                                      imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(out, 1, sizeof **out, err));
    (*out)->options = *options;
    (*out)->n_bytes_left = options->budget_bytes;
    return IMX_OK;
}

void imx_layer_covariances_clear(imx_layer_covariances *c) {
    for (size_t i = 0; i < c->n_inputs; ++i) {
        free(c->inputs[i].sums);
        free(c->inputs[i].counts);
    }
    c->n_inputs = 0;
    c->n_bytes_left = c->options.budget_bytes;
}

void imx_layer_covariances_close(imx_layer_covariances *c) {
    if (c != NULL) {
        imx_layer_covariances_clear(c);
        free(c->inputs);
        free(c);
    }
}
