// SPDX-License-Identifier: MIT
//
// The forward pass against llama.cpp (version of 2026-08-18, CPU, F32 KV, no flash attention) on a
// random two-layer Llama with biases, scales and frequency divisors: logits of 64 tokens, and of
// every weight product the column sums of squared inputs and their counts.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/collect.h"
#include "calib/model.h"
#include "calib/walk.h"

typedef struct fixture {
    imx_model *model;
    imx_gguf *reference;
    imx_corpus corpus; // one chunk: the reference's tokens
} fixture;

static fixture shared;

static bool shared_path(char *path, size_t path_bytes, const char *name) {
    const char *root = getenv("IMATRIX_SHARED");
    snprintf(path, path_bytes, "%s/archs/%s", root != NULL ? root : "", name);
    FILE *file = root != NULL ? fopen(path, "rb") : NULL;
    if (file != NULL) {
        fclose(file);
    }
    return file != NULL;
}

static const float *reference_f32(const char *name, size_t n) {
    const imx_gguf_tensor *tensor = imx_gguf_find_tensor(shared.reference, name);
    assert_non_null(tensor);
    assert_int_equal(tensor->type, IMX_TYPE_F32);
    assert_int_equal(tensor->size_bytes, n * sizeof(float));
    return (const float *)(const void *)tensor->data;
}

static void test_logits(void **state) {
    (void)state;
    const size_t n_embd = imx_model_n_embd(shared.model);
    const size_t n_vocab = imx_model_n_vocab(shared.model);
    const size_t n_tokens = shared.corpus.n_tokens;
    const imx_walk_options options = {.n_threads = 2, .need_hidden = true};
    const float *wanted = reference_f32("logits", n_tokens * n_vocab);
    float *logits = malloc(n_tokens * n_vocab * sizeof *logits);
    imx_residual_stream *stream;
    float *hidden;
    imx_head *head;
    imx_error err;
    assert_int_equal(imx_residual_stream_new(&stream, n_tokens, n_embd, 0, NULL, &err), IMX_OK);
    assert_int_equal(imx_walk_run(shared.model, &shared.corpus, &options, stream, &err), IMX_OK);
    assert_int_equal(imx_residual_stream_load(stream, 0, n_tokens, &hidden, &err), IMX_OK);
    assert_int_equal(imx_head_open(&head, shared.model, 2, &err), IMX_OK);
    assert_int_equal(imx_head_logits(head, hidden, n_tokens, logits, &err), IMX_OK);
    double error2 = 0, wanted2 = 0;
    for (size_t i = 0; i < n_tokens * n_vocab; ++i) {
        const double difference = (double)logits[i] - (double)wanted[i];
        error2 += difference * difference;
        wanted2 += (double)wanted[i] * (double)wanted[i];
    }
    print_message("normalised mean squared error of the logits: %.3g\n", error2 / wanted2);
    assert_true(error2 <= 1e-6 * wanted2);
    imx_head_close(head);
    imx_residual_stream_free(stream);
    free(logits);
}

static void compare_entry(const imx_imatrix_entry *entry, double *worst) {
    char name[128];
    snprintf(name, sizeof name, "%s.in_sum2", entry->name);
    const float *sums = reference_f32(name, (size_t)entry->n_cols);
    snprintf(name, sizeof name, "%s.counts", entry->name);
    assert_true(entry->counts[0] == (double)reference_f32(name, 1)[0]);
    for (size_t j = 0; j < entry->n_cols; ++j) {
        const double difference = fabs(entry->in_sum2[j] - (double)sums[j]) / (double)sums[j];
        *worst = difference > *worst ? difference : *worst;
    }
}

static void test_statistics(void **state) {
    (void)state;
    const imx_collect_options options = {.n_threads = 2, .process_output = true};
    imx_collect_result result;
    imx_imatrix *imatrix;
    imx_error err;
    double worst = 0;
    assert_int_equal(imx_collect(&imatrix, shared.model, &shared.corpus, &options, &result, &err),
                     IMX_OK);
    size_t n_wanted = 0;
    for (size_t i = 0; i < shared.reference->n_tensors; ++i) {
        n_wanted += strstr(shared.reference->tensors[i].name, ".in_sum2") != NULL;
    }
    assert_int_equal(imatrix->n_entries, n_wanted);
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        compare_entry(&imatrix->entries[i], &worst);
    }
    print_message("largest relative difference of a sum of squares: %.3g\n", worst);
    assert_true(worst <= 1e-4);
    assert_true(isnan(result.perplexity));
    imx_imatrix_free(imatrix);
}

static int open_fixture(const char *model_path, const char *reference_path) {
    imx_error err;
    if (imx_model_open(&shared.model, model_path, &err) != IMX_OK ||
        imx_gguf_open(&shared.reference, reference_path, &err) != IMX_OK) {
        print_error("%s\n", err.message);
        return 1;
    }
    const imx_gguf_tensor *tokens = imx_gguf_find_tensor(shared.reference, "tokens");
    shared.corpus.n_tokens = (size_t)tokens->dims[0];
    shared.corpus.n_ctx = (uint32_t)tokens->dims[0];
    shared.corpus.n_chunks = 1;
    shared.corpus.starts = calloc(2, sizeof *shared.corpus.starts);
    shared.corpus.starts[1] = shared.corpus.n_tokens;
    shared.corpus.tokens = malloc((size_t)tokens->size_bytes);
    memcpy(shared.corpus.tokens, tokens->data, (size_t)tokens->size_bytes);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits),
        cmocka_unit_test(test_statistics),
    };
    char model_path[512], reference_path[512];
    if (!shared_path(model_path, sizeof model_path, "llama-dense.gguf") ||
        !shared_path(reference_path, sizeof reference_path, "llama-dense.ref.gguf")) {
        print_message("IMATRIX_SHARED has no archs/llama-dense.gguf: nothing to compare with\n");
        return 77;
    }
    if (open_fixture(model_path, reference_path) != 0) {
        return 1;
    }
    const int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    imx_model_close(shared.model);
    imx_gguf_close(shared.reference);
    free(shared.corpus.tokens);
    return n_failed;
}
