// SPDX-License-Identifier: MIT
//
// The Llama forward pass from its definition: one token at a time, f64, no cleverness. The golden
// values of the walk's tests come from here.

#ifndef IMX_TESTS_NAIVE_LLAMA_H
#define IMX_TESTS_NAIVE_LLAMA_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/gguf.h"
#include "tiny_model.h"

// The values of a tensor; a negative layer means a tensor outside layers. NULL when absent.
static inline const float *naive_tensor(const imx_gguf *gguf, int layer, const char *name) {
    char in_layer[2 * TINY_MAX_NAME];
    snprintf(in_layer, sizeof in_layer, "blk.%d.%s", layer, name);
    const imx_gguf_tensor *tensor = imx_gguf_find_tensor(gguf, layer < 0 ? name : in_layer);
    return tensor != NULL ? (const float *)(const void *)tensor->data : NULL;
}

// y (n_out) = W x + bias
static inline void naive_product(const imx_gguf *gguf, int layer, const char *stem, const double *x,
                                 size_t n_in, double *y, size_t n_out) {
    char name[TINY_MAX_NAME];
    snprintf(name, sizeof name, "%s.weight", stem);
    const float *weight = naive_tensor(gguf, layer, name);
    snprintf(name, sizeof name, "%s.bias", stem);
    const float *bias = naive_tensor(gguf, layer, name);
    for (size_t i = 0; i < n_out; ++i) {
        y[i] = bias != NULL ? (double)bias[i] : 0;
        for (size_t j = 0; j < n_in; ++j) {
            y[i] += (double)weight[i * n_in + j] * x[j];
        }
    }
}

static inline void naive_norm(const imx_gguf *gguf, int layer, const char *name, const double *x,
                              size_t n, double *out) {
    const float *weight = naive_tensor(gguf, layer, name);
    double sum2 = 0;
    for (size_t j = 0; j < n; ++j) {
        sum2 += x[j] * x[j];
    }
    for (size_t j = 0; j < n; ++j) {
        out[j] = x[j] / sqrt(sum2 / (double)n + 1e-5) * (double)weight[j];
    }
}

static inline void naive_rotate(double *heads, size_t n_heads, size_t head_dim, size_t position) {
    for (size_t at = 0; at < n_heads * head_dim; at += 2) {
        const double power = (double)(at % head_dim) / (double)head_dim;
        const double angle = (double)position * pow(10000.0, -power);
        const double x = heads[at], y = heads[at + 1];
        heads[at] = x * cos(angle) - y * sin(angle);
        heads[at + 1] = x * sin(angle) + y * cos(angle);
    }
}

// mixed (n_embd) of the token at `position`; k and v hold its chunk up to it, (position + 1, n_kv).
static inline void naive_attend(const tiny_model *m, const double *q, const double *k,
                                const double *v, size_t position, double *mixed) {
    const size_t head_dim = m->n_embd / m->n_heads;
    const size_t n_kv = head_dim * m->n_kv_heads;
    memset(mixed, 0, m->n_embd * sizeof *mixed);
    for (size_t h = 0; h < m->n_heads; ++h) {
        const size_t kv_at = h / (m->n_heads / m->n_kv_heads) * head_dim;
        double sum = 0;
        for (size_t j = 0; j <= position; ++j) {
            double score = 0;
            for (size_t l = 0; l < head_dim; ++l) {
                score += q[h * head_dim + l] * k[j * n_kv + kv_at + l];
            }
            const double weight = exp(score / sqrt((double)head_dim));
            sum += weight;
            for (size_t l = 0; l < head_dim; ++l) {
                mixed[h * head_dim + l] += weight * v[j * n_kv + kv_at + l];
            }
        }
        for (size_t l = 0; l < head_dim; ++l) {
            mixed[h * head_dim + l] /= sum;
        }
    }
}

static inline void naive_feed_forward(const imx_gguf *gguf, const tiny_model *m, int layer,
                                      double *x) {
    double normed[256], gate[256], up[256], change[256];
    naive_norm(gguf, layer, "ffn_norm.weight", x, m->n_embd, normed);
    naive_product(gguf, layer, "ffn_gate", normed, m->n_embd, gate, m->n_ff);
    naive_product(gguf, layer, "ffn_up", normed, m->n_embd, up, m->n_ff);
    for (size_t j = 0; j < m->n_ff; ++j) {
        up[j] *= gate[j] / (1 + exp(-gate[j]));
    }
    naive_product(gguf, layer, "ffn_down", up, m->n_ff, change, m->n_embd);
    for (size_t j = 0; j < m->n_embd; ++j) {
        x[j] += change[j];
    }
}

// Carries x (n, n_embd), the tokens of one chunk, through a layer.
static inline void naive_layer(const imx_gguf *gguf, const tiny_model *m, int layer, double *x,
                               size_t n) {
    const size_t n_kv = m->n_embd / m->n_heads * m->n_kv_heads;
    double *k = malloc(n * n_kv * sizeof *k);
    double *v = malloc(n * n_kv * sizeof *v);
    for (size_t i = 0; i < n; ++i) {
        double normed[256], q[256], mixed[256], change[256];
        double *row = x + i * m->n_embd;
        naive_norm(gguf, layer, "attn_norm.weight", row, m->n_embd, normed);
        naive_product(gguf, layer, "attn_q", normed, m->n_embd, q, m->n_embd);
        naive_product(gguf, layer, "attn_k", normed, m->n_embd, k + i * n_kv, n_kv);
        naive_product(gguf, layer, "attn_v", normed, m->n_embd, v + i * n_kv, n_kv);
        naive_rotate(q, m->n_heads, m->n_embd / m->n_heads, i);
        naive_rotate(k + i * n_kv, m->n_kv_heads, m->n_embd / m->n_heads, i);
        naive_attend(m, q, k, v, i, mixed);
        naive_product(gguf, layer, "attn_output", mixed, m->n_embd, change, m->n_embd);
        for (size_t j = 0; j < m->n_embd; ++j) {
            row[j] += change[j];
        }
        naive_feed_forward(gguf, m, layer, row);
    }
    free(k);
    free(v);
}

// Logits (n, n_vocab) of one chunk of n tokens, by a model of at most 256 columns anywhere. The
// caller frees them.
static inline double *naive_logits(const imx_gguf *gguf, const tiny_model *m, const int32_t *tokens,
                                   size_t n) {
    const float *embedding = naive_tensor(gguf, -1, "token_embd.weight");
    double *x = malloc(n * m->n_embd * sizeof *x);
    double *logits = malloc(n * m->n_vocab * sizeof *logits);
    for (size_t i = 0; i < n * m->n_embd; ++i) {
        const size_t token = (size_t)tokens[i / m->n_embd];
        x[i] = (double)embedding[token * m->n_embd + i % m->n_embd];
    }
    for (uint32_t layer = 0; layer < m->n_layers; ++layer) {
        naive_layer(gguf, m, (int)layer, x, n);
    }
    for (size_t i = 0; i < n; ++i) {
        double normed[256];
        naive_norm(gguf, -1, "output_norm.weight", x + i * m->n_embd, m->n_embd, normed);
        naive_product(gguf, -1, m->has_output ? "output" : "token_embd", normed, m->n_embd,
                      logits + i * m->n_vocab, m->n_vocab);
    }
    free(x);
    return logits;
}

#endif
