// SPDX-License-Identifier: MIT
//
// What families do around the products of a layer, as far as it can be told without another
// program: the slopes of ALiBi, scales that cancel, positions that run out. Whole families are
// compared with recorded results elsewhere.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/forward/layer.h"
#include "calib/forward/walk.h"
#include "calib/model/model.h"
#include "tiny_model.h"

static void check_slopes(uint32_t n_heads, float alibi_max, const double *exponents) {
    const imx_model model = {.hparams = {.n_heads = n_heads, .alibi_max = alibi_max}};
    imx_layer layer = {.settings = {.model = &model}};
    imx_error err;
    assert_int_equal(imx_layer_open_slopes(&layer, &err), IMX_OK);
    for (uint32_t head = 0; head < n_heads; ++head) {
        const double wanted = exp2(exponents[head]);
        assert_true(fabs((double)layer.slopes[head] - wanted) <= 1e-7 * wanted);
    }
    free(layer.slopes);
}

static void test_slopes(void **state) {
    (void)state;
    static const double of_four[] = {-2, -4, -6, -8};
    static const double of_six[] = {-2, -4, -6, -8, -1, -3};
    static const double of_one[] = {-8};
    static const double gentle[] = {-1.5, -3, -0.75};
    check_slopes(4, 8, of_four);
    check_slopes(6, 8, of_six);
    check_slopes(1, 8, of_one);
    check_slopes(3, 3, gentle);
}

static void test_no_slopes(void **state) {
    (void)state;
    const imx_model model = {.hparams = {.n_heads = 4}};
    imx_layer layer = {.settings = {.model = &model}};
    imx_error err;
    assert_int_equal(imx_layer_open_slopes(&layer, &err), IMX_OK);
    assert_null(layer.slopes);
}

static imx_status walk(const imx_model *model, const imx_corpus *corpus,
                       imx_residual_stream *stream, imx_error *err) {
    const imx_walk_options options = {.n_threads = 1, .need_hidden = true};
    return imx_walk_run(model, corpus, &options, stream, err);
}

// Logits of a corpus; the caller frees them.
static float *compute_logits(const tiny_model *spec, const imx_corpus *corpus) {
    imx_model *model = tiny_open(spec);
    float *logits = malloc(corpus->n_tokens * spec->n_vocab * sizeof *logits);
    imx_residual_stream *stream;
    imx_head *head;
    float *hidden;
    imx_error err;
    assert_int_equal(
        imx_residual_stream_new(&stream, corpus->n_tokens, spec->n_embd, 0, NULL, &err), IMX_OK);
    assert_int_equal(walk(model, corpus, stream, &err), IMX_OK);
    assert_int_equal(imx_residual_stream_load(stream, 0, corpus->n_tokens, &hidden, &err), IMX_OK);
    assert_int_equal(imx_head_open(&head, model, 1, &err), IMX_OK);
    assert_int_equal(imx_head_logits(head, hidden, corpus->n_tokens, logits, &err), IMX_OK);
    imx_head_close(head);
    imx_residual_stream_free(stream);
    imx_model_close(model);
    return logits;
}

// A residual stream that is twice as long everywhere looks the same behind every norm.
static imx_status add_scales(imx_gguf_builder *builder, imx_error *err) {
    IMX_TRY(imx_gguf_set_f32(builder, "granite.attention.layer_norm_rms_epsilon", 4e-5f, err));
    IMX_TRY(imx_gguf_set_f32(builder, "granite.embedding_scale", 2, err));
    IMX_TRY(imx_gguf_set_f32(builder, "granite.residual_scale", 2, err));
    return imx_gguf_set_f32(builder, "granite.logit_scale", 8, err);
}

static void test_scales_that_cancel(void **state) {
    (void)state;
    tiny_model spec = tiny_default;
    imx_corpus corpus = tiny_corpus(20, 10, spec.n_vocab);
    float *plain = compute_logits(&spec, &corpus);
    spec.arch = "granite";
    spec.add_keys = add_scales;
    float *scaled = compute_logits(&spec, &corpus);
    for (size_t i = 0; i < corpus.n_tokens * spec.n_vocab; ++i) {
        assert_true(scaled[i] == plain[i] / 8);
    }
    free(plain);
    free(scaled);
    tiny_corpus_free(&corpus);
}

enum { N_POSITIONS = 6 };

static void list_gpt2_tensors(tiny_writer *w) {
    const tiny_model *m = w->model;
    tiny_add(w, "token_embd.weight", m->n_embd, m->n_vocab);
    tiny_add(w, "position_embd.weight", m->n_embd, N_POSITIONS);
    tiny_add(w, "output_norm.weight", m->n_embd, 1);
    for (uint32_t l = 0; l < m->n_layers; ++l) {
        tiny_add_norm(w, l, "attn_norm");
        tiny_add_product(w, l, "attn_qkv", m->n_embd, 2 * m->n_embd);
        tiny_add_product(w, l, "attn_output", m->n_embd, m->n_embd);
        tiny_add_norm(w, l, "ffn_norm");
        tiny_add_product(w, l, "ffn_up", m->n_embd, m->n_ff);
        tiny_add_product(w, l, "ffn_down", m->n_ff, m->n_embd);
    }
}

static imx_status add_gpt2_keys(imx_gguf_builder *builder, imx_error *err) {
    IMX_TRY(imx_gguf_set_u32(builder, "gpt2.context_length", N_POSITIONS, err));
    return imx_gguf_set_f32(builder, "gpt2.attention.layer_norm_epsilon", 1e-5f, err);
}

static const tiny_model tiny_gpt2 = {
    .arch = "gpt2",
    .n_vocab = 48,
    .n_embd = 24,
    .n_layers = 1,
    .n_ff = 40,
    .n_heads = 4,
    .n_kv_heads = 2,
    .seed = 1,
    .has_biases = true,
    .add_keys = add_gpt2_keys,
    .list_tensors = list_gpt2_tensors,
};

// The same token in a row: a model without positions gives the same logits everywhere. They start
// again with every chunk.
static void test_learned_positions(void **state) {
    (void)state;
    tiny_model spec = tiny_gpt2;
    imx_corpus corpus = tiny_corpus(2 * N_POSITIONS, N_POSITIONS, spec.n_vocab);
    memset(corpus.tokens, 0, corpus.n_tokens * sizeof *corpus.tokens);
    const size_t chunk_bytes = N_POSITIONS * spec.n_vocab * sizeof(float);
    float *logits = compute_logits(&spec, &corpus);
    assert_memory_equal(logits, logits + N_POSITIONS * spec.n_vocab, chunk_bytes);
    assert_memory_not_equal(logits, logits + spec.n_vocab, spec.n_vocab * sizeof *logits);
    free(logits);
    spec.zeroed = "position_embd.weight";
    logits = compute_logits(&spec, &corpus);
    for (size_t i = 0; i < N_POSITIONS * spec.n_vocab; ++i) {
        assert_true(fabsf(logits[i] - logits[i % spec.n_vocab]) < 1e-5f);
    }
    free(logits);
    tiny_corpus_free(&corpus);
}

static void test_positions_run_out(void **state) {
    (void)state;
    imx_model *model = tiny_open(&tiny_gpt2);
    imx_corpus corpus = tiny_corpus(N_POSITIONS + 1, N_POSITIONS + 1, tiny_gpt2.n_vocab);
    imx_error err;
    assert_int_equal(walk(model, &corpus, NULL, &err), IMX_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "knows 6 positions, fewer than the 7 tokens of a chunk"));
    tiny_corpus_free(&corpus);
    imx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slopes),
        cmocka_unit_test(test_no_slopes),
        cmocka_unit_test(test_scales_that_cancel),
        cmocka_unit_test(test_learned_positions),
        cmocka_unit_test(test_positions_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
