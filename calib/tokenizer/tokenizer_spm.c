// SPDX-License-Identifier: MIT
//
// SentencePiece ("llama"). The text is one string: a space in front where the model wants it (also
// behind a special token), every space written as U+2581. Its symbols are characters; two
// neighbours may merge when their text is a token, and the token with the highest score goes first.
// What remains and is no token is spelled out in bytes (<0xE2>), or is the unknown token where the
// vocabulary has no bytes.
//
// No merge reaches across a place between two bytes that stand side by side in no token. So the
// text is cut in front of every U+2581 that no token joins to the byte before it, and its words are
// merged one by one, in memory that stays in the cache and does not grow with the text. A
// vocabulary with tokens of several words is cut less, or not at all.
//
// Scores become ranks once, when the vocabulary is read: tokens sorted by falling score, equal
// scores sharing a rank.

#include "calib/tokenizer/tokenizer_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calib/tokenizer/unicode_bytes.h"
#include "formats/memory.h"

static const char SPACE[] = "\u2581";

typedef struct spm {
    uint32_t *ranks; // (n_tokens)
    int32_t bytes[256];
    int32_t unknown; // -1 = none
    bool add_space_prefix;
    bool joins_space[256]; // whether a token has this byte in front of a U+2581
} spm;

typedef struct scored_token {
    double score;
    uint32_t id;
} scored_token;

static int highest_first(const void *a, const void *b) {
    const double x = ((const scored_token *)a)->score;
    const double y = ((const scored_token *)b)->score;
    return (x < y) - (x > y);
}

static imx_status read_scores(scored_token *scored, uint32_t n_tokens, const imx_gguf *gguf,
                              imx_error *err) {
    const char *const key = "tokenizer.ggml.scores";
    const imx_gguf_kv *scores;
    IMX_TRY(imx_gguf_get_array(gguf, key, false, IMX_GGUF_F32, &scores, err));
    if (scores != NULL && scores->n_elems < n_tokens) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: %s holds %llu scores for %u tokens", gguf->path,
                        key, (unsigned long long)scores->n_elems, n_tokens);
    }
    for (uint32_t i = 0; i < n_tokens; i++) {
        scored[i].id = i;
        scored[i].score = scores != NULL ? imx_gguf_elem_f64(scores, i) : 0.0;
        if (isnan(scored[i].score)) {
            return imx_fail(err, IMX_ERR_FORMAT, "%s: %s: the score of token %u is not a number",
                            gguf->path, key, i);
        }
    }
    return IMX_OK;
}

static imx_status rank_tokens(uint32_t *ranks, uint32_t n_tokens, const imx_gguf *gguf,
                              imx_error *err) {
    scored_token *scored;
    IMX_TRY(imx_alloc_zeroed(&scored, n_tokens, sizeof *scored, err));
    const imx_status status = read_scores(scored, n_tokens, gguf, err);
    if (status == IMX_OK) {
        qsort(scored, n_tokens, sizeof *scored, highest_first);
        for (uint32_t i = 0, rank = 0; i < n_tokens; i++) {
            if (i > 0 && scored[i].score != scored[i - 1].score) {
                rank = i;
            }
            ranks[scored[i].id] = rank;
        }
    }
    free(scored);
    return status;
}

static bool starts_with_space(const char *text, size_t len) {
    return len >= sizeof SPACE - 1 && memcmp(text, SPACE, sizeof SPACE - 1) == 0;
}

static void find_joined_spaces(spm *engine, const imx_vocab *vocab) {
    for (uint32_t id = 0; id < vocab->n_tokens; id++) {
        const imx_str text = imx_pieces_get(&vocab->pieces, id);
        for (size_t i = 1; i < text.len; i++) {
            if (starts_with_space(text.data + i, text.len - i)) {
                engine->joins_space[(uint8_t)text.data[i - 1]] = true;
            }
        }
    }
}

// A byte without a <0xE2> of its own may be a token by itself.
static void find_byte_tokens(spm *engine, const imx_vocab *vocab) {
    imx_vocab_hex_bytes(vocab, engine->bytes);
    for (unsigned byte = 0; byte < 256; byte++) {
        if (engine->bytes[byte] < 0) {
            const char text = (char)byte;
            engine->bytes[byte] = imx_vocab_find(vocab, &text, 1);
        }
    }
}

imx_status imx_spm_open(imx_tokenizer *tokenizer, const imx_gguf *gguf, imx_bos_eos *defaults,
                        imx_error *err) {
    (void)defaults;
    const imx_vocab *vocab = &tokenizer->vocab;
    spm *engine;
    IMX_TRY(imx_alloc_zeroed(&engine, 1, sizeof *engine, err));
    tokenizer->engine = engine;
    IMX_TRY(imx_alloc_zeroed(&engine->ranks, vocab->n_tokens, sizeof *engine->ranks, err));
    IMX_TRY(rank_tokens(engine->ranks, vocab->n_tokens, gguf, err));
    find_joined_spaces(engine, vocab);
    find_byte_tokens(engine, vocab);
    engine->unknown = 0;
    IMX_TRY(
        imx_vocab_get_id(vocab, gguf, "tokenizer.ggml.unknown_token_id", &engine->unknown, err));
    engine->add_space_prefix = true;
    return imx_gguf_get_bool(gguf, "tokenizer.ggml.add_space_prefix", false,
                             &engine->add_space_prefix, err);
}

void imx_spm_close(void *engine) {
    if (engine != NULL) {
        free(((spm *)engine)->ranks);
        free(engine);
    }
}

static bool find_joined_token(const void *context, const imx_symbol *left, const imx_symbol *right,
                              imx_merge *merge) {
    const imx_tokenizer *tokenizer = context;
    const size_t len = (size_t)left->len + right->len;
    const int32_t id = imx_vocab_find(&tokenizer->vocab, left->text, len);
    if (id < 0) {
        return false;
    }
    const spm *engine = tokenizer->engine;
    *merge = (imx_merge){.rank = engine->ranks[id], .piece = (uint32_t)id};
    return true;
}

static imx_status push_byte_tokens(const spm *engine, const imx_symbol *symbol, imx_tokens *tokens,
                                   imx_error *err) {
    for (uint32_t i = 0; i < symbol->len; i++) {
        if (engine->bytes[(uint8_t)symbol->text[i]] < 0) {
            return engine->unknown >= 0 ? imx_tokens_push(tokens, engine->unknown, err) : IMX_OK;
        }
    }
    for (uint32_t i = 0; i < symbol->len; i++) {
        IMX_TRY(imx_tokens_push(tokens, engine->bytes[(uint8_t)symbol->text[i]], err));
    }
    return IMX_OK;
}

// Merges the symbols of one word and appends its tokens; the merger is then empty.
static imx_status encode_symbols(const imx_tokenizer *tokenizer, imx_merger *merger,
                                 imx_tokens *tokens, imx_error *err) {
    IMX_TRY(imx_merger_run(merger, find_joined_token, tokenizer, err));
    for (uint32_t i = 0; i != IMX_NO_SYMBOL; i = merger->symbols[i].next) {
        const imx_symbol *symbol = &merger->symbols[i];
        const int32_t id = imx_vocab_find(&tokenizer->vocab, symbol->text, symbol->len);
        if (id >= 0) {
            IMX_TRY(imx_tokens_push(tokens, id, err));
        } else {
            IMX_TRY(push_byte_tokens(tokenizer->engine, symbol, tokens, err));
        }
    }
    merger->n_symbols = 0;
    return IMX_OK;
}

static imx_status encode_escaped(const imx_tokenizer *tokenizer, imx_merger *merger,
                                 const char *text, size_t len, imx_tokens *tokens, imx_error *err) {
    const spm *engine = tokenizer->engine;
    for (size_t i = 0; i < len;) {
        const size_t left = len - i;
        const size_t size = imx_utf8_len((uint8_t)text[i]);
        if (i > 0 && starts_with_space(text + i, left) &&
            !engine->joins_space[(uint8_t)text[i - 1]]) {
            IMX_TRY(encode_symbols(tokenizer, merger, tokens, err));
        }
        IMX_TRY(imx_merger_add(merger, text + i, size < left ? size : left, IMX_NO_PIECE, err));
        i += size;
    }
    return encode_symbols(tokenizer, merger, tokens, err);
}

imx_status imx_spm_encode(const imx_tokenizer *tokenizer, const char *text, size_t len,
                          imx_tokens *tokens, imx_error *err) {
    const spm *engine = tokenizer->engine;
    imx_merger merger = {0};
    char *escaped = NULL;
    size_t escaped_len;
    imx_status status =
        imx_escape_spaces(text, len, engine->add_space_prefix, &escaped, &escaped_len, err);
    if (status == IMX_OK) {
        status = encode_escaped(tokenizer, &merger, escaped, escaped_len, tokens, err);
    }
    free(escaped);
    imx_merger_free(&merger);
    return status;
}
