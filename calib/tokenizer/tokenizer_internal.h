// SPDX-License-Identifier: MIT
//
// What the parts of the tokenizer share; private to calib.
//
//     tokenizer.c            opens, dispatches, adds BOS and EOS
//     tokenizer_vocab.c      the vocabulary of a GGUF: strings, attributes
//     tokenizer_pieces.c     strings to ids and back
//     tokenizer_special.c    cuts special tokens out of a text
//     tokenizer_merge.c      the greedy merging that both tokenizers are made of
//     tokenizer_spm.c        SentencePiece
//     tokenizer_bpe.c        byte-level BPE, on words from pretokenizer.c
//     unicode_bytes.c        UTF-8 and the GPT-2 alphabet of bytes, one version of Unicode for all

#ifndef IMX_CALIB_TOKENIZER_INTERNAL_H
#define IMX_CALIB_TOKENIZER_INTERNAL_H

#include "calib/tokenizer/tokenizer.h"

#define IMX_NO_PIECE UINT32_MAX

// ---------------------------------------------------------------------------------------------
// Pieces: strings with dense ids in order of insertion. Zero-initialise.

typedef struct imx_piece_span {
    size_t offset; // into bytes
    size_t len;
} imx_piece_span;

typedef struct imx_pieces {
    char *bytes; // all strings, one behind the other
    size_t n_bytes, bytes_capacity;
    imx_piece_span *spans; // (n)
    size_t n, spans_capacity;
    uint64_t *slots; // (n_slots), high half of the hash << 32 | id + 1; 0 = free
    size_t n_slots;  // a power of two, or 0
    size_t max_len;  // of the longest piece
} imx_pieces;

// The id of `piece`, which is copied when it is new. An empty string gets a new id every time and
// is never found.
imx_status imx_pieces_add(imx_pieces *pieces, imx_str piece, uint32_t *id, imx_error *err);

// IMX_NO_PIECE when there is none.
uint32_t imx_pieces_find(const imx_pieces *pieces, const char *text, size_t len);

// Valid until the next imx_pieces_add.
imx_str imx_pieces_get(const imx_pieces *pieces, uint32_t id);

void imx_pieces_free(imx_pieces *pieces);

// ---------------------------------------------------------------------------------------------
// Vocabulary.

enum {
    IMX_TOKEN_CONTROL = 1,      // matched in a text when special tokens are parsed
    IMX_TOKEN_UNKNOWN = 2,      // likewise
    IMX_TOKEN_USER_DEFINED = 4, // matched in every text, unless it is a control token too
    IMX_TOKEN_RSTRIP = 8,       // where it is matched, white space behind it goes
};

typedef struct imx_vocab {
    imx_pieces pieces;   // the first n_tokens are the tokens; merges may name further strings
    uint32_t n_tokens;   // 1..INT32_MAX
    uint8_t *attributes; // (n_tokens) sets of IMX_TOKEN_*
} imx_vocab;

// Reads tokens and types. *vocab is the caller's to imx_vocab_free, also on failure.
imx_status imx_vocab_load(imx_vocab *vocab, const imx_gguf *gguf, imx_error *err);
void imx_vocab_free(imx_vocab *vocab);

// The id of the token `text`, or -1.
int32_t imx_vocab_find(const imx_vocab *vocab, const char *text, size_t len);

// Replaces *id by the value of the u32 at `key`, if there is one. *id becomes -1 when it is not a
// token of the vocabulary.
imx_status imx_vocab_get_id(const imx_vocab *vocab, const imx_gguf *gguf, const char *key,
                            int32_t *id, imx_error *err);

// The tokens that spell out single bytes: "<0x0A>", -1 where there is none.
void imx_vocab_hex_bytes(const imx_vocab *vocab, int32_t ids[256]);

// ---------------------------------------------------------------------------------------------
// Special tokens.

// Part of a text: a special token, or text (id -1).
typedef struct imx_fragment {
    const char *text;
    size_t len;
    int32_t id;
} imx_fragment;

typedef struct imx_fragments {
    imx_fragment *items; // (n)
    size_t n, capacity;
} imx_fragments;

// The special tokens of one length.
typedef struct imx_special_group {
    size_t len;
    uint8_t first[256]; // whether one starts with this byte
} imx_special_group;

// The tokens whose attributes meet `wanted` and not `unwanted`, grouped by length.
typedef struct imx_specials {
    uint8_t wanted, unwanted;
    imx_special_group *groups; // (n_groups), longest first
    size_t n_groups;
} imx_specials;

imx_status imx_specials_init(imx_specials *specials, const imx_vocab *vocab, uint8_t wanted,
                             uint8_t unwanted, imx_error *err);
void imx_specials_free(imx_specials *specials);

// Cuts `text` at its special tokens. *fragments is zero-initialised and the caller's to
// imx_fragments_free, also on failure; the fragments point into `text`.
imx_status imx_specials_cut(const imx_specials *specials, const imx_vocab *vocab, const char *text,
                            size_t len, imx_fragments *fragments, imx_error *err);
void imx_fragments_free(imx_fragments *fragments);

// ---------------------------------------------------------------------------------------------
// Greedy merging.

#define IMX_NO_SYMBOL UINT32_MAX

typedef struct imx_symbol {
    const char *text; // followed by the text of the next symbol
    uint32_t len;     // 0 = merged into its left neighbour
    uint32_t piece;   // IMX_NO_PIECE when not known
    uint32_t prev;    // IMX_NO_SYMBOL at the ends
    uint32_t next;
} imx_symbol;

// What two neighbours may become, and how early: lower ranks first.
typedef struct imx_merge {
    uint32_t rank;
    uint32_t piece;
} imx_merge;

typedef bool (*imx_find_merge)(const void *context, const imx_symbol *left, const imx_symbol *right,
                               imx_merge *merge);

typedef struct imx_merge_candidate imx_merge_candidate;

// Scratch, to be used again for one text after the other. Zero-initialise.
typedef struct imx_merger {
    imx_symbol *symbols; // (n_symbols)
    size_t n_symbols, symbols_capacity;
    imx_merge_candidate *heap; // (n_heap)
    size_t n_heap, heap_capacity;
} imx_merger;

// Appends a symbol; to start a new text set n_symbols to 0. `len` is at least 1.
imx_status imx_merger_add(imx_merger *merger, const char *text, size_t len, uint32_t piece,
                          imx_error *err);

// Merges until no pair is left. Symbol 0 is then the first of the chain along `next`.
imx_status imx_merger_run(imx_merger *merger, imx_find_merge find, const void *context,
                          imx_error *err);

void imx_merger_free(imx_merger *merger);

// ---------------------------------------------------------------------------------------------
// Models of tokenization: one row each in tokenizer.c.

// Whether BOS and EOS are added, and which tokens they are (-1 = none).
typedef struct imx_bos_eos {
    bool add_bos, add_eos;
    int32_t bos, eos;
    bool always_bos; // whatever the file says
} imx_bos_eos;

typedef struct imx_tokenizer_model {
    const char *name;         // tokenizer.ggml.model
    const char *method;       // for messages
    const char *pretokenizer; // of this model whatever the file says, or NULL
    imx_bos_eos defaults;     // where the file says nothing

    // Builds tokenizer->engine from its vocabulary; may change `defaults`. NULL = not supported.
    imx_status (*open)(imx_tokenizer *tokenizer, const imx_gguf *gguf, imx_bos_eos *defaults,
                       imx_error *err);
    void (*close)(void *engine); // NULL is fine as engine

    // Appends the tokens of a text without special tokens, at least one byte long.
    imx_status (*encode)(const imx_tokenizer *tokenizer, const char *text, size_t len,
                         imx_tokens *tokens, imx_error *err);
} imx_tokenizer_model;

struct imx_tokenizer {
    const imx_tokenizer_model *model;
    imx_vocab vocab;
    imx_specials always; // special tokens matched in every text
    imx_specials parsed; // those matched with parse_special
    imx_bos_eos bos_eos;
    void *engine; // the model's own
};

imx_status imx_spm_open(imx_tokenizer *tokenizer, const imx_gguf *gguf, imx_bos_eos *defaults,
                        imx_error *err);
imx_status imx_spm_encode(const imx_tokenizer *tokenizer, const char *text, size_t len,
                          imx_tokens *tokens, imx_error *err);
void imx_spm_close(void *engine);

imx_status imx_bpe_open(imx_tokenizer *tokenizer, const imx_gguf *gguf, imx_bos_eos *defaults,
                        imx_error *err);
imx_status imx_bpe_encode(const imx_tokenizer *tokenizer, const char *text, size_t len,
                          imx_tokens *tokens, imx_error *err);
void imx_bpe_close(void *engine);

imx_status imx_tokens_push(imx_tokens *tokens, int32_t id, imx_error *err);

#endif
