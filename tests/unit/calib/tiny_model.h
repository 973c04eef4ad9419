// SPDX-License-Identifier: MIT
//
// Small random Llama models for tests, written as GGUF files. Everything follows from the fields of
// tiny_model; equal fields give equal bytes.

#ifndef IMX_TESTS_TINY_MODEL_H
#define IMX_TESTS_TINY_MODEL_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../random_values.h"
#include "calib/model/model.h"
#include "calib/text/corpus.h"
#include "formats/blocks.h"
#include "formats/gguf.h"
#include "formats/half.h"

enum { TINY_MAX_TENSORS = 128, TINY_MAX_NAME = 64 };

struct tiny_writer;

typedef struct tiny_model {
    const char *arch; // NULL: "llama"
    uint32_t n_vocab, n_embd, n_layers, n_ff, n_heads, n_kv_heads;
    uint32_t n_experts, n_experts_used; // of every layer, of n_ff inner values; 0: it is dense
    uint64_t seed;
    bool has_biases;
    bool has_output;      // else the head is the embedding
    bool has_divisors;    // of rotations, for long contexts and for short ones
    const char *left_out; // a tensor not written; NULL: none
    const char *widened;  // a tensor written with one row too many
    const char *added;    // a tensor of one row nobody asked for
    const char *poisoned; // a tensor whose first value is infinite
    const char *zeroed;   // a tensor of zeros
    bool is_quantized;    // matrices are Q4_0; their rows must be whole blocks
    void (*list_tensors)(struct tiny_writer *w);                       // NULL: those of a Llama
    imx_status (*add_keys)(imx_gguf_builder *builder, imx_error *err); // NULL: no more keys
} tiny_model;

static const tiny_model tiny_default = {
    .n_vocab = 48,
    .n_embd = 24,
    .n_layers = 2,
    .n_ff = 40,
    .n_heads = 4,
    .n_kv_heads = 2,
    .seed = 1,
    .has_biases = true,
    .has_output = true,
};

typedef struct tiny_tensor {
    char name[TINY_MAX_NAME];
    uint64_t dims[3];
} tiny_tensor;

typedef struct tiny_writer {
    const tiny_model *model;
    tiny_tensor tensors[TINY_MAX_TENSORS];
    size_t n;
} tiny_writer;

static inline bool tiny_is(const char *choice, const char *name) {
    return choice != NULL && strcmp(choice, name) == 0;
}

static inline void tiny_add(tiny_writer *w, const char *name, uint64_t n_in, uint64_t n_out) {
    tiny_tensor *tensor = &w->tensors[w->n];
    if (!tiny_is(w->model->left_out, name)) {
        snprintf(tensor->name, sizeof tensor->name, "%s", name);
        tensor->dims[0] = n_in;
        tensor->dims[1] = n_out + tiny_is(w->model->widened, name);
        tensor->dims[2] = 1;
        ++w->n;
    }
}

static inline void tiny_add_experts(tiny_writer *w, uint32_t layer, const char *stem, uint64_t n_in,
                                    uint64_t n_out) {
    char name[TINY_MAX_NAME];
    const size_t place = w->n;
    snprintf(name, sizeof name, "blk.%u.%s.weight", layer, stem);
    tiny_add(w, name, n_in, n_out);
    if (w->n > place) {
        w->tensors[place].dims[2] = w->model->n_experts;
    }
}

static inline void tiny_add_product(tiny_writer *w, uint32_t layer, const char *stem, uint64_t n_in,
                                    uint64_t n_out) {
    char name[TINY_MAX_NAME];
    snprintf(name, sizeof name, "blk.%u.%s.weight", layer, stem);
    tiny_add(w, name, n_in, n_out);
    if (w->model->has_biases) {
        snprintf(name, sizeof name, "blk.%u.%s.bias", layer, stem);
        tiny_add(w, name, n_out, 1);
    }
}

static inline void tiny_add_norm(tiny_writer *w, uint32_t layer, const char *stem) {
    char name[TINY_MAX_NAME];
    snprintf(name, sizeof name, "blk.%u.%s.weight", layer, stem);
    tiny_add(w, name, w->model->n_embd, 1);
}

static inline void tiny_list_network(tiny_writer *w, uint32_t layer) {
    const tiny_model *m = w->model;
    if (m->n_experts > 0) {
        tiny_add_product(w, layer, "ffn_gate_inp", m->n_embd, m->n_experts);
        tiny_add_experts(w, layer, "ffn_gate_exps", m->n_embd, m->n_ff);
        tiny_add_experts(w, layer, "ffn_up_exps", m->n_embd, m->n_ff);
        tiny_add_experts(w, layer, "ffn_down_exps", m->n_ff, m->n_embd);
    } else {
        tiny_add_product(w, layer, "ffn_gate", m->n_embd, m->n_ff);
        tiny_add_product(w, layer, "ffn_up", m->n_embd, m->n_ff);
        tiny_add_product(w, layer, "ffn_down", m->n_ff, m->n_embd);
    }
}

static inline void tiny_list_tensors(tiny_writer *w) {
    const tiny_model *m = w->model;
    const uint64_t n_kv = (uint64_t)m->n_embd / m->n_heads * m->n_kv_heads;
    tiny_add(w, "token_embd.weight", m->n_embd, m->n_vocab);
    tiny_add(w, "output_norm.weight", m->n_embd, 1);
    if (m->has_output) {
        tiny_add(w, "output.weight", m->n_embd, m->n_vocab);
    }
    for (uint32_t l = 0; l < m->n_layers; ++l) {
        tiny_add_norm(w, l, "attn_norm");
        tiny_add_product(w, l, "attn_q", m->n_embd, m->n_embd);
        tiny_add_product(w, l, "attn_k", m->n_embd, n_kv);
        tiny_add_product(w, l, "attn_v", m->n_embd, n_kv);
        tiny_add_product(w, l, "attn_output", m->n_embd, m->n_embd);
        tiny_add_norm(w, l, "ffn_norm");
        tiny_list_network(w, l);
    }
    if (m->has_divisors) {
        tiny_add(w, "rope_factors_long.weight", m->n_embd / m->n_heads / 2, 1);
        tiny_add(w, "rope_factors_short.weight", m->n_embd / m->n_heads / 2, 1);
    }
    if (m->added != NULL) {
        tiny_add(w, m->added, m->n_embd, 1);
    }
}

static inline imx_type tiny_type(const tiny_model *model, const tiny_tensor *tensor) {
    return model->is_quantized && tensor->dims[1] > 1 ? IMX_TYPE_Q4_0 : IMX_TYPE_F32;
}

static inline imx_status tiny_set_u32(imx_gguf_builder *builder, const tiny_model *model,
                                      const char *suffix, uint32_t value, imx_error *err) {
    char key[128];
    snprintf(key, sizeof key, "%s.%s", model->arch != NULL ? model->arch : "llama", suffix);
    return imx_gguf_set_u32(builder, key, value, err);
}

static inline imx_status tiny_build_header(imx_gguf_builder *builder, const tiny_writer *w,
                                           imx_error *err) {
    const tiny_model *m = w->model;
    const char *arch = m->arch != NULL ? m->arch : "llama";
    IMX_TRY(imx_gguf_set_str(builder, "general.architecture", arch, err));
    IMX_TRY(tiny_set_u32(builder, m, "embedding_length", m->n_embd, err));
    IMX_TRY(tiny_set_u32(builder, m, "block_count", m->n_layers, err));
    IMX_TRY(tiny_set_u32(builder, m, "feed_forward_length", m->n_ff, err));
    IMX_TRY(tiny_set_u32(builder, m, "attention.head_count", m->n_heads, err));
    IMX_TRY(tiny_set_u32(builder, m, "attention.head_count_kv", m->n_kv_heads, err));
    IMX_TRY(imx_gguf_set_f32(builder, "llama.attention.layer_norm_rms_epsilon", 1e-5f, err));
    if (m->n_experts > 0) {
        IMX_TRY(tiny_set_u32(builder, m, "expert_count", m->n_experts, err));
        IMX_TRY(tiny_set_u32(builder, m, "expert_used_count", m->n_experts_used, err));
    }
    if (m->add_keys != NULL) {
        IMX_TRY(m->add_keys(builder, err));
    }
    for (size_t i = 0; i < w->n; ++i) {
        const uint64_t *dims = w->tensors[i].dims;
        const uint32_t n_dims = dims[2] > 1 ? 3 : dims[1] > 1 ? 2 : 1;
        IMX_TRY(imx_gguf_add_tensor(builder, w->tensors[i].name, tiny_type(m, &w->tensors[i]),
                                    n_dims, dims, err));
    }
    return IMX_OK;
}

static inline size_t tiny_tensor_values(const tiny_tensor *tensor) {
    return (size_t)(tensor->dims[0] * tensor->dims[1] * tensor->dims[2]);
}

// Norms are near one; the weights of a product shrink with its length, so that values stay near
// one throughout.
static inline void tiny_fill_tensor(const tiny_model *m, const tiny_tensor *tensor, float *values,
                                    uint64_t seed) {
    const size_t n = tiny_tensor_values(tensor);
    const bool is_norm = strstr(tensor->name, "norm") != NULL;
    const float width = is_norm ? 0.3f : 3.0f / sqrtf((float)tensor->dims[0]);
    random_fill(values, n, seed);
    for (size_t i = 0; i < n; ++i) {
        values[i] = values[i] * width + (is_norm ? 1.0f : 0.0f);
    }
    if (tiny_is(m->poisoned, tensor->name)) {
        values[0] = INFINITY;
    }
    if (tiny_is(m->zeroed, tensor->name)) {
        memset(values, 0, n * sizeof *values);
    }
}

// Blocks of Q4_0 in place of the values, after the plain rule; returns their bytes.
static inline size_t tiny_quantize(float *values, size_t n) {
    imx_block_q4_0 *blocks = (imx_block_q4_0 *)values;
    for (size_t b = 0; b < n / IMX_BLOCK_LEN; ++b) {
        const float *x = values + b * IMX_BLOCK_LEN;
        imx_block_q4_0 block = {0};
        float most = 0;
        for (size_t i = 0; i < IMX_BLOCK_LEN; ++i) {
            most = fmaxf(most, fabsf(x[i]));
        }
        block.d = imx_f16_from_f32(most / 7);
        for (size_t i = 0; i < IMX_BLOCK_LEN; ++i) {
            const int q = (int)lrintf(x[i] * 7 / most) + 8;
            block.qs[i % 16] |= (uint8_t)(i < 16 ? q : q << 4);
        }
        memcpy(&blocks[b], &block, sizeof block);
    }
    return n / IMX_BLOCK_LEN * sizeof *blocks;
}

static inline void tiny_write_data(FILE *file, const tiny_writer *w) {
    static const uint8_t padding[IMX_GGUF_DEFAULT_ALIGNMENT];
    for (size_t i = 0; i < w->n; ++i) {
        const size_t n = tiny_tensor_values(&w->tensors[i]);
        const bool is_quantized = tiny_type(w->model, &w->tensors[i]) == IMX_TYPE_Q4_0;
        float *values = malloc(n * sizeof *values);
        tiny_fill_tensor(w->model, &w->tensors[i], values, w->model->seed * 1000 + i);
        const size_t n_bytes = is_quantized ? tiny_quantize(values, n) : n * sizeof *values;
        const size_t n_over = n_bytes % sizeof padding;
        fwrite(values, 1, n_bytes, file);
        fwrite(padding, 1, n_over > 0 ? sizeof padding - n_over : 0, file);
        free(values);
    }
}

// Writes the model to a new file, whose name goes into `path` (at least 64 bytes); the caller
// unlinks it. False when that failed.
static inline bool tiny_write(const tiny_model *model, char *path) {
    tiny_writer w = {.model = model};
    imx_gguf_builder *builder = NULL;
    uint8_t *header = NULL;
    size_t header_bytes = 0;
    imx_error err;
    (model->list_tensors != NULL ? model->list_tensors : tiny_list_tensors)(&w);
    bool written = imx_gguf_builder_new(&builder, &err) == IMX_OK &&
                   tiny_build_header(builder, &w, &err) == IMX_OK &&
                   imx_gguf_builder_header(builder, &header, &header_bytes, &err) == IMX_OK;
    snprintf(path, 64, "/tmp/imatrix-test-XXXXXX");
    const int descriptor = mkstemp(path);
    FILE *file = descriptor >= 0 ? fdopen(descriptor, "wb") : NULL;
    if (file != NULL && written) {
        fwrite(header, 1, header_bytes, file);
        tiny_write_data(file, &w);
    }
    written = file != NULL && fclose(file) == 0 && written;
    imx_gguf_builder_free(builder);
    free(header);
    return written;
}

// Writes the model and opens it; the file is gone again either way.
static inline imx_status tiny_try_open(const tiny_model *spec, imx_model **model, imx_error *err) {
    char path[64];
    if (!tiny_write(spec, path)) {
        unlink(path);
        return imx_fail(err, IMX_ERR_IO, "%s: cannot write the test's model", path);
    }
    const imx_status status = imx_model_open(model, path, err);
    unlink(path);
    return status;
}

// The same, or the test fails. For files that include cmocka.h before.
static inline imx_model *tiny_open(const tiny_model *spec) {
    imx_model *model = NULL;
    imx_error err = {0};
    if (tiny_try_open(spec, &model, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
    return model;
}

// A corpus of random tokens below n_vocab; free with tiny_corpus_free.
static inline imx_corpus tiny_corpus(size_t n_tokens, uint32_t n_ctx, uint32_t n_vocab) {
    const size_t n_chunks = (n_tokens + n_ctx - 1) / n_ctx;
    imx_corpus corpus = {.n_tokens = n_tokens, .n_ctx = n_ctx, .n_chunks = n_chunks};
    uint64_t state = 77;
    corpus.starts = malloc((n_chunks + 1) * sizeof *corpus.starts);
    for (size_t c = 0; c <= n_chunks; ++c) {
        corpus.starts[c] = c < n_chunks ? c * n_ctx : n_tokens;
    }
    corpus.tokens = malloc(n_tokens * sizeof *corpus.tokens);
    for (size_t i = 0; i < n_tokens; ++i) {
        corpus.tokens[i] = (int32_t)((random_value(&state) + 1) / 2.01f * (float)n_vocab);
    }
    return corpus;
}

static inline void tiny_corpus_free(imx_corpus *corpus) {
    free(corpus->tokens);
    free(corpus->starts);
}

#endif
