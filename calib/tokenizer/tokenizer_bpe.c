// SPDX-License-Identifier: MIT
//
// Byte-level BPE ("gpt2"). The pre-tokenizer cuts the text into words; the symbols of a word are
// its bytes; the pair that stands first in the list of merges goes first. Vocabulary and merges are
// written in the letters of GPT-2, one for each byte, so the pieces of all bytes are looked up once
// and the text itself is never translated, except to look up a whole word.
//
// The raw kind ("gemma4") writes its pieces in plain UTF-8, mostly with U+2581 for a space: its
// symbols are characters, and what is no token is spelled out in bytes as SentencePiece does it.
//
// A merge may name strings that are not tokens. They are pieces like any other and merge on; when a
// word ends in such a piece, its bytes are the tokens. As in llama.cpp these are the letters of a
// single byte: a byte whose letter takes two gets no token when it is left over in such a piece.

#include "calib/tokenizer/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

#include "calib/tokenizer/pretokenizer.h"
#include "calib/tokenizer/unicode_bytes.h"
#include "formats/memory.h"

// A slot of the table of merges.
typedef struct pair_slot {
    uint64_t pair; // left piece << 32 | right piece
    imx_merge merge;
} pair_slot;

static const uint64_t FREE_SLOT = UINT64_MAX;

// A byte in the vocabulary's alphabet and its tokens.
typedef struct bpe_byte {
    char letter[4]; // (letter_len)
    size_t letter_len;
    uint32_t piece;  // of the letter; IMX_NO_PIECE when there is none
    int32_t spelled; // the token that spells the byte out in a piece that is no token; -1 = none
} bpe_byte;

typedef struct bpe {
    imx_pretokenizer *pretokenizer;
    unsigned flags;   // IMX_PRE_*
    pair_slot *slots; // (n_slots)
    size_t n_slots;   // a power of two
    bpe_byte bytes[256];
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

typedef struct merge_loader {
    bpe *engine;
    imx_pieces *pieces;
    const char *path; // for messages
    char *joined;     // room for the longest merge
} merge_loader;

// A merge is "left right", where the space is the first one behind the first byte.
static imx_status add_merge(const merge_loader *loader, imx_str merge, uint32_t rank,
                            imx_error *err) {
    const char *space = merge.len > 2 ? memchr(merge.data + 1, ' ', merge.len - 2) : NULL;
    if (space == NULL) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: tokenizer.ggml.merges: merge %u, '%.*s', is not two pieces with a "
                        "space between them",
                        loader->path, rank, (int)(merge.len < 64 ? merge.len : 64), merge.data);
    }
    const imx_str left = {.data = merge.data, .len = (size_t)(space - merge.data)};
    const imx_str right = {.data = space + 1, .len = merge.len - left.len - 1};
    const imx_str joined = {.data = loader->joined, .len = merge.len - 1};
    memcpy(loader->joined, left.data, left.len);
    memcpy(loader->joined + left.len, right.data, right.len);
    uint32_t left_piece, right_piece, piece;
    IMX_TRY(imx_pieces_add(loader->pieces, left, &left_piece, err));
    IMX_TRY(imx_pieces_add(loader->pieces, right, &right_piece, err));
    IMX_TRY(imx_pieces_add(loader->pieces, joined, &piece, err));
    pair_slot *slot = find_pair(loader->engine, left_piece, right_piece);
    if (slot->pair == FREE_SLOT) { // of equal merges the first counts
        slot->pair = (uint64_t)left_piece << 32 | right_piece;
        slot->merge = (imx_merge){.rank = rank, .piece = piece};
    }
    return IMX_OK;
}

static imx_status add_merges(bpe *engine, imx_pieces *pieces, const imx_gguf_kv *merges,
                             const char *path, imx_error *err) {
    merge_loader loader = {.engine = engine, .pieces = pieces, .path = path};
    const uint8_t *cursor = merges->elems;
    size_t max_len = 0;
    for (uint64_t i = 0; i < merges->n_elems; i++) {
        const imx_str merge = imx_gguf_next_str(&cursor);
        max_len = merge.len > max_len ? merge.len : max_len;
    }
    IMX_TRY(imx_alloc_zeroed(&loader.joined, max_len, 1, err));
    imx_status status = IMX_OK;
    cursor = merges->elems;
    for (uint32_t rank = 0; rank < merges->n_elems && status == IMX_OK; rank++) {
        status = add_merge(&loader, imx_gguf_next_str(&cursor), rank, err);
    }
    free(loader.joined);
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
    return n_merges > 0 ? add_merges(engine, pieces, merges, gguf->path, err) : IMX_OK;
}

// ---------------------------------------------------------------------------------------------
// Opening.

static void describe_bytes(bpe *engine, const imx_vocab *vocab) {
    int32_t hex_tokens[256];
    imx_vocab_hex_bytes(vocab, hex_tokens);
    for (unsigned i = 0; i < 256; i++) {
        bpe_byte *byte = &engine->bytes[i];
        byte->letter_len = imx_byte_letter(byte->letter, (uint8_t)i);
        byte->piece = imx_pieces_find(&vocab->pieces, byte->letter, byte->letter_len);
        byte->spelled = engine->flags & IMX_PRE_RAW ? hex_tokens[i]
                        : byte->letter_len == 1     ? imx_vocab_find(vocab, byte->letter, 1)
                                                    : -1;
    }
}

static imx_status open_pretokenizer(bpe *engine, const imx_tokenizer *tokenizer,
                                    const imx_gguf *gguf, imx_error *err) {
    const char *own = tokenizer->model->pretokenizer;
    imx_str name = {0};
    IMX_TRY(imx_gguf_get_str(gguf, "tokenizer.ggml.pre", false, &name, err));
    if (name.len == 0 || own != NULL) {
        name.data = own != NULL ? own : "default";
        name.len = strlen(name.data);
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
    describe_bytes(engine, &tokenizer->vocab);
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
    char *letters; // (4 * max_len) a word in the alphabet of the vocabulary
    imx_tokens *tokens;
} encoding;

static bool find_ranked_pair(const void *context, const imx_symbol *left, const imx_symbol *right,
                             imx_merge *merge) {
    const pair_slot *slot = find_pair(context, left->piece, right->piece);
    *merge = slot->merge;
    return slot->pair != FREE_SLOT;
}

// The token that is the whole word, or -1.
static int32_t find_whole_word(const encoding *e, const char *word, size_t len) {
    const imx_vocab *vocab = &e->tokenizer->vocab;
    if (len > vocab->pieces.max_len) {
        return -1;
    }
    if (e->engine->flags & IMX_PRE_RAW) {
        return imx_vocab_find(vocab, word, len);
    }
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        const bpe_byte *byte = &e->engine->bytes[(uint8_t)word[i]];
        memcpy(e->letters + n, byte->letter, sizeof byte->letter);
        n += byte->letter_len;
    }
    return imx_vocab_find(vocab, e->letters, n);
}

static imx_status add_word_symbols(encoding *e, const char *word, size_t len, imx_error *err) {
    e->merger.n_symbols = 0;
    for (size_t i = 0; i < len;) {
        size_t size = 1;
        uint32_t piece = e->engine->bytes[(uint8_t)word[i]].piece;
        if (e->engine->flags & IMX_PRE_RAW) {
            size = imx_utf8_len((uint8_t)word[i]);
            piece = imx_pieces_find(&e->tokenizer->vocab.pieces, word + i, size);
        }
        IMX_TRY(imx_merger_add(&e->merger, word + i, size, piece, err));
        i += size;
    }
    return IMX_OK;
}

static imx_status push_symbol_tokens(encoding *e, const imx_symbol *symbol, imx_error *err) {
    if (symbol->piece < e->tokenizer->vocab.n_tokens) {
        return imx_tokens_push(e->tokens, (int32_t)symbol->piece, err);
    }
    for (uint32_t i = 0; i < symbol->len; i++) {
        const int32_t id = e->engine->bytes[(uint8_t)symbol->text[i]].spelled;
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
        const int32_t id = find_whole_word(e, word, len);
        if (id >= 0) {
            return imx_tokens_push(e->tokens, id, err);
        }
    }
    IMX_TRY(add_word_symbols(e, word, len, err));
    IMX_TRY(imx_merger_run(&e->merger, find_ranked_pair, e->engine, err));
    for (uint32_t i = 0; i != IMX_NO_SYMBOL; i = e->merger.symbols[i].next) {
        IMX_TRY(push_symbol_tokens(e, &e->merger.symbols[i], err));
    }
    return IMX_OK;
}

imx_status imx_bpe_encode(const imx_tokenizer *tokenizer, const char *text, size_t len,
                          imx_tokens *tokens, imx_error *err) {
    const bpe *engine = tokenizer->engine;
    encoding e = {.tokenizer = tokenizer, .engine = engine, .tokens = tokens};
    imx_clean_text clean = {0};
    char *escaped = NULL;
    imx_status status;
    IMX_TRY_GOTO(done, imx_alloc_zeroed(&e.letters, tokenizer->vocab.pieces.max_len, 4, err));
    if (engine->flags & IMX_PRE_ESCAPE) {
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
