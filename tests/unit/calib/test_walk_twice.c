// SPDX-License-Identifier: MIT
//
// A walk that passes every layer twice: nothing shows where the weights stay as they are, and where
// others take their place the result is that of a model that has them in its file.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/forward/walk.h"
#include "calib/model/model.h"
#include "tiny_model.h"
#include "walk_hidden.h"

// Two blocks of the walk.
enum { N_TOKENS = 2413, N_CTX = 257 };

static const char scratch[] = "/tmp/imatrix-test-walk-twice";

static tiny_model dense_model(void) {
    tiny_model spec = tiny_default;
    spec.n_embd = 64;
    spec.n_ff = 96;
    spec.n_layers = 3;
    return spec;
}

static tiny_model mixture(void) {
    tiny_model spec = dense_model();
    spec.n_experts = 5;
    spec.n_experts_used = 2;
    return spec;
}

// ---- a hook ------------------------------------------------------------------------------------

typedef struct changer {
    imx_model *model;
    const imx_model *coded; // whose weights it takes; NULL: none
    double sum;             // of all inputs that were shown
    uint32_t n_layers;      // that were shown
    bool is_shown;          // an input of the layer under way has been seen
} changer;

static imx_status add_up(void *context, const imx_walk_input *input, imx_error *err) {
    (void)err;
    changer *c = context;
    for (size_t i = 0; i < input->n_rows * input->n_cols; ++i) {
        c->sum += (double)input->x[i];
    }
    c->is_shown = true;
    return IMX_OK;
}

static void take_weight(changer *c, const char *name) {
    const imx_gguf_tensor *tensor = imx_gguf_find_tensor(imx_model_gguf(c->coded), name);
    imx_error err;
    assert_non_null(tensor);
    if (imx_model_substitute(c->model, name, tensor->type, tensor->data, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
}

// Takes the matrices of a layer, or those outside layers where `prefix` is "".
static void take_weights(changer *c, const char *prefix) {
    const imx_gguf *gguf = imx_model_gguf(c->coded);
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        const imx_gguf_tensor *tensor = &gguf->tensors[i];
        const bool is_outside = strncmp(tensor->name, "blk.", 4) != 0;
        if (tensor->n_dims > 1 &&
            (*prefix == '\0' ? is_outside : strstr(tensor->name, prefix) != NULL)) {
            take_weight(c, tensor->name);
        }
    }
}

static imx_status change_layer(void *context, uint32_t layer, imx_error *err) {
    (void)err;
    changer *c = context;
    char prefix[16];
    assert_int_equal(layer, c->n_layers++);
    assert_true(c->is_shown);
    c->is_shown = false;
    if (c->coded != NULL) {
        snprintf(prefix, sizeof prefix, "blk.%u.", layer);
        take_weights(c, prefix);
    }
    return IMX_OK;
}

static imx_status walk(changer *c, const imx_corpus *corpus, imx_walk_options options, bool twice,
                       imx_residual_stream *stream) {
    const imx_walk_hook hook = {
        .on_input = add_up, .on_layer = twice ? change_layer : NULL, .context = c};
    imx_error err;
    options.hook = &hook;
    return imx_walk_run(c->model, corpus, &options, stream, &err);
}

// ---- results -----------------------------------------------------------------------------------

// That the stream holds the hidden states `wanted`.
static void check_stream(imx_residual_stream *stream, const imx_model *model,
                         const imx_corpus *corpus, const float *wanted) {
    const size_t n_embd = imx_model_n_embd(model);
    const size_t step = imx_walk_block_rows(model, corpus);
    for (size_t i = 0; i < N_TOKENS; i += step) {
        const size_t n = N_TOKENS - i < step ? N_TOKENS - i : step;
        imx_error err;
        float *rows;
        assert_int_equal(imx_residual_stream_load(stream, i, n, &rows, &err), IMX_OK);
        assert_memory_equal(rows, wanted + i * n_embd, n * n_embd * sizeof *rows);
    }
}

static imx_residual_stream *open_stream(const imx_model *model, const imx_corpus *corpus,
                                        const char *scratch_beside) {
    imx_residual_stream *stream;
    imx_error err;
    assert_int_equal(imx_residual_stream_new(&stream, corpus->n_tokens, imx_model_n_embd(model),
                                             imx_walk_block_rows(model, corpus), scratch_beside,
                                             &err),
                     IMX_OK);
    return stream;
}

// Walks twice through each layer, taking the weights of `coded` where there is one: the hidden
// states are `wanted`.
static void check_twice(const tiny_model *spec, imx_model *coded, const float *wanted,
                        imx_walk_options options, const char *scratch_beside) {
    imx_model *model = tiny_open(spec);
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, spec->n_vocab);
    imx_residual_stream *stream = open_stream(model, &corpus, scratch_beside);
    changer c = {.model = model, .coded = coded};
    if (coded != NULL) {
        take_weights(&c, "");
    }
    options.need_hidden = true;
    assert_int_equal(walk(&c, &corpus, options, true, stream), IMX_OK);
    assert_int_equal(c.n_layers, spec->n_layers);
    check_stream(stream, model, &corpus, wanted);
    imx_residual_stream_free(stream);
    tiny_corpus_free(&corpus);
    imx_model_close(model);
}

static float *hidden_of(const tiny_model *spec) {
    imx_model *model = tiny_open(spec);
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, spec->n_vocab);
    float *hidden = walk_hidden(model, &corpus, 1);
    tiny_corpus_free(&corpus);
    imx_model_close(model);
    return hidden;
}

static void check_model(tiny_model spec) {
    tiny_model coded_spec = spec;
    coded_spec.is_quantized = true;
    imx_model *coded = tiny_open(&coded_spec);
    float *plain = hidden_of(&spec), *quantized = hidden_of(&coded_spec);
    for (int n_threads = 1; n_threads <= 3; ++n_threads) {
        const imx_walk_options options = {.n_threads = n_threads, .read_ahead = n_threads > 1};
        check_twice(&spec, NULL, plain, options, n_threads == 2 ? scratch : NULL);
        check_twice(&spec, coded, quantized, options, n_threads == 3 ? scratch : NULL);
    }
    assert_memory_not_equal(plain, quantized, N_TOKENS * spec.n_embd * sizeof *plain);
    free(plain);
    free(quantized);
    imx_model_close(coded);
}

static void test_dense(void **state) {
    (void)state;
    check_model(dense_model());
}

static void test_tied_head(void **state) {
    (void)state;
    tiny_model spec = dense_model();
    spec.has_output = false;
    check_model(spec);
}

static void test_experts(void **state) {
    (void)state;
    check_model(mixture());
}

// Inputs are shown once, those of the head included, with every token at every expert as well; the
// hidden states are the same.
static void test_shows_what_a_plain_walk_shows(void **state) {
    (void)state;
    const tiny_model spec = mixture();
    imx_model *model = tiny_open(&spec);
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, spec.n_vocab);
    for (int variant = 0; variant < 4; ++variant) {
        const imx_walk_options options = {
            .n_threads = 2, .all_experts = variant % 2 != 0, .head_input_to_hook = variant > 1};
        changer once = {.model = model}, twice = {.model = model};
        assert_int_equal(walk(&once, &corpus, options, false, NULL), IMX_OK);
        assert_int_equal(walk(&twice, &corpus, options, true, NULL), IMX_OK);
        assert_true(once.sum == twice.sum);
        assert_int_equal(twice.n_layers, spec.n_layers);
    }
    float *wanted = walk_hidden(model, &corpus, 1);
    check_twice(&spec, NULL, wanted, (imx_walk_options){.n_threads = 2, .all_experts = true}, NULL);
    free(wanted);
    tiny_corpus_free(&corpus);
    imx_model_close(model);
}

// ---- places ------------------------------------------------------------------------------------

// Stops each walk after so many reports, and notes where the next one can go on.
typedef struct pacemaker {
    changer changer; // first: the hook's context is both
    imx_walk_place next;
    size_t n_reports, n_allowed;
    uint64_t last_work, work_total;
} pacemaker;

static bool count_report(void *context, const imx_progress_report *report) {
    pacemaker *p = context;
    assert_true(p->n_reports == 0 || report->work_done > p->last_work);
    assert_int_equal(report->work_total, (uint64_t)2 * 3 * N_TOKENS);
    assert_int_equal(report->part_total, 2 * ((N_TOKENS + N_CTX - 1) / N_CTX));
    assert_int_equal(report->done, report->work_done / (2 * N_TOKENS));
    p->last_work = report->work_done;
    return p->n_reports++ < p->n_allowed;
}

static imx_status note_place(void *context, const imx_walk_place *next, bool is_stopping,
                             imx_error *err) {
    (void)is_stopping;
    (void)err;
    ((pacemaker *)context)->next = *next;
    return IMX_OK;
}

static imx_status ignore_layer(void *context, uint32_t layer, imx_error *err) {
    (void)err;
    ((pacemaker *)context)->changer.n_layers = layer + 1;
    return IMX_OK;
}

// Walks that stop after n reports, in either pass, end where one does that never stops; one that
// stops within a first pass begins the layer again.
static void check_pieces(size_t n_allowed, bool need_hidden) {
    const tiny_model spec = dense_model();
    imx_model *model = tiny_open(&spec);
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, spec.n_vocab);
    imx_residual_stream *stream = open_stream(model, &corpus, NULL);
    float *wanted = walk_hidden(model, &corpus, 1);
    pacemaker p = {.changer = {.model = model}, .n_allowed = n_allowed};
    const imx_walk_hook hook = {
        .on_input = add_up, .on_block = note_place, .on_layer = ignore_layer, .context = &p};
    const imx_progress progress = {count_report, &p};
    imx_status status = IMX_ERR_INTERRUPTED;
    for (size_t n_walks = 0; status == IMX_ERR_INTERRUPTED; ++n_walks) {
        imx_error err;
        p.n_reports = 0;
        const imx_walk_options options = {.n_threads = 1,
                                          .need_hidden = need_hidden,
                                          .start = p.next,
                                          .hook = &hook,
                                          .progress = &progress};
        status = imx_walk_run(model, &corpus, &options, stream, &err);
        assert_true(n_walks < 20);
    }
    assert_int_equal(status, IMX_OK);
    assert_int_equal(p.changer.n_layers, spec.n_layers);
    assert_int_equal(p.last_work, 2 * 3 * N_TOKENS);
    assert_int_equal(p.next.layer, spec.n_layers + (need_hidden ? 1 : 0));
    if (need_hidden) {
        check_stream(stream, model, &corpus, wanted);
    }
    free(wanted);
    imx_residual_stream_free(stream);
    tiny_corpus_free(&corpus);
    imx_model_close(model);
}

static void test_in_pieces(void **state) {
    (void)state;
    for (size_t n_allowed = 3; n_allowed < 9; ++n_allowed) { // fewer never leave a first pass
        check_pieces(n_allowed, true);
        check_pieces(n_allowed, false);
    }
}

// ---- substitution ------------------------------------------------------------------------------

enum { N_VALUES = 64 * 64, PAGE_BYTES = 4096 };

// Memory that takes a weight's place is used, left as it is, and no longer used when it is taken
// away.
static void test_and_back(void **state) {
    (void)state;
    const tiny_model spec = dense_model();
    const size_t hidden_bytes = N_TOKENS * spec.n_embd * sizeof(float);
    imx_model *model = tiny_open(&spec);
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, spec.n_vocab);
    float *wanted = walk_hidden(model, &corpus, 1);
    float *values = aligned_alloc(PAGE_BYTES, N_VALUES * sizeof *values);
    float *copy = malloc(N_VALUES * sizeof *copy);
    random_fill(values, N_VALUES, 3);
    memcpy(copy, values, N_VALUES * sizeof *copy);
    for (int is_back = 0; is_back < 2; ++is_back) {
        imx_error err;
        assert_int_equal(imx_model_substitute(model, "blk.1.attn_q.weight", IMX_TYPE_F32,
                                              is_back ? NULL : (const uint8_t *)values, &err),
                         IMX_OK);
        float *hidden = walk_hidden(model, &corpus, 1);
        assert_int_equal(memcmp(hidden, wanted, hidden_bytes) == 0, is_back);
        assert_memory_equal(values, copy, N_VALUES * sizeof *copy);
        free(hidden);
    }
    free(values);
    free(copy);
    free(wanted);
    tiny_corpus_free(&corpus);
    imx_model_close(model);
}

static void test_what_cannot_be_substituted(void **state) {
    (void)state;
    static const uint8_t data[64];
    tiny_model spec = tiny_default; // rows of 24
    imx_model *model = tiny_open(&spec);
    imx_error err;
    const imx_status unknown =
        imx_model_substitute(model, "blk.9.attn_q.weight", IMX_TYPE_F32, data, &err);
    assert_int_equal(unknown, IMX_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "blk.9.attn_q.weight"));
    const imx_status odd =
        imx_model_substitute(model, "blk.0.attn_q.weight", IMX_TYPE_Q4_0, data, &err);
    assert_int_equal(odd, IMX_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "Q4_0"));
    assert_int_equal(imx_model_substitute(model, "blk.0.attn_q.weight", 97, data, &err),
                     IMX_ERR_ARGUMENT);
    imx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense),
        cmocka_unit_test(test_tied_head),
        cmocka_unit_test(test_experts),
        cmocka_unit_test(test_shows_what_a_plain_walk_shows),
        cmocka_unit_test(test_in_pieces),
        cmocka_unit_test(test_and_back),
        cmocka_unit_test(test_what_cannot_be_substituted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
