// SPDX-License-Identifier: MIT
//
// The sources of the searches and encoders are compiled once as they stand and once for each wider
// instruction set, with this header in front (quant/CMakeLists.txt). It gives what a variant
// exports a name of its own: IMX_ISA_VARIANT is avx2 or avx512.
//
// What makes results equal: lanes compute the same IEEE operations in the same order whatever their
// width, and nothing is contracted into fused operations.

#ifndef IMX_QUANT_ISA_NAMES_H
#define IMX_QUANT_ISA_NAMES_H

#define IMX_ISA_PASTE(name, variant)  name##_##variant
#define IMX_ISA_EXPAND(name, variant) IMX_ISA_PASTE(name, variant)
#define IMX_ISA_NAME(name)            IMX_ISA_EXPAND(name, IMX_ISA_VARIANT)

#define imx_choose_run                IMX_ISA_NAME(imx_choose_run)
#define imx_decode_run                IMX_ISA_NAME(imx_decode_run)
#define imx_emphasis_of               IMX_ISA_NAME(imx_emphasis_of)
#define imx_encode_bf16               IMX_ISA_NAME(imx_encode_bf16)
#define imx_encode_f16                IMX_ISA_NAME(imx_encode_f16)
#define imx_encode_f32                IMX_ISA_NAME(imx_encode_f32)
#define imx_encode_mxfp4              IMX_ISA_NAME(imx_encode_mxfp4)
#define imx_encode_runs               IMX_ISA_NAME(imx_encode_runs)
#define imx_encode_tq1_0              IMX_ISA_NAME(imx_encode_tq1_0)
#define imx_encode_tq2_0              IMX_ISA_NAME(imx_encode_tq2_0)
#define imx_encoder_count             IMX_ISA_NAME(imx_encoder_count)
#define imx_encoder_table             IMX_ISA_NAME(imx_encoder_table)
#define imx_feed_back                 IMX_ISA_NAME(imx_feed_back)
#define imx_fit_affine                IMX_ISA_NAME(imx_fit_affine)
#define imx_fit_grids                 IMX_ISA_NAME(imx_fit_grids)
#define imx_fit_group                 IMX_ISA_NAME(imx_fit_group)
#define imx_fit_half                  IMX_ISA_NAME(imx_fit_half)
#define imx_fit_iq4                   IMX_ISA_NAME(imx_fit_iq4)
#define imx_fit_scale                 IMX_ISA_NAME(imx_fit_scale)
#define imx_group_codes               IMX_ISA_NAME(imx_group_codes)
#define imx_group_moments             IMX_ISA_NAME(imx_group_moments)
#define imx_iq4_codes                 IMX_ISA_NAME(imx_iq4_codes)
#define imx_measure_codes             IMX_ISA_NAME(imx_measure_codes)
#define imx_measure_grids             IMX_ISA_NAME(imx_measure_grids)
#define imx_measure_scales            IMX_ISA_NAME(imx_measure_scales)
#define imx_multiply_vectors          IMX_ISA_NAME(imx_multiply_vectors)
#define imx_run_error_loss            IMX_ISA_NAME(imx_run_error_loss)
#define imx_refit_run                 IMX_ISA_NAME(imx_refit_run)
#define imx_run_error_measure         IMX_ISA_NAME(imx_run_error_measure)
#define imx_run_error_open            IMX_ISA_NAME(imx_run_error_open)
#define imx_run_error_read_grids      IMX_ISA_NAME(imx_run_error_read_grids)
#define imx_runs_iq4_nl               IMX_ISA_NAME(imx_runs_iq4_nl)
#define imx_runs_iq4_xs               IMX_ISA_NAME(imx_runs_iq4_xs)
#define imx_runs_q2_k                 IMX_ISA_NAME(imx_runs_q2_k)
#define imx_runs_q3_k                 IMX_ISA_NAME(imx_runs_q3_k)
#define imx_runs_q4_0                 IMX_ISA_NAME(imx_runs_q4_0)
#define imx_runs_q4_1                 IMX_ISA_NAME(imx_runs_q4_1)
#define imx_runs_q4_k                 IMX_ISA_NAME(imx_runs_q4_k)
#define imx_runs_q5_0                 IMX_ISA_NAME(imx_runs_q5_0)
#define imx_runs_q5_1                 IMX_ISA_NAME(imx_runs_q5_1)
#define imx_runs_q5_k                 IMX_ISA_NAME(imx_runs_q5_k)
#define imx_runs_q6_k                 IMX_ISA_NAME(imx_runs_q6_k)
#define imx_runs_q8_0                 IMX_ISA_NAME(imx_runs_q8_0)
#define imx_scale_weights             IMX_ISA_NAME(imx_scale_weights)
#define imx_search_affine             IMX_ISA_NAME(imx_search_affine)
#define imx_search_iq4                IMX_ISA_NAME(imx_search_iq4)
#define imx_search_symmetric          IMX_ISA_NAME(imx_search_symmetric)
#define imx_spread_groups             IMX_ISA_NAME(imx_spread_groups)
#define imx_store_half                IMX_ISA_NAME(imx_store_half)
#define imx_store_scale               IMX_ISA_NAME(imx_store_scale)
#define imx_view_block                IMX_ISA_NAME(imx_view_block)
#define imx_weigh_block               IMX_ISA_NAME(imx_weigh_block)

#endif
