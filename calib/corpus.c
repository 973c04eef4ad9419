// SPDX-License-Identifier: MIT
//
// With t tokens left behind the chunks that are skipped, there are ceil(t / n_ctx) chunks. The last
// one is kept while it can predict something, that is from two tokens on; with drop_tail it must be
// full.

#include "calib/corpus.h"

#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"

static imx_status tokenize_text(imx_tokens *tokens, const imx_tokenizer *tokenizer,
                                const char *text, size_t len, bool parse_special, imx_error *err) {
    if (len > 0 && text[len - 1] == '\n') {
        len--;
    }
    return imx_tokenize(tokenizer, text, len, true, parse_special, tokens, err);
}

static size_t count_chunks(size_t n_tokens, const imx_corpus_options *options) {
    const size_t shortest = options->drop_tail ? options->n_ctx : 2;
    size_t n_chunks = n_tokens / options->n_ctx;
    n_chunks += n_tokens % options->n_ctx >= shortest;
    if (options->max_chunks > 0 && n_chunks > options->max_chunks) {
        n_chunks = (size_t)options->max_chunks;
    }
    return n_chunks;
}

// Moves the tokens of the wanted chunks to the front of `tokens`.
static imx_status cut_chunks(imx_corpus *corpus, const imx_tokens *tokens, const char *name,
                             const imx_corpus_options *options, imx_error *err) {
    const uint32_t n_ctx = options->n_ctx;
    const bool past_end = options->from_chunk > tokens->n / n_ctx;
    const size_t first = past_end ? tokens->n : (size_t)options->from_chunk * n_ctx;
    const size_t n_left = tokens->n - first;
    corpus->n_ctx = n_ctx;
    corpus->n_chunks = count_chunks(n_left, options);
    if (corpus->n_chunks == 0) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "%s: too short: %zu tokens, %zu of them before chunk %llu, and a chunk "
                        "takes at least %u; use a longer text or shorter chunks",
                        name, tokens->n, first, (unsigned long long)options->from_chunk,
                        options->drop_tail ? n_ctx : 2);
    }
    const size_t n_full = corpus->n_chunks * n_ctx;
    corpus->n_tokens = n_full < n_left ? n_full : n_left;
    IMX_TRY(imx_alloc_zeroed(&corpus->tokens, corpus->n_tokens, sizeof *corpus->tokens, err));
    memcpy(corpus->tokens, tokens->ids + first, corpus->n_tokens * sizeof *corpus->tokens);
    return IMX_OK;
}

static void put_bos(imx_corpus *corpus, int32_t bos) {
    for (size_t c = 0; bos >= 0 && c < corpus->n_chunks; c++) {
        corpus->tokens[c * corpus->n_ctx] = bos;
    }
}

imx_status imx_corpus_new(imx_corpus **out, const imx_tokenizer *tokenizer, const char *text,
                          size_t len, const char *name, const imx_corpus_options *options,
                          imx_error *err) {
    *out = NULL;
    if (options->n_ctx < 2) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "a chunk of %u tokens is too short: at least 2",
                        options->n_ctx);
    }
    imx_tokens tokens = {0};
    imx_corpus *corpus = NULL;
    imx_status status;
    IMX_TRY_GOTO(done, imx_alloc_zeroed(&corpus, 1, sizeof *corpus, err));
    IMX_TRY_GOTO(done, tokenize_text(&tokens, tokenizer, text, len, options->parse_special, err));
    IMX_TRY_GOTO(done, cut_chunks(corpus, &tokens, name, options, err));
    put_bos(corpus, imx_tokenizer_added_bos(tokenizer));
    *out = corpus;
    corpus = NULL;

done:
    imx_tokens_free(&tokens);
    imx_corpus_free(corpus);
    return status;
}

void imx_corpus_free(imx_corpus *corpus) {
    if (corpus != NULL) {
        free(corpus->tokens);
        free(corpus);
    }
}

const int32_t *imx_corpus_chunk(const imx_corpus *corpus, size_t c) {
    return corpus->tokens + c * corpus->n_ctx;
}

size_t imx_corpus_chunk_len(const imx_corpus *corpus, size_t c) {
    const size_t n_left = corpus->n_tokens - c * corpus->n_ctx;
    return n_left < corpus->n_ctx ? n_left : corpus->n_ctx;
}
