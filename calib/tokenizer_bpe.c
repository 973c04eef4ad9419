// SPDX-License-Identifier: MIT
//
// Byte-level BPE ("gpt2"). The pre-tokenizer cuts the text into words; the symbols of a word are
// its bytes; the pair that stands first in the list of merges goes first. Vocabulary and merges are
// written in the letters of GPT-2, one for each byte, so the pieces of all bytes are looked up once
// and the text itself is never translated, except to look up a whole word.
//
// The raw kind ("gemma4") writes its pieces in plain UTF-8, with U+2581 for a space: its symbols
// are characters, and what is no token is spelled out in bytes as SentencePiece does it.
//
// A merge may name strings that are not tokens. They are pieces like any other and merge on; when a
// word ends in such a piece, its bytes are the tokens.

#include "calib/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

#include "calib/pretokenizer.h"
#include "calib/unicode_bytes.h"
#include "formats/memory.h"

// A slot of the table of merges.
typedef struct pair_slot {
    uint64_t pair; // left piece << 32 | right piece
    imx_merge merge;
} pair_slot;

static const uint64_t FREE_SLOT = UINT64_MAX;

typedef struct bpe {
    imx_pretokenizer *pretokenizer;
    unsigned flags;   // IMX_PRE_*
    pair_slot *slots; // (n_slots)
    size_t n_slots;   // a power of two
    uint32_t byte_pieces[256];
    int32_t byte_tokens[256]; // what spells out a piece that is no token; -1 = nothing
} bpe;

// ---------------------------------------------------------------------------------------------
// Merges.

static pair_slot *find_pair(const bpe *engine, uint32_t left, uint32_t right) {
    const uint64_t pair = (uint64_t)left << 32 | right;
    const uint64_t hash = pair * UINT64_C(0x9E3779B97F4A7C15);
    const size_t mask = engine->n_slots - 1;
    size_t i = (size_t)(hash ^ hash >> 32) & mask;
    while (engine->slots[i].pair != pair && engine->slots[i].pair != FREE_SLOT) {
        i = (i + 1) & mask;
    }
    return &engine->slots[i];
}

// "left right", where the space is the first one behind the first byte.
static imx_status add_merge(bpe *engine, imx_pieces *pieces, imx_str merge, uint32_t rank,
                            char *joined, imx_error *err) {
    const char *space = merge.len > 2 ? memchr(merge.data + 1, ' ', merge.len - 2) : NULL;
    if (space == NULL) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "tokenizer.ggml.merges: merge %u, '%.*s', is not two pieces with a space "
                        "between them",
                        rank, (int)(merge.len < 64 ? merge.len : 64), merge.data);
    }
    const imx_str left = {.data = merge.data, .len = (size_t)(space - merge.data)};
    const imx_str right = {.data = space + 1, .len = merge.len - left.len - 1};
    memcpy(joined, left.data, left.len);
    memcpy(joined + left.len, right.data, right.len);
    uint32_t left_piece, right_piece, piece;
    IMX_TRY(imx_pieces_add(pieces, left, &left_piece, err));
    IMX_TRY(imx_pieces_add(pieces, right, &right_piece, err));
    IMX_TRY(imx_pieces_add(pieces, (imx_str){.data = joined, .len = merge.len - 1}, &piece, err));
    pair_slot *slot = find_pair(engine, left_piece, right_piece);
    if (slot->pair == FREE_SLOT) { // of equal merges the first counts
        slot->pair = (uint64_t)left_piece << 32 | right_piece;
        slot->merge = (imx_merge){.rank = rank, .piece = piece};
    }
    return IMX_OK;
}

static imx_status add_merges(bpe *engine, imx_pieces *pieces, const imx_gguf_kv *merges,
                             imx_error *err) {
    const uint8_t *cursor = merges->elems;
    size_t max_len = 0;
    for (uint64_t i = 0; i < merges->n_elems; i++) {
        const imx_str merge = imx_gguf_next_str(&cursor);
        max_len = merge.len > max_len ? merge.len : max_len;
    }
    char *joined;
    IMX_TRY(imx_alloc_zeroed(&joined, max_len, 1, err));
    imx_status status = IMX_OK;
    cursor = merges->elems;
    for (uint64_t i = 0; i < merges->n_elems && status == IMX_OK; i++) {
        status = add_merge(engine, pieces, imx_gguf_next_str(&cursor), (uint32_t)i, joined, err);
    }
    free(joined);
    return status;
}

static imx_status load_merges(bpe *engine, imx_pieces *pieces, const imx_gguf *gguf,
                              imx_error *err) {
    const imx_gguf_kv *merges;
    const bool required = (engine->flags & IMX_PRE_NO_MERGES) == 0;
    IMX_TRY(
        imx_gguf_get_array(gguf, "tokenizer.ggml.merges", required, IMX_GGUF_STRING, &merges, err));
    const uint64_t n_merges = merges != NULL ? merges->n_elems : 0;
    if (n_merges > INT32_MAX) {
        return imx_fail(err, IMX_ERR_UNSUPPORTED, "%s: tokenizer.ggml.merges holds %llu merges",
                        gguf->path, (unsigned long long)n_merges);
    }
    engine->n_slots = 16;
    while (engine->n_slots < 2 * n_merges) {
        engine->n_slots *= 2;
    }
    IMX_TRY(imx_alloc_zeroed(&engine->slots, engine->n_slots, sizeof *engine->slots, err));
    for (size_t i = 0; i < engine->n_slots; i++) {
        engine->slots[i].pair = FREE_SLOT;
    }
    return n_merges > 0 ? add_merges(engine, pieces, merges, err) : IMX_OK;
}

// ---------------------------------------------------------------------------------------------
// Opening.

static void find_bytes(bpe *engine, const imx_vocab *vocab) {
    for (unsigned byte = 0; byte < 256; byte++) {
        char letter[4];
        const size_t len = imx_byte_letter(letter, (uint8_t)byte);
        engine->byte_pieces[byte] = imx_pieces_find(&vocab->pieces, letter, len);
        engine->byte_tokens[byte] = imx_vocab_find(vocab, letter, len);
    }
    if (engine->flags & IMX_PRE_RAW) {
        imx_vocab_hex_bytes(vocab, engine->byte_tokens);
    }
}

static imx_status open_pretokenizer(bpe *engine, const imx_tokenizer *tokenizer,
                                    const imx_gguf *gguf, imx_error *err) {
    imx_str name = {.data = "default", .len = strlen("default")};
    IMX_TRY(imx_gguf_get_str(gguf, "tokenizer.ggml.pre", false, &name, err));
    if (tokenizer->model->pretokenizer != NULL) {
        name = (imx_str){.data = tokenizer->model->pretokenizer,
                         .len = strlen(tokenizer->model->pretokenizer)};
    }
    IMX_TRY(imx_pretokenizer_open(&engine->pretokenizer, name, gguf->path, err));
    engine->flags = imx_pretokenizer_flags(engine->pretokenizer);
    return IMX_OK;
}

imx_status imx_bpe_open(imx_tokenizer *tokenizer, const imx_gguf *gguf, imx_bos_eos *defaults,
                        imx_error *err) {
    bpe *engine;
    IMX_TRY(imx_alloc_zeroed(&engine, 1, sizeof *engine, err));
    tokenizer->engine = engine;
    IMX_TRY(open_pretokenizer(engine, tokenizer, gguf, err));
    IMX_TRY(load_merges(engine, &tokenizer->vocab.pieces, gguf, err));
    find_bytes(engine, &tokenizer->vocab);
    defaults->add_bos = (engine->flags & IMX_PRE_ADD_BOS) != 0;
    defaults->always_bos = (engine->flags & IMX_PRE_ALWAYS_BOS) != 0;
    if (engine->flags & IMX_PRE_NO_BOS) {
        defaults->bos = -1;
    }
    return IMX_OK;
}

void imx_bpe_close(void *opaque) {
    bpe *engine = opaque;
    if (engine != NULL) {
        imx_pretokenizer_close(engine->pretokenizer);
        free(engine->slots);
        free(engine);
    }
}

// ---------------------------------------------------------------------------------------------
// Encoding.

// One call of imx_bpe_encode.
typedef struct encoding {
    const imx_tokenizer *tokenizer;
    const bpe *engine;
    imx_merger merger;
    char *letters; // (2 * max_len) a word in GPT-2 letters
    imx_tokens *tokens;
} encoding;

static bool find_merge(const void *context, const imx_symbol *left, const imx_symbol *right,
                       imx_merge *merge) {
    const pair_slot *slot = find_pair(context, left->piece, right->piece);
    *merge = slot->merge;
    return slot->pair != FREE_SLOT;
}

// The token that is the whole word, or -1.
static int32_t find_word(const encoding *e, const char *word, size_t len) {
    const imx_vocab *vocab = &e->tokenizer->vocab;
    if (len > vocab->pieces.max_len) {
        return -1;
    }
    if (e->engine->flags & IMX_PRE_RAW) {
        return imx_vocab_find(vocab, word, len);
    }
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        n += imx_byte_letter(e->letters + n, (uint8_t)word[i]);
    }
    return imx_vocab_find(vocab, e->letters, n);
}

static imx_status add_symbols(encoding *e, const char *word, size_t len, imx_error *err) {
    e->merger.n_symbols = 0;
    for (size_t i = 0; i < len;) {
        size_t size = 1;
        uint32_t piece = e->engine->byte_pieces[(uint8_t)word[i]];
        if (e->engine->flags & IMX_PRE_RAW) {
            size = imx_utf8_len((uint8_t)word[i]);
            piece = imx_pieces_find(&e->tokenizer->vocab.pieces, word + i, size);
        }
        IMX_TRY(imx_merger_add(&e->merger, word + i, size, piece, err));
        i += size;
    }
    return IMX_OK;
}

static imx_status push_symbol(encoding *e, const imx_symbol *symbol, imx_error *err) {
    if (symbol->piece < e->tokenizer->vocab.n_tokens) {
        return imx_tokens_push(e->tokens, (int32_t)symbol->piece, err);
    }
    for (uint32_t i = 0; i < symbol->len; i++) {
        const int32_t id = e->engine->byte_tokens[(uint8_t)symbol->text[i]];
        if (id >= 0) {
            IMX_TRY(imx_tokens_push(e->tokens, id, err));
        }
    }
    return IMX_OK;
}

static imx_status encode_word(void *context, const char *word, size_t len, imx_error *err) {
    encoding *e = context;
    const unsigned flags = e->engine->flags;
    if ((flags & IMX_PRE_WHOLE_WORDS) || ((flags & IMX_PRE_WHOLE_NEWLINES) && word[0] == '\n')) {
        const int32_t id = find_word(e, word, len);
        if (id >= 0) {
            return imx_tokens_push(e->tokens, id, err);
        }
    }
    IMX_TRY(add_symbols(e, word, len, err));
    IMX_TRY(imx_merger_run(&e->merger, find_merge, e->engine, err));
    for (uint32_t i = 0; i != IMX_NO_SYMBOL; i = e->merger.symbols[i].next) {
        IMX_TRY(push_symbol(e, &e->merger.symbols[i], err));
    }
    return IMX_OK;
}

imx_status imx_bpe_encode(const imx_tokenizer *tokenizer, const char *text, size_t len,
                          bool at_start, imx_tokens *tokens, imx_error *err) {
    (void)at_start;
    const bpe *engine = tokenizer->engine;
    encoding e = {.tokenizer = tokenizer, .engine = engine, .tokens = tokens};
    imx_clean_text clean = {0};
    char *escaped = NULL;
    imx_status status;
    IMX_TRY_GOTO(done, imx_alloc_zeroed(&e.letters, tokenizer->vocab.pieces.max_len, 2, err));
    if (engine->flags & IMX_PRE_RAW) {
        IMX_TRY_GOTO(done, imx_escape_spaces(text, len, false, &escaped, &len, err));
        text = escaped;
    }
    IMX_TRY_GOTO(done, imx_clean_utf8(&clean, text, len, err));
    status = imx_pretokenizer_split(engine->pretokenizer, &clean, encode_word, &e, err);

done:
    free(e.letters);
    free(escaped);
    free(clean.memory);
    imx_merger_free(&e.merger);
    return status;
}
