// SPDX-License-Identifier: MIT

#include "quant/encode/encoder_table.h"

#include "formats/tensor_type.h"
#include "quant/encode/encode_internal.h"

const imx_encoder imx_encoder_table[] = {
    {IMX_TYPE_F32, false, imx_encode_f32},      {IMX_TYPE_F16, false, imx_encode_f16},
    {IMX_TYPE_BF16, false, imx_encode_bf16},    {IMX_TYPE_Q4_0, true, imx_encode_q4_0},
    {IMX_TYPE_Q4_1, true, imx_encode_q4_1},     {IMX_TYPE_Q5_0, true, imx_encode_q5_0},
    {IMX_TYPE_Q5_1, true, imx_encode_q5_1},     {IMX_TYPE_Q8_0, true, imx_encode_q8_0},
    {IMX_TYPE_Q2_K, true, imx_encode_q2_k},     {IMX_TYPE_Q3_K, true, imx_encode_q3_k},
    {IMX_TYPE_Q4_K, true, imx_encode_q4_k},     {IMX_TYPE_Q5_K, true, imx_encode_q5_k},
    {IMX_TYPE_Q6_K, true, imx_encode_q6_k},     {IMX_TYPE_IQ4_NL, true, imx_encode_iq4_nl},
    {IMX_TYPE_IQ4_XS, true, imx_encode_iq4_xs}, {IMX_TYPE_TQ1_0, false, imx_encode_tq1_0},
    {IMX_TYPE_TQ2_0, false, imx_encode_tq2_0},  {IMX_TYPE_MXFP4, false, imx_encode_mxfp4},
};

const size_t imx_encoder_count = sizeof imx_encoder_table / sizeof *imx_encoder_table;
