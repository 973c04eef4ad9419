// SPDX-License-Identifier: MIT
//
// What the encoders share; private to the room.

#ifndef IMX_QUANT_ENCODE_INTERNAL_H
#define IMX_QUANT_ENCODE_INTERNAL_H

#include "formats/blocks.h"
#include "quant/encode/encoder.h"
#include "quant/encode/feedback.h"
#include "quant/encode/run_coder.h"

// Codes as unsigned integers, (n).
static inline void imx_bias_codes(const float *codes, int n, int bias, uint8_t *q) {
    for (int j = 0; j < n; ++j) {
        q[j] = (uint8_t)((int)codes[j] + bias);
    }
}

// The low four bits of codes, that of weight j in the low half of byte j, of j + 16 in the high.
static inline void imx_pack_nibbles(const uint8_t codes[IMX_BLOCK_LEN], uint8_t qs[16]) {
    for (int j = 0; j < 16; ++j) {
        qs[j] = (uint8_t)((codes[j] & 15) | (codes[j + 16] & 15) << 4);
    }
}

// The low two bits of codes: in each half of 128 weights byte l takes those of weights l, l + 32,
// l + 64, l + 96, low bits first.
static inline void imx_pack_two_bits(const uint8_t q[IMX_SUPER_BLOCK_LEN], uint8_t qs[64]) {
    for (int half = 0; half < 2; ++half) {
        const uint8_t *const from = q + half * 128;
        for (int l = 0; l < 32; ++l) {
            qs[half * 32 + l] = (uint8_t)((from[l] & 3) | (from[l + 32] & 3) << 2 |
                                          (from[l + 64] & 3) << 4 | (from[l + 96] & 3) << 6);
        }
    }
}

void imx_encode_f32(const float *row, size_t n_cols, const imx_importance *importance,
                    const imx_encode_options *options, void *blocks);
void imx_encode_f16(const float *row, size_t n_cols, const imx_importance *importance,
                    const imx_encode_options *options, void *blocks);
void imx_encode_bf16(const float *row, size_t n_cols, const imx_importance *importance,
                     const imx_encode_options *options, void *blocks);
void imx_encode_tq1_0(const float *row, size_t n_cols, const imx_importance *importance,
                      const imx_encode_options *options, void *blocks);
void imx_encode_tq2_0(const float *row, size_t n_cols, const imx_importance *importance,
                      const imx_encode_options *options, void *blocks);
void imx_encode_mxfp4(const float *row, size_t n_cols, const imx_importance *importance,
                      const imx_encode_options *options, void *blocks);

// The types with grids.
extern const imx_run_coder imx_runs_q4_0;
extern const imx_run_coder imx_runs_q4_1;
extern const imx_run_coder imx_runs_q5_0;
extern const imx_run_coder imx_runs_q5_1;
extern const imx_run_coder imx_runs_q8_0;
extern const imx_run_coder imx_runs_q2_k;
extern const imx_run_coder imx_runs_q3_k;
extern const imx_run_coder imx_runs_q4_k;
extern const imx_run_coder imx_runs_q5_k;
extern const imx_run_coder imx_runs_q6_k;
extern const imx_run_coder imx_runs_iq4_nl;
extern const imx_run_coder imx_runs_iq4_xs;

// The steps that they share, in the variant of the including source (quant/encode/run_coder.h).
#define IMX_SHARED_STEPS                                                                           \
    .choose = imx_choose_run, .feed_back = imx_feed_back, .decode = imx_decode_run

void imx_choose_run(const imx_run_coder *coder, const float *row, size_t first, size_t n,
                    const imx_importance *importance, const imx_encode_options *options,
                    imx_coded_run *run);
void imx_decode_run(const imx_coded_run *run, const imx_run_shape *shape, size_t n, float *out);

// Encodes a row run by run: chosen, fed back where options->metrics has whole runs to do it in, and
// packed. As imx_encoder.encode_row.
void imx_encode_runs(const imx_run_coder *coder, const float *row, size_t n_cols,
                     const imx_importance *importance, const imx_encode_options *options,
                     void *blocks);

#endif
