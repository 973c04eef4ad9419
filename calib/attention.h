// SPDX-License-Identifier: MIT
//
// Causal attention within chunks.

#ifndef IMX_CALIB_ATTENTION_H
#define IMX_CALIB_ATTENTION_H

#include <stddef.h>

#include "formats/error.h"

typedef struct imx_attention {
    size_t n_heads;
    size_t n_kv_heads; // divides n_heads: each serves n_heads / n_kv_heads neighbouring heads
    size_t head_dim_k;
    size_t head_dim_v;
    float scale;    // of the scores
    size_t n_ctx;   // tokens of a chunk
    size_t n_rows;  // tokens; chunks follow one another and the last may be short
    const float *q; // (n_rows, n_heads · head_dim_k), rotated
    const float *k; // (n_rows, n_kv_heads · head_dim_k), rotated
    const float *v; // (n_rows, n_kv_heads · head_dim_v)
    float *out;     // (n_rows, n_heads · head_dim_v)
} imx_attention;

// out[i] = sum over j <= i of softmax_j(scale · q[i] · k[j]) v[j], head by head, i and j in the
// same chunk. The same bits for any n_threads. Scratch: a few dozen rows of n_ctx scores a thread.
imx_status imx_attend(const imx_attention *attention, int n_threads, imx_error *err);

#endif
