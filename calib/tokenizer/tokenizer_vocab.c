// SPDX-License-Identifier: MIT
//
// The vocabulary of a GGUF file. The types in the file are corrected in four ways that llama.cpp
// has found necessary, because converters get them wrong or cannot express them; a model must be
// calibrated on the tokens that it will see when it runs:
//
//   - tokens whose text says that they end a text or a turn are control tokens;
//   - so are those of fill-in-the-middle, where no key of the file names them;
//   - the channel markup of the harmony format is matched in every text;
//   - Phi-3's special tokens swallow the white space behind them.

#include "calib/tokenizer/tokenizer_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "formats/memory.h"

// Values of tokenizer.ggml.token_type that matter here.
enum { TYPE_UNKNOWN = 2, TYPE_CONTROL = 3, TYPE_USER_DEFINED = 4 };

static const char *const end_tokens[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
};

static const char *const harmony_tokens[] = {
    "<|channel|>",
    "<|message|>",
    "<|start|>",
    "<|constrain|>",
};

// The first of `texts` in the vocabulary is a control token, unless the file has one of `keys`.
typedef struct fill_in_role {
    const char *keys[2];
    const char *texts[8];
} fill_in_role;

static const fill_in_role fill_in_roles[] = {
    {{"tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id"},
     {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>",
      "<|code_prefix|>", "<|prefix|>"}},
    {{"tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.suffix_token_id"},
     {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>",
      "<|code_suffix|>", "<|suffix|>"}},
    {{"tokenizer.ggml.fim_mid_token_id", "tokenizer.ggml.middle_token_id"},
     {"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>",
      "<|code_middle|>", "<|middle|>"}},
    {{"tokenizer.ggml.fim_pad_token_id", NULL},
     {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}},
    {{"tokenizer.ggml.fim_rep_token_id", NULL},
     {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}},
    {{"tokenizer.ggml.fim_sep_token_id", NULL}, {"<|file_sep|>"}},
};

#define LEN(array) (sizeof(array) / sizeof *(array))

// ---------------------------------------------------------------------------------------------
// Strings and types as they stand in the file.

static imx_status load_pieces(imx_vocab *vocab, const imx_gguf *gguf, imx_error *err) {
    const imx_gguf_kv *tokens;
    IMX_TRY(imx_gguf_get_array(gguf, "tokenizer.ggml.tokens", true, IMX_GGUF_STRING, &tokens, err));
    if (tokens->n_elems == 0 || tokens->n_elems > INT32_MAX) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: tokenizer.ggml.tokens holds %llu tokens, expected 1..%d", gguf->path,
                        (unsigned long long)tokens->n_elems, INT32_MAX);
    }
    const uint8_t *cursor = tokens->elems;
    for (uint32_t i = 0; i < tokens->n_elems; i++) {
        const imx_str text = imx_gguf_next_str(&cursor);
        uint32_t id;
        IMX_TRY(imx_pieces_add(&vocab->pieces, text, &id, err));
        if (id != i) {
            return imx_fail(err, IMX_ERR_FORMAT,
                            "%s: tokenizer.ggml.tokens: tokens %u and %u are both '%.*s'",
                            gguf->path, id, i, (int)(text.len < 64 ? text.len : 64), text.data);
        }
    }
    vocab->n_tokens = (uint32_t)tokens->n_elems;
    return IMX_OK;
}

static uint8_t attributes_of_type(int64_t type) {
    switch (type) {
    case TYPE_UNKNOWN:
        return IMX_TOKEN_UNKNOWN;
    case TYPE_CONTROL:
        return IMX_TOKEN_CONTROL;
    case TYPE_USER_DEFINED:
        return IMX_TOKEN_USER_DEFINED;
    default:
        return 0;
    }
}

static imx_status load_types(imx_vocab *vocab, const imx_gguf *gguf, imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(&vocab->attributes, vocab->n_tokens, 1, err));
    const imx_gguf_kv *types;
    IMX_TRY(
        imx_gguf_get_array(gguf, "tokenizer.ggml.token_type", false, IMX_GGUF_I32, &types, err));
    if (types == NULL) {
        return IMX_OK;
    }
    if (types->n_elems < vocab->n_tokens) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: tokenizer.ggml.token_type holds %llu types for %u tokens", gguf->path,
                        (unsigned long long)types->n_elems, vocab->n_tokens);
    }
    for (uint32_t i = 0; i < vocab->n_tokens; i++) {
        vocab->attributes[i] = attributes_of_type(imx_gguf_elem_i64(types, i));
    }
    return IMX_OK;
}

// ---------------------------------------------------------------------------------------------
// Corrections.

// The attributes of the token `text`, or NULL when there is no such token.
static uint8_t *attributes_of(const imx_vocab *vocab, const char *text) {
    const int32_t id = imx_vocab_find(vocab, text, strlen(text));
    return id >= 0 ? &vocab->attributes[id] : NULL;
}

static bool mark_token(const imx_vocab *vocab, const char *text, uint8_t attribute) {
    uint8_t *attributes = attributes_of(vocab, text);
    if (attributes != NULL) {
        *attributes |= attribute;
    }
    return attributes != NULL;
}

static void mark_fill_in(const imx_vocab *vocab, const imx_gguf *gguf, const fill_in_role *role) {
    for (size_t i = 0; i < LEN(role->keys) && role->keys[i] != NULL; i++) {
        if (imx_gguf_find_kv(gguf, role->keys[i]) != NULL) {
            return;
        }
    }
    for (size_t i = 0; i < LEN(role->texts) && role->texts[i] != NULL; i++) {
        if (mark_token(vocab, role->texts[i], IMX_TOKEN_CONTROL)) {
            return;
        }
    }
}

// <|end|> only separates where tool calls and answers have ends of their own, and </s> is plain
// text where tool responses have markup.
static void correct_ends(const imx_vocab *vocab) {
    uint8_t *end = attributes_of(vocab, "<|end|>");
    uint8_t *s = attributes_of(vocab, "</s>");
    const bool has_call =
        attributes_of(vocab, "<|call|>") != NULL || attributes_of(vocab, "<|calls|>") != NULL;
    const bool has_other_end =
        attributes_of(vocab, "<|return|>") != NULL || attributes_of(vocab, "<|flush|>") != NULL;
    if (end != NULL && has_call && has_other_end) {
        *end = IMX_TOKEN_USER_DEFINED;
    }
    if (s != NULL && attributes_of(vocab, "<|tool_response>") != NULL) {
        *s = 0;
    }
}

static void strip_right(const imx_vocab *vocab) {
    static const char *const exceptions[] = {"<unk>", "<s>", "<|endoftext|>"};
    for (uint32_t i = 0; i < vocab->n_tokens; i++) {
        vocab->attributes[i] |= IMX_TOKEN_RSTRIP;
    }
    for (size_t i = 0; i < LEN(exceptions); i++) {
        uint8_t *attributes = attributes_of(vocab, exceptions[i]);
        if (attributes != NULL) {
            *attributes &= (uint8_t)~IMX_TOKEN_RSTRIP;
        }
    }
}

static bool contains_ignoring_case(imx_str text, const char *needle) {
    const size_t len = strlen(needle);
    for (size_t i = 0; i + len <= text.len; i++) {
        if (strncasecmp(text.data + i, needle, len) == 0) {
            return true;
        }
    }
    return false;
}

static imx_status correct_attributes(imx_vocab *vocab, const imx_gguf *gguf, imx_error *err) {
    for (size_t i = 0; i < LEN(end_tokens); i++) {
        mark_token(vocab, end_tokens[i], IMX_TOKEN_CONTROL);
    }
    for (size_t i = 0; i < LEN(fill_in_roles); i++) {
        mark_fill_in(vocab, gguf, &fill_in_roles[i]);
    }
    for (size_t i = 0; i < LEN(harmony_tokens); i++) {
        uint8_t *attributes = attributes_of(vocab, harmony_tokens[i]);
        if (attributes != NULL) {
            *attributes = IMX_TOKEN_USER_DEFINED;
        }
    }
    correct_ends(vocab);

    imx_str name = {0};
    IMX_TRY(imx_gguf_get_str(gguf, "general.name", false, &name, err));
    if (contains_ignoring_case(name, "phi-3") || contains_ignoring_case(name, "phi3")) {
        strip_right(vocab);
    }
    return IMX_OK;
}

// ---------------------------------------------------------------------------------------------

imx_status imx_vocab_load(imx_vocab *vocab, const imx_gguf *gguf, imx_error *err) {
    *vocab = (imx_vocab){0};
    IMX_TRY(load_pieces(vocab, gguf, err));
    IMX_TRY(load_types(vocab, gguf, err));
    return correct_attributes(vocab, gguf, err);
}

void imx_vocab_free(imx_vocab *vocab) {
    imx_pieces_free(&vocab->pieces);
    free(vocab->attributes);
    *vocab = (imx_vocab){0};
}

int32_t imx_vocab_find(const imx_vocab *vocab, const char *text, size_t len) {
    const uint32_t id = imx_pieces_find(&vocab->pieces, text, len);
    return id < vocab->n_tokens ? (int32_t)id : -1;
}

imx_status imx_vocab_get_id(const imx_vocab *vocab, const imx_gguf *gguf, const char *key,
                            int32_t *id, imx_error *err) {
    uint32_t value = (uint32_t)*id;
    IMX_TRY(imx_gguf_get_u32(gguf, key, false, &value, err));
    *id = value < vocab->n_tokens ? (int32_t)value : -1;
    return IMX_OK;
}

void imx_vocab_hex_bytes(const imx_vocab *vocab, int32_t ids[256]) {
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[8];
        const int len = snprintf(text, sizeof text, "<0x%02X>", byte);
        ids[byte] = imx_vocab_find(vocab, text, (size_t)len);
    }
}
