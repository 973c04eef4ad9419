// SPDX-License-Identifier: MIT
//
// Causal attention within chunks.

#ifndef IMX_CALIB_ATTENTION_H
#define IMX_CALIB_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"

// Row i of q, k and v begins a stride behind row i − 1; heads lie side by side in a row.
typedef struct imx_attention {
    size_t n_heads;
    size_t n_kv_heads; // divides n_heads: each serves n_heads / n_kv_heads neighbouring heads
    size_t head_dim_k;
    size_t head_dim_v;
    float scale;         // of the scores
    float softcap;       // c · tanh(score / c) afterwards; 0: none
    size_t window;       // tokens attended to, the own one among them; 0: all before
    const float *slopes; // (n_heads) times the distance, taken from the scores; NULL: none
    const float *sinks;  // (n_heads) score of attending to nothing; NULL: none

    size_t n_ctx; // no chunk has more rows
    size_t n_chunks;
    const size_t *starts; // (n_chunks + 1) chunk c has the rows starts[c] − starts[0] up to,
                          // without it, starts[c + 1] − starts[0]
    const float *q;       // (n_rows, n_heads · head_dim_k)
    size_t q_stride;
    const float *k; // (n_rows, n_kv_heads · head_dim_k)
    size_t k_stride;
    const float *v; // (n_rows, n_kv_heads · head_dim_v)
    size_t v_stride;
    float *out; // (n_rows, n_heads · head_dim_v)
} imx_attention;

// out[i] = sum over the j attended to of softmax_j(score(i, j)) v[j], head by head, i and j in the
// same chunk, j <= i. The same bits for any n_threads.
imx_status imx_attend(const imx_attention *attention, int n_threads, imx_error *err);

// Scratch memory of that for chunks of up to n_ctx tokens: a few dozen rows of scores a thread.
size_t imx_attention_scratch_bytes(size_t n_ctx, int n_threads);

#endif
