// SPDX-License-Identifier: MIT
//
// A row of the token embedding is looked up, not multiplied: no input flows into it and no text
// tells which of its columns matter. But what reads it does. With e the error of a row, the first
// layer's products are off by
//
//     W diag(g) e / (root mean square of the row),
//
// g the weight of the norm before them, and all their outputs together by eᵀ G e of the square of
// that root, with
//
//     G = Σ_W diag(g) Wᵀ W diag(g).
//
// G is a covariance, that of the rows of W diag(g), and the solver takes it for one. All matrices
// that read the stream in the first layer count by their own size; of experts each counts for the
// share of the tokens that it sees on average.
//
// KL divergence where nothing but the embedding is quantized, on text unlike what the models were
// trained on, relative to the search without importance; feedback within super-blocks:
//
//                                           11M Q2_K   11M Q4_K   5M Q2_K   5M Q4_K
//     attention alone                           0.49       0.44      3.46      3.97
//     network alone                             1.07       1.09      0.51      0.50
//     each of trace 1                           0.54       0.50      0.80      0.65
//     as they are                               0.60       0.66      0.55      0.52
//     the same over whole rows                  0.54       0.35      0.50      0.46
//
// (5M is examples/model with the head untied; the line before the last is of like text.) Later
// layers, whose stream is no longer the embedding, and the identity, for the way around all
// layers, made it worse.

#include "calib/statistics/embedding_readers.h"

#include <math.h>
#include <stdlib.h>

#include "calib/model/model_internal.h"
#include "calib/statistics/column_products.h"
#include "formats/memory.h"
#include "formats/tensor_type.h"
#include "kernels/split.h"

enum { PIECE_ROWS = 512 };

// Products of the stream in the first layer, and the norms they may stand behind, first come first.
static const struct reader {
    imx_role role;
    imx_role norms[2];
} readers[] = {
    {IMX_ROLE_ATTN_Q, {IMX_ROLE_ATTN_NORM_2, IMX_ROLE_ATTN_NORM}},
    {IMX_ROLE_ATTN_K, {IMX_ROLE_ATTN_NORM_2, IMX_ROLE_ATTN_NORM}},
    {IMX_ROLE_ATTN_V, {IMX_ROLE_ATTN_NORM_2, IMX_ROLE_ATTN_NORM}},
    {IMX_ROLE_ATTN_QKV, {IMX_ROLE_ATTN_NORM_2, IMX_ROLE_ATTN_NORM}},
    {IMX_ROLE_ATTN_Q_A, {IMX_ROLE_ATTN_NORM_2, IMX_ROLE_ATTN_NORM}},
    {IMX_ROLE_ATTN_KV_A, {IMX_ROLE_ATTN_NORM_2, IMX_ROLE_ATTN_NORM}},
    {IMX_ROLE_FFN_GATE, {IMX_ROLE_FFN_NORM, IMX_ROLE_FFN_NORM_LATE}},
    {IMX_ROLE_FFN_UP, {IMX_ROLE_FFN_NORM, IMX_ROLE_FFN_NORM_LATE}},
    {IMX_ROLE_FFN_GATE_UP, {IMX_ROLE_FFN_NORM, IMX_ROLE_FFN_NORM_LATE}},
    {IMX_ROLE_EXPERTS_GATE, {IMX_ROLE_FFN_NORM, IMX_ROLE_FFN_NORM_LATE}},
    {IMX_ROLE_EXPERTS_UP, {IMX_ROLE_FFN_NORM, IMX_ROLE_FFN_NORM_LATE}},
    {IMX_ROLE_EXPERTS_GATE_UP, {IMX_ROLE_FFN_NORM, IMX_ROLE_FFN_NORM_LATE}},
    {IMX_ROLE_SHARED_GATE, {IMX_ROLE_FFN_NORM, IMX_ROLE_FFN_NORM_LATE}},
    {IMX_ROLE_SHARED_UP, {IMX_ROLE_FFN_NORM, IMX_ROLE_FFN_NORM_LATE}},
};

enum { N_READERS = sizeof readers / sizeof *readers };

// gains (n_embd) = what the norm before a reader multiplies columns with, times `factor`.
static void read_gains(const imx_model *model, const struct reader *reader, float factor,
                       float *gains) {
    const size_t n = model->hparams.n_embd;
    const imx_gguf_tensor *norm = model->bindings[0][reader->norms[0]].weight;
    norm = norm != NULL ? norm : model->bindings[0][reader->norms[1]].weight;
    for (size_t j = 0; j < n; ++j) {
        gains[j] = 1.0f;
    }
    if (norm != NULL) {
        imx_type_traits_of(norm->type)->decode(norm->data, gains, n);
    }
    for (size_t j = 0; j < n; ++j) {
        gains[j] *= factor;
    }
}

// rows (n_rows, n_embd) = rows of a reader from `first` on, as they meet the embedding.
static void read_rows(const imx_gguf_tensor *weight, const float *gains, uint64_t first,
                      size_t n_rows, float *rows, int n_threads) {
    const imx_type_traits *traits = imx_type_traits_of(weight->type);
    const size_t n = (size_t)imx_gguf_tensor_cols(weight);
    const size_t row_bytes = (size_t)imx_type_row_bytes(weight->type, n);
#pragma omp parallel for num_threads(n_threads)
    for (size_t i = 0; i < n_rows; ++i) {
        traits->decode(weight->data + (first + i) * row_bytes, rows + i * n, n);
        for (size_t j = 0; j < n; ++j) {
            rows[i * n + j] *= gains[j];
        }
    }
}

// `room` is PIECE_ROWS + 1 rows of n_embd.
static imx_status add_reader(float *sums, size_t run_len, const imx_model *model,
                             const struct reader *reader, float *room, int n_threads,
                             imx_error *err) {
    const imx_hparams *hparams = &model->hparams;
    const imx_gguf_tensor *weight = model->bindings[0][reader->role].weight;
    const size_t n = hparams->n_embd;
    const uint64_t n_rows = imx_gguf_tensor_rows(weight);
    const bool is_shared_out = imx_gguf_tensor_mats(weight) > 1;
    const float share =
        is_shared_out ? (float)hparams->n_experts_used / (float)hparams->n_experts : 1.0f;
    float *gains = room + PIECE_ROWS * n;
    read_gains(model, reader, sqrtf(share), gains);
    for (uint64_t first = 0; first < n_rows; first += PIECE_ROWS) {
        const size_t n_piece = imx_piece_len((size_t)n_rows, (size_t)first, PIECE_ROWS);
        read_rows(weight, gains, first, n_piece, room, n_threads);
        IMX_TRY(imx_column_products_add(sums, room, n_piece, n, run_len, n_threads, err));
    }
    imx_model_release(model, weight);
    return IMX_OK;
}

static imx_status add_readers(imx_input_covariance *covariance, float *sums, const imx_model *model,
                              int n_threads, imx_error *err) {
    float *room;
    imx_status status =
        imx_alloc_aligned(&room, PIECE_ROWS + 1, model->hparams.n_embd * sizeof *room, err);
    for (size_t i = 0; i < N_READERS && status == IMX_OK; ++i) {
        if (imx_model_has(model, 0, readers[i].role)) {
            status =
                add_reader(sums, covariance->run_len, model, &readers[i], room, n_threads, err);
            covariance->n_fitted +=
                (double)imx_gguf_tensor_rows(model->bindings[0][readers[i].role].weight);
        }
    }
    free(room);
    return status;
}

imx_status imx_embedding_readers_sum(imx_input_covariance *covariance, const imx_model *model,
                                     size_t run_len, int n_threads, imx_error *err) {
    const size_t n = model->hparams.n_embd;
    float *sums;
    *covariance = (imx_input_covariance){.n_cols = n, .run_len = run_len};
    if (imx_model_has_tied_head(model)) {
        return IMX_OK;
    }
    IMX_TRY(imx_alloc_zeroed(&sums, n / run_len * (size_t)imx_triangle_len(run_len), sizeof *sums,
                             err));
    covariance->fitted = sums;
    return add_readers(covariance, sums, model, imx_thread_count(n_threads), err);
}

void imx_embedding_readers_free(imx_input_covariance *covariance) {
    free((void *)(uintptr_t)covariance->fitted);
    covariance->fitted = NULL;
}
