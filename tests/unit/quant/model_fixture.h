// SPDX-License-Identifier: MIT
//
// Models made up for the tests of this room: the keys lie in a real header, the tensors are records
// without data, of any size.

#ifndef IMX_TESTS_MODEL_FIXTURE_H
#define IMX_TESTS_MODEL_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/gguf.h"

enum { MODEL_MAX_TENSORS = 2048 };

typedef struct model_fixture {
    imx_gguf gguf; // what the test plans with
    imx_gguf *keys;
    uint8_t *header;
    imx_gguf_tensor tensors[MODEL_MAX_TENSORS];
} model_fixture;

typedef struct model_numbers {
    uint32_t n_layers;
    uint32_t n_heads;
    uint32_t n_kv_heads;
    uint32_t n_experts; // 0 = no key
} model_numbers;

static inline void model_set(imx_gguf_builder *builder, const char *architecture,
                             const char *suffix, uint32_t value) {
    char key[128];
    snprintf(key, sizeof key, "%s.%s", architecture, suffix);
    assert_int_equal(imx_gguf_set_u32(builder, key, value, NULL), IMX_OK);
}

static inline model_fixture *model_open(const char *architecture, model_numbers numbers) {
    model_fixture *model = calloc(1, sizeof *model);
    imx_gguf_builder *builder;
    size_t header_bytes;
    assert_non_null(model);
    assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_str(builder, "general.architecture", architecture, NULL), IMX_OK);
    model_set(builder, architecture, "block_count", numbers.n_layers);
    model_set(builder, architecture, "attention.head_count", numbers.n_heads);
    model_set(builder, architecture, "attention.head_count_kv", numbers.n_kv_heads);
    if (numbers.n_experts > 0) {
        model_set(builder, architecture, "expert_count", numbers.n_experts);
    }
    assert_int_equal(imx_gguf_builder_header(builder, &model->header, &header_bytes, NULL), IMX_OK);
    imx_gguf_builder_free(builder);
    assert_int_equal(imx_gguf_parse(&model->keys, model->header, header_bytes, "model.gguf", NULL),
                     IMX_OK);
    model->gguf = *model->keys;
    model->gguf.tensors = model->tensors;
    return model;
}

static inline void model_add(model_fixture *model, const char *name, uint32_t type, uint64_t n_cols,
                             uint64_t n_rows, uint64_t n_mats) {
    assert_true(model->gguf.n_tensors < MODEL_MAX_TENSORS);
    imx_gguf_tensor *tensor = &model->tensors[model->gguf.n_tensors++];
    tensor->name = strdup(name);
    tensor->type = type;
    tensor->n_dims = n_mats > 1 ? 3 : n_rows > 1 ? 2 : 1;
    memcpy(tensor->dims, (uint64_t[4]){n_cols, n_rows, n_mats, 1}, sizeof tensor->dims);
    tensor->size_bytes = imx_type_row_bytes(type, n_cols) * n_rows * n_mats;
}

// "blk.LAYER.SUFFIX"
static inline void model_add_layer(model_fixture *model, unsigned layer, const char *suffix,
                                   uint64_t n_cols) {
    char name[128];
    snprintf(name, sizeof name, "blk.%u.%s", layer, suffix);
    model_add(model, name, IMX_TYPE_F32, n_cols, 8, 1);
}

// A Llama of 16 layers with some of their tensors, embedding and head.
static inline model_fixture *model_open_llama(void) {
    static const char *const suffixes[] = {"attn_q.weight", "attn_v.weight", "ffn_down.weight",
                                           "ffn_up.weight"};
    model_fixture *model = model_open("llama", (model_numbers){16, 8, 8, 0});
    model_add(model, "token_embd.weight", IMX_TYPE_F16, 256, 8, 1);
    for (unsigned layer = 0; layer < 16; ++layer) {
        char norm[64];
        snprintf(norm, sizeof norm, "blk.%u.attn_norm.weight", layer);
        model_add(model, norm, IMX_TYPE_F32, 256, 1, 1);
        for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; ++i) {
            model_add_layer(model, layer, suffixes[i], 256);
        }
    }
    model_add(model, "output.weight", IMX_TYPE_F16, 256, 8, 1);
    return model;
}

static inline void model_close(model_fixture *model) {
    for (size_t i = 0; i < model->gguf.n_tensors; ++i) {
        free(model->tensors[i].name);
    }
    imx_gguf_close(model->keys);
    free(model->header);
    free(model);
}

#endif
