// SPDX-License-Identifier: MIT

#include "quant/encode/encoder_table.h"

#include "formats/tensor_type.h"
#include "quant/encode/encode_internal.h"

// The encoder of a type with grids, which is its coder run by run.
#define RUN_ENCODER(type)                                                                          \
    static void encode_##type(const float *row, size_t n_cols, const imx_importance *importance,   \
                              const imx_encode_options *options, void *blocks) {                   \
        imx_encode_runs(&imx_runs_##type, row, n_cols, importance, options, blocks);               \
    }

RUN_ENCODER(q4_0)
RUN_ENCODER(q4_1)
RUN_ENCODER(q5_0)
RUN_ENCODER(q5_1)
RUN_ENCODER(q8_0)
RUN_ENCODER(q2_k)
RUN_ENCODER(q3_k)
RUN_ENCODER(q4_k)
RUN_ENCODER(q5_k)
RUN_ENCODER(q6_k)
RUN_ENCODER(iq4_nl)
RUN_ENCODER(iq4_xs)

const imx_encoder imx_encoder_table[] = {
    {IMX_TYPE_F32, NULL, imx_encode_f32},
    {IMX_TYPE_F16, NULL, imx_encode_f16},
    {IMX_TYPE_BF16, NULL, imx_encode_bf16},
    {IMX_TYPE_Q4_0, &imx_runs_q4_0, encode_q4_0},
    {IMX_TYPE_Q4_1, &imx_runs_q4_1, encode_q4_1},
    {IMX_TYPE_Q5_0, &imx_runs_q5_0, encode_q5_0},
    {IMX_TYPE_Q5_1, &imx_runs_q5_1, encode_q5_1},
    {IMX_TYPE_Q8_0, &imx_runs_q8_0, encode_q8_0},
    {IMX_TYPE_Q2_K, &imx_runs_q2_k, encode_q2_k},
    {IMX_TYPE_Q3_K, &imx_runs_q3_k, encode_q3_k},
    {IMX_TYPE_Q4_K, &imx_runs_q4_k, encode_q4_k},
    {IMX_TYPE_Q5_K, &imx_runs_q5_k, encode_q5_k},
    {IMX_TYPE_Q6_K, &imx_runs_q6_k, encode_q6_k},
    {IMX_TYPE_IQ4_NL, &imx_runs_iq4_nl, encode_iq4_nl},
    {IMX_TYPE_IQ4_XS, &imx_runs_iq4_xs, encode_iq4_xs},
    {IMX_TYPE_TQ1_0, NULL, imx_encode_tq1_0},
    {IMX_TYPE_TQ2_0, NULL, imx_encode_tq2_0},
    {IMX_TYPE_MXFP4, NULL, imx_encode_mxfp4},
};

const size_t imx_encoder_count = sizeof imx_encoder_table / sizeof *imx_encoder_table;
