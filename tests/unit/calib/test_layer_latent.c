// SPDX-License-Identifier: MIT
//
// Latent attention: a model whose keys and values unfold from the latent, and the same one with the
// weights cut by heads and turned around, to which queries fold. They are one model, whatever the
// inputs of their products are.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "calib/forward/walk.h"
#include "calib/model/model.h"
#include "tiny_model.h"

enum {
    N_EMBD = 24,
    N_HEADS = 3,
    UNROTATED = 6,
    N_ROT = 4,
    DIM_V = 5,
    LATENT = 8,
    RANK = 7,
    N_FF = 20,
    N_VOCAB = 48,
    N_LAYERS = 2,
    N_TOKENS = 50,
    N_CTX = 21,
};

typedef enum form { UNFOLDS, FOLDS } form;

typedef struct weight {
    const char *stem;
    uint64_t dims[3];
    int form; // that has it; -1: both
} weight;

static const weight layer_weights[] = {
    {"attn_norm", {N_EMBD, 1, 1}, -1},
    {"attn_q_a", {N_EMBD, RANK, 1}, -1},
    {"attn_q_a_norm", {RANK, 1, 1}, -1},
    {"attn_q_b", {RANK, N_HEADS *(UNROTATED + N_ROT), 1}, -1},
    {"attn_kv_a_mqa", {N_EMBD, LATENT + N_ROT, 1}, -1},
    {"attn_kv_a_norm", {LATENT, 1, 1}, -1},
    {"attn_kv_b", {LATENT, N_HEADS *(UNROTATED + DIM_V), 1}, UNFOLDS},
    {"attn_k_b", {UNROTATED, LATENT, N_HEADS}, FOLDS},
    {"attn_v_b", {LATENT, DIM_V, N_HEADS}, FOLDS},
    {"attn_output", {N_HEADS * DIM_V, N_EMBD, 1}, -1},
    {"ffn_norm", {N_EMBD, 1, 1}, -1},
    {"ffn_gate", {N_EMBD, N_FF, 1}, -1},
    {"ffn_up", {N_EMBD, N_FF, 1}, -1},
    {"ffn_down", {N_FF, N_EMBD, 1}, -1},
};

static const weight model_weights[] = {
    {"token_embd", {N_EMBD, N_VOCAB, 1}, -1},
    {"output_norm", {N_EMBD, 1, 1}, -1},
    {"output", {N_EMBD, N_VOCAB, 1}, -1},
};

static size_t list_weights(tiny_tensor *tensors, const weight *weights, size_t n, form which,
                           const char *prefix) {
    size_t n_listed = 0;
    for (size_t i = 0; i < n; ++i) {
        if (weights[i].form < 0 || weights[i].form == (int)which) {
            tiny_tensor *t = &tensors[n_listed++];
            snprintf(t->name, sizeof t->name, "%s%s.weight", prefix, weights[i].stem);
            memcpy(t->dims, weights[i].dims, sizeof t->dims);
        }
    }
    return n_listed;
}

// What unfolds keys and values of a head, of both forms and all layers.
static float unfolding[N_HEADS][UNROTATED + DIM_V][LATENT];

static void fill_by_head(const char *name, float *values) {
    const bool is_of_keys = strstr(name, "attn_k_b") != NULL;
    for (size_t h = 0; h < N_HEADS; ++h) {
        for (size_t l = 0; l < LATENT; ++l) {
            for (size_t r = 0; r < UNROTATED && is_of_keys; ++r) {
                values[(h * LATENT + l) * UNROTATED + r] = unfolding[h][r][l];
            }
            for (size_t r = 0; r < DIM_V && !is_of_keys; ++r) {
                values[(h * DIM_V + r) * LATENT + l] = unfolding[h][UNROTATED + r][l];
            }
        }
    }
}

static imx_status build_header(imx_gguf_builder *builder, const tiny_tensor *tensors, size_t n,
                               form which, imx_error *err) {
    const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {
        {"deepseek2.embedding_length", N_EMBD},
        {"deepseek2.block_count", N_LAYERS},
        {"deepseek2.feed_forward_length", N_FF},
        {"deepseek2.attention.head_count", N_HEADS},
        {"deepseek2.attention.head_count_kv", which == FOLDS ? 1 : N_HEADS},
        {"deepseek2.attention.q_lora_rank", RANK},
        {"deepseek2.attention.kv_lora_rank", LATENT},
        {"deepseek2.attention.key_length", which == FOLDS ? LATENT + N_ROT : UNROTATED + N_ROT},
        {"deepseek2.attention.value_length", which == FOLDS ? LATENT : DIM_V},
        {"deepseek2.attention.key_length_mla", which == FOLDS ? UNROTATED + N_ROT : 0},
        {"deepseek2.attention.value_length_mla", which == FOLDS ? DIM_V : 0},
        {"deepseek2.rope.dimension_count", N_ROT},
    };
    IMX_TRY(imx_gguf_set_str(builder, "general.architecture", "deepseek2", err));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i) {
        IMX_TRY(imx_gguf_set_u32(builder, numbers[i].key, numbers[i].value, err));
    }
    IMX_TRY(imx_gguf_set_f32(builder, "deepseek2.attention.layer_norm_rms_epsilon", 1e-5f, err));
    for (size_t i = 0; i < n; ++i) {
        const uint64_t *dims = tensors[i].dims;
        const uint32_t n_dims = dims[2] > 1 ? 3 : dims[1] > 1 ? 2 : 1;
        IMX_TRY(imx_gguf_add_tensor(builder, tensors[i].name, IMX_TYPE_F32, n_dims, dims, err));
    }
    return IMX_OK;
}

// The same seeds for tensors of the same name, whatever the form.
static uint64_t seed_of(const char *name) {
    uint64_t seed = 5;
    for (; *name != '\0'; ++name) {
        seed = seed * 31 + (unsigned char)*name;
    }
    return seed;
}

static void write_values(FILE *file, const tiny_tensor *tensor) {
    static const uint8_t padding[IMX_GGUF_DEFAULT_ALIGNMENT];
    const size_t n = tiny_tensor_values(tensor);
    const size_t n_over = n * sizeof(float) % sizeof padding;
    float *values = malloc(n * sizeof *values);
    if (strstr(tensor->name, "attn_kv_b") != NULL) {
        memcpy(values, unfolding, sizeof unfolding);
    } else if (strstr(tensor->name, "attn_k_b") != NULL ||
               strstr(tensor->name, "attn_v_b") != NULL) {
        fill_by_head(tensor->name, values);
    } else {
        tiny_fill_tensor(&tiny_default, tensor, values, seed_of(tensor->name));
    }
    fwrite(values, sizeof *values, n, file);
    fwrite(padding, 1, n_over > 0 ? sizeof padding - n_over : 0, file);
    free(values);
}

static imx_model *open_form(form which) {
    tiny_tensor tensors[TINY_MAX_TENSORS];
    char path[] = "/tmp/imatrix-test-latent-XXXXXX", prefix[16];
    imx_gguf_builder *builder;
    uint8_t *header;
    size_t header_bytes;
    imx_model *model;
    imx_error err;
    size_t n = list_weights(tensors, model_weights, 3, which, "");
    for (unsigned layer = 0; layer < N_LAYERS; ++layer) {
        snprintf(prefix, sizeof prefix, "blk.%u.", layer);
        n += list_weights(tensors + n, layer_weights, sizeof layer_weights / sizeof *layer_weights,
                          which, prefix);
    }
    FILE *file = fdopen(mkstemp(path), "wb");
    assert_non_null(file);
    assert_int_equal(imx_gguf_builder_new(&builder, &err), IMX_OK);
    assert_int_equal(build_header(builder, tensors, n, which, &err), IMX_OK);
    assert_int_equal(imx_gguf_builder_header(builder, &header, &header_bytes, &err), IMX_OK);
    fwrite(header, 1, header_bytes, file);
    for (size_t i = 0; i < n; ++i) {
        write_values(file, &tensors[i]);
    }
    assert_int_equal(fclose(file), 0);
    imx_gguf_builder_free(builder);
    free(header);
    const imx_status status = imx_model_open(&model, path, &err);
    unlink(path);
    if (status != IMX_OK) {
        fail_msg("%s", err.message);
    }
    return model;
}

// ---------------------------------------------------------------------------------------------

// How often inputs of that many columns were shown for weights of the first layer.
typedef struct shown_inputs {
    size_t n_kv_b, n_k_b, n_v_b, n_shared;
} shown_inputs;

static imx_status note_input(void *context, const imx_walk_input *input, imx_error *err) {
    (void)err;
    shown_inputs *shown = context;
    assert_int_equal(input->n_mats, 1);
    for (size_t i = 0; i < input->n_weights; ++i) {
        const char *name = input->weights[i];
        shown->n_kv_b += strcmp(name, "blk.0.attn_kv_b.weight") == 0 && input->n_cols == LATENT;
        shown->n_k_b +=
            strcmp(name, "blk.0.attn_k_b.weight") == 0 && input->n_cols == N_HEADS * UNROTATED;
        shown->n_v_b +=
            strcmp(name, "blk.0.attn_v_b.weight") == 0 && input->n_cols == N_HEADS * LATENT;
        shown->n_shared += strcmp(name, "blk.0.attn_q_a.weight") == 0 && input->n_weights == 2;
    }
    return IMX_OK;
}

// Final hidden states (N_TOKENS, N_EMBD), and what was shown on the way.
static void run(form which, float *hidden, shown_inputs *shown) {
    imx_model *model = open_form(which);
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, N_VOCAB);
    const imx_walk_hook hook = {.on_input = note_input, .context = shown};
    const imx_walk_options options = {.n_threads = 2, .need_hidden = true, .hook = &hook};
    imx_residual_stream *stream;
    float *rows;
    imx_error err;
    *shown = (shown_inputs){0};
    assert_int_equal(imx_residual_stream_new(&stream, N_TOKENS, N_EMBD, 0, NULL, &err), IMX_OK);
    assert_int_equal(imx_walk_run(model, &corpus, &options, stream, &err), IMX_OK);
    assert_int_equal(imx_residual_stream_load(stream, 0, N_TOKENS, &rows, &err), IMX_OK);
    memcpy(hidden, rows, sizeof(float) * N_TOKENS * N_EMBD);
    imx_residual_stream_free(stream);
    tiny_corpus_free(&corpus);
    imx_model_close(model);
}

static void test_both_forms_are_one_model(void **state) {
    (void)state;
    float unfolded[N_TOKENS * N_EMBD], folded[N_TOKENS * N_EMBD];
    shown_inputs shown;
    run(UNFOLDS, unfolded, &shown);
    run(FOLDS, folded, &shown);
    for (size_t i = 0; i < N_TOKENS * N_EMBD; ++i) {
        assert_true(fabsf(unfolded[i] - folded[i]) <= 1e-4f);
    }
}

static void test_inputs_of_either_form(void **state) {
    (void)state;
    float hidden[N_TOKENS * N_EMBD];
    shown_inputs shown;
    run(UNFOLDS, hidden, &shown);
    assert_int_equal(shown.n_kv_b, 1);
    assert_int_equal(shown.n_k_b + shown.n_v_b, 0);
    assert_int_equal(shown.n_shared, 1);
    run(FOLDS, hidden, &shown);
    assert_int_equal(shown.n_kv_b, 0);
    assert_int_equal(shown.n_k_b, 1);
    assert_int_equal(shown.n_v_b, 1);
    assert_int_equal(shown.n_shared, 1);
}

int main(void) {
    random_fill(&unfolding[0][0][0], sizeof unfolding / sizeof(float), 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_forms_are_one_model),
        cmocka_unit_test(test_inputs_of_either_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
