// SPDX-License-Identifier: MIT
//
// Evaluation where the answer is known: identical models, a model that knows nothing, and the
// definitions spelled out on logits of the naive forward pass.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../formats/file_fixture.h"
#include "calib/evaluation/evaluate.h"
#include "calib/evaluation/scoring.h"
#include "naive_llama.h"
#include "tiny_model.h"

// Chunks of 20, 20 and 13 tokens score positions 10 .. 18, 10 .. 18 and 10 .. 11.
enum { N_TOKENS = 53, N_CTX = 20, N_SCORED = 9 + 9 + 2 };

static imx_evaluation evaluate(const imx_model *model, const imx_model *base, int n_threads) {
    const imx_evaluate_options options = {.n_threads = n_threads};
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, imx_model_n_vocab(model));
    imx_evaluation result = {0};
    imx_error err;
    if (imx_evaluate(model, base, &corpus, &options, &result, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
    tiny_corpus_free(&corpus);
    return result;
}

static bool is_near(double a, double b, double tolerance) {
    return fabs(a - b) <= tolerance * fabs(b);
}

// ln p of every token at every scored position, (N_SCORED, n_vocab), and the tokens that follow.
typedef struct predictions {
    double *ln_p;
    int32_t next[N_SCORED];
} predictions;

static predictions predict(const imx_model *model, const tiny_model *spec) {
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, spec->n_vocab);
    predictions all = {.ln_p = malloc(N_SCORED * spec->n_vocab * sizeof(double))};
    size_t n = 0;
    for (size_t begin = 0; begin < N_TOKENS; begin += N_CTX) {
        const size_t len = N_TOKENS - begin < N_CTX ? N_TOKENS - begin : N_CTX;
        double *logits = naive_logits(imx_model_gguf(model), spec, corpus.tokens + begin, len);
        for (size_t i = N_CTX / 2; i + 1 < len; ++i, ++n) {
            double sum = 0;
            for (size_t j = 0; j < spec->n_vocab; ++j) {
                sum += exp(logits[i * spec->n_vocab + j]);
            }
            for (size_t j = 0; j < spec->n_vocab; ++j) {
                all.ln_p[n * spec->n_vocab + j] = logits[i * spec->n_vocab + j] - log(sum);
            }
            all.next[n] = corpus.tokens[begin + i + 1];
        }
        free(logits);
    }
    assert_int_equal(n, N_SCORED);
    tiny_corpus_free(&corpus);
    return all;
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void test_against_definition(void **state) {
    (void)state;
    tiny_model other_spec = tiny_default;
    other_spec.seed = 2;
    imx_model *model = tiny_open(&other_spec);
    imx_model *base = tiny_open(&tiny_default);
    predictions q = predict(model, &other_spec);
    predictions p = predict(base, &tiny_default);
    const size_t n_vocab = tiny_default.n_vocab;
    double nll = 0, base_nll = 0, kl = 0, dp = 0, dp2 = 0, kls[N_SCORED];
    size_t n_same = 0;
    for (size_t i = 0; i < N_SCORED; ++i) {
        const double *ln_q = q.ln_p + i * n_vocab, *ln_p = p.ln_p + i * n_vocab;
        size_t top_q = 0, top_p = 0;
        double row_kl = 0;
        for (size_t j = 0; j < n_vocab; ++j) {
            row_kl += exp(ln_p[j]) * (ln_p[j] - ln_q[j]);
            top_q = ln_q[j] > ln_q[top_q] ? j : top_q;
            top_p = ln_p[j] > ln_p[top_p] ? j : top_p;
        }
        const double change = exp(ln_q[q.next[i]]) - exp(ln_p[p.next[i]]);
        dp += change / N_SCORED;
        dp2 += change * change / N_SCORED;
        nll -= ln_q[q.next[i]] / N_SCORED;
        base_nll -= ln_p[p.next[i]] / N_SCORED;
        kl += row_kl / N_SCORED;
        kls[i] = row_kl;
        n_same += top_q == top_p;
    }
    qsort(kls, N_SCORED, sizeof *kls, compare_doubles);
    const imx_evaluation result = evaluate(model, base, 2);
    assert_int_equal(result.n_scored, N_SCORED);
    assert_true(result.has_base);
    assert_true(is_near(result.perplexity.value, exp(nll), 1e-5));
    assert_true(is_near(result.base_perplexity.value, exp(base_nll), 1e-5));
    assert_true(fabs(result.ln_ratio.value - (nll - base_nll)) < 1e-5);
    assert_true(is_near(result.perplexity_ratio.value, exp(nll - base_nll), 1e-5));
    assert_true(is_near(result.perplexity_difference.value, exp(nll) - exp(base_nll), 1e-4));
    const double error = result.perplexity.error, base_error = result.base_perplexity.error;
    assert_true(is_near(
        result.perplexity_difference.error,
        sqrt(error * error + base_error * base_error - 2 * result.correlation * error * base_error),
        1e-9));
    assert_true(is_near(result.dp_mean.value, dp, 1e-4));
    assert_true(is_near(result.dp_rms.value, sqrt(dp2), 1e-5));
    assert_true(is_near(result.kl_mean.value, kl, 1e-5));
    assert_true(is_near(result.kl[IMX_MAXIMUM], kls[19], 1e-5));
    assert_true(is_near(result.kl[IMX_MEDIAN], (kls[9] + kls[10]) / 2, 1e-5));
    assert_true(is_near(result.kl[IMX_P99], 0.19 * kls[18] + 0.81 * kls[19], 1e-5)); // rank 18.81
    assert_true(is_near(result.top1.value, (double)n_same / N_SCORED, 1e-12));
    free(q.ln_p);
    free(p.ln_p);
    imx_model_close(model);
    imx_model_close(base);
}

static void test_identical_models(void **state) {
    (void)state;
    imx_model *model = tiny_open(&tiny_default);
    const imx_evaluation alone = evaluate(model, NULL, 1);
    const imx_evaluation result = evaluate(model, model, 2);
    assert_false(alone.has_base);
    assert_true(result.perplexity.value == alone.perplexity.value);
    assert_true(result.base_perplexity.value == alone.perplexity.value);
    assert_true(result.kl_mean.value == 0 && result.kl[IMX_MAXIMUM] == 0 &&
                result.kl_mean.error == 0);
    assert_true(result.ln_ratio.value == 0 && result.ln_ratio.error == 0);
    assert_true(result.top1.value == 1 && result.top1.error == 0);
    imx_model_close(model);
}

// A head of zeros gives every token the same probability.
static void test_model_that_knows_nothing(void **state) {
    (void)state;
    tiny_model spec = tiny_default;
    spec.zeroed = "output.weight";
    imx_model *model = tiny_open(&spec);
    const imx_evaluation result = evaluate(model, NULL, 1);
    assert_true(is_near(result.perplexity.value, spec.n_vocab, 1e-12));
    assert_true(result.perplexity.error < 1e-9);
    imx_model_close(model);
}

static void test_same_bits_for_any_thread_count(void **state) {
    (void)state;
    tiny_model spec = tiny_default;
    spec.seed = 3;
    imx_model *model = tiny_open(&spec);
    imx_model *base = tiny_open(&tiny_default);
    const imx_evaluation wanted = evaluate(model, base, 1);
    for (int n_threads = 2; n_threads <= 3; ++n_threads) {
        const imx_evaluation result = evaluate(model, base, n_threads);
        assert_true(result.perplexity.value == wanted.perplexity.value);
        assert_true(result.ln_ratio.error == wanted.ln_ratio.error);
        assert_true(result.kl_mean.value == wanted.kl_mean.value);
        assert_true(result.kl[IMX_P99] == wanted.kl[IMX_P99]);
        assert_true(result.top1.value == wanted.top1.value);
    }
    imx_model_close(model);
    imx_model_close(base);
}

// Full chunks of the corpus: what a file of predictions holds.
static imx_corpus full_chunks(void) {
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, tiny_default.n_vocab);
    corpus.n_chunks = 2;
    corpus.n_tokens = corpus.starts[2];
    return corpus;
}

static imx_evaluation evaluate_with(const imx_model *model, const imx_model *base,
                                    const imx_corpus *corpus, const imx_evaluate_options *options) {
    imx_evaluation result = {0};
    imx_error err;
    if (imx_evaluate(model, base, corpus, options, &result, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
    return result;
}

static void write_predictions(const imx_model *model, const imx_corpus *corpus, const char *path) {
    imx_evaluate_options options = {.n_threads = 2};
    imx_error err;
    assert_int_equal(
        imx_logits_writer_open(&options.record, path, corpus, imx_model_n_vocab(model), &err),
        IMX_OK);
    evaluate_with(model, NULL, corpus, &options);
    assert_int_equal(imx_logits_writer_commit(options.record, &err), IMX_OK);
}

// A base from a file is a base but for the 16 bits of its numbers.
static void test_stored_base(void **state) {
    (void)state;
    tiny_model spec = tiny_default;
    spec.seed = 2;
    imx_model *model = tiny_open(&spec);
    imx_model *base = tiny_open(&tiny_default);
    imx_corpus corpus = full_chunks();
    imx_evaluate_options options = {.n_threads = 2};
    const imx_evaluation wanted = evaluate_with(model, base, &corpus, &options);
    imx_logits_base stored;
    imx_error err;
    write_predictions(base, &corpus, "base.kld");
    assert_int_equal(imx_logits_base_open(&stored, "base.kld", &err), IMX_OK);
    options.stored_base = &stored;
    const imx_evaluation result = evaluate_with(model, NULL, &corpus, &options);
    assert_true(result.has_base && result.n_scored == wanted.n_scored);
    assert_true(result.perplexity.value == wanted.perplexity.value);
    assert_true(is_near(result.base_perplexity.value, wanted.base_perplexity.value, 1e-3));
    assert_true(is_near(result.kl_mean.value, wanted.kl_mean.value, 1e-3));
    assert_true(is_near(result.kl[IMX_P99], wanted.kl[IMX_P99], 1e-3));
    assert_true(is_near(result.dp_rms.value, wanted.dp_rms.value, 1e-3));
    assert_true(result.top1.value == wanted.top1.value);
    const imx_evaluation itself = evaluate_with(base, NULL, &corpus, &options);
    assert_true(itself.kl_mean.value < 1e-7 && itself.top1.value == 1);
    imx_logits_base_close(&stored);
    tiny_corpus_free(&corpus);
    imx_model_close(model);
    imx_model_close(base);
}

// Of a sure base all tokens but the first are cut off: their ln p is −16 in the file and counts for
// the perplexity, but not for the divergence. The model takes all of its 48 tokens for equal.
static void test_what_is_cut_off(void **state) {
    (void)state;
    tiny_model spec = tiny_default;
    spec.zeroed = "output.weight";
    imx_model *model = tiny_open(&spec);
    imx_corpus corpus = full_chunks();
    float logits[2 * 9][48];
    size_t n_first = 0;
    for (size_t i = 0; i < 2 * 9; ++i) {
        for (size_t j = 0; j < 48; ++j) {
            logits[i][j] = j == 0 ? 0 : -40;
        }
        n_first += corpus.tokens[i / 9 * N_CTX + N_CTX / 2 + i % 9 + 1] == 0;
    }
    imx_logits_writer *writer;
    imx_logits_base stored;
    imx_error err;
    assert_int_equal(imx_logits_writer_open(&writer, "base.kld", &corpus, 48, &err), IMX_OK);
    assert_int_equal(imx_logits_writer_append(writer, logits[0], 2 * 9, 1, &err), IMX_OK);
    assert_int_equal(imx_logits_writer_commit(writer, &err), IMX_OK);
    assert_int_equal(imx_logits_base_open(&stored, "base.kld", &err), IMX_OK);
    const imx_evaluate_options options = {.stored_base = &stored};
    const imx_evaluation result = evaluate_with(model, NULL, &corpus, &options);
    const double base_nll = 16.0 * (double)(18 - n_first) / 18;
    assert_true(fabs(log(result.base_perplexity.value) - base_nll) < 1e-6);
    assert_true(fabs(result.kl_mean.value - log(48)) < 1e-6);
    imx_logits_base_close(&stored);
    tiny_corpus_free(&corpus);
    imx_model_close(model);
}

static void test_stored_base_of_another_vocabulary(void **state) {
    (void)state;
    tiny_model spec = tiny_default;
    spec.n_vocab = 50;
    imx_model *model = tiny_open(&spec);
    imx_model *base = tiny_open(&tiny_default);
    imx_corpus corpus = full_chunks();
    imx_logits_base stored;
    imx_evaluation result;
    imx_error err;
    write_predictions(base, &corpus, "base.kld");
    assert_int_equal(imx_logits_base_open(&stored, "base.kld", &err), IMX_OK);
    const imx_evaluate_options options = {.stored_base = &stored};
    assert_int_equal(imx_evaluate(model, NULL, &corpus, &options, &result, &err), IMX_ERR_MISMATCH);
    assert_non_null(strstr(err.message, "a vocabulary of 50 and base.kld"));
    imx_logits_base_close(&stored);
    tiny_corpus_free(&corpus);
    imx_model_close(model);
    imx_model_close(base);
}

static const char *last_token; // of add_tokens

static imx_status add_tokens(imx_gguf_builder *builder, imx_error *err) {
    const char *tokens[] = {"a", "b", last_token};
    return imx_gguf_set_str_array(builder, "tokenizer.ggml.tokens", tokens, 3, err);
}

static void test_same_vocabulary(void **state) {
    (void)state;
    tiny_model spec = tiny_default;
    imx_error err;
    imx_model *models[3];
    models[0] = tiny_open(&spec);
    spec.add_keys = add_tokens;
    for (int i = 1; i < 3; ++i) {
        last_token = i == 1 ? "c" : "cd";
        models[i] = tiny_open(&spec);
    }
    assert_int_equal(imx_check_same_vocabulary(models[1], models[1], &err), IMX_OK);
    assert_int_equal(imx_check_same_vocabulary(models[0], models[1], &err), IMX_OK);
    assert_int_equal(imx_check_same_vocabulary(models[1], models[2], &err), IMX_ERR_MISMATCH);
    assert_non_null(strstr(err.message, "token 2 is 'c' in "));
    for (int i = 0; i < 3; ++i) {
        imx_model_close(models[i]);
    }
}

static void test_refusals(void **state) {
    (void)state;
    tiny_model spec = tiny_default;
    spec.n_vocab = 50;
    imx_model *model = tiny_open(&tiny_default);
    imx_model *base = tiny_open(&spec);
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, tiny_default.n_vocab);
    size_t starts[] = {0, 11};
    imx_corpus too_short = {
        .tokens = corpus.tokens, .n_tokens = 11, .n_ctx = 20, .n_chunks = 1, .starts = starts};
    const imx_evaluate_options options = {.n_threads = 1};
    imx_evaluation result;
    imx_error err;
    assert_int_equal(imx_evaluate(model, base, &corpus, &options, &result, &err), IMX_ERR_MISMATCH);
    assert_non_null(strstr(err.message, "a vocabulary of 48 and the base"));
    assert_int_equal(imx_evaluate(model, NULL, &too_short, &options, &result, &err),
                     IMX_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "the text has 11 tokens"));
    tiny_corpus_free(&corpus);
    imx_model_close(model);
    imx_model_close(base);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_definition),
        cmocka_unit_test(test_identical_models),
        cmocka_unit_test(test_model_that_knows_nothing),
        cmocka_unit_test(test_same_bits_for_any_thread_count),
        cmocka_unit_test_setup_teardown(test_stored_base, enter_directory, leave_directory),
        cmocka_unit_test_setup_teardown(test_what_is_cut_off, enter_directory, leave_directory),
        cmocka_unit_test_setup_teardown(test_stored_base_of_another_vocabulary, enter_directory,
                                        leave_directory),
        cmocka_unit_test(test_same_vocabulary),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
