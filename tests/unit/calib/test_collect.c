// SPDX-License-Identifier: MIT
//
// Collection: sums against those of a hook of the test's own, the same bits for any number of
// threads, and damaged weights named.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/collect.h"
#include "calib/evaluate.h"
#include "calib/walk.h"
#include "tiny_model.h"

enum { N_TOKENS = 2413, N_CTX = 257, N_CHUNKS = 10 };

static imx_imatrix *collect(const imx_model *model, imx_collect_options options,
                            imx_collect_result *result) {
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, imx_model_n_vocab(model));
    imx_imatrix *imatrix;
    imx_error err;
    assert_int_equal(imx_collect(&imatrix, model, &corpus, &options, result, &err), IMX_OK);
    tiny_corpus_free(&corpus);
    return imatrix;
}

// Sums of the inputs of one weight.
typedef struct column_sums {
    const char *weight;
    double in_sum[64], in_sum2[64];
} column_sums;

static imx_status sum_input(void *context, const imx_walk_input *input, imx_error *err) {
    (void)err;
    column_sums *sums = context;
    for (size_t w = 0; w < input->n_weights; ++w) {
        for (size_t i = 0; i < input->n_rows * input->n_cols; ++i) {
            if (strcmp(input->weights[w], sums->weight) == 0) {
                const double value = (double)input->x[i];
                sums->in_sum[i % input->n_cols] += value;
                sums->in_sum2[i % input->n_cols] += value * value;
            }
        }
    }
    return IMX_OK;
}

static void check_entry(const imx_model *model, const imx_imatrix *imatrix, const char *weight,
                        size_t n_cols) {
    const imx_imatrix_entry *entry = imx_imatrix_find(imatrix, weight);
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, imx_model_n_vocab(model));
    column_sums sums = {.weight = weight};
    const imx_walk_hook hook = {sum_input, &sums};
    const imx_walk_options options = {.n_threads = 1, .head_input_to_hook = true, .hook = &hook};
    imx_error err;
    assert_int_equal(imx_walk_run(model, &corpus, &options, NULL, &err), IMX_OK);
    assert_non_null(entry);
    assert_int_equal(entry->n_cols, n_cols);
    assert_int_equal(entry->n_mats, 1);
    assert_true(entry->counts[0] == N_TOKENS);
    assert_memory_equal(entry->in_sum2, sums.in_sum2, n_cols * sizeof(double));
    assert_memory_equal(entry->in_sum, sums.in_sum, n_cols * sizeof(double));
    tiny_corpus_free(&corpus);
}

static void test_sums(void **state) {
    (void)state;
    imx_model *model = tiny_open(&tiny_default);
    imx_collect_result result;
    imx_imatrix *imatrix = collect(model, (imx_collect_options){.n_threads = 2}, &result);
    assert_int_equal(imatrix->n_entries, 14);
    assert_int_equal(imatrix->chunk_count, N_CHUNKS);
    assert_int_equal(imatrix->chunk_size, N_CTX);
    assert_int_equal(imatrix->origin.n_tokens, N_TOKENS);
    check_entry(model, imatrix, "blk.0.attn_q.weight", tiny_default.n_embd);
    check_entry(model, imatrix, "blk.1.attn_v.weight", tiny_default.n_embd);
    check_entry(model, imatrix, "blk.1.ffn_up.weight", tiny_default.n_embd);
    check_entry(model, imatrix, "blk.1.ffn_down.weight", tiny_default.n_ff);
    assert_null(imx_imatrix_find(imatrix, "output.weight"));
    assert_true(isnan(result.perplexity));
    imx_imatrix_free(imatrix);
    imx_model_close(model);
}

static void test_output_and_perplexity(void **state) {
    (void)state;
    imx_model *model = tiny_open(&tiny_default);
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, tiny_default.n_vocab);
    const imx_collect_options options = {
        .n_threads = 2, .process_output = true, .perplexity = true};
    const imx_evaluate_options evaluate_options = {.n_threads = 1};
    imx_collect_result result;
    imx_evaluation evaluation;
    imx_error err;
    imx_imatrix *imatrix = collect(model, options, &result);
    assert_int_equal(imatrix->n_entries, 15);
    check_entry(model, imatrix, "output.weight", tiny_default.n_embd);
    assert_int_equal(imx_evaluate(model, NULL, &corpus, &evaluate_options, &evaluation, &err),
                     IMX_OK);
    assert_true(result.perplexity == evaluation.perplexity.value);
    assert_true(result.perplexity_error == evaluation.perplexity.error);
    tiny_corpus_free(&corpus);
    imx_imatrix_free(imatrix);
    imx_model_close(model);
}

static void test_same_bytes_for_any_thread_count(void **state) {
    (void)state;
    imx_model *model = tiny_open(&tiny_default);
    imx_collect_result result;
    uint8_t *wanted = NULL;
    size_t wanted_bytes = 0;
    for (int n_threads = 1; n_threads <= 3; ++n_threads) {
        imx_imatrix *imatrix =
            collect(model, (imx_collect_options){.n_threads = n_threads}, &result);
        uint8_t *bytes;
        size_t size_bytes;
        imx_error err;
        assert_int_equal(
            imx_imatrix_serialize(imatrix, IMX_IMATRIX_GGUF, &bytes, &size_bytes, &err), IMX_OK);
        if (wanted == NULL) {
            wanted = bytes;
            wanted_bytes = size_bytes;
        } else {
            assert_int_equal(size_bytes, wanted_bytes);
            assert_memory_equal(bytes, wanted, wanted_bytes);
            free(bytes);
        }
        imx_imatrix_free(imatrix);
    }
    free(wanted);
    imx_model_close(model);
}

static void test_infinite_weight_is_named(void **state) {
    (void)state;
    tiny_model spec = tiny_default;
    spec.poisoned = "blk.1.ffn_norm.weight";
    imx_model *model = tiny_open(&spec);
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, spec.n_vocab);
    const imx_collect_options options = {.n_threads = 1};
    imx_collect_result result;
    imx_imatrix *imatrix;
    imx_error err;
    assert_int_equal(imx_collect(&imatrix, model, &corpus, &options, &result, &err),
                     IMX_ERR_FORMAT);
    assert_null(imatrix);
    assert_non_null(strstr(err.message, "the input of 'blk.1.ffn_gate.weight' is not finite in "
                                        "chunk 0 at token 0, column 0"));
    tiny_corpus_free(&corpus);
    imx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_output_and_perplexity),
        cmocka_unit_test(test_same_bytes_for_any_thread_count),
        cmocka_unit_test(test_infinite_weight_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
