// SPDX-License-Identifier: MIT
//
// Real vocabularies: ../shared/vocabs holds texts and the ids that llama.cpp's own tests expect of
// them. NAME.inp has the texts with a line __ggml_vocab_test__ between them, NAME.out the ids of
// each on a line; no BOS, special tokens not parsed.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/tokenizer/tokenizer.h"

static const char *const names[] = {"deepseek-coder", "gpt-2", "llama-spm", "phi-3", "starcoder"};
static const char separator[] = "\n__ggml_vocab_test__\n";

// The file as a string, which is the caller's to free(); NULL when there is none.
static char *read_file(const char *name, const char *suffix) {
    const char *shared = getenv("IMATRIX_SHARED");
    char path[1024];
    snprintf(path, sizeof path, "%s/vocabs/ggml-vocab-%s.gguf%s", shared ? shared : "", name,
             suffix);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    enum { MAX_BYTES = 1 << 16 };
    char *text = calloc(1, MAX_BYTES);
    assert_non_null(text);
    assert_true(fread(text, 1, MAX_BYTES - 1, file) < MAX_BYTES - 1);
    fclose(file);
    return text;
}

static imx_tokenizer *open_tokenizer(const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s/vocabs/ggml-vocab-%s.gguf", getenv("IMATRIX_SHARED"), name);
    imx_gguf *gguf;
    imx_tokenizer *tokenizer = NULL;
    imx_error err;
    if (imx_gguf_open(&gguf, path, &err) != IMX_OK ||
        imx_tokenizer_open(&tokenizer, gguf, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
    imx_gguf_close(gguf);
    return tokenizer;
}

// Expects the ids at *line and moves it to the next line.
static void check_text(const imx_tokenizer *tokenizer, const char *text, size_t len,
                       const char **line) {
    imx_tokens tokens = {0};
    assert_int_equal(imx_tokenize(tokenizer, text, len, false, false, &tokens, NULL), IMX_OK);
    for (size_t i = 0; i < tokens.n; i++) {
        char *end;
        assert_int_equal(tokens.ids[i], strtol(*line, &end, 10));
        *line = end;
    }
    *line += strspn(*line, " ");
    assert_true(**line == '\n' || **line == '\0');
    *line += **line == '\n';
    imx_tokens_free(&tokens);
}

static void check_vocab(const char *name) {
    char *texts = read_file(name, ".inp");
    char *ids = read_file(name, ".out");
    if (texts == NULL || ids == NULL) {
        print_message("IMATRIX_SHARED has no vocabs/ggml-vocab-%s.gguf.inp and .out\n", name);
        skip();
    }
    imx_tokenizer *tokenizer = open_tokenizer(name);
    const char *line = ids;
    const char *text = texts;
    size_t n_texts = 0;
    for (const char *end = text; end != NULL; n_texts++) {
        end = strstr(text, separator);
        check_text(tokenizer, text, end != NULL ? (size_t)(end - text) : strlen(text), &line);
        text = end != NULL ? end + strlen(separator) : NULL;
    }
    assert_true(n_texts > 40);
    imx_tokenizer_close(tokenizer);
    free(texts);
    free(ids);
}

static void test_vocab(void **state) {
    check_vocab(*state);
}

int main(void) {
    struct CMUnitTest tests[sizeof names / sizeof *names];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        tests[i] =
            (struct CMUnitTest){names[i], test_vocab, NULL, NULL, (void *)(uintptr_t)names[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
