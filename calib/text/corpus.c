// SPDX-License-Identifier: MIT
//
// A text of t tokens has ceil(t / n_ctx) chunks. The last one is kept while it can predict
// something, that is from two tokens on; with drop_tail it must be full.
//
// The chunks of all texts are listed, and the list is thinned: by weight, source after source; by
// from_chunk and max_chunks; by the sample. What is left is copied together.
//
// To choose k of n chunks, the list is gone through once, and a chunk is taken with the probability
// (still to take) / (still to come), which makes all subsets of k equally likely and keeps the
// order (Knuth, The Art of Computer Programming, 3.4.2, algorithm S). The random numbers are
// SplitMix64's (Steele, Lea and Flood, 2014), started with the seed: the choice is the same on
// every machine.
//
// A weight below one leaves chunks out instead of scaling their statistics, which would cost the
// same time for less information; for the same reason there are none above one.

#include "calib/text/corpus.h"

#include <stdlib.h>
#include <string.h>

#include "calib/text/text_source.h"
#include "formats/memory.h"

typedef struct chunk {
    size_t begin; // in the tokens of all texts
    size_t len;
    size_t source;
} chunk;

typedef struct cutter {
    const imx_tokenizer *tokenizer;
    const imx_corpus_options *options;
    uint64_t random;   // state of the generator
    imx_tokens tokens; // of all texts
    chunk *chunks;     // (n_chunks)
    size_t n_chunks, capacity;
} cutter;

static size_t shortest_chunk(const cutter *c) {
    return c->options->drop_tail ? c->options->n_ctx : 2;
}

static imx_status add_chunk(cutter *c, chunk made, imx_error *err) {
    IMX_TRY(imx_grow(&c->chunks, &c->capacity, c->n_chunks + 1, sizeof made, err));
    c->chunks[c->n_chunks++] = made;
    return IMX_OK;
}

// Shortens the last span when the text ends with a newline.
static imx_status cut_text(cutter *c, const char *text, size_t len, imx_text_span *spans,
                           size_t n_spans, size_t source, imx_error *err) {
    const size_t n_ctx = c->options->n_ctx;
    const size_t first = c->tokens.n;
    if (len > 0 && text[len - 1] == '\n') {
        spans[n_spans - 1].len--;
        len--;
    }
    if (len == 0) {
        return IMX_OK;
    }
    IMX_TRY(imx_tokenize_spans(c->tokenizer, text, spans, n_spans, true, &c->tokens, err));
    for (size_t begin = first; begin < c->tokens.n; begin += n_ctx) {
        const size_t n_left = c->tokens.n - begin;
        const chunk made = {begin, n_left < n_ctx ? n_left : n_ctx, source};
        if (made.len >= shortest_chunk(c)) {
            IMX_TRY(add_chunk(c, made, err));
        }
    }
    return IMX_OK;
}

static imx_status cut_marked(cutter *c, imx_marked_text *text, size_t source, imx_error *err) {
    IMX_TRY(cut_text(c, text->data, text->len, text->spans, text->n_spans, source, err));
    imx_marked_text_clear(text);
    return IMX_OK;
}

// Called when the text that began with token `first` and chunk `first_chunk` has been cut.
static imx_status require_chunk(const cutter *c, size_t first, size_t first_chunk, const char *name,
                                imx_error *err) {
    if (c->n_chunks == first_chunk) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "%s: too short: %zu tokens, and a chunk takes at least %zu%s; use a longer "
                        "text or shorter chunks",
                        name, c->tokens.n - first, shortest_chunk(c),
                        c->options->by_document ? " of one document" : "");
    }
    return IMX_OK;
}

// ---------------------------------------------------------------------------------------------
// Which chunks

static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

// Keeps `n_wanted` of the chunks from `first` on.
static void choose_chunks(cutter *c, size_t first, size_t n_wanted) {
    size_t n_kept = first;
    n_wanted += first;
    for (size_t i = first; i < c->n_chunks && n_kept < n_wanted; i++) {
        if (next_random(&c->random) % (c->n_chunks - i) < n_wanted - n_kept) {
            c->chunks[n_kept++] = c->chunks[i];
        }
    }
    c->n_chunks = n_kept;
}

static void weigh_chunks(cutter *c, size_t first, double weight) {
    const size_t n = c->n_chunks - first;
    const size_t n_wanted = (size_t)(weight * (double)n + 0.5);
    if (n_wanted < n) {
        choose_chunks(c, first, n_wanted > 0 ? n_wanted : 1);
    }
}

static imx_status select_chunks(cutter *c, imx_error *err) {
    const imx_corpus_options *options = c->options;
    if (options->from_chunk >= c->n_chunks) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "the text has %zu chunks, and all of them lie before chunk %llu",
                        c->n_chunks, (unsigned long long)options->from_chunk);
    }
    const size_t first = (size_t)options->from_chunk;
    c->n_chunks -= first;
    memmove(c->chunks, c->chunks + first, c->n_chunks * sizeof *c->chunks);
    if (options->max_chunks > 0 && options->max_chunks < c->n_chunks) {
        c->n_chunks = (size_t)options->max_chunks;
    }
    if (options->sample > 0 && options->sample < c->n_chunks) {
        choose_chunks(c, 0, (size_t)options->sample);
    }
    return IMX_OK;
}

// ---------------------------------------------------------------------------------------------
// The corpus

static imx_status copy_chunks(imx_corpus *corpus, const cutter *c, imx_error *err) {
    const int32_t bos = imx_tokenizer_added_bos(c->tokenizer);
    corpus->n_ctx = c->options->n_ctx;
    corpus->n_chunks = c->n_chunks;
    IMX_TRY(imx_alloc_zeroed(&corpus->starts, c->n_chunks + 1, sizeof *corpus->starts, err));
    for (size_t i = 0; i < c->n_chunks; i++) {
        corpus->starts[i + 1] = corpus->starts[i] + c->chunks[i].len;
    }
    corpus->n_tokens = corpus->starts[c->n_chunks];
    IMX_TRY(imx_alloc_zeroed(&corpus->tokens, corpus->n_tokens, sizeof *corpus->tokens, err));
    for (size_t i = 0; i < c->n_chunks; i++) {
        int32_t *tokens = corpus->tokens + corpus->starts[i];
        memcpy(tokens, c->tokens.ids + c->chunks[i].begin, c->chunks[i].len * sizeof *tokens);
        tokens[0] = bos >= 0 ? bos : tokens[0];
    }
    return IMX_OK;
}

// Makes the corpus of what has been cut.
static imx_status finish_corpus(imx_corpus **out, cutter *c, imx_error *err) {
    imx_corpus *corpus;
    IMX_TRY(select_chunks(c, err));
    IMX_TRY(imx_alloc_zeroed(&corpus, 1, sizeof *corpus, err));
    const imx_status status = copy_chunks(corpus, c, err);
    if (status != IMX_OK) {
        imx_corpus_free(corpus);
        return status;
    }
    *out = corpus;
    return IMX_OK;
}

static imx_status open_cutter(cutter *c, const imx_tokenizer *tokenizer,
                              const imx_corpus_options *options, imx_error *err) {
    *c = (cutter){.tokenizer = tokenizer, .options = options, .random = options->seed};
    if (options->n_ctx < 2) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "a chunk of %u tokens is too short: at least 2",
                        options->n_ctx);
    }
    return IMX_OK;
}

static void close_cutter(cutter *c) {
    imx_tokens_free(&c->tokens);
    free(c->chunks);
}

imx_status imx_corpus_new(imx_corpus **out, const imx_tokenizer *tokenizer, const char *text,
                          size_t len, const char *name, const imx_corpus_options *options,
                          imx_error *err) {
    imx_text_span whole = {.len = len, .parse_special = options->parse_special};
    cutter c;
    imx_status status;
    *out = NULL;
    IMX_TRY(open_cutter(&c, tokenizer, options, err));
    IMX_TRY_GOTO(done, cut_text(&c, text, len, &whole, 1, 0, err));
    IMX_TRY_GOTO(done, require_chunk(&c, 0, 0, name, err));
    status = finish_corpus(out, &c, err);
done:
    close_cutter(&c);
    return status;
}

static imx_status cut_documents(cutter *c, imx_text_source *source, size_t index, imx_error *err) {
    imx_marked_text text = {0};
    bool found = true;
    imx_status status = IMX_OK;
    while (status == IMX_OK && found) {
        status = imx_text_source_next(source, &text, &found, err);
        if (status == IMX_OK && found && c->options->by_document) {
            status = cut_marked(c, &text, index, err);
        }
    }
    if (status == IMX_OK && !c->options->by_document) {
        status = cut_marked(c, &text, index, err);
    }
    imx_marked_text_free(&text);
    return status;
}

// Fills in all of the share but its tokens and chunks, which are known when all are selected.
static imx_status read_source(cutter *c, const char *argument, size_t index, const imx_gguf *model,
                              imx_text_share *share, imx_error *err) {
    const size_t first = c->tokens.n;
    const size_t first_chunk = c->n_chunks;
    imx_text_source *source;
    imx_status status;
    IMX_TRY(imx_text_source_open(&source, argument, model, c->options->parse_special, err));
    IMX_TRY_GOTO(done, cut_documents(c, source, index, err));
    IMX_TRY_GOTO(done, require_chunk(c, first, first_chunk, imx_text_source_path(source), err));
    share->weight = imx_text_source_weight(source);
    weigh_chunks(c, first_chunk, share->weight);
    imx_text_source_hash(source, share->hash);
    share->path = strdup(imx_text_source_path(source));
    status = share->path != NULL ? IMX_OK : imx_fail_memory(err, strlen(argument) + 1);
done:
    imx_text_source_close(source);
    return status;
}

imx_status imx_corpus_read(imx_corpus **out, imx_text_share **shares, const char *const *sources,
                           size_t n_sources, const imx_tokenizer *tokenizer, const imx_gguf *model,
                           const imx_corpus_options *options, imx_error *err) {
    cutter c;
    imx_status status;
    *out = NULL;
    *shares = NULL;
    IMX_TRY(open_cutter(&c, tokenizer, options, err));
    IMX_TRY_GOTO(done, imx_alloc_zeroed(shares, n_sources, sizeof **shares, err));
    for (size_t i = 0; i < n_sources; i++) {
        IMX_TRY_GOTO(done, read_source(&c, sources[i], i, model, &(*shares)[i], err));
    }
    IMX_TRY_GOTO(done, finish_corpus(out, &c, err));
    for (size_t i = 0; i < c.n_chunks; i++) {
        imx_text_share *share = &(*shares)[c.chunks[i].source];
        share->n_tokens += c.chunks[i].len;
        share->n_chunks++;
    }
done:
    close_cutter(&c);
    if (status != IMX_OK) {
        imx_text_shares_free(*shares, n_sources);
        *shares = NULL;
    }
    return status;
}

void imx_corpus_free(imx_corpus *corpus) {
    if (corpus != NULL) {
        free(corpus->tokens);
        free(corpus->starts);
        free(corpus);
    }
}

void imx_text_shares_free(imx_text_share *shares, size_t n) {
    for (size_t i = 0; shares != NULL && i < n; i++) {
        free(shares[i].path);
    }
    free(shares);
}

const int32_t *imx_corpus_chunk(const imx_corpus *corpus, size_t c) {
    return corpus->tokens + corpus->starts[c];
}

size_t imx_corpus_chunk_len(const imx_corpus *corpus, size_t c) {
    return corpus->starts[c + 1] - corpus->starts[c];
}
