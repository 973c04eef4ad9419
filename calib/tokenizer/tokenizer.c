// SPDX-License-Identifier: MIT
//
// A text is cut at its special tokens; what lies between them goes to the vocabulary's model of
// tokenization, SentencePiece or BPE; BOS and EOS go around the whole.

#include "calib/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "calib/tokenizer/tokenizer_internal.h"
#include "formats/memory.h"

// Longer texts would overflow the 32-bit lengths of symbols once their spaces are written as
// U+2581.
static const size_t MAX_TEXT_BYTES = (size_t)1 << 30;

static const imx_tokenizer_model models[] = {
    {.name = "llama",
     .method = "SentencePiece",
     .defaults = {.add_bos = true, .bos = 1, .eos = 2},
     .open = imx_spm_open,
     .close = imx_spm_close,
     .encode = imx_spm_encode},
    {.name = "gpt2",
     .method = "byte-level BPE",
     .defaults = {.bos = 11, .eos = 11},
     .open = imx_bpe_open,
     .close = imx_bpe_close,
     .encode = imx_bpe_encode},
    {.name = "gemma4",
     .method = "BPE on UTF-8",
     .pretokenizer = "gemma4",
     .defaults = {.bos = -1, .eos = -1},
     .open = imx_bpe_open,
     .close = imx_bpe_close,
     .encode = imx_bpe_encode},
    {.name = "bert", .method = "WordPiece"},
    {.name = "t5", .method = "unigram"},
    {.name = "rwkv", .method = "greedy trie"},
    {.name = "plamo2", .method = "PLaMo-2 lattice"},
    {.name = "hybriddna", .method = "BPE with k-mers"},
    {.name = "whitespace", .method = "BPE on white space"},
    {.name = "none", .method = "no vocabulary"},
    {.name = "no_vocab", .method = "no vocabulary"},
};

enum { N_MODELS = sizeof models / sizeof *models };

static imx_status find_model(const imx_tokenizer_model **model, const imx_gguf *gguf,
                             imx_error *err) {
    imx_str name = {0};
    IMX_TRY(imx_gguf_get_str(gguf, "tokenizer.ggml.model", true, &name, err));
    const char *method = "unknown here";
    for (size_t i = 0; i < N_MODELS; i++) {
        if (strlen(models[i].name) != name.len ||
            memcmp(models[i].name, name.data, name.len) != 0) {
            continue;
        }
        if (models[i].open != NULL) {
            *model = &models[i];
            return IMX_OK;
        }
        method = models[i].method;
    }
    return imx_fail(err, IMX_ERR_UNSUPPORTED,
                    "%s: tokenizer.ggml.model '%.*s' (%s) is not supported: text can be tokenized "
                    "with llama (SentencePiece), gpt2 (byte-level BPE) and gemma4 (BPE on UTF-8); "
                    "the model can still be quantized, with or without an imatrix made elsewhere",
                    gguf->path, (int)(name.len < 64 ? name.len : 64), name.data, method);
}

static imx_status load_bos_eos(imx_tokenizer *tokenizer, imx_bos_eos rules, const imx_gguf *gguf,
                               imx_error *err) {
    const imx_vocab *vocab = &tokenizer->vocab;
    IMX_TRY(imx_vocab_get_id(vocab, gguf, "tokenizer.ggml.bos_token_id", &rules.bos, err));
    IMX_TRY(imx_vocab_get_id(vocab, gguf, "tokenizer.ggml.eos_token_id", &rules.eos, err));
    IMX_TRY(imx_gguf_get_bool(gguf, "tokenizer.ggml.add_bos_token", false, &rules.add_bos, err));
    IMX_TRY(imx_gguf_get_bool(gguf, "tokenizer.ggml.add_eos_token", false, &rules.add_eos, err));
    rules.add_bos = rules.add_bos || rules.always_bos;
    if ((rules.add_bos && rules.bos < 0) || (rules.add_eos && rules.eos < 0)) {
        const char *which = rules.add_bos && rules.bos < 0 ? "bos" : "eos";
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: the vocabulary adds a token to every text, but "
                        "tokenizer.ggml.%s_token_id is none of its %u tokens",
                        gguf->path, which, vocab->n_tokens);
    }
    tokenizer->bos_eos = rules;
    return IMX_OK;
}

static imx_status load_tokenizer(imx_tokenizer *tokenizer, const imx_gguf *gguf, imx_error *err) {
    IMX_TRY(find_model(&tokenizer->model, gguf, err));
    IMX_TRY(imx_vocab_load(&tokenizer->vocab, gguf, err));
    IMX_TRY(imx_specials_init(&tokenizer->always, &tokenizer->vocab, IMX_TOKEN_USER_DEFINED,
                              IMX_TOKEN_CONTROL | IMX_TOKEN_UNKNOWN, err));
    IMX_TRY(imx_specials_init(&tokenizer->parsed, &tokenizer->vocab,
                              IMX_TOKEN_USER_DEFINED | IMX_TOKEN_CONTROL | IMX_TOKEN_UNKNOWN, 0,
                              err));
    imx_bos_eos rules = tokenizer->model->defaults;
    IMX_TRY(tokenizer->model->open(tokenizer, gguf, &rules, err));
    return load_bos_eos(tokenizer, rules, gguf, err);
}

imx_status imx_tokenizer_open(imx_tokenizer **out, const imx_gguf *gguf, imx_error *err) {
    *out = NULL;
    imx_tokenizer *tokenizer;
    IMX_TRY(imx_alloc_zeroed(&tokenizer, 1, sizeof *tokenizer, err));
    const imx_status status = load_tokenizer(tokenizer, gguf, err);
    if (status != IMX_OK) {
        imx_tokenizer_close(tokenizer);
        return status;
    }
    *out = tokenizer;
    return IMX_OK;
}

void imx_tokenizer_close(imx_tokenizer *tokenizer) {
    if (tokenizer == NULL) {
        return;
    }
    if (tokenizer->model != NULL) {
        tokenizer->model->close(tokenizer->engine);
    }
    imx_specials_free(&tokenizer->always);
    imx_specials_free(&tokenizer->parsed);
    imx_vocab_free(&tokenizer->vocab);
    free(tokenizer);
}

static imx_status encode_fragments(const imx_tokenizer *tokenizer, const imx_fragments *fragments,
                                   imx_tokens *tokens, imx_error *err) {
    for (size_t i = 0; i < fragments->n; i++) {
        const imx_fragment *fragment = &fragments->items[i];
        if (fragment->id >= 0) {
            IMX_TRY(imx_tokens_push(tokens, fragment->id, err));
        } else {
            IMX_TRY(
                tokenizer->model->encode(tokenizer, fragment->text, fragment->len, tokens, err));
        }
    }
    return IMX_OK;
}

// Appends the fragments of one span to `out`, where text that goes on is joined.
static imx_status cut_span(const imx_tokenizer *tokenizer, const char *text,
                           const imx_text_span *span, imx_fragments *out, imx_error *err) {
    const imx_specials *specials = span->parse_special ? &tokenizer->parsed : &tokenizer->always;
    imx_fragments cut = {0};
    imx_status status;
    IMX_TRY_GOTO(done, imx_specials_cut(specials, &tokenizer->vocab, text, span->len, &cut, err));
    IMX_TRY_GOTO(done,
                 imx_grow(&out->items, &out->capacity, out->n + cut.n, sizeof *out->items, err));
    for (size_t i = 0; i < cut.n; i++) {
        imx_fragment *last = out->n > 0 ? &out->items[out->n - 1] : NULL;
        if (last != NULL && last->id < 0 && cut.items[i].id < 0) {
            last->len += cut.items[i].len;
        } else {
            out->items[out->n++] = cut.items[i];
        }
    }
done:
    imx_fragments_free(&cut);
    return status;
}

static imx_status encode_spans(const imx_tokenizer *tokenizer, const char *text,
                               const imx_text_span *spans, size_t n_spans, imx_tokens *tokens,
                               imx_error *err) {
    imx_fragments fragments = {0};
    imx_status status = IMX_OK;
    for (size_t i = 0; i < n_spans && status == IMX_OK; i++) {
        status = cut_span(tokenizer, text, &spans[i], &fragments, err);
        text += spans[i].len;
    }
    if (status == IMX_OK) {
        status = encode_fragments(tokenizer, &fragments, tokens, err);
    }
    imx_fragments_free(&fragments);
    return status;
}

imx_status imx_tokenize_spans(const imx_tokenizer *tokenizer, const char *text,
                              const imx_text_span *spans, size_t n_spans, bool add_special,
                              imx_tokens *tokens, imx_error *err) {
    size_t len = 0;
    for (size_t i = 0; i < n_spans; i++) {
        len += spans[i].len;
    }
    if (len > MAX_TEXT_BYTES) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "a text of %zu bytes is too long to tokenize; the limit is 1 GiB", len);
    }
    if (add_special && tokenizer->bos_eos.add_bos) {
        IMX_TRY(imx_tokens_push(tokens, tokenizer->bos_eos.bos, err));
    }
    IMX_TRY(encode_spans(tokenizer, text, spans, n_spans, tokens, err));
    if (add_special && tokenizer->bos_eos.add_eos) {
        IMX_TRY(imx_tokens_push(tokens, tokenizer->bos_eos.eos, err));
    }
    return IMX_OK;
}

imx_status imx_tokenize(const imx_tokenizer *tokenizer, const char *text, size_t len,
                        bool add_special, bool parse_special, imx_tokens *tokens, imx_error *err) {
    const imx_text_span whole = {.len = len, .parse_special = parse_special};
    return imx_tokenize_spans(tokenizer, text, &whole, 1, add_special, tokens, err);
}

imx_status imx_tokens_push(imx_tokens *tokens, int32_t id, imx_error *err) {
    IMX_TRY(imx_grow(&tokens->ids, &tokens->capacity, tokens->n + 1, sizeof *tokens->ids, err));
    tokens->ids[tokens->n++] = id;
    return IMX_OK;
}

void imx_tokens_free(imx_tokens *tokens) {
    free(tokens->ids);
    *tokens = (imx_tokens){0};
}

uint32_t imx_tokenizer_n_vocab(const imx_tokenizer *tokenizer) {
    return tokenizer->vocab.n_tokens;
}

int32_t imx_tokenizer_added_bos(const imx_tokenizer *tokenizer) {
    return tokenizer->bos_eos.add_bos ? tokenizer->bos_eos.bos : -1;
}

int32_t imx_tokenizer_added_eos(const imx_tokenizer *tokenizer) {
    return tokenizer->bos_eos.add_eos ? tokenizer->bos_eos.eos : -1;
}
