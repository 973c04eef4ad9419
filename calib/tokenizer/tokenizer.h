// SPDX-License-Identifier: MIT
//
// Text to token ids, as the vocabulary inside a GGUF model defines it.

#ifndef IMX_CALIB_TOKENIZER_H
#define IMX_CALIB_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calib/text/marked_text.h"
#include "formats/error.h"
#include "formats/gguf.h"

typedef struct imx_tokenizer imx_tokenizer;

// A growing list of token ids; zero-initialise, free with imx_tokens_free.
typedef struct imx_tokens {
    int32_t *ids; // (n)
    size_t n;
    size_t capacity;
} imx_tokens;

void imx_tokens_free(imx_tokens *tokens);

// Builds the tokenizer from the tokenizer.ggml.* keys of `gguf`, which may be closed afterwards.
// *out is the caller's to imx_tokenizer_close. An unknown model or pre-tokenizer name is
// IMX_ERR_UNSUPPORTED and named together with those that are known.
imx_status imx_tokenizer_open(imx_tokenizer **out, const imx_gguf *gguf, imx_error *err);
void imx_tokenizer_close(imx_tokenizer *tokenizer);

// Appends the ids of `len` bytes of text, which may hold NUL and invalid UTF-8. With `add_special`
// the vocabulary's BOS and EOS rules apply; with `parse_special` control tokens written in the text
// (<|im_start|>) become their ids instead of being spelled out. Safe to call from several threads
// on one tokenizer. On failure the ids appended so far stay.
imx_status imx_tokenize(const imx_tokenizer *tokenizer, const char *text, size_t len,
                        bool add_special, bool parse_special, imx_tokens *tokens, imx_error *err);

// The same for a text in which only some spans are to have their control tokens parsed. The text is
// tokenized as one: a word is not cut where a span ends, a control token does not reach across.
imx_status imx_tokenize_spans(const imx_tokenizer *tokenizer, const char *text,
                              const imx_text_span *spans, size_t n_spans, bool add_special,
                              imx_tokens *tokens, imx_error *err);

// Number of ids in the vocabulary.
uint32_t imx_tokenizer_n_vocab(const imx_tokenizer *tokenizer);

// The BOS id when the vocabulary puts one in front of a text, else -1.
int32_t imx_tokenizer_added_bos(const imx_tokenizer *tokenizer);

// The EOS id when the vocabulary puts one behind a text, else -1.
int32_t imx_tokenizer_added_eos(const imx_tokenizer *tokenizer);

#endif
