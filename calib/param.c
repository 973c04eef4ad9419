// SPDX-License-Identifier: MIT
//
// Weights are unpacked to f32 once per layer and then multiplied with every token of the corpus.
//
// A product is cut into tiles of TILE_ROWS tokens × TILE_COLS outputs, each over the whole inner
// dimension, and the tiles are handed to threads. A tile's shape depends on the product only, so
// its bits do too.

#include "calib/param.h"

#include <stdlib.h>

#include "calib/kernels/gemm.h"
#include "calib/split.h"
#include "formats/memory.h"

enum { TILE_ROWS = 256, TILE_COLS = 256, UNPACK_WEIGHTS = 1 << 16 };

static void unpack_rows(const imx_gguf_tensor *tensor, float *out, int n_threads) {
    const imx_type_traits *traits = imx_type_traits_of(tensor->type);
    const size_t n_cols = (size_t)imx_gguf_tensor_cols(tensor);
    const size_t n_rows = (size_t)imx_gguf_tensor_rows(tensor);
    const size_t row_bytes = (size_t)imx_type_row_bytes(tensor->type, n_cols);
    const size_t step = UNPACK_WEIGHTS / n_cols + 1;
#pragma omp parallel for num_threads(n_threads)
    for (size_t i = 0; i < n_rows; i += step) {
        const size_t n = imx_piece_len(n_rows, i, step);
        traits->decode(tensor->data + i * row_bytes, out + i * n_cols, n * n_cols);
    }
}

static void multiply_all(float *values, size_t n, float factor) {
    for (size_t i = 0; i < n; ++i) {
        values[i] *= factor;
    }
}

static void fold_scale(imx_param *param, const imx_gguf_tensor *tensor, bool scales_bias) {
    float scale;
    unpack_rows(tensor, &scale, 1);
    multiply_all(param->weight, param->n_out * param->n_in, scale);
    if (scales_bias && param->bias != NULL) {
        multiply_all(param->bias, param->n_out, scale);
    }
}

imx_status imx_param_unpack(imx_param *param, const imx_model *model, imx_role role, uint32_t layer,
                            int n_threads, imx_error *err) {
    const imx_role_row *row = &model->arch->roles[role];
    const imx_binding *binding = &model->bindings[layer][role];
    if (binding->weight == NULL) {
        return IMX_OK;
    }
    param->name = binding->weight->name;
    param->n_in = imx_hparams_dim(&model->hparams, row->n_in);
    param->n_out = imx_hparams_dim(&model->hparams, row->n_out);
    if (param->weight == NULL) {
        IMX_TRY(imx_alloc_aligned(&param->weight, param->n_out, param->n_in * sizeof(float), err));
    }
    unpack_rows(binding->weight, param->weight, n_threads);
    free(param->bias);
    param->bias = NULL;
    if (binding->bias != NULL) {
        IMX_TRY(imx_alloc_aligned(&param->bias, param->n_out, sizeof(float), err));
        unpack_rows(binding->bias, param->bias, n_threads);
    }
    if (binding->scale != NULL) {
        fold_scale(param, binding->scale, row->flags & IMX_ROLE_SCALES_BIAS);
    }
    imx_model_release(model, binding->weight);
    return IMX_OK;
}

void imx_param_free(imx_param *param) {
    free(param->weight);
    free(param->bias);
    *param = (imx_param){0};
}

static void add_bias(const float *bias, float *y, size_t n_rows, size_t n_cols, size_t stride) {
    for (size_t i = 0; i < n_rows; ++i) {
        for (size_t j = 0; j < n_cols; ++j) {
            y[i * stride + j] += bias[j];
        }
    }
}

static imx_status apply_tile(const imx_param *param, const float *x, size_t n_rows, float *y,
                             size_t i, size_t j) {
    const imx_gemm tile = {
        .m = imx_piece_len(n_rows, i, TILE_ROWS),
        .n = imx_piece_len(param->n_out, j, TILE_COLS),
        .k = param->n_in,
        .a = x + i * param->n_in,
        .a_stride = param->n_in,
        .b = param->weight + j * param->n_in,
        .b_stride = param->n_in,
        .b_is_rows = true,
        .c = y + i * param->n_out + j,
        .c_stride = param->n_out,
    };
    IMX_TRY(imx_gemm_run(&tile));
    if (param->bias != NULL) {
        add_bias(param->bias + j, tile.c, tile.m, tile.n, tile.c_stride);
    }
    return IMX_OK;
}

imx_status imx_param_apply(const imx_param *param, const float *x, size_t n_rows, float *y,
                           int n_threads, imx_error *err) {
    bool failed = false;
#pragma omp parallel for collapse(2) schedule(dynamic) num_threads(n_threads) reduction(|| : failed)
    for (size_t j = 0; j < param->n_out; j += TILE_COLS) {
        for (size_t i = 0; i < n_rows; i += TILE_ROWS) {
            failed = apply_tile(param, x, n_rows, y, i, j) != IMX_OK || failed;
        }
    }
    if (failed) {
        return imx_fail(err, IMX_ERR_MEMORY, "out of memory while multiplying with '%s'",
                        param->name);
    }
    return IMX_OK;
}
