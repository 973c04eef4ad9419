// SPDX-License-Identifier: MIT
//
// The tensors of one role, unpacked to f32, and the products they stand for.

#ifndef IMX_CALIB_PARAM_H
#define IMX_CALIB_PARAM_H

#include <stddef.h>
#include <stdint.h>

#include "calib/forward/panels.h"
#include "calib/model/model_internal.h"
#include "formats/error.h"

typedef struct imx_param {
    const imx_model *model;
    const imx_gguf_tensor *weight; // NULL: the layer has none
    size_t n_in;                   // 1 for a vector
    size_t n_out;
    size_t n_mats;
    float *vector;     // (n_out, n_in) of a vector or a norm
    float *bias;       // (n_mats, n_out) or NULL
    float *scale;      // (n_mats) or NULL
    imx_panels panels; // the matrix unpacked last; its operands are the caller's to choose
    size_t mat;        // which one that is
} imx_param;

// Loads a role of a layer (0 for roles outside layers): all of it, but of a role with several
// matrices only what is small. The object may hold another layer's and is zeroed before the first.
// *param is the caller's to imx_param_free, also on failure.
imx_status imx_param_load(imx_param *param, const imx_model *model, imx_role role, uint32_t layer,
                          int n_threads, imx_error *err);
void imx_param_free(imx_param *param);

// Unpacks matrix `mat`, with its scale folded in, in place of the one before.
imx_status imx_param_unpack(imx_param *param, size_t mat, int n_threads, imx_error *err);

// Memory of a loaded role with one matrix unpacked.
uint64_t imx_param_bytes(const imx_model *model, imx_role role, uint32_t layer,
                         imx_operands operands);

// y = W x + bias with the matrix unpacked last, row by row; strides as in imx_product. The same
// bits for any n_threads.
imx_status imx_param_apply(const imx_param *param, const float *x, size_t x_stride, size_t n_rows,
                           float *y, size_t y_stride, int n_threads, imx_error *err);

#endif
