// SPDX-License-Identifier: MIT
//
// A trained F16 model on real text against llama.cpp (version of 2026-08-18): the imatrix against
// that of llama-imatrix, the perplexity against that of llama-perplexity. llama.cpp multiplies F16
// weights with inputs rounded to F16, so the figures agree to about 1e−4 and not better.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/evaluation/evaluate.h"
#include "calib/statistics/collect.h"
#include "formats/file_map.h"
#include "formats/imatrix_file.h"

enum { N_CTX = 256 };

static imx_model *shared_model;

static const char *shared_path(const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", getenv("IMATRIX_SHARED"), name);
    return path;
}

// Appends bytes begin .. begin + n − 1 of a file, counted from its end when begin is negative.
static void append_text(char *text, size_t *len, const char *name, int64_t begin, size_t n) {
    imx_file_map map;
    imx_error err;
    assert_int_equal(imx_file_map_open(&map, shared_path(name), &err), IMX_OK);
    const uint8_t *from = map.data + (begin < 0 ? (int64_t)map.size_bytes : 0) + begin;
    memcpy(text + *len, from, n);
    *len += n;
    imx_file_map_close(&map);
}

static imx_corpus *make_corpus(const char *text, size_t len) {
    const imx_corpus_options options = {.n_ctx = N_CTX, .drop_tail = true};
    imx_tokenizer *tokenizer;
    imx_corpus *corpus;
    imx_error err;
    assert_int_equal(imx_tokenizer_open(&tokenizer, imx_model_gguf(shared_model), &err), IMX_OK);
    assert_int_equal(imx_corpus_new(&corpus, tokenizer, text, len, "text", &options, &err), IMX_OK);
    imx_tokenizer_close(tokenizer);
    return corpus;
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Relative differences of all mean squares, sorted; *n of them, the caller's to free().
static double *compare_imatrices(const imx_imatrix *ours, const imx_imatrix *theirs, size_t *n) {
    double *differences = NULL;
    assert_int_equal(ours->n_entries, theirs->n_entries);
    assert_int_equal(ours->chunk_count, theirs->chunk_count);
    *n = 0;
    for (size_t i = 0; i < ours->n_entries; ++i) {
        const imx_imatrix_entry *a = &ours->entries[i], *b = &theirs->entries[i];
        assert_string_equal(a->name, b->name);
        assert_true(a->counts[0] == b->counts[0]);
        assert_int_equal(a->n_cols, b->n_cols);
        differences = realloc(differences, (*n + (size_t)a->n_cols) * sizeof *differences);
        for (size_t j = 0; j < a->n_cols; ++j) {
            differences[(*n)++] = fabs(a->in_sum2[j] - b->in_sum2[j]) / b->in_sum2[j];
        }
    }
    qsort(differences, *n, sizeof *differences, compare_doubles);
    return differences;
}

static void test_imatrix(void **state) {
    (void)state;
    static char text[180000];
    size_t len = 0, n;
    append_text(text, &len, "text/technical.txt", 0, 120000);
    append_text(text, &len, "text/groups_merged.txt", 0, 60000);
    const imx_collect_options options = {.n_threads = 2};
    imx_corpus *corpus = make_corpus(text, len);
    imx_imatrix *ours, *theirs;
    imx_collect_result result;
    imx_error err;
    assert_int_equal(imx_collect(&ours, shared_model, corpus, &options, &result, &err), IMX_OK);
    assert_int_equal(
        imx_imatrix_read(&theirs, shared_path("models/prose-and-manuals-11M.llama-imatrix.gguf"),
                         NULL, &err),
        IMX_OK);
    double *differences = compare_imatrices(ours, theirs, &n);
    print_message("mean squares, relative difference: median %.3g, largest %.3g\n",
                  differences[n / 2], differences[n - 1]);
    assert_true(differences[n / 2] < 1e-4);
    assert_true(differences[n - 1] < 1e-3);
    free(differences);
    imx_imatrix_free(ours);
    imx_imatrix_free(theirs);
    imx_corpus_free(corpus);
}

// llama-perplexity -c 256 on the last 76,000 bytes: 106.9333 +/- 2.52314
static void test_perplexity(void **state) {
    (void)state;
    static char text[76000];
    size_t len = 0;
    append_text(text, &len, "text/technical.txt", -76000, 76000);
    const imx_evaluate_options options = {.n_threads = 2};
    imx_corpus *corpus = make_corpus(text, len);
    imx_evaluation result;
    imx_error err;
    assert_int_equal(imx_evaluate(shared_model, NULL, corpus, &options, &result, &err), IMX_OK);
    print_message("perplexity %.4f +- %.5f\n", result.perplexity.value, result.perplexity.error);
    assert_int_equal(result.n_scored, 103 * 127);
    assert_true(fabs(result.perplexity.value / 106.9333 - 1) < 1e-4);
    assert_true(fabs(result.perplexity.error / 2.52314 - 1) < 1e-3);
    imx_corpus_free(corpus);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_imatrix),
        cmocka_unit_test(test_perplexity),
    };
    imx_error err;
    if (getenv("IMATRIX_SHARED") == NULL ||
        imx_model_open(&shared_model, shared_path("models/prose-and-manuals-11M-f16.gguf"), &err) !=
            IMX_OK) {
        print_message("IMATRIX_SHARED has no models/prose-and-manuals-11M-f16.gguf: nothing to "
                      "compare with\n");
        return 77;
    }
    const int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    imx_model_close(shared_model);
    return n_failed;
}
