// SPDX-License-Identifier: MIT
//
// Chunks: where they begin and end, BOS, tails, and texts that are too short. The vocabulary makes
// every letter a token.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "calib/corpus.h"
#include "vocab_fixture.h"

static const vocab_token letters[] = {
    {"<bos>", CONTROL, 0}, {"a", NORMAL, 0}, {"b", NORMAL, 0}, {"c", NORMAL, 0}, {"d", NORMAL, 0},
    {"e", NORMAL, 0},      {"f", NORMAL, 0}, {"g", NORMAL, 0}, {"h", NORMAL, 0}, {"Ċ", NORMAL, 0},
};

static imx_tokenizer *open_letters(bool add_bos) {
    imx_gguf_builder *b = vocab_builder("gpt2", letters, N_ROWS(letters));
    imx_gguf_set_str(b, "tokenizer.ggml.pre", "gpt-2", NULL);
    imx_gguf_set_str_array(b, "tokenizer.ggml.merges", NULL, 0, NULL);
    imx_gguf_set_u32(b, "tokenizer.ggml.bos_token_id", 0, NULL);
    imx_gguf_set_bool(b, "tokenizer.ggml.add_bos_token", add_bos, NULL);
    return vocab_finish(b);
}

// Expects the chunks written in `expected`: ids without spaces, a '|' between chunks; "" when the
// text is refused.
static void expect_chunks(bool add_bos, const char *text, imx_corpus_options options,
                          const char *expected) {
    imx_tokenizer *t = open_letters(add_bos);
    imx_corpus *corpus;
    imx_error err;
    const imx_status status =
        imx_corpus_new(&corpus, t, text, strlen(text), "x.txt", &options, &err);
    char got[128] = "";
    size_t n = 0;
    if (status == IMX_OK) {
        size_t n_tokens = 0;
        for (size_t c = 0; c < corpus->n_chunks; c++) {
            const int32_t *ids = imx_corpus_chunk(corpus, c);
            n += (size_t)sprintf(got + n, "%s", c > 0 ? "|" : "");
            for (size_t i = 0; i < imx_corpus_chunk_len(corpus, c); i++, n_tokens++) {
                n += (size_t)sprintf(got + n, "%d", ids[i]);
            }
        }
        assert_int_equal(n_tokens, corpus->n_tokens);
    } else {
        assert_int_equal(status, IMX_ERR_ARGUMENT);
        assert_null(corpus);
    }
    assert_string_equal(got, expected);
    imx_corpus_free(corpus);
    imx_tokenizer_close(t);
}

static void test_chunks(void **state) {
    (void)state;
    const imx_corpus_options three = {.n_ctx = 3};
    expect_chunks(false, "abcdefgh", three, "123|456|78");
    expect_chunks(false, "abcdefg", three, "123|456"); // a tail of one token predicts nothing
    expect_chunks(false, "abcdef", three, "123|456");
    expect_chunks(false, "ab", three, "12");
    expect_chunks(false, "a", three, "");
    expect_chunks(false, "", three, "");
}

static void test_drop_tail(void **state) {
    (void)state;
    const imx_corpus_options full = {.n_ctx = 3, .drop_tail = true};
    expect_chunks(false, "abcdefgh", full, "123|456");
    expect_chunks(false, "abcdef", full, "123|456");
    expect_chunks(false, "ab", full, "");
}

// The text is tokenized with a BOS in front; in the other chunks BOS takes the place of a token.
static void test_bos(void **state) {
    (void)state;
    const imx_corpus_options three = {.n_ctx = 3};
    expect_chunks(true, "abcdefgh", three, "012|045|078");
    expect_chunks(true, "abcde", three, "012|045");
    expect_chunks(true, "abc", three, "012"); // a lone c in the tail
}

static void test_from_and_max(void **state) {
    (void)state;
    imx_corpus_options options = {.n_ctx = 3, .from_chunk = 1};
    expect_chunks(false, "abcdefgh", options, "456|78");
    options.max_chunks = 1;
    expect_chunks(false, "abcdefgh", options, "456");
    options.max_chunks = 9;
    options.from_chunk = 2;
    expect_chunks(true, "abcdefgh", options, "078");
    options.from_chunk = 3;
    expect_chunks(false, "abcdefgh", options, "");
    options.from_chunk = UINT64_MAX;
    expect_chunks(false, "abcdefgh", options, "");
    expect_chunks(false, "abcdefgh", (imx_corpus_options){.n_ctx = 8, .max_chunks = 1}, "12345678");
}

static void test_one_newline_goes(void **state) {
    (void)state;
    const imx_corpus_options wide = {.n_ctx = 8};
    expect_chunks(false, "abc\n", wide, "123");
    expect_chunks(false, "abc\n\n", wide, "1239");
}

static void test_parse_special(void **state) {
    (void)state;
    imx_corpus_options options = {.n_ctx = 8};
    expect_chunks(false, "a<bos>d", options, "124"); // only b, out of <bos>, is a token
    options.parse_special = true;
    expect_chunks(false, "a<bos>d", options, "104");
}

static void test_messages(void **state) {
    (void)state;
    imx_tokenizer *t = open_letters(false);
    imx_corpus *corpus;
    imx_error err;
    const imx_corpus_options options = {.n_ctx = 512, .drop_tail = true};
    assert_int_equal(imx_corpus_new(&corpus, t, "abc", 3, "x.txt", &options, &err),
                     IMX_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "x.txt"));
    assert_non_null(strstr(err.message, "3 tokens"));
    assert_non_null(strstr(err.message, "512"));
    const imx_corpus_options narrow = {.n_ctx = 1};
    assert_int_equal(imx_corpus_new(&corpus, t, "abc", 3, "x.txt", &narrow, &err),
                     IMX_ERR_ARGUMENT);
    imx_tokenizer_close(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_drop_tail),
        cmocka_unit_test(test_bos),
        cmocka_unit_test(test_from_and_max),
        cmocka_unit_test(test_one_newline_goes),
        cmocka_unit_test(test_parse_special),
        cmocka_unit_test(test_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
