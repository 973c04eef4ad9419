// SPDX-License-Identifier: MIT
//
// Every pre-tokenizer name on a hard text (hard_texts.h), against llama.cpp. The vocabulary is made
// to show where words end: its tokens are all bytes and all pairs of bytes, so that a cut anywhere
// changes which bytes are paired. For the vocabularies of ../shared/vocabs the same is done with
// the tokens that they have.
//
// The hashes were recorded with llama_tokenize of llama.cpp (version of 2026-08-18) on GGUF files
// with these vocabularies, no special tokens. "whitespace" is not among the names: llama.cpp stops
// at two spaces in a row there.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "calib/tokenizer/pretokenizer.h"
#include "calib/tokenizer/tokenizer.h"
#include "hard_texts.h"

static hard_text text;

typedef struct golden {
    const char *name;
    uint32_t hash;
} golden;

static const golden vocabs[] = {
    {"baichuan", 0x8EF6A9BE},  {"deepseek-coder", 0x0E25A419}, {"gpt-2", 0xBA333079},
    {"gpt-neox", 0x43B5C799},  {"llama-spm", 0xDED0B67B},      {"phi-3", 0xDED0B67B},
    {"starcoder", 0xADDD60E4},
};

static const golden names[] = {
    {"a.x-4.0", 0xCC478EAE},
    {"afmoe", 0x53947BF5},
    {"bailingmoe", 0xFCC4E90A},
    {"bailingmoe2", 0xFCC4E90A},
    {"bloom", 0x552A9236},
    {"chameleon", 0x514D51D2},
    {"chatglm-bpe", 0x7AF8C8C2},
    {"codeshell", 0x5C029101},
    {"cohere2moe", 0x251FD249},
    {"command-r", 0x5C029101},
    {"dbrx", 0x7AF8C8C2},
    {"deepseek-coder", 0xB0AD2151},
    {"deepseek-llm", 0x0EF88862},
    {"deepseek-r1-qwen", 0xFCC4E90A},
    {"deepseek-v3", 0x0B72E6BE},
    {"default", 0xC62B6385},
    {"exaone-moe", 0xFAE3C855},
    {"exaone", 0x5C029101},
    {"exaone4", 0xCC478EAE},
    {"f2llmv2", 0xFCC4E90A},
    {"falcon-h1", 0x7AF8C8C2},
    {"falcon", 0xD1DFBE25},
    {"falcon3", 0x7AF8C8C2},
    {"gemma4", 0xF954168C},
    {"gigachat", 0xCC478EAE},
    {"glm4", 0x7AF8C8C2},
    {"gpt-2", 0xCC478EAE},
    {"gpt-4o", 0xB7126C16},
    {"gpt3-finnish", 0x552A9236},
    {"granite-docling", 0xCC478EAE},
    {"granite-embed-multi-311m", 0xF954168C},
    {"granite-embed-multi-97m", 0x9B54BFD5},
    {"grok-2", 0xFCC4E90A},
    {"hunyuan-dense", 0x0B72E6BE},
    {"hunyuan", 0xFCC4E90A},
    {"jais-2", 0xA9EA530E},
    {"jais", 0xCC478EAE},
    {"jina-de", 0xCC478EAE},
    {"jina-es", 0xCC478EAE},
    {"jina-v1-en", 0xCC478EAE},
    {"jina-v2-code", 0xCC478EAE},
    {"jina-v2-de", 0xCC478EAE},
    {"jina-v2-es", 0xCC478EAE},
    {"jina-v5-nano", 0x7AF8C8C2},
    {"joyai-llm", 0x0B72E6BE},
    {"kanana2", 0xB7126C16},
    {"kimi-k2", 0xE119A002},
    {"kormo", 0xFCC4E90A},
    {"laguna", 0x2DB15D45},
    {"lfm2", 0x7AF8C8C2},
    {"llada-moe", 0xFCC4E90A},
    {"llama-bpe", 0x7AF8C8C2},
    {"llama-v3", 0x7AF8C8C2},
    {"llama3", 0x7AF8C8C2},
    {"llama4", 0xB7126C16},
    {"megrez", 0xFCC4E90A},
    {"mellum", 0xCC478EAE},
    {"mellum2", 0x5C029101},
    {"midm-2.0", 0x7AF8C8C2},
    {"minerva-7b", 0x5C029101},
    {"minicpm5", 0x8F01F3D9},
    {"minimax-m2", 0xB7126C16},
    {"modern-bert", 0xCC478EAE},
    {"mpt", 0xCC478EAE},
    {"olmo", 0xCC478EAE},
    {"phi-2", 0xCC478EAE},
    {"pixtral", 0x7AF8C8C2},
    {"poro-chat", 0x552A9236},
    {"qwen2", 0xFCC4E90A},
    {"qwen35", 0x760E4DB1},
    {"refact", 0x5C029101},
    {"roberta-bpe", 0xCC478EAE},
    {"sarvam-moe", 0xF954168C},
    {"seed-coder", 0xFE5F221A},
    {"smaug-bpe", 0x7AF8C8C2},
    {"smollm", 0x5C029101},
    {"solar-open", 0xFCC4E90A},
    {"stablelm2", 0xFCC4E90A},
    {"starcoder", 0x5C029101},
    {"superbpe", 0x887E945A},
    {"talkie", 0xB7126C16},
    {"tekken", 0x30CE91C6},
    {"tiny_aya", 0x251FD249},
    {"trillion", 0xCC478EAE},
    {"viking", 0x3F305B8D},
    {"youtu", 0xADCC51AE},
};

#define LEN(rows) (sizeof(rows) / sizeof *(rows))

// Returns whether the hash is the expected one; the tokenizer is closed.
static bool check_hash(imx_tokenizer *tokenizer, const golden *row) {
    imx_tokens tokens = {0};
    imx_error err;
    if (imx_tokenize(tokenizer, text.bytes, text.len, false, false, &tokens, &err) != IMX_OK) {
        fail_msg("%s: %s", row->name, err.message);
    }
    const uint32_t hash = hash_tokens(tokens.ids, tokens.n);
    imx_tokens_free(&tokens);
    imx_tokenizer_close(tokenizer);
    if (hash != row->hash) {
        print_error("%s: 0x%08X, expected 0x%08X\n", row->name, hash, row->hash);
    }
    return hash == row->hash;
}

static imx_tokenizer *open_tokenizer(const imx_gguf *gguf, const char *name) {
    imx_tokenizer *tokenizer;
    imx_error err;
    if (imx_tokenizer_open(&tokenizer, gguf, &err) != IMX_OK) {
        fail_msg("%s: %s", name, err.message);
    }
    return tokenizer;
}

// ---------------------------------------------------------------------------------------------
// The vocabulary of pairs: byte b is token b, bytes a and b are token 256 + 256 a + b.

enum { N_PAIRS = 256 * 256, N_TOKENS = 256 + N_PAIRS };

typedef struct pairs {
    char tokens[N_TOKENS][5];
    char merges[N_PAIRS][6];
    const char *token_ptrs[N_TOKENS];
    const char *merge_ptrs[N_PAIRS];
} pairs;

static void spell_pairs(pairs *p) {
    for (unsigned byte = 0; byte < 256; byte++) {
        imx_byte_letter(p->tokens[byte], (uint8_t)byte);
    }
    for (unsigned i = 0; i < N_PAIRS; i++) {
        const char *left = p->tokens[i / 256];
        const char *right = p->tokens[i % 256];
        snprintf(p->tokens[256 + i], sizeof *p->tokens, "%s%s", left, right);
        snprintf(p->merges[i], sizeof *p->merges, "%s %s", left, right);
        p->merge_ptrs[i] = p->merges[i];
    }
    for (unsigned i = 0; i < N_TOKENS; i++) {
        p->token_ptrs[i] = p->tokens[i];
    }
}

static imx_gguf_builder *pairs_builder(void) {
    pairs *p = calloc(1, sizeof *p);
    assert_non_null(p);
    spell_pairs(p);
    imx_gguf_builder *b;
    assert_int_equal(imx_gguf_builder_new(&b, NULL), IMX_OK);
    imx_gguf_set_str(b, "tokenizer.ggml.model", "gpt2", NULL);
    imx_gguf_set_str_array(b, "tokenizer.ggml.tokens", p->token_ptrs, N_TOKENS, NULL);
    imx_gguf_set_str_array(b, "tokenizer.ggml.merges", p->merge_ptrs, N_PAIRS, NULL);
    imx_gguf_set_u32(b, "tokenizer.ggml.bos_token_id", 0, NULL); // gemma4 insists on one
    free(p);
    return b;
}

static void test_every_name(void **state) {
    (void)state;
    imx_gguf_builder *b = pairs_builder();
    size_t n_different = 0;
    for (size_t i = 0; i < LEN(names); i++) {
        uint8_t *bytes;
        size_t size_bytes;
        imx_gguf *gguf;
        imx_gguf_set_str(b, "tokenizer.ggml.pre", names[i].name, NULL);
        assert_int_equal(imx_gguf_builder_header(b, &bytes, &size_bytes, NULL), IMX_OK);
        assert_int_equal(imx_gguf_parse(&gguf, bytes, size_bytes, names[i].name, NULL), IMX_OK);
        n_different += !check_hash(open_tokenizer(gguf, names[i].name), &names[i]);
        imx_gguf_close(gguf);
        free(bytes);
    }
    imx_gguf_builder_free(b);
    assert_int_equal(n_different, 0);
    assert_int_equal(LEN(names) + 1, imx_pretokenizer_table_len); // and "whitespace"
}

// ---------------------------------------------------------------------------------------------

static void test_real_vocabularies(void **state) {
    (void)state;
    const char *shared = getenv("IMATRIX_SHARED");
    size_t n_different = 0;
    for (size_t i = 0; i < LEN(vocabs); i++) {
        char path[1024];
        imx_gguf *gguf;
        snprintf(path, sizeof path, "%s/vocabs/ggml-vocab-%s.gguf", shared ? shared : "",
                 vocabs[i].name);
        if (imx_gguf_open(&gguf, path, NULL) != IMX_OK) {
            print_message("IMATRIX_SHARED has no vocabs/ggml-vocab-%s.gguf\n", vocabs[i].name);
            skip();
        }
        n_different += !check_hash(open_tokenizer(gguf, vocabs[i].name), &vocabs[i]);
        imx_gguf_close(gguf);
    }
    assert_int_equal(n_different, 0);
}

int main(void) {
    make_hard_text(&text);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_name),
        cmocka_unit_test(test_real_vocabularies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
