// SPDX-License-Identifier: MIT
//
// Texts cut into chunks of tokens, as llama-imatrix and llama-perplexity cut them: a text is
// tokenized as a whole, chunk c holds its tokens [c·n_ctx, (c+1)·n_ctx), and where the vocabulary
// asks for a BOS it replaces the first token of every chunk. The last chunk of a text may be short.
//
// One text is a whole source or, by_document, each of its documents. A source is packed by putting
// its documents one behind another, on new lines and without BOS or EOS between them: a chunk may
// then hold the end of one and the beginning of the next.

#ifndef IMX_CALIB_CORPUS_H
#define IMX_CALIB_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calib/tokenizer/tokenizer.h"
#include "formats/error.h"
#include "formats/gguf.h"

typedef struct imx_corpus_options {
    uint32_t n_ctx;      // tokens in a chunk, at least 2
    uint64_t from_chunk; // chunks left out at the start
    uint64_t max_chunks; // 0 = all; of those behind from_chunk
    uint64_t sample;     // so many of what is then left, chosen by seed; 0 = all
    uint64_t seed;       // of the sample and of the weights
    bool drop_tail;      // leave out chunks shorter than n_ctx
    bool parse_special;
    bool by_document;
} imx_corpus_options;

typedef struct imx_corpus {
    int32_t *tokens; // (n_tokens), BOS already in place
    size_t n_tokens;
    uint32_t n_ctx; // no chunk is longer
    size_t n_chunks;
    size_t *starts; // (n_chunks + 1) where each chunk begins in tokens; the last is n_tokens
} imx_corpus;

// What one source has given to a corpus.
typedef struct imx_text_share {
    char *path;    // without the weight; owned
    double weight; // share of its chunks that was asked for
    char hash[33]; // XXH3-128 of its bytes, hex
    uint64_t n_tokens;
    uint64_t n_chunks;
} imx_text_share;

// Tokenizes and cuts `len` bytes of text; one newline at its end is not part of it. `name` is only
// for messages. A text too short for one chunk (two tokens; with drop_tail, n_ctx) is
// IMX_ERR_ARGUMENT and says how many tokens there are. *out is the caller's to imx_corpus_free.
imx_status imx_corpus_new(imx_corpus **out, const imx_tokenizer *tokenizer, const char *text,
                          size_t len, const char *name, const imx_corpus_options *options,
                          imx_error *err);

// The same for `n_sources` sources as imx_text_source_open takes them. Of a source with weight w
// and n chunks, w·n chunks are used, rounded, at least one. `model` is where the tokenizer comes
// from. *shares, (n_sources), is the caller's to imx_text_shares_free; NULL on failure.
imx_status imx_corpus_read(imx_corpus **out, imx_text_share **shares, const char *const *sources,
                           size_t n_sources, const imx_tokenizer *tokenizer, const imx_gguf *model,
                           const imx_corpus_options *options, imx_error *err);

void imx_corpus_free(imx_corpus *corpus);
void imx_text_shares_free(imx_text_share *shares, size_t n);

// First token of chunk `c` and the number of its tokens.
const int32_t *imx_corpus_chunk(const imx_corpus *corpus, size_t c);
size_t imx_corpus_chunk_len(const imx_corpus *corpus, size_t c);

#endif
