// SPDX-License-Identifier: MIT

#include "quant/encoder.h"

#include "formats/tensor_type.h"
#include "quant/encode_internal.h"

static const imx_encoder encoders[] = {
    {IMX_TYPE_F32, imx_encode_f32},   {IMX_TYPE_F16, imx_encode_f16},
    {IMX_TYPE_BF16, imx_encode_bf16}, {IMX_TYPE_Q4_0, imx_encode_q4_0},
    {IMX_TYPE_Q4_1, imx_encode_q4_1}, {IMX_TYPE_Q5_0, imx_encode_q5_0},
    {IMX_TYPE_Q5_1, imx_encode_q5_1}, {IMX_TYPE_Q8_0, imx_encode_q8_0},
    {IMX_TYPE_Q2_K, imx_encode_q2_k}, {IMX_TYPE_Q3_K, imx_encode_q3_k},
    {IMX_TYPE_Q4_K, imx_encode_q4_k}, {IMX_TYPE_Q5_K, imx_encode_q5_k},
    {IMX_TYPE_Q6_K, imx_encode_q6_k},
};

const imx_encoder *imx_encoder_of(uint32_t type) {
    for (size_t i = 0; i < sizeof encoders / sizeof *encoders; ++i) {
        if (encoders[i].type == type) {
            return &encoders[i];
        }
    }
    return NULL;
}
