// SPDX-License-Identifier: MIT
//
// The tokenizers on vocabularies of a few tokens, where every merge can be followed by hand.

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vocab_fixture.h"

// ---------------------------------------------------------------------------------------------
// SentencePiece.

static const vocab_token spm_tokens[] = {
    {"<unk>", UNKNOWN, 0},         // 0
    {"<s>", CONTROL, 0},           // 1
    {"</s>", CONTROL, 0},          // 2
    {"▁", NORMAL, -9},             // 3
    {"a", NORMAL, -9},             // 4
    {"b", NORMAL, -9},             // 5
    {"c", NORMAL, -9},             // 6
    {"ab", NORMAL, -2},            // 7
    {"bc", NORMAL, -1},            // 8
    {"▁a", NORMAL, -3},            // 9
    {"aa", NORMAL, -4},            // 10
    {"aaaa", NORMAL, -5},          // 11
    {"<0xC3>", 6, 0},              // 12
    {"<0xA9>", 6, 0},              // 13
    {"<0x00>", 6, 0},              // 14
    {"<|tool|>", USER_DEFINED, 0}, // 15
    {"<|tool|>x", CONTROL, 0},     // 16
    {"<|im_end|>", NORMAL, 0},     // 17
};

static imx_gguf_builder *spm_builder(void) {
    return vocab_builder("llama", spm_tokens, N_ROWS(spm_tokens));
}

static void test_spm_merges_by_score(void **state) {
    (void)state;
    imx_tokenizer *t = vocab_finish(spm_builder());
    ASSERT_TOKENS(t, "bc", 0, "3 8");
    ASSERT_TOKENS(t, "abc", 0, "9 8"); // bc before ab, then ▁a
    ASSERT_TOKENS(t, "cab", 0, "3 6 7");
    ASSERT_TOKENS(t, "caaa", 0, "3 6 10 4"); // of equal scores the leftmost
    ASSERT_TOKENS(t, "caaaa", 0, "3 6 11");  // merges of merges
    ASSERT_TOKENS(t, "", 0, "");
    imx_tokenizer_close(t);
}

static void test_spm_spaces(void **state) {
    (void)state;
    imx_error err;
    imx_tokenizer *t = vocab_finish(spm_builder());
    ASSERT_TOKENS(t, " a a", 0, "3 9 9");
    imx_tokenizer_close(t);

    imx_gguf_builder *b = spm_builder();
    imx_gguf_set_bool(b, "tokenizer.ggml.add_space_prefix", false, &err);
    t = vocab_finish(b);
    ASSERT_TOKENS(t, "a a", 0, "4 9");
    imx_tokenizer_close(t);
}

// A token may hold several words; where none joins two words, they are merged apart.
static void test_spm_tokens_of_several_words(void **state) {
    (void)state;
    static const vocab_token tokens[] = {
        {"<unk>", UNKNOWN, 0}, {"<s>", CONTROL, 0}, {"</s>", CONTROL, 0}, {"▁", NORMAL, -9},
        {"a", NORMAL, -9},     {"b", NORMAL, -9},   {"▁b", NORMAL, -2},   {"a▁", NORMAL, -1},
        {"a▁b", NORMAL, -3},   {"▁▁", NORMAL, -4},  {"b▁", NORMAL, -1},
    };
    imx_tokenizer *t = vocab_finish(vocab_builder("llama", tokens, N_ROWS(tokens)));
    ASSERT_TOKENS(t, "a b", 0, "3 8");
    ASSERT_TOKENS(t, "b  a", 0, "3 10 3 4");
    ASSERT_TOKENS(t, "   a", 0, "9 9 4");
    imx_tokenizer_close(t);
    t = vocab_finish(vocab_builder("llama", tokens, 7)); // without those
    ASSERT_TOKENS(t, "a b  a", 0, "3 4 6 3 3 4");
    imx_tokenizer_close(t);
}

static void test_spm_bytes_and_unknown(void **state) {
    (void)state;
    imx_tokenizer *t = vocab_finish(spm_builder());
    ASSERT_TOKENS(t, "é", 0, "3 12 13");
    ASSERT_TOKENS(t, "\xC3", 0, "3 12"); // cut short
    ASSERT_TOKENS(t, "b\0b", 0, "3 5 14 5");
    ASSERT_TOKENS(t, "è", 0, "3 0"); // one of its bytes has no token
    imx_tokenizer_close(t);
}

static void test_spm_special(void **state) {
    (void)state;
    imx_tokenizer *t = vocab_finish(spm_builder());
    ASSERT_TOKENS(t, "b", ADD_SPECIAL, "1 3 5");
    ASSERT_TOKENS(t, "", ADD_SPECIAL, "1");
    ASSERT_TOKENS(t, "b<s>b", PARSE_SPECIAL, "3 5 1 3 5"); // a space after a special token too
    ASSERT_TOKENS(t, "b<|tool|>b", 0, "3 5 15 3 5");       // user-defined: always
    ASSERT_TOKENS(t, "<|tool|>x", 0, "15 3 0");
    ASSERT_TOKENS(t, "<|tool|>x", PARSE_SPECIAL, "16");  // the longer one wins
    ASSERT_TOKENS(t, "<|im_end|>", PARSE_SPECIAL, "17"); // a control token by its text
    imx_tokenizer_close(t);
}

// Expects the ids of `text`, the first `len` bytes of which are parsed and the rest is not.
static void assert_two_spans(const imx_tokenizer *t, const char *text, size_t len,
                             const char *expected) {
    const imx_text_span spans[] = {{len, true}, {strlen(text) - len, false}};
    imx_tokens tokens = {0};
    char got[64] = "";
    assert_int_equal(imx_tokenize_spans(t, text, spans, 2, false, &tokens, NULL), IMX_OK);
    for (size_t i = 0, n = 0; i < tokens.n; i++) {
        n += (size_t)sprintf(got + n, "%s%d", i > 0 ? " " : "", tokens.ids[i]);
    }
    assert_string_equal(got, expected);
    imx_tokens_free(&tokens);
}

static void test_spans(void **state) {
    (void)state;
    imx_tokenizer *t = vocab_finish(spm_builder());
    assert_two_spans(t, "<s>b<s>", 4, "1 3 5 0 0 0"); // the second is text, where < has no token
    assert_two_spans(t, "b<|im_end|>", 5, "3 5 0 0 0 0 0 0 0 0 0 0"); // nor does one reach across
    assert_two_spans(t, "<|tool|>x", 0, "15 3 0");                    // user-defined: always
    assert_two_spans(t, "bb", 1, "3 5 5"); // one text: no space where a span begins
    assert_two_spans(t, "<s>b", 3, "1 3 5");
    imx_tokenizer_close(t);
}

static void test_long_text_without_a_space(void **state) {
    (void)state;
    imx_tokenizer *t = vocab_finish(spm_builder());
    const size_t len = (size_t)1 << 18;
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, 'a', len);
    imx_tokens tokens = {0};
    assert_int_equal(imx_tokenize(t, text, len, false, false, &tokens, NULL), IMX_OK);
    assert_int_equal(tokens.n, 1 + (len - 1) / 4 + 2); // ▁a, many aaaa, aa, a
    free(text);
    imx_tokens_free(&tokens);
    imx_tokenizer_close(t);
}

// ---------------------------------------------------------------------------------------------
// Byte-level BPE. In the letters of GPT-2 a space is Ġ, a newline Ċ, 0xC3 Ã, 0xA9 ©, 0x00 Ā.

static const vocab_token bpe_tokens[] = {
    {"a", NORMAL, 0},             // 0
    {"b", NORMAL, 0},             // 1
    {"c", NORMAL, 0},             // 2
    {"Ġ", NORMAL, 0},             // 3
    {"Ċ", NORMAL, 0},             // 4
    {"Ã", NORMAL, 0},             // 5
    {"©", NORMAL, 0},             // 6
    {"Ā", NORMAL, 0},             // 7
    {"ï", NORMAL, 0},             // 8   0xEF
    {"¿", NORMAL, 0},             // 9   0xBF
    {"½", NORMAL, 0},             // 10  0xBD
    {"ab", NORMAL, 0},            // 11
    {"bc", NORMAL, 0},            // 12
    {"Ġab", NORMAL, 0},           // 13
    {"cab", NORMAL, 0},           // 14
    {"<|im_end|>", CONTROL, 0},   // 15
    {"<think>", USER_DEFINED, 0}, // 16
    {"caccac", NORMAL, 0},        // 17
};

static const char *const bpe_merges[] = {"a b", "b c",  "Ġ ab",    "a b",
                                         "c a", "ca c", "cac cac", "Ċ Ċ"};

static imx_gguf_builder *bpe_builder(const char *pre) {
    imx_gguf_builder *b = vocab_builder("gpt2", bpe_tokens, N_ROWS(bpe_tokens));
    imx_gguf_set_str(b, "tokenizer.ggml.pre", pre, NULL);
    imx_gguf_set_str_array(b, "tokenizer.ggml.merges", bpe_merges, N_ROWS(bpe_merges), NULL);
    return b;
}

static void test_bpe_merges_by_rank(void **state) {
    (void)state;
    imx_tokenizer *t = vocab_finish(bpe_builder("gpt-2"));
    ASSERT_TOKENS(t, "abc", 0, "11 2"); // "a b" counts where it stands first
    ASSERT_TOKENS(t, "bcb", 0, "12 1");
    ASSERT_TOKENS(t, "b abc", 0, "1 13 2");
    ASSERT_TOKENS(t, "cab", 0, "2 11");  // a token, but no merge leads to it
    ASSERT_TOKENS(t, "caccac", 0, "17"); // by way of ca and cac, which are no tokens
    ASSERT_TOKENS(t, "cac", 0, "2 0 2"); // and are spelled out
    ASSERT_TOKENS(t, "\n\n", 0, "");     // only where a byte is its own letter, as in llama.cpp
    imx_tokenizer_close(t);
}

static void test_bpe_whole_words(void **state) {
    (void)state;
    imx_tokenizer *t = vocab_finish(bpe_builder("llama-bpe"));
    ASSERT_TOKENS(t, "cab", 0, "14");
    ASSERT_TOKENS(t, "cabb", 0, "2 11 1");
    imx_tokenizer_close(t);
}

static void test_bpe_bytes(void **state) {
    (void)state;
    imx_tokenizer *t = vocab_finish(bpe_builder("gpt-2"));
    ASSERT_TOKENS(t, "é\n", 0, "5 6 4");
    ASSERT_TOKENS(t, "a\0b", 0, "0 7 1");
    ASSERT_TOKENS(t, "a\xFFz", 0, "0 8 9 10"); // U+FFFD; z has no token
    ASSERT_TOKENS(t, "\xC3", 0, "8 9 10");     // cut short
    ASSERT_TOKENS(t, "\xC0\x80", 0, "7");      // an overlong NUL
    ASSERT_TOKENS(t, "\xF4\x90\x80\x80", 0, "8 9 10 8 9 10 8 9 10 8 9 10"); // above U+10FFFF
    imx_tokenizer_close(t);
}

static void test_bpe_special(void **state) {
    (void)state;
    imx_tokenizer *t = vocab_finish(bpe_builder("gpt-2"));
    ASSERT_TOKENS(t, "a<think>b", 0, "0 16 1");
    ASSERT_TOKENS(t, "a<|im_end|>b", PARSE_SPECIAL, "0 15 1");
    ASSERT_TOKENS(t, "<|im_end|><|im_end|>", PARSE_SPECIAL, "15 15");
    imx_tokenizer_close(t);
}

// Pieces in plain UTF-8: characters merge, bytes spell out the rest, newlines stay together.
static void test_bpe_raw(void **state) {
    (void)state;
    static const vocab_token tokens[] = {
        {"<bos>", CONTROL, 0}, {"▁", NORMAL, 0},  {"é", NORMAL, 0},  {"a", NORMAL, 0},
        {"▁a", NORMAL, 0},     {"éa", NORMAL, 0}, {"\n", NORMAL, 0}, {"\n\n", NORMAL, 0},
        {"<0xC3>", 6, 0},      {"<0xA8>", 6, 0},
    };
    static const char *const merges[] = {"▁ a", "é a"};
    imx_gguf_builder *b = vocab_builder("gemma4", tokens, N_ROWS(tokens));
    imx_gguf_set_str_array(b, "tokenizer.ggml.merges", merges, N_ROWS(merges), NULL);
    imx_gguf_set_u32(b, "tokenizer.ggml.bos_token_id", 0, NULL);
    imx_gguf_set_bool(b, "tokenizer.ggml.add_bos_token", false, NULL); // has no effect
    imx_tokenizer *t = vocab_finish(b);
    ASSERT_TOKENS(t, "a a", ADD_SPECIAL, "0 3 4");
    ASSERT_TOKENS(t, "éaè", 0, "5 8 9");
    ASSERT_TOKENS(t, "a\n\na\n", 0, "3 7 3 6");
    imx_tokenizer_close(t);
}

// ---------------------------------------------------------------------------------------------
// Rules of the vocabulary.

static void test_bos_and_eos(void **state) {
    (void)state;
    imx_tokenizer *t = vocab_finish(spm_builder());
    assert_int_equal(imx_tokenizer_n_vocab(t), N_ROWS(spm_tokens));
    assert_int_equal(imx_tokenizer_added_bos(t), 1); // a default of SentencePiece
    assert_int_equal(imx_tokenizer_added_eos(t), -1);
    imx_tokenizer_close(t);

    imx_gguf_builder *b = spm_builder();
    imx_gguf_set_bool(b, "tokenizer.ggml.add_bos_token", false, NULL);
    imx_gguf_set_bool(b, "tokenizer.ggml.add_eos_token", true, NULL);
    t = vocab_finish(b);
    assert_int_equal(imx_tokenizer_added_bos(t), -1);
    ASSERT_TOKENS(t, "b", ADD_SPECIAL, "3 5 2");
    imx_tokenizer_close(t);

    static const struct {
        const char *pre;
        int32_t bos;
    } rows[] = {{"gpt-2", -1}, {"llama-bpe", 11}, {"tekken", 11}, {"qwen2", -1}, {"glm4", -1}};
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        t = vocab_finish(bpe_builder(rows[i].pre));
        assert_int_equal(imx_tokenizer_added_bos(t), rows[i].bos);
        imx_tokenizer_close(t);
    }

    b = bpe_builder("qwen2");
    imx_gguf_set_bool(b, "tokenizer.ggml.add_bos_token", true, NULL);
    imx_gguf_set_u32(b, "tokenizer.ggml.bos_token_id", 15, NULL);
    t = vocab_finish(b);
    ASSERT_TOKENS(t, "a", ADD_SPECIAL, "15 0");
    imx_tokenizer_close(t);
}

static void test_phi_3_strips_right(void **state) {
    (void)state;
    imx_gguf_builder *b = spm_builder();
    imx_gguf_set_str(b, "general.name", "Phi-3 mini", NULL);
    imx_tokenizer *t = vocab_finish(b);
    ASSERT_TOKENS(t, "b</s> \n b", PARSE_SPECIAL, "3 5 2 3 5");
    ASSERT_TOKENS(t, "b<s> b", PARSE_SPECIAL, "3 5 1 3 3 5");
    imx_tokenizer_close(t);
}

// What tells the ends of turns from plain markup.
static void test_types_corrected_by_text(void **state) {
    (void)state;
    static const vocab_token tokens[] = {
        {"a", NORMAL, 0},           {"<|end|>", CONTROL, 0},         {"<|call|>", CONTROL, 0},
        {"<|return|>", CONTROL, 0}, {"<|channel|>", CONTROL, 0},     {"<fim_prefix>", NORMAL, 0},
        {"</s>", CONTROL, 0},       {"<|tool_response>", NORMAL, 0},
    };
    static const char *const merges[] = {"a a"};
    imx_gguf_builder *b = vocab_builder("gpt2", tokens, N_ROWS(tokens));
    imx_gguf_set_str_array(b, "tokenizer.ggml.merges", merges, 1, NULL);
    imx_tokenizer *t = vocab_finish(b);
    ASSERT_TOKENS(t, "<|end|><|channel|><|call|><fim_prefix>", 0, "1 4 0");
    ASSERT_TOKENS(t, "<|end|><|channel|><|call|><fim_prefix>", PARSE_SPECIAL, "1 4 2 5");
    ASSERT_TOKENS(t, "a</s>a<|tool_response>", PARSE_SPECIAL, "0 0 7");
    imx_tokenizer_close(t);
}

// ---------------------------------------------------------------------------------------------
// Errors: the status and a word of the message.

static void expect_failure(imx_gguf_builder *b, imx_status status, const char *word) {
    imx_tokenizer *t;
    imx_error err;
    assert_int_equal(vocab_open(b, &t, &err), status);
    assert_null(t);
    if (strstr(err.message, word) == NULL) {
        fail_msg("'%s' does not mention '%s'", err.message, word);
    }
    imx_gguf_builder_free(b);
}

static void test_unknown_names(void **state) {
    (void)state;
    static const char *const refused[] = {"t5",         "rwkv", "plamo2",   "hybriddna",
                                          "whitespace", "none", "no_vocab", NULL};
    imx_gguf_builder *b = spm_builder();
    imx_gguf_unset(b, "tokenizer.ggml.model");
    expect_failure(b, IMX_ERR_FORMAT, "tokenizer.ggml.model");
    b = vocab_builder("babel", spm_tokens, N_ROWS(spm_tokens));
    expect_failure(b, IMX_ERR_UNSUPPORTED, "babel");
    b = vocab_builder("bert", spm_tokens, N_ROWS(spm_tokens));
    expect_failure(b, IMX_ERR_UNSUPPORTED, "WordPiece");
    for (const char *const *name = refused; *name != NULL; name++) {
        b = vocab_builder(*name, spm_tokens, N_ROWS(spm_tokens));
        expect_failure(b, IMX_ERR_UNSUPPORTED, "can still be quantized");
    }
    expect_failure(bpe_builder("gpt-9"), IMX_ERR_UNSUPPORTED, "gpt-9");
    expect_failure(bpe_builder("gpt-9"), IMX_ERR_UNSUPPORTED, " llama-bpe ");
    expect_failure(bpe_builder("gpt-9"), IMX_ERR_UNSUPPORTED, "minicpm5"); // the last one known
}

static void test_damaged_tokens(void **state) {
    (void)state;
    static const vocab_token twice[] = {{"a", NORMAL, 0}, {"b", NORMAL, 0}, {"a", NORMAL, 0}};
    expect_failure(vocab_builder("llama", twice, 3), IMX_ERR_FORMAT, "tokens 0 and 2");
    expect_failure(vocab_builder("llama", twice, 0), IMX_ERR_FORMAT, "0 tokens");

    imx_gguf_builder *b = spm_builder();
    imx_gguf_unset(b, "tokenizer.ggml.tokens");
    expect_failure(b, IMX_ERR_FORMAT, "tokenizer.ggml.tokens");
    b = spm_builder();
    imx_gguf_set_u32(b, "tokenizer.ggml.tokens", 7, NULL);
    expect_failure(b, IMX_ERR_FORMAT, "tokenizer.ggml.tokens");
    const int32_t types[] = {1, 1};
    b = spm_builder();
    imx_gguf_set_array(b, "tokenizer.ggml.token_type", IMX_GGUF_I32, types, 2, NULL);
    expect_failure(b, IMX_ERR_FORMAT, "2 types");
    const float scores[N_ROWS(spm_tokens)] = {NAN};
    b = spm_builder();
    imx_gguf_set_array(b, "tokenizer.ggml.scores", IMX_GGUF_F32, scores, 3, NULL);
    expect_failure(b, IMX_ERR_FORMAT, "3 scores");
    b = spm_builder();
    imx_gguf_set_array(b, "tokenizer.ggml.scores", IMX_GGUF_F32, scores, N_ROWS(scores), NULL);
    expect_failure(b, IMX_ERR_FORMAT, "score of token 0");
    b = spm_builder();
    imx_gguf_set_u32(b, "tokenizer.ggml.bos_token_id", 99, NULL);
    expect_failure(b, IMX_ERR_FORMAT, "bos_token_id");
}

static void test_damaged_merges(void **state) {
    (void)state;
    static const char *const malformed[] = {"ab", " ab", "ab ", "", " "};
    for (size_t i = 0; i < N_ROWS(malformed); i++) {
        imx_gguf_builder *b = bpe_builder("gpt-2");
        imx_gguf_set_str_array(b, "tokenizer.ggml.merges", &malformed[i], 1, NULL);
        expect_failure(b, IMX_ERR_FORMAT, "merge 0");
    }
    imx_gguf_builder *b = bpe_builder("gpt-2");
    imx_gguf_unset(b, "tokenizer.ggml.merges");
    expect_failure(b, IMX_ERR_FORMAT, "tokenizer.ggml.merges");
}

// Tokens without text can be named by id but never come out of a text.
static void test_empty_tokens(void **state) {
    (void)state;
    static const vocab_token tokens[] = {
        {"", CONTROL, 0}, {"", NORMAL, 0}, {"▁", NORMAL, 0}, {"a", NORMAL, 0}};
    imx_gguf_builder *b = vocab_builder("llama", tokens, N_ROWS(tokens));
    imx_tokenizer *t = vocab_finish(b);
    ASSERT_TOKENS(t, "a", ADD_SPECIAL | PARSE_SPECIAL, "1 2 3");
    imx_tokenizer_close(t);
}

// ---------------------------------------------------------------------------------------------

static void *tokenize_often(void *tokenizer) {
    for (int i = 0; i < 200; i++) {
        ASSERT_TOKENS(tokenizer, "b abc cab<think>é", 0, "1 13 2 3 2 11 16 5 6");
    }
    return NULL;
}

static void test_threads_share_a_tokenizer(void **state) {
    (void)state;
    imx_tokenizer *t = vocab_finish(bpe_builder("gpt-2"));
    pthread_t threads[4];
    for (size_t i = 0; i < N_ROWS(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, tokenize_often, t), 0);
    }
    for (size_t i = 0; i < N_ROWS(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    imx_tokenizer_close(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spm_merges_by_score),
        cmocka_unit_test(test_spm_spaces),
        cmocka_unit_test(test_spm_tokens_of_several_words),
        cmocka_unit_test(test_spm_bytes_and_unknown),
        cmocka_unit_test(test_spm_special),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_long_text_without_a_space),
        cmocka_unit_test(test_bpe_merges_by_rank),
        cmocka_unit_test(test_bpe_whole_words),
        cmocka_unit_test(test_bpe_bytes),
        cmocka_unit_test(test_bpe_special),
        cmocka_unit_test(test_bpe_raw),
        cmocka_unit_test(test_bos_and_eos),
        cmocka_unit_test(test_phi_3_strips_right),
        cmocka_unit_test(test_types_corrected_by_text),
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_damaged_tokens),
        cmocka_unit_test(test_damaged_merges),
        cmocka_unit_test(test_empty_tokens),
        cmocka_unit_test(test_threads_share_a_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
