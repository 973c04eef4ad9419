// SPDX-License-Identifier: MIT
//
// What families do with positions, by what it means for the last token of a text in a model of one
// layer: all other tokens reach it by their keys and values only.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/model/model_internal.h"
#include "tiny_model.h"
#include "walk_hidden.h"

enum { N_TOKENS = 40 };

static imx_model *open_model(void) {
    tiny_model spec = tiny_default;
    spec.n_layers = 1;
    return tiny_open(&spec);
}

static imx_corpus make_text(void) {
    return tiny_corpus(N_TOKENS, N_TOKENS, tiny_default.n_vocab);
}

// The largest difference between the last of n_a rows and the last of n_b rows.
static double difference_of_last(const float *a, size_t n_a, const float *b, size_t n_b) {
    const size_t n_embd = tiny_default.n_embd;
    double worst = 0;
    for (size_t j = 0; j < n_embd; ++j) {
        const double x = (double)a[(n_a - 1) * n_embd + j];
        worst = fmax(worst, fabs(x - (double)b[(n_b - 1) * n_embd + j]));
    }
    return worst;
}

// A window of 7 tokens: the last one sees as much as in a text of 7 tokens. Positions do not count,
// only distances.
static void test_window(void **state) {
    (void)state;
    enum { WINDOW = 7 };
    imx_model *model = open_model();
    imx_corpus text = make_text();
    imx_corpus end = tiny_corpus(WINDOW, WINDOW, tiny_default.n_vocab);
    memcpy(end.tokens, text.tokens + N_TOKENS - WINDOW, WINDOW * sizeof *end.tokens);
    float *wanted = walk_hidden(model, &end, 1);
    float *full = walk_hidden(model, &text, 1);
    model->hparams.window = WINDOW;
    float *windowed = walk_hidden(model, &text, 1);
    assert_true(difference_of_last(windowed, N_TOKENS, wanted, WINDOW) < 1e-5);
    assert_true(difference_of_last(full, N_TOKENS, wanted, WINDOW) > 1e-3);
    free(wanted);
    free(full);
    free(windowed);
    tiny_corpus_free(&end);
    tiny_corpus_free(&text);
    imx_model_close(model);
}

// Without rotation the order of the tokens before does not count.
static void test_layer_without_rotation(void **state) {
    (void)state;
    imx_model *model = open_model();
    imx_corpus text = make_text();
    imx_corpus reversed = make_text();
    for (size_t i = 0; i + 1 < N_TOKENS; ++i) {
        reversed.tokens[i] = text.tokens[N_TOKENS - 2 - i];
    }
    for (uint32_t period = 0; period < 2; ++period) {
        model->hparams.unrotated_period = period;
        float *one = walk_hidden(model, &text, 1);
        float *other = walk_hidden(model, &reversed, 1);
        const double difference = difference_of_last(one, N_TOKENS, other, N_TOKENS);
        assert_true(period == 1 ? difference < 1e-5 : difference > 1e-3);
        free(one);
        free(other);
    }
    tiny_corpus_free(&reversed);
    tiny_corpus_free(&text);
    imx_model_close(model);
}

// Queries of position 39 are scaled by 1 + 0.5 ln(⌊39 / 10⌋ + 1), which can as well be done to all
// scores; those of the first ten tokens are left alone.
static void test_temperature(void **state) {
    (void)state;
    imx_model *model = open_model();
    imx_corpus text = make_text();
    float *plain = walk_hidden(model, &text, 1);
    model->hparams.temperature_scale = 0.5f;
    model->hparams.temperature_length = 10;
    float *tempered = walk_hidden(model, &text, 1);
    model->hparams.temperature_scale = 0;
    model->hparams.attention_scale = (1 + 0.5f * logf(4)) / sqrtf(6);
    float *wanted = walk_hidden(model, &text, 1);
    assert_true(difference_of_last(tempered, N_TOKENS, wanted, N_TOKENS) < 1e-5);
    assert_true(difference_of_last(tempered, N_TOKENS - 10, wanted, N_TOKENS - 10) > 1e-4);
    assert_memory_equal(tempered, plain, 10 * tiny_default.n_embd * sizeof *plain);
    free(plain);
    free(tempered);
    free(wanted);
    tiny_corpus_free(&text);
    imx_model_close(model);
}

static imx_status add_longrope(imx_gguf_builder *builder, imx_error *err) {
    return imx_gguf_set_str(builder, "llama.rope.scaling.type", "longrope", err);
}

static imx_model *open_longrope_model(void) {
    tiny_model spec = tiny_default;
    spec.n_layers = 1;
    spec.has_divisors = true;
    spec.add_keys = add_longrope;
    return tiny_open(&spec);
}

// Long-rope goes by the context that the text was cut for, rounded up to a multiple of 256.
static void test_long_context(void **state) {
    (void)state;
    static const struct {
        uint32_t n_ctx, n_original;
        bool is_long;
    } cases[] = {{40, 300, false}, {257, 300, true}, {257, 512, false},
                 {40, 255, true},  {40, 256, false}, {513, 600, true}};
    imx_model *model = open_longrope_model();
    imx_corpus text = make_text();
    float *results[2] = {NULL, NULL}; // with divisors for short and for long contexts
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        text.n_ctx = cases[i].n_ctx;
        model->hparams.n_original_context = cases[i].n_original;
        float *hidden = walk_hidden(model, &text, 1);
        const float *first = results[cases[i].is_long];
        if (first != NULL) {
            assert_memory_equal(hidden, first, N_TOKENS * tiny_default.n_embd * sizeof *hidden);
        }
        free(results[cases[i].is_long]);
        results[cases[i].is_long] = hidden;
    }
    assert_true(difference_of_last(results[0], N_TOKENS, results[1], N_TOKENS) > 1e-3);
    free(results[0]);
    free(results[1]);
    tiny_corpus_free(&text);
    imx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_layer_without_rotation),
        cmocka_unit_test(test_temperature),
        cmocka_unit_test(test_long_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
