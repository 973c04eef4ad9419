// SPDX-License-Identifier: MIT
//
// llama-perplexity's file of predictions, on one small enough to be written out: two chunks of four
// tokens, of which position 2 is scored, of a vocabulary of three. The bytes follow from the format
// in logits_base.h; that llama-perplexity reads and writes the same was seen by hand (its figures
// against a file of either program are in docs/evaluation.md).

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "../formats/file_fixture.h"
#include "calib/evaluation/logits_base.h"

// Logits 3, 1.3, −40: the last is more than 16 below the best, low = −13. lse = 3 + ln(1 + e^−1.7)
// = 3.1677860. Codes 65535, (1.3 + 13) / 16 · 65535 = 58571.9, 0; scale = 16 / 65535
// = 2.4414435e−4; min = −13 − lse. Equal logits have a scale of 0 and a min of −ln 3.
static const float logits[2][3] = {{3, 1.3f, -40}, {0.5f, 0.5f, 0.5f}};

static const uint8_t golden[] = {
    '_',  'l',  'o',  'g',  'i',  't',  's',  '_',              // magic
    4,    0,    0,    0,    3,    0,    0,    0,    2, 0, 0, 0, // n_ctx, vocab, chunks
    1,    0,    0,    0,    2,    0,    0,    0,                // tokens
    0,    0,    0,    0,    1,    0,    0,    0,    1, 0, 0, 0, //
    0,    0,    0,    0,    2,    0,    0,    0,    2, 0, 0, 0, //
    0x80, 0x00, 0x80, 0x39, 0xa0, 0x57, 0x81, 0xc1,             // scale, min
    0xff, 0xff, 0xcc, 0xe4, 0,    0,    0,    0,                // codes, padding
    0,    0,    0,    0,    0x54, 0x9f, 0x8c, 0xbf, 0, 0, 0, 0, //
    0,    0,    0,    0,
};

static int32_t tokens[] = {1, 2, 0, 1, 1, 0, 2, 2};
static size_t starts[] = {0, 4, 8};
static const imx_corpus corpus = {
    .tokens = tokens, .n_tokens = 8, .n_ctx = 4, .n_chunks = 2, .starts = starts};

static void open_golden(imx_logits_base *base) {
    imx_error err;
    write_bytes("golden.kld", golden, sizeof golden);
    if (imx_logits_base_open(base, "golden.kld", &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
}

static void test_rows(void **state) {
    (void)state;
    imx_logits_base base;
    float ln_p[3];
    open_golden(&base);
    assert_int_equal(base.n_ctx, 4);
    assert_int_equal(base.n_vocab, 3);
    assert_int_equal(base.n_chunks, 2);
    imx_logits_base_row(&base, 0, ln_p);
    assert_true(fabs(ln_p[0] + 0.1677860) < 1e-5 && fabs(ln_p[1] + 1.8677860) < 1.3e-4);
    assert_true((double)ln_p[2] < IMX_LOGITS_BASE_FLOOR);
    imx_logits_base_row(&base, 1, ln_p);
    assert_true(fabs(ln_p[0] + log(3)) < 1e-7 && ln_p[2] == ln_p[0]);
    imx_logits_base_close(&base);
}

static void test_corpus(void **state) {
    (void)state;
    imx_logits_base base;
    imx_corpus *read;
    imx_error err;
    open_golden(&base);
    assert_int_equal(imx_logits_base_corpus(&read, &base, -1, 0, &err), IMX_OK);
    assert_int_equal(read->n_chunks, 2);
    assert_int_equal(read->n_tokens, 8);
    assert_memory_equal(read->tokens, tokens, sizeof tokens);
    assert_memory_equal(read->starts, starts, sizeof starts);
    imx_corpus_free(read);
    assert_int_equal(imx_logits_base_corpus(&read, &base, 2, 1, &err), IMX_OK);
    assert_int_equal(read->n_chunks, 1);
    assert_int_equal(read->n_tokens, 4);
    assert_int_equal(read->tokens[0], 2); // BOS
    assert_int_equal(read->tokens[1], 2);
    imx_corpus_free(read);
    imx_logits_base_close(&base);
}

static void test_writing(void **state) {
    (void)state;
    imx_logits_writer *writer;
    imx_error err;
    size_t n_bytes;
    assert_int_equal(imx_logits_writer_open(&writer, "out.kld", &corpus, 3, &err), IMX_OK);
    assert_int_equal(imx_logits_writer_append(writer, logits[0], 1, 1, &err), IMX_OK);
    assert_int_equal(imx_logits_writer_append(writer, logits[1], 1, 2, &err), IMX_OK);
    assert_int_equal(imx_logits_writer_commit(writer, &err), IMX_OK);
    uint8_t *bytes = read_bytes("out.kld", &n_bytes);
    assert_int_equal(n_bytes, sizeof golden);
    assert_memory_equal(bytes, golden, n_bytes);
    free(bytes);

    assert_int_equal(imx_logits_writer_open(&writer, "other.kld", &corpus, 3, &err), IMX_OK);
    imx_logits_writer_abort(writer);
    assert_n_files(1);
}

static void test_refused_corpora(void **state) {
    (void)state;
    imx_logits_writer *writer;
    imx_error err;
    imx_corpus ragged = corpus;
    ragged.n_tokens = 7;
    assert_int_equal(imx_logits_writer_open(&writer, "out.kld", &ragged, 3, &err),
                     IMX_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "out.kld"));
    assert_null(writer);
    assert_n_files(0);
}

static void assert_refused(const uint8_t *bytes, size_t n_bytes, const char *message) {
    imx_logits_base base;
    imx_error err;
    write_bytes("bad.kld", bytes, n_bytes);
    assert_int_equal(imx_logits_base_open(&base, "bad.kld", &err), IMX_ERR_FORMAT);
    assert_non_null(strstr(err.message, "bad.kld"));
    if (strstr(err.message, message) == NULL) {
        fail_msg("'%s' is not in '%s'", message, err.message);
    }
    imx_logits_base_close(&base);
}

static void test_truncated(void **state) {
    (void)state;
    for (size_t n_bytes = 0; n_bytes < sizeof golden; ++n_bytes) {
        assert_refused(golden, n_bytes, n_bytes < 20 ? "does not begin" : "truncated");
    }
    assert_refused(golden, sizeof golden - 1, "ends in chunk 2 of 2");
}

static void test_damaged(void **state) {
    (void)state;
    uint8_t bytes[sizeof golden + 1] = {0};
    memcpy(bytes, golden, sizeof golden);
    assert_refused(bytes, sizeof bytes, "asks for");
    for (size_t at = 8; at < 20; at += 4) {
        memcpy(bytes, golden, sizeof golden);
        memset(bytes + at, 0, 4);
        assert_refused(bytes, sizeof golden, "cannot be");
        memset(bytes + at, 0xff, 4);
        assert_refused(bytes, sizeof golden, "truncated");
    }
    memset(bytes + 8, 0xff, 12);
    assert_refused(bytes, sizeof golden, "cannot be"); // 2^64 bytes and more
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_directory, leave_directory)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_rows),      IN_DIRECTORY(test_corpus),
        IN_DIRECTORY(test_writing),   IN_DIRECTORY(test_refused_corpora),
        IN_DIRECTORY(test_truncated), IN_DIRECTORY(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
