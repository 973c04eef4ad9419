// SPDX-License-Identifier: MIT
//
// The tensors of one role, unpacked to f32, and the product they stand for.

#ifndef IMX_CALIB_PARAM_H
#define IMX_CALIB_PARAM_H

#include <stddef.h>
#include <stdint.h>

#include "calib/model_internal.h"
#include "formats/error.h"

typedef struct imx_param {
    const char *name; // of the weight tensor; NULL when the model has none
    size_t n_in;      // 1 for a vector
    size_t n_out;
    float *weight; // (n_in, n_out) in panels of columns; a vector as it is
    float *bias;   // (n_out) or NULL
} imx_param;

// Unpacks a role of a layer (0 for roles outside layers), with the scale folded in. A param that
// already holds the same role of another layer is reused; a zeroed one is allocated. *param is the
// caller's to imx_param_free, also on failure.
imx_status imx_param_unpack(imx_param *param, const imx_model *model, imx_role role, uint32_t layer,
                            int n_threads, imx_error *err);
void imx_param_free(imx_param *param);

// y (n_rows, n_out) = x (n_rows, n_in) · weightᵀ + bias. The same bits for any n_threads.
imx_status imx_param_apply(const imx_param *param, const float *x, size_t n_rows, float *y,
                           int n_threads, imx_error *err);

#endif
