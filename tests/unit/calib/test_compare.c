// SPDX-License-Identifier: MIT
//
// A comparison says of each model what an evaluation of it alone says, and refuses before it runs.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/evaluation/compare.h"
#include "tiny_model.h"

enum { N_TOKENS = 60, N_CTX = 20, N_SCORED = 27, N_MODELS = 3 };

typedef struct fixture {
    imx_model *base;
    imx_model *models[N_MODELS];
    imx_corpus corpus;
    imx_comparison comparison;
} fixture;

// The last model is the base once more.
static void open_fixture(fixture *f) {
    f->base = tiny_open(&tiny_default);
    for (uint32_t i = 0; i < N_MODELS; ++i) {
        tiny_model spec = tiny_default;
        spec.seed = i + 1 < N_MODELS ? i + 10 : tiny_default.seed;
        f->models[i] = tiny_open(&spec);
    }
    f->corpus = tiny_corpus(N_TOKENS, N_CTX, tiny_default.n_vocab);
    f->comparison = (imx_comparison){
        .base = f->base,
        .models = (const imx_model *const *)f->models,
        .n_models = N_MODELS,
        .corpus = &f->corpus,
        .n_threads = 2,
    };
}

static void close_fixture(fixture *f) {
    imx_model_close(f->base);
    for (size_t i = 0; i < N_MODELS; ++i) {
        imx_model_close(f->models[i]);
    }
    tiny_corpus_free(&f->corpus);
}

static double mean(const double *x) {
    return imx_estimate_mean(x, N_SCORED).value;
}

static void test_as_evaluated_alone(void **state) {
    (void)state;
    fixture f;
    imx_compared results[N_MODELS] = {0};
    const imx_evaluate_options options = {.n_threads = 1};
    imx_error err;
    open_fixture(&f);
    assert_int_equal(imx_compare_check(&f.comparison, &err), IMX_OK);
    assert_int_equal(imx_compare_run(results, NULL, &f.comparison, &err), IMX_OK);
    for (size_t i = 0; i < N_MODELS; ++i) {
        imx_evaluation alone;
        assert_int_equal(imx_evaluate(f.models[i], f.base, &f.corpus, &options, &alone, &err),
                         IMX_OK);
        assert_int_equal(results[i].evaluation.n_scored, N_SCORED);
        assert_true(results[i].evaluation.perplexity.value == alone.perplexity.value);
        assert_true(results[i].evaluation.kl_mean.error == alone.kl_mean.error);
        assert_true(results[i].evaluation.kl[IMX_P99] == alone.kl[IMX_P99]);
        assert_true(exp(mean(results[i].nll)) == alone.perplexity.value);
        assert_true(mean(results[i].kl) == alone.kl_mean.value);
    }
    assert_true(results[0].kl[5] != results[1].kl[5] && results[2].kl[5] == 0);
    imx_compared_free(results, N_MODELS);
    close_fixture(&f);
}

// By position, not sorted: the position whose tokens a single chunk scores.
static void test_positions_stay_in_order(void **state) {
    (void)state;
    fixture f;
    imx_compared all[N_MODELS] = {0}, last[N_MODELS] = {0};
    imx_error err;
    open_fixture(&f);
    assert_int_equal(imx_compare_run(all, NULL, &f.comparison, &err), IMX_OK);
    size_t starts[] = {0, N_CTX};
    const imx_corpus chunk = {.tokens = f.corpus.tokens + 2 * N_CTX,
                              .n_tokens = N_CTX,
                              .n_ctx = N_CTX,
                              .n_chunks = 1,
                              .starts = starts};
    f.comparison.corpus = &chunk;
    assert_int_equal(imx_compare_run(last, NULL, &f.comparison, &err), IMX_OK);
    for (size_t i = 0; i < N_SCORED / 3; ++i) {
        assert_true(fabs(all[0].kl[2 * N_SCORED / 3 + i] - last[0].kl[i]) < 1e-6);
        assert_true(fabs(all[0].nll[2 * N_SCORED / 3 + i] - last[0].nll[i]) < 1e-5);
    }
    imx_compared_free(all, N_MODELS);
    imx_compared_free(last, N_MODELS);
    close_fixture(&f);
}

typedef struct watcher {
    const fixture *f;
    size_t n_reports[N_MODELS + 1];
    uint64_t stop_at; // a model
} watcher;

static bool watch(void *context, const imx_progress_report *report) {
    watcher *w = context;
    assert_int_equal(report->n_models, N_MODELS + 1);
    const imx_model *model =
        report->model_index == 0 ? w->f->base : w->f->models[report->model_index - 1];
    assert_string_equal(report->model, imx_model_gguf(model)->path);
    ++w->n_reports[report->model_index];
    return report->model_index < w->stop_at;
}

static void test_progress_names_the_model(void **state) {
    (void)state;
    fixture f;
    watcher w = {.f = &f, .stop_at = 2};
    const imx_progress progress = {watch, &w};
    imx_compared results[N_MODELS] = {0};
    imx_error err;
    open_fixture(&f);
    f.comparison.progress = &progress;
    assert_int_equal(imx_compare_run(results, NULL, &f.comparison, &err), IMX_ERR_INTERRUPTED);
    assert_true(w.n_reports[0] > 0 && w.n_reports[1] > w.n_reports[0]);
    assert_int_equal(w.n_reports[2], 1);
    assert_int_equal(w.n_reports[3], 0);
    imx_compared_free(results, N_MODELS);
    close_fixture(&f);
}

static void test_refusals(void **state) {
    (void)state;
    fixture f;
    imx_error err;
    open_fixture(&f);
    size_t starts[] = {0, 11};
    const imx_corpus too_short = {
        .tokens = f.corpus.tokens, .n_tokens = 11, .n_ctx = 20, .n_chunks = 1, .starts = starts};
    f.comparison.corpus = &too_short;
    assert_int_equal(imx_compare_check(&f.comparison, &err), IMX_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "the text has 11 tokens"));
    tiny_model spec = tiny_default;
    spec.n_vocab = 50;
    imx_model_close(f.models[1]);
    f.models[1] = tiny_open(&spec);
    assert_int_equal(imx_compare_check(&f.comparison, &err), IMX_ERR_MISMATCH);
    assert_non_null(strstr(err.message, "a vocabulary of 50"));
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_evaluated_alone),
        cmocka_unit_test(test_positions_stay_in_order),
        cmocka_unit_test(test_progress_names_the_model),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
