// SPDX-License-Identifier: MIT
//
// Weights are unpacked to f32 once per layer and then multiplied with every token of the corpus.
//
// A product is cut into tiles of TILE_ROWS tokens × PANEL outputs, each over the whole inner
// dimension, and the tiles are handed to threads. A tile's shape depends on the product only, so
// its bits do too.
//
// The kernel copies what it multiplies into the order of its registers, and a tile small enough to
// share out amortises that badly: of weights as they lie, rows of (n_out, n_in), 256 × 256 tiles
// reach two thirds of the processor's peak and 1024 × 512 ones four fifths. Unpacking therefore
// transposes as well, which costs nothing beside decoding: PANEL outputs form a panel (n_in, PANEL)
// in one piece, whose rows are taken over as they are. Tiles then reach more than four fifths at
// half the size. PANEL is a multiple of 48, the register block of the AVX-512 kernel, and of the
// 16 and 24 of others.

#include "calib/param.h"

#include <stdlib.h>

#include "calib/kernels/gemm.h"
#include "calib/split.h"
#include "formats/memory.h"

enum {
    TILE_ROWS = 256,
    PANEL = 384,
    STRIP = 16,  // outputs transposed together; divides PANEL
    PIECE = 256, // inputs transposed together; every block length divides it
};

static void unpack_vector(const imx_gguf_tensor *tensor, float *out) {
    const size_t n = (size_t)imx_gguf_tensor_cols(tensor);
    imx_type_traits_of(tensor->type)->decode(tensor->data, out, n);
}

// Decodes the rows `first` up to first + n_rows, which is at most STRIP, and writes them as columns
// of a matrix with rows of `stride` values.
static void transpose_strip(const imx_gguf_tensor *tensor, size_t first, size_t n_rows, float *out,
                            size_t stride) {
    const imx_type_traits *traits = imx_type_traits_of(tensor->type);
    const size_t n_cols = (size_t)imx_gguf_tensor_cols(tensor);
    const size_t row_bytes = (size_t)imx_type_row_bytes(tensor->type, n_cols);
    const uint8_t *rows = tensor->data + first * row_bytes;
    float piece[STRIP][PIECE];
    for (size_t j = 0; j < n_cols; j += PIECE) {
        const size_t n = imx_piece_len(n_cols, j, PIECE);
        for (size_t i = 0; i < n_rows; ++i) {
            traits->decode(rows + i * row_bytes + imx_type_row_bytes(tensor->type, j), piece[i], n);
        }
        for (size_t l = 0; l < n; ++l) {
            for (size_t i = 0; i < n_rows; ++i) {
                out[(j + l) * stride + i] = piece[i][l];
            }
        }
    }
}

static void unpack_panels(const imx_param *param, const imx_gguf_tensor *tensor, int n_threads) {
#pragma omp parallel for num_threads(n_threads)
    for (size_t i = 0; i < param->n_out; i += STRIP) {
        const size_t panel = i / PANEL * PANEL;
        transpose_strip(tensor, i, imx_piece_len(param->n_out, i, STRIP),
                        param->weight + panel * param->n_in + (i - panel),
                        imx_piece_len(param->n_out, panel, PANEL));
    }
}

static void unpack_weight(const imx_param *param, const imx_gguf_tensor *tensor, int n_threads) {
    if (param->n_in == 1) { // a vector, which GGUF keeps as one row
        unpack_vector(tensor, param->weight);
    } else {
        unpack_panels(param, tensor, n_threads);
    }
}

static void multiply_all(float *values, size_t n, float factor) {
    for (size_t i = 0; i < n; ++i) {
        values[i] *= factor;
    }
}

static void fold_scale(imx_param *param, const imx_gguf_tensor *tensor, bool scales_bias) {
    float scale;
    unpack_vector(tensor, &scale);
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
    unpack_weight(param, binding->weight, n_threads);
    free(param->bias);
    param->bias = NULL;
    if (binding->bias != NULL) {
        IMX_TRY(imx_alloc_aligned(&param->bias, param->n_out, sizeof(float), err));
        unpack_vector(binding->bias, param->bias);
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
    const size_t width = imx_piece_len(param->n_out, j, PANEL);
    const imx_gemm tile = {
        .m = imx_piece_len(n_rows, i, TILE_ROWS),
        .n = width,
        .k = param->n_in,
        .a = x + i * param->n_in,
        .a_stride = param->n_in,
        .b = param->weight + j * param->n_in,
        .b_stride = width,
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
    for (size_t j = 0; j < param->n_out; j += PANEL) {
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
