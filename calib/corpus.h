// SPDX-License-Identifier: MIT
//
// A text cut into chunks of tokens, as llama-imatrix and llama-perplexity cut it: the whole text is
// tokenized once, chunk c holds tokens [c·n_ctx, (c+1)·n_ctx), and where the vocabulary asks for a
// BOS it replaces the first token of every chunk.

#ifndef IMX_CALIB_CORPUS_H
#define IMX_CALIB_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calib/tokenizer.h"
#include "formats/error.h"

typedef struct imx_corpus_options {
    uint32_t n_ctx;      // tokens in a chunk, at least 2
    uint64_t from_chunk; // chunks left out at the start
    uint64_t max_chunks; // 0 = all
    bool drop_tail;      // leave out the last chunk when it is shorter than n_ctx
    bool parse_special;
} imx_corpus_options;

typedef struct imx_corpus {
    int32_t *tokens; // (n_tokens), BOS already in place
    size_t n_tokens;
    uint32_t n_ctx;
    size_t n_chunks; // the last one may be short: see imx_corpus_chunk_len
} imx_corpus;

// Tokenizes and cuts `len` bytes of text; one newline at its end is not part of it. `name` is only
// for messages. A text too short for one chunk (two tokens; with drop_tail, n_ctx) is
// IMX_ERR_ARGUMENT and says how many tokens there are. *out is the caller's to imx_corpus_free.
imx_status imx_corpus_new(imx_corpus **out, const imx_tokenizer *tokenizer, const char *text,
                          size_t len, const char *name, const imx_corpus_options *options,
                          imx_error *err);
void imx_corpus_free(imx_corpus *corpus);

// First token of chunk `c` and the number of its tokens.
const int32_t *imx_corpus_chunk(const imx_corpus *corpus, size_t c);
size_t imx_corpus_chunk_len(const imx_corpus *corpus, size_t c);

#endif
