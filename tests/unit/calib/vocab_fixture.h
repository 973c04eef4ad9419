// SPDX-License-Identifier: MIT
//
// Small vocabularies for the tests of the tokenizers and the corpus, built in memory.

#ifndef IMX_TESTS_VOCAB_FIXTURE_H
#define IMX_TESTS_VOCAB_FIXTURE_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calib/tokenizer/tokenizer.h"
#include "formats/gguf.h"

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4 };

typedef struct vocab_token {
    const char *text;
    int32_t type;
    float score;
} vocab_token;

// A builder with the tokens of `rows`; further keys are the test's to set.
static inline imx_gguf_builder *vocab_builder(const char *model, const vocab_token *rows,
                                              size_t n_rows) {
    const char *texts[64];
    int32_t types[64];
    float scores[64];
    assert_true(n_rows <= 64);
    for (size_t i = 0; i < n_rows; i++) {
        texts[i] = rows[i].text;
        types[i] = rows[i].type;
        scores[i] = rows[i].score;
    }
    imx_gguf_builder *b;
    imx_error err;
    assert_int_equal(imx_gguf_builder_new(&b, &err), IMX_OK);
    imx_gguf_set_str(b, "tokenizer.ggml.model", model, &err);
    imx_gguf_set_str_array(b, "tokenizer.ggml.tokens", texts, n_rows, &err);
    imx_gguf_set_array(b, "tokenizer.ggml.token_type", IMX_GGUF_I32, types, n_rows, &err);
    imx_gguf_set_array(b, "tokenizer.ggml.scores", IMX_GGUF_F32, scores, n_rows, &err);
    return b;
}

// Opens the tokenizer of the file that `b` describes. The builder stays the caller's.
static inline imx_status vocab_open(const imx_gguf_builder *b, imx_tokenizer **tokenizer,
                                    imx_error *err) {
    uint8_t *bytes;
    size_t size_bytes;
    imx_gguf *gguf;
    *tokenizer = NULL;
    assert_int_equal(imx_gguf_builder_header(b, &bytes, &size_bytes, err), IMX_OK);
    assert_int_equal(imx_gguf_parse(&gguf, bytes, size_bytes, "test.gguf", err), IMX_OK);
    const imx_status status = imx_tokenizer_open(tokenizer, gguf, err);
    imx_gguf_close(gguf); // the tokenizer must not need the file any more
    free(bytes);
    return status;
}

// Opens, frees the builder and expects success.
static inline imx_tokenizer *vocab_finish(imx_gguf_builder *b) {
    imx_tokenizer *tokenizer;
    imx_error err;
    if (vocab_open(b, &tokenizer, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
    imx_gguf_builder_free(b);
    return tokenizer;
}

enum { ADD_SPECIAL = 1, PARSE_SPECIAL = 2 };

// Expects the ids written in `expected`, separated by spaces.
static inline void assert_tokens(const imx_tokenizer *tokenizer, const char *text, size_t len,
                                 unsigned options, const char *expected) {
    imx_tokens tokens = {0};
    imx_error err;
    assert_int_equal(imx_tokenize(tokenizer, text, len, (options & ADD_SPECIAL) != 0,
                                  (options & PARSE_SPECIAL) != 0, &tokens, &err),
                     IMX_OK);
    char got[1024] = "";
    for (size_t i = 0, n = 0; i < tokens.n && n < sizeof got - 16; i++) {
        n += (size_t)snprintf(got + n, sizeof got - n, "%s%d", i > 0 ? " " : "", tokens.ids[i]);
    }
    assert_string_equal(got, expected);
    imx_tokens_free(&tokens);
}

#define ASSERT_TOKENS(tokenizer, text, options, expected)                                          \
    assert_tokens(tokenizer, text, sizeof text - 1, options, expected)

#define N_ROWS(rows) (sizeof(rows) / sizeof *(rows))

#endif
