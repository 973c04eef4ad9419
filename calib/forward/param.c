// SPDX-License-Identifier: MIT

#include "calib/forward/param.h"

#include <stdlib.h>

#include "formats/memory.h"

// Unpacks a tensor that is no matrix of a product; *out is replaced.
static imx_status unpack_values(float **out, const imx_gguf_tensor *tensor, imx_error *err) {
    free(*out);
    *out = NULL;
    if (tensor == NULL) {
        return IMX_OK;
    }
    const imx_type_traits *traits = imx_type_traits_of(tensor->type);
    const size_t n = (size_t)(tensor->size_bytes / traits->block_bytes) * traits->block_len;
    IMX_TRY(imx_alloc_aligned(out, n, sizeof **out, err));
    traits->decode(tensor->data, *out, n);
    return IMX_OK;
}

// y = scale · (W x + bias) is (scale · W) x + scale · bias.
static void scale_bias(imx_param *param) {
    for (size_t mat = 0; mat < param->n_mats; ++mat) {
        for (size_t i = 0; i < param->n_out; ++i) {
            param->bias[mat * param->n_out + i] *= param->scale[mat];
        }
    }
}

imx_status imx_param_load(imx_param *param, const imx_model *model, imx_role role, uint32_t layer,
                          int n_threads, imx_error *err) {
    const imx_role_row *row = imx_role_row_of(role);
    const imx_binding *binding = &model->bindings[layer][role];
    param->model = model;
    param->weight = binding->weight;
    param->n_in = imx_model_dim(model, row->n_in);
    param->n_out = imx_model_dim(model, row->n_out);
    param->n_mats = imx_model_dim(model, row->n_mats);
    IMX_TRY(unpack_values(&param->bias, binding->bias, err));
    IMX_TRY(unpack_values(&param->scale, binding->scale, err));
    if ((row->flags & IMX_ROLE_SCALES_BIAS) != 0 && param->scale != NULL && param->bias != NULL) {
        scale_bias(param);
    }
    if (!imx_role_is_product(role) && role != IMX_ROLE_TOKEN_EMBD) {
        return unpack_values(&param->vector, binding->weight, err);
    }
    return param->weight != NULL && row->n_mats == IMX_DIM_ONE && role != IMX_ROLE_TOKEN_EMBD
               ? imx_param_unpack(param, 0, n_threads, err)
               : IMX_OK;
}

imx_status imx_param_unpack(imx_param *param, size_t mat, int n_threads, imx_error *err) {
    const imx_gguf_tensor *weight = param->weight;
    const size_t mat_bytes = (size_t)weight->size_bytes / param->n_mats;
    IMX_TRY(imx_panels_reserve(&param->panels, param->n_in, param->n_out, err));
    imx_panels_unpack(&param->panels, weight->type, weight->data + mat * mat_bytes,
                      param->scale != NULL ? param->scale[mat] : 1.0f, n_threads);
    param->mat = mat;
    imx_model_release_mat(param->model, weight, mat);
    return IMX_OK;
}

void imx_param_free(imx_param *param) {
    free(param->vector);
    free(param->bias);
    free(param->scale);
    imx_panels_free(&param->panels);
    *param = (imx_param){0};
}

uint64_t imx_param_bytes(const imx_model *model, imx_role role, uint32_t layer,
                         imx_operands operands) {
    const imx_role_row *row = imx_role_row_of(role);
    const imx_binding *binding = &model->bindings[layer][role];
    const uint64_t n_biases =
        binding->bias != NULL ? imx_model_dim(model, row->n_out) * imx_model_dim(model, row->n_mats)
                              : 0;
    return n_biases * sizeof(float) +
           (binding->weight != NULL ? imx_panels_bytes(imx_model_dim(model, row->n_in),
                                                       imx_model_dim(model, row->n_out), operands)
                                    : 0);
}

imx_status imx_param_apply(const imx_param *param, const float *x, size_t x_stride, size_t n_rows,
                           float *y, size_t y_stride, int n_threads, imx_error *err) {
    const imx_product product = {
        .panels = &param->panels,
        .bias = param->bias != NULL ? param->bias + param->mat * param->n_out : NULL,
        .n_rows = n_rows,
        .x = x,
        .x_stride = x_stride,
        .y = y,
        .y_stride = y_stride,
    };
    if (imx_product_run(&product, n_threads) != IMX_OK) {
        return imx_fail(err, IMX_ERR_MEMORY, "out of memory while multiplying with '%s'",
                        param->weight->name);
    }
    return IMX_OK;
}
