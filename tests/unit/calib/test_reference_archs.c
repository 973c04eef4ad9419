// SPDX-License-Identifier: MIT
//
// The forward pass against llama.cpp (version of 2026-08-18, CPU, F32 KV, no flash attention) on
// small random models: logits of 64 tokens, and of every weight product the column sums of squared
// inputs and their counts.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "calib/forward/walk.h"
#include "calib/model/model.h"
#include "calib/statistics/collect.h"

// Models in archs/ of the shared folder, with NAME.ref.gguf beside them.
static const char *const names[] = {
    "command-r-dense", "deepseek2-moe", "gemma-dense",   "gemma2-dense",   "glm4-dense",
    "gpt-oss-moe",     "gpt2-dense",    "gptneox-dense", "granite-dense",  "llama-dense",
    "llama-moe",       "olmoe-moe",     "phi3-dense",    "qwen2-dense",    "qwen2moe-moe",
    "qwen3-dense",     "qwen3moe-moe",  "smollm3-dense", "stablelm-dense", "starcoder2-dense",
};

enum { N_NAMES = sizeof names / sizeof *names };

typedef struct fixture {
    const char *name;
    imx_model *model;
    imx_gguf *reference;
    imx_corpus corpus; // one chunk: the reference's tokens
} fixture;

static fixture shared;

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
    print_message("%s: normalised mean squared error of the logits %.3g\n", shared.name,
                  error2 / wanted2);
    assert_true(error2 <= 1e-6 * wanted2);
    imx_head_close(head);
    imx_residual_stream_free(stream);
    free(logits);
}

// A column that is nearly zero in all the tokens an expert has seen is off by more of itself: the
// difference is taken relative to it and the mean of all columns.
static void compare_entry(const imx_imatrix_entry *entry, double *worst) {
    char name[128];
    snprintf(name, sizeof name, "%s.in_sum2", entry->name);
    const float *sums = reference_f32(name, (size_t)(entry->n_cols * entry->n_mats));
    snprintf(name, sizeof name, "%s.counts", entry->name);
    for (size_t mat = 0; mat < entry->n_mats; ++mat) {
        assert_true(entry->counts[mat] == (double)reference_f32(name, (size_t)entry->n_mats)[mat]);
    }
    double mean = 0;
    for (size_t j = 0; j < entry->n_cols * entry->n_mats; ++j) {
        mean += (double)sums[j] / (double)(entry->n_cols * entry->n_mats);
    }
    for (size_t j = 0; j < entry->n_cols * entry->n_mats; ++j) {
        const double difference =
            fabs(entry->in_sum2[j] - (double)sums[j]) / ((double)sums[j] + mean);
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
    print_message("%s: largest relative difference of a sum of squares %.3g\n", shared.name, worst);
    assert_true(worst <= 1e-3);
    assert_true(isnan(result.perplexity));
    imx_imatrix_free(imatrix);
}

static bool open_shared(imx_error *err) {
    char path[512];
    const char *root = getenv("IMATRIX_SHARED");
    snprintf(path, sizeof path, "%s/archs/%s.gguf", root, shared.name);
    if (imx_model_open(&shared.model, path, err) != IMX_OK) {
        return false;
    }
    snprintf(path, sizeof path, "%s/archs/%s.ref.gguf", root, shared.name);
    return imx_gguf_open(&shared.reference, path, err) == IMX_OK;
}

static int open_fixture(void **state) {
    imx_error err;
    shared = (fixture){.name = *state};
    if (!open_shared(&err)) {
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

static int close_fixture(void **state) {
    (void)state;
    imx_model_close(shared.model);
    imx_gguf_close(shared.reference);
    free(shared.corpus.tokens);
    free(shared.corpus.starts);
    return 0;
}

static bool has_references(void) {
    char path[512];
    const char *root = getenv("IMATRIX_SHARED");
    snprintf(path, sizeof path, "%s/archs", root != NULL ? root : "");
    return root != NULL && access(path, R_OK) == 0;
}

// Arguments, if there are any, are the names of other models to compare.
int main(int n_args, char **args) {
    const char *const *chosen = n_args > 1 ? (const char *const *)args + 1 : names;
    const size_t n_chosen = n_args > 1 ? (size_t)n_args - 1 : N_NAMES;
    if (!has_references()) {
        print_message("IMATRIX_SHARED has no archs/: nothing to compare with\n");
        return 77;
    }
    struct CMUnitTest *tests = calloc(2 * n_chosen, sizeof *tests);
    for (size_t i = 0; i < n_chosen; ++i) {
        void *name = (void *)(uintptr_t)chosen[i];
        tests[2 * i] =
            (struct CMUnitTest){chosen[i], test_logits, open_fixture, close_fixture, name};
        tests[2 * i + 1] =
            (struct CMUnitTest){chosen[i], test_statistics, open_fixture, close_fixture, name};
    }
    const int n_failed = _cmocka_run_group_tests("architectures", tests, 2 * n_chosen, NULL, NULL);
    free(tests);
    return n_failed;
}
