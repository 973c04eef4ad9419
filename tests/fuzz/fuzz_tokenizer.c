// SPDX-License-Identifier: MIT
//
// The input is a GGUF file with a vocabulary. What opens must tokenize anything: a few fixed texts
// and the end of the input itself, which is where a mutation can put the vocabulary's own strings.

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "calib/tokenizer/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT(literal)                                                                              \
    { literal, sizeof literal - 1 }

static const struct {
    const char *text;
    size_t len;
} texts[] = {
    TEXT(""),
    TEXT("Hello  world, it's 2024!\r\n\n\t x"),
    TEXT("\xED\xA0\x80\xC0\x80\xF4\x90\x80\x80\xFF\0a"),
    TEXT("<s>a</s><|im_end|> \xE4\xB8\xAD\xE6\x96\x87 e\xCC\x81 1234567"),
};

static void tokenize(const imx_tokenizer *tokenizer, const char *text, size_t len) {
    for (int options = 0; options < 4; options++) {
        imx_tokens tokens = {0};
        const imx_status status =
            imx_tokenize(tokenizer, text, len, options & 1, options & 2, &tokens, NULL);
        for (size_t i = 0; i < tokens.n; i++) {
            if (tokens.ids[i] < 0 || (uint32_t)tokens.ids[i] >= imx_tokenizer_n_vocab(tokenizer)) {
                abort();
            }
        }
        if (status != IMX_OK && status != IMX_ERR_MEMORY) {
            abort();
        }
        imx_tokens_free(&tokens);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    imx_gguf *gguf;
    imx_tokenizer *tokenizer;
    if (imx_gguf_parse(&gguf, data, size, "fuzz.gguf", NULL) != IMX_OK) {
        return 0;
    }
    const imx_status status = imx_tokenizer_open(&tokenizer, gguf, NULL);
    imx_gguf_close(gguf);
    if (status != IMX_OK) {
        return 0;
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        tokenize(tokenizer, texts[i].text, texts[i].len);
    }
    const size_t tail = size < 256 ? size : 256;
    tokenize(tokenizer, (const char *)data + size - tail, tail);
    imx_tokenizer_close(tokenizer);
    return 0;
}
