// SPDX-License-Identifier: MIT
//
// Softmax attention of one chunk and one head is two products with a row operation between:
//
//     S = Q Kᵀ          P[i][j] = exp(scale · (S[i][j] − max_j S[i][j])) for j <= i, else 0
//     O = P V           O[i] /= sum_j P[i][j]
//
// Some models change the scores first: they are held within ±softcap, or fall with the distance of
// the tokens, by a slope of each head (ALiBi). A window leaves out keys that are too far back. A
// sink is one more score, of a key whose value is zero: it takes its share of the sum.
//
// The rows of Q are taken QUERIES at a time, and only against the keys up to the last of them and
// within the window of the first: the scores of one such block are all that is kept, and of the
// upper triangle, which counts for nothing, only its diagonal blocks are computed. The division
// comes last because rows of O are shorter than rows of P. Threads share out (chunk, head) pairs.
//
// Tried and dropped: an online softmax over blocks of keys. It keeps fewer scores, but at the usual
// 512 tokens a block of scores fits into second-level cache as it is.

#include "calib/forward/attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calib/forward/row_ops.h"
#include "kernels/gemm.h"
#include "kernels/split.h"
#include "formats/memory.h"

enum { QUERIES = 64 };

typedef struct head_view {
    const float *q, *k, *v; // first row of the chunk, first value of the head
    float *out;
    size_t n; // tokens of the chunk
    size_t head;
    size_t out_stride;
} head_view;

static head_view view_head(const imx_attention *a, size_t chunk, size_t head) {
    const size_t kv_head = head / (a->n_heads / a->n_kv_heads);
    const size_t row = a->starts[chunk] - a->starts[0];
    head_view h = {
        .n = a->starts[chunk + 1] - a->starts[chunk],
        .head = head,
        .out_stride = a->n_heads * a->head_dim_v,
    };
    h.q = a->q + row * a->q_stride + head * a->head_dim_k;
    h.k = a->k + row * a->k_stride + kv_head * a->head_dim_k;
    h.v = a->v + row * a->v_stride + kv_head * a->head_dim_v;
    h.out = a->out + row * h.out_stride + head * a->head_dim_v;
    return h;
}

// Makes of the products of query i with the keys from `begin` up to itself the scores that the
// softmax wants, but for the scale that is returned. Keys are counted from any one on; i with them.
static float shape_scores(const imx_attention *a, size_t head, float *scores, size_t begin,
                          size_t i) {
    const float slope = a->slopes != NULL ? a->slopes[head] : 0;
    float scale = a->scale;
    if (a->softcap > 0) {
        imx_softcap(scores + begin, i + 1 - begin, scale, a->softcap);
        scale = 1;
    }
    if (slope == 0 && a->sinks == NULL) {
        return scale;
    }
    for (size_t j = begin; j <= i; ++j) {
        scores[j] = scale * scores[j] - slope * (float)(i - j);
    }
    return 1;
}

// Turns the n products of query i into unnormalised probabilities, zeros where it does not attend,
// and returns what their sum is with the sink.
static float weigh_keys(const imx_attention *a, size_t head, float *scores, size_t i, size_t n) {
    const size_t begin = a->window > 0 && i >= a->window ? i + 1 - a->window : 0;
    const float scale = shape_scores(a, head, scores, begin, i);
    float sum, max;
    imx_exponentiate(scores + begin, i + 1 - begin, scale, &sum, &max);
    memset(scores, 0, begin * sizeof *scores);
    memset(scores + i + 1, 0, (n - i - 1) * sizeof *scores);
    return a->sinks != NULL ? sum + expf(a->sinks[head] - max) : sum;
}

static imx_status attend_queries(const imx_attention *a, const head_view *h, size_t first,
                                 float *scores) {
    const size_t n_queries = imx_piece_len(h->n, first, QUERIES);
    const size_t first_key = a->window > 0 && first >= a->window ? first + 1 - a->window : 0;
    const size_t n_keys = first + n_queries - first_key;
    float *out = h->out + first * h->out_stride;
    float sums[QUERIES];
    IMX_TRY(imx_gemm_run(&(imx_gemm){
        .m = n_queries,
        .n = n_keys,
        .k = a->head_dim_k,
        .a = h->q + first * a->q_stride,
        .a_stride = a->q_stride,
        .b = h->k + first_key * a->k_stride,
        .b_stride = a->k_stride,
        .b_is_rows = true,
        .c = scores,
        .c_stride = n_keys,
    }));
    for (size_t i = 0; i < n_queries; ++i) {
        sums[i] = weigh_keys(a, h->head, scores + i * n_keys, first + i - first_key, n_keys);
    }
    IMX_TRY(imx_gemm_run(&(imx_gemm){
        .m = n_queries,
        .n = a->head_dim_v,
        .k = n_keys,
        .a = scores,
        .a_stride = n_keys,
        .b = h->v + first_key * a->v_stride,
        .b_stride = a->v_stride,
        .c = out,
        .c_stride = h->out_stride,
    }));
    for (size_t i = 0; i < n_queries; ++i) {
        for (size_t j = 0; j < a->head_dim_v; ++j) {
            out[i * h->out_stride + j] /= sums[i];
        }
    }
    return IMX_OK;
}

static imx_status attend_head(const imx_attention *a, size_t chunk, size_t head, float *scores) {
    const head_view h = view_head(a, chunk, head);
    for (size_t first = 0; first < h.n; first += QUERIES) {
        IMX_TRY(attend_queries(a, &h, first, scores));
    }
    return IMX_OK;
}

size_t imx_attention_scratch_bytes(size_t n_ctx, int n_threads) {
    return QUERIES * n_ctx * (size_t)n_threads * sizeof(float);
}

imx_status imx_attend(const imx_attention *attention, int n_threads, imx_error *err) {
    const imx_attention *a = attention;
    const size_t n_scores = QUERIES * a->n_ctx;
    const size_t n_pairs = a->n_chunks * a->n_heads;
    float *scores;
    bool failed = false;
    IMX_TRY(imx_alloc_aligned(&scores, n_scores * (size_t)n_threads, sizeof *scores, err));
#pragma omp parallel for schedule(dynamic) num_threads(n_threads) reduction(|| : failed)
    for (size_t pair = 0; pair < n_pairs; ++pair) {
        float *own = scores + n_scores * (size_t)omp_get_thread_num();
        failed = attend_head(a, pair / a->n_heads, pair % a->n_heads, own) != IMX_OK || failed;
    }
    free(scores);
    if (failed) {
        return imx_fail(err, IMX_ERR_MEMORY, "out of memory in the attention");
    }
    return IMX_OK;
}
