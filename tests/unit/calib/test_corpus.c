// SPDX-License-Identifier: MIT
//
// Chunks: where they begin and end, BOS, tails, and texts that are too short; and of several
// sources, which chunks are used and what is counted. The vocabulary makes every letter a token.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "calib/text/corpus.h"
#include "vocab_fixture.h"

static const vocab_token letters[] = {
    {"<bos>", CONTROL, 0}, {"a", NORMAL, 0}, {"b", NORMAL, 0}, {"c", NORMAL, 0}, {"d", NORMAL, 0},
    {"e", NORMAL, 0},      {"f", NORMAL, 0}, {"g", NORMAL, 0}, {"h", NORMAL, 0}, {"Ċ", NORMAL, 0},
};

static imx_tokenizer *open_letters(bool add_bos) {
    imx_gguf_builder *b = vocab_builder("gpt2", letters, N_ROWS(letters));
    imx_gguf_set_str(b, "tokenizer.ggml.pre", "gpt-2", NULL);
    imx_gguf_set_str_array(b, "tokenizer.ggml.merges", NULL, 0, NULL);
    imx_gguf_set_u32(b, "tokenizer.ggml.bos_token_id", 0, NULL);
    imx_gguf_set_bool(b, "tokenizer.ggml.add_bos_token", add_bos, NULL);
    return vocab_finish(b);
}

// Writes the ids of the chunks without spaces, a '|' between chunks.
static void print_chunks(const imx_corpus *corpus, char got[static 512]) {
    size_t n = 0;
    size_t n_tokens = 0;
    got[0] = '\0';
    for (size_t c = 0; c < corpus->n_chunks; c++) {
        const int32_t *ids = imx_corpus_chunk(corpus, c);
        n += (size_t)sprintf(got + n, "%s", c > 0 ? "|" : "");
        for (size_t i = 0; i < imx_corpus_chunk_len(corpus, c); i++, n_tokens++) {
            n += (size_t)sprintf(got + n, "%d", ids[i]);
        }
    }
    assert_int_equal(n_tokens, corpus->n_tokens);
}

// Expects the chunks written in `expected`; "" when the text is refused.
static void expect_chunks(bool add_bos, const char *text, imx_corpus_options options,
                          const char *expected) {
    imx_tokenizer *t = open_letters(add_bos);
    imx_corpus *corpus;
    imx_error err;
    const imx_status status =
        imx_corpus_new(&corpus, t, text, strlen(text), "x.txt", &options, &err);
    char got[512] = "";
    if (status == IMX_OK) {
        print_chunks(corpus, got);
    } else {
        assert_int_equal(status, IMX_ERR_ARGUMENT);
        assert_null(corpus);
    }
    assert_string_equal(got, expected);
    imx_corpus_free(corpus);
    imx_tokenizer_close(t);
}

static void test_chunks(void **state) {
    (void)state;
    const imx_corpus_options three = {.n_ctx = 3};
    expect_chunks(false, "abcdefgh", three, "123|456|78");
    expect_chunks(false, "abcdefg", three, "123|456"); // a tail of one token predicts nothing
    expect_chunks(false, "abcdef", three, "123|456");
    expect_chunks(false, "ab", three, "12");
    expect_chunks(false, "a", three, "");
    expect_chunks(false, "", three, "");
}

static void test_drop_tail(void **state) {
    (void)state;
    const imx_corpus_options full = {.n_ctx = 3, .drop_tail = true};
    expect_chunks(false, "abcdefgh", full, "123|456");
    expect_chunks(false, "abcdef", full, "123|456");
    expect_chunks(false, "ab", full, "");
}

// The text is tokenized with a BOS in front; in the other chunks BOS takes the place of a token.
static void test_bos(void **state) {
    (void)state;
    const imx_corpus_options three = {.n_ctx = 3};
    expect_chunks(true, "abcdefgh", three, "012|045|078");
    expect_chunks(true, "abcde", three, "012|045");
    expect_chunks(true, "abc", three, "012"); // a lone c in the tail
}

static void test_from_and_max(void **state) {
    (void)state;
    imx_corpus_options options = {.n_ctx = 3, .from_chunk = 1};
    expect_chunks(false, "abcdefgh", options, "456|78");
    options.max_chunks = 1;
    expect_chunks(false, "abcdefgh", options, "456");
    options.max_chunks = 9;
    options.from_chunk = 2;
    expect_chunks(true, "abcdefgh", options, "078");
    options.from_chunk = 3;
    expect_chunks(false, "abcdefgh", options, "");
    options.from_chunk = UINT64_MAX;
    expect_chunks(false, "abcdefgh", options, "");
    expect_chunks(false, "abcdefgh", (imx_corpus_options){.n_ctx = 8, .max_chunks = 1}, "12345678");
}

static void test_one_newline_goes(void **state) {
    (void)state;
    const imx_corpus_options wide = {.n_ctx = 8};
    expect_chunks(false, "abc\n", wide, "123");
    expect_chunks(false, "abc\n\n", wide, "1239");
}

static void test_parse_special(void **state) {
    (void)state;
    imx_corpus_options options = {.n_ctx = 8};
    expect_chunks(false, "a<bos>d", options, "124"); // only b, out of <bos>, is a token
    options.parse_special = true;
    expect_chunks(false, "a<bos>d", options, "104");
}

static void test_messages(void **state) {
    (void)state;
    imx_tokenizer *t = open_letters(false);
    imx_corpus *corpus;
    imx_error err;
    const imx_corpus_options options = {.n_ctx = 512, .drop_tail = true};
    assert_int_equal(imx_corpus_new(&corpus, t, "abc", 3, "x.txt", &options, &err),
                     IMX_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "x.txt"));
    assert_non_null(strstr(err.message, "3 tokens"));
    assert_non_null(strstr(err.message, "512"));
    const imx_corpus_options narrow = {.n_ctx = 1};
    assert_int_equal(imx_corpus_new(&corpus, t, "abc", 3, "x.txt", &narrow, &err),
                     IMX_ERR_ARGUMENT);
    imx_tokenizer_close(t);
}

// ---------------------------------------------------------------------------------------------
// Several sources

static char folder[] = "/tmp/imatrix-corpus-XXXXXX";

enum { N_SOURCES = 2 };

static char sources[N_SOURCES][64]; // "FOLDER/a.jsonl", "FOLDER/b.txt", with or without weights

static void write_source(size_t i, const char *name, const char *text, const char *weight) {
    snprintf(sources[i], sizeof sources[i], "%s/%s", folder, name);
    FILE *file = fopen(sources[i], "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    strcat(sources[i], weight);
}

static imx_status read_sources(imx_corpus **corpus, imx_text_share **shares, bool add_bos,
                               imx_corpus_options options, imx_error *err) {
    imx_tokenizer *t = open_letters(add_bos);
    const char *const names[] = {sources[0], sources[1]};
    const imx_status status =
        imx_corpus_read(corpus, shares, names, N_SOURCES, t, NULL, &options, err);
    imx_tokenizer_close(t);
    return status;
}

// Expects these chunks, and of each source its tokens and chunks: "4/2 7/3".
static void expect_sources(bool add_bos, imx_corpus_options options, const char *expected,
                           const char *counts) {
    imx_corpus *corpus;
    imx_text_share *shares;
    imx_error err;
    char got[512];
    if (read_sources(&corpus, &shares, add_bos, options, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
    print_chunks(corpus, got);
    assert_string_equal(got, expected);
    sprintf(got, "%d/%d %d/%d", (int)shares[0].n_tokens, (int)shares[0].n_chunks,
            (int)shares[1].n_tokens, (int)shares[1].n_chunks);
    assert_string_equal(got, counts);
    imx_text_shares_free(shares, N_SOURCES);
    imx_corpus_free(corpus);
}

static const char documents[] = "{\"text\": \"abcd\"}\n{\"text\": \"\"}\n{\"text\": \"e\"}\n"
                                "{\"text\": \"fg\\n\"}\n";

// Documents are packed with a newline (9) between them; a source begins a chunk.
static void test_packed_sources(void **state) {
    (void)state;
    write_source(0, "a.jsonl", documents, "");
    write_source(1, "b.txt", "hgfed\n", "");
    expect_sources(false, (imx_corpus_options){.n_ctx = 4}, "1234|9596|8765", "8/2 4/1");
    expect_sources(true, (imx_corpus_options){.n_ctx = 4}, "0123|0959|07|0876|04", "10/3 6/2");
    expect_sources(true, (imx_corpus_options){.n_ctx = 4, .drop_tail = true}, "0123|0959|0876",
                   "8/2 4/1");
}

// A document ends its chunk; those of one token are left out, as is an empty one where BOS is
// added.
static void test_by_document(void **state) {
    (void)state;
    imx_corpus_options options = {.n_ctx = 3, .by_document = true};
    write_source(0, "a.jsonl", documents, "");
    write_source(1, "b.txt", "hgfed\n", "");
    expect_sources(false, options, "123|67|876|54", "5/2 5/2");
    expect_sources(true, options, "012|04|05|067|087|054", "10/4 6/2");
    options.from_chunk = 1;
    options.max_chunks = 2;
    expect_sources(false, options, "67|876", "2/1 3/1");
}

// 26 chunks "12", "34", ... of the first source, of which `n_wanted` must be used, in order.
static void expect_choice(const char *weight, imx_corpus_options options, size_t n_wanted,
                          char got[static 512]) {
    imx_corpus *corpus;
    imx_text_share *shares;
    write_source(0, "a.txt", "abcdefghabcdefghabcdefghabcdefghabcdefghabcdefghabcd", weight);
    write_source(1, "b.txt", "hh", "");
    assert_int_equal(read_sources(&corpus, &shares, false, options, NULL), IMX_OK);
    assert_int_equal(corpus->n_chunks, n_wanted);
    assert_int_equal(shares[0].n_chunks + shares[1].n_chunks, n_wanted);
    print_chunks(corpus, got);
    imx_text_shares_free(shares, N_SOURCES);
    imx_corpus_free(corpus);
}

static void test_weights(void **state) {
    (void)state;
    imx_corpus_options options = {.n_ctx = 2};
    char all[512], half[512], again[512], other[512];
    expect_choice("", options, 27, all);
    expect_choice(":1", options, 27, half);
    assert_string_equal(half, all);
    expect_choice(":0.5", options, 14, half); // 13 of 26, and the second source
    expect_choice(":0.5", options, 14, again);
    assert_string_equal(half, again);
    options.seed = 1;
    expect_choice(":0.5", options, 14, other);
    assert_string_not_equal(half, other);
    expect_choice(":0.001", options, 2, other); // never nothing
}

static void test_sample(void **state) {
    (void)state;
    imx_corpus_options options = {.n_ctx = 2, .sample = 10, .seed = 42};
    char got[512], again[512];
    expect_choice("", options, 10, got);
    expect_choice("", options, 10, again);
    assert_string_equal(got, again);
    options.max_chunks = 8; // the first eight, which are fewer than the sample
    expect_choice("", options, 8, got);
    assert_string_equal(got, "12|34|56|78|12|34|56|78");
}

// All subsets are equally likely: over many seeds every chunk is chosen about equally often.
static void test_sample_is_uniform(void **state) {
    (void)state;
    enum { N_SEEDS = 2000 };
    imx_tokenizer *t = open_letters(false);
    unsigned chosen[8] = {0};
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        const imx_corpus_options options = {.n_ctx = 2, .sample = 2, .seed = seed};
        imx_corpus *corpus;
        assert_int_equal(imx_corpus_new(&corpus, t, "aabbccddeeffgghh", 16, "x", &options, NULL),
                         IMX_OK);
        assert_true(corpus->tokens[0] < corpus->tokens[2]); // in order
        chosen[corpus->tokens[0] - 1]++;
        chosen[corpus->tokens[2] - 1]++;
        imx_corpus_free(corpus);
    }
    for (size_t i = 0; i < 8; i++) { // 500 expected, standard deviation 19
        assert_in_range(chosen[i], 500 - 80, 500 + 80);
    }
    imx_tokenizer_close(t);
}

static void assert_sources_refused(imx_corpus_options options, const char *words) {
    imx_corpus *corpus;
    imx_text_share *shares;
    imx_error err = {0};
    assert_int_equal(read_sources(&corpus, &shares, true, options, &err), IMX_ERR_ARGUMENT);
    assert_null(corpus);
    assert_null(shares);
    if (strstr(err.message, words) == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, words);
    }
}

static void test_unusable_sources(void **state) {
    (void)state;
    write_source(0, "a.txt", "abcd", "");
    write_source(1, "b.txt", "\n", "");
    assert_sources_refused((imx_corpus_options){.n_ctx = 4}, "b.txt: too short: 0 tokens");
    write_source(1, "b.jsonl", "{\"text\": \"abc\"}\n", "");
    assert_sources_refused((imx_corpus_options){.n_ctx = 5, .drop_tail = true, .by_document = true},
                           "a chunk takes at least 5 of one document");
    assert_sources_refused((imx_corpus_options){.n_ctx = 4, .from_chunk = 3}, "has 2 chunks");
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_drop_tail),
        cmocka_unit_test(test_bos),
        cmocka_unit_test(test_from_and_max),
        cmocka_unit_test(test_one_newline_goes),
        cmocka_unit_test(test_parse_special),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_packed_sources),
        cmocka_unit_test(test_by_document),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_sample_is_uniform),
        cmocka_unit_test(test_unusable_sources),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
