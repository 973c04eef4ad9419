// SPDX-License-Identifier: MIT
//
// Products of columns through a whole collection: whose they are, which rows are in them, and that
// neither threads nor an interruption show.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "calib/forward/walk.h"
#include "calib/statistics/collect.h"
#include "calib/statistics/input_sums.h"
#include "formats/imatrix_covariance.h"
#include "tiny_model.h"

enum { N_CTX = 64, N_CHUNKS = 40, N_TOKENS = N_CTX * N_CHUNKS, N_EMBD = 256 };

static const char partial[] = "/tmp/imatrix-test-input-sums.partial";

static tiny_model wide_model(void) {
    tiny_model spec = tiny_default;
    spec.n_embd = N_EMBD;
    spec.n_ff = 300;
    return spec;
}

static imx_imatrix *collect(const imx_model *model, const imx_corpus *corpus, int n_threads) {
    const imx_collect_options options = {.n_threads = n_threads, .covariance = true};
    imx_collect_result result;
    imx_imatrix *imatrix;
    imx_error err;
    assert_int_equal(imx_collect(&imatrix, model, corpus, &options, &result, &err), IMX_OK);
    return imatrix;
}

static const imx_imatrix_entry *find(const imx_imatrix *imatrix, const char *name) {
    const imx_imatrix_entry *entry = imx_imatrix_find(imatrix, name);
    assert_non_null(entry);
    return entry;
}

// The diagonal of the products is the mean squares of the rows that were counted.
static void check_diagonals(const imx_imatrix_entry *entry) {
    for (uint64_t mat = 0; mat < entry->n_mats; ++mat) {
        const double *sums = entry->in_sum2 + mat * entry->n_cols;
        for (uint64_t i = 0; entry->counts[mat] > 0 && i < IMX_COV_RUN; ++i) {
            const double mean = sums[i] / entry->counts[mat];
            const double product = (double)imx_covariance_of(entry, mat)[i * (i + 1) / 2 + i];
            assert_true(fabs(product - mean) <= 1e-5 * mean);
        }
    }
}

static void assert_same(imx_imatrix *a, imx_imatrix *b) {
    assert_int_equal(a->n_entries, b->n_entries);
    for (size_t i = 0; i < a->n_entries; ++i) {
        const imx_imatrix_entry *x = &a->entries[i], *y = &b->entries[i];
        const uint64_t n = imx_covariance_len(x->n_cols) * x->n_mats;
        assert_string_equal(x->name, y->name);
        assert_memory_equal(x->in_cov, y->in_cov, n * sizeof *x->in_cov);
    }
    assert_int_equal(a->n_covariances, b->n_covariances);
    imx_imatrix_free(a);
    imx_imatrix_free(b);
}

static void test_who_shares(void **state) {
    (void)state;
    const tiny_model spec = wide_model();
    imx_model *model = tiny_open(&spec);
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, spec.n_vocab);
    imx_imatrix *imatrix = collect(model, &corpus, 2);
    const float *query = find(imatrix, "blk.1.attn_q.weight")->in_cov;
    assert_ptr_equal(find(imatrix, "blk.1.attn_k.weight")->in_cov, query);
    assert_ptr_equal(find(imatrix, "blk.1.attn_v.weight")->in_cov, query);
    assert_ptr_not_equal(find(imatrix, "blk.0.attn_q.weight")->in_cov, query);
    assert_ptr_not_equal(find(imatrix, "blk.1.ffn_up.weight")->in_cov, query);
    assert_int_equal(imatrix->n_covariances, 2 * 4);
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        check_diagonals(&imatrix->entries[i]);
    }
    imx_imatrix_free(imatrix);
    tiny_corpus_free(&corpus);
    imx_model_close(model);
}

static void test_experts(void **state) {
    (void)state;
    tiny_model spec = wide_model();
    spec.n_experts = 4;
    spec.n_experts_used = 2;
    imx_model *model = tiny_open(&spec);
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, spec.n_vocab);
    imx_imatrix *imatrix = collect(model, &corpus, 1);
    const imx_imatrix_entry *up = find(imatrix, "blk.1.ffn_up_exps.weight");
    assert_int_equal(up->n_mats, 4);
    assert_ptr_equal(find(imatrix, "blk.1.ffn_gate_exps.weight")->in_cov, up->in_cov);
    check_diagonals(up);
    check_diagonals(find(imatrix, "blk.1.ffn_down_exps.weight"));
    assert_same(imatrix, collect(model, &corpus, 3));
    tiny_corpus_free(&corpus);
    imx_model_close(model);
}

// A chunk whose first token is infinite leaves nothing behind.
static void test_chunk_is_left_out(void **state) {
    (void)state;
    tiny_model spec = wide_model();
    spec.poisoned = "token_embd.weight";
    imx_model *model = tiny_open(&spec);
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, spec.n_vocab);
    for (size_t i = 0; i < corpus.n_tokens; ++i) {
        corpus.tokens[i] = corpus.tokens[i] > 0 ? corpus.tokens[i] : 1;
    }
    corpus.tokens[3 * N_CTX + 5] = 0;
    imx_imatrix *imatrix = collect(model, &corpus, 2);
    assert_int_equal(imatrix->origin.n_left_out, 1);
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        assert_true(imatrix->entries[i].counts[0] == N_TOKENS - N_CTX);
        check_diagonals(&imatrix->entries[i]);
    }
    imx_imatrix_free(imatrix);
    tiny_corpus_free(&corpus);
    imx_model_close(model);
}

static bool stop_at_second(void *context, const imx_progress_report *report) {
    (void)report;
    return ++*(size_t *)context < 2;
}

static void test_stopped_and_resumed(void **state) {
    (void)state;
    const tiny_model spec = wide_model();
    imx_model *model = tiny_open(&spec);
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, spec.n_vocab);
    imx_collect_options options = {
        .n_threads = 1,
        .covariance = true,
        .checkpoint_path = partial,
        .checkpoint_seconds = 1e9,
        .model_hash = "the model",
    };
    imx_collect_result result;
    imx_imatrix *imatrix = NULL;
    imx_status status = IMX_ERR_INTERRUPTED;
    size_t n_runs = 0;
    unlink(partial);
    for (; status == IMX_ERR_INTERRUPTED && n_runs < 50; ++n_runs) {
        size_t n_reports = 0;
        const imx_progress progress = {stop_at_second, &n_reports};
        imx_error err;
        options.progress = &progress;
        status = imx_collect(&imatrix, model, &corpus, &options, &result, &err);
    }
    assert_int_equal(status, IMX_OK);
    assert_true(n_runs > 2);
    assert_same(imatrix, collect(model, &corpus, 1));
    unlink(partial);
    tiny_corpus_free(&corpus);
    imx_model_close(model);
}

// ---- announced entries -------------------------------------------------------------------------

static imx_status add_to_sums(void *context, const imx_walk_input *input, imx_error *err) {
    return imx_input_sums_add(context, input, err);
}

// Entries that were announced are those that a collection adds, with the same sums, and stay where
// they are while a walk fills them.
static void check_announced(const tiny_model *spec, bool process_output) {
    imx_model *model = tiny_open(spec);
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, spec->n_vocab);
    imx_imatrix *announced, *collected;
    imx_collect_result result;
    imx_error err;
    assert_int_equal(imx_imatrix_new(&announced, &err), IMX_OK);
    assert_int_equal(imx_collect_announce(announced, model, process_output, &err), IMX_OK);
    const imx_imatrix_entry *entries = announced->entries;
    const size_t n_entries = announced->n_entries;
    imx_input_sums sums = {.imatrix = announced, .corpus = &corpus, .n_threads = 1};
    assert_int_equal(imx_input_sums_open(&sums, &err), IMX_OK);
    const imx_walk_hook hook = {.on_input = add_to_sums, .context = &sums};
    const imx_walk_options walk_options = {
        .n_threads = 1, .head_input_to_hook = process_output, .hook = &hook};
    assert_int_equal(imx_walk_run(model, &corpus, &walk_options, NULL, &err), IMX_OK);
    imx_input_sums_close(&sums);
    assert_ptr_equal(announced->entries, entries);
    assert_int_equal(announced->n_entries, n_entries);

    const imx_collect_options options = {.n_threads = 1, .process_output = process_output};
    assert_int_equal(imx_collect(&collected, model, &corpus, &options, &result, &err), IMX_OK);
    assert_int_equal(collected->n_entries, n_entries);
    for (size_t i = 0; i < n_entries; ++i) {
        const imx_imatrix_entry *entry = &collected->entries[i];
        assert_string_equal(entry->name, entries[i].name);
        assert_int_equal(entry->n_mats, entries[i].n_mats);
        assert_memory_equal(entry->in_sum2, entries[i].in_sum2,
                            entry->n_mats * entry->n_cols * sizeof(double));
    }
    imx_imatrix_free(collected);
    imx_imatrix_free(announced);
    tiny_corpus_free(&corpus);
    imx_model_close(model);
}

static void test_announced_entries(void **state) {
    (void)state;
    tiny_model spec = wide_model();
    check_announced(&spec, false);
    check_announced(&spec, true);
    spec.has_output = false;
    spec.n_experts = 4;
    spec.n_experts_used = 2;
    check_announced(&spec, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_shares),        cmocka_unit_test(test_experts),
        cmocka_unit_test(test_chunk_is_left_out), cmocka_unit_test(test_stopped_and_resumed),
        cmocka_unit_test(test_announced_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
