// SPDX-License-Identifier: MIT
//
// Collection on a mixture of experts: every expert counts the tokens it has seen, runs can be
// stopped, chunks left out among the gathered rows, and all tokens shown to all experts without
// a change to anything else.

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
#include "calib/statistics/collect.h"
#include "tiny_model.h"

enum { N_TOKENS = 1203, N_CTX = 60, N_EXPERTS = 6, N_USED = 2 };

static const char partial[] = "/tmp/imatrix-test-collect-experts.partial";

static tiny_model mixture(void) {
    tiny_model spec = tiny_default;
    spec.n_experts = N_EXPERTS;
    spec.n_experts_used = N_USED;
    return spec;
}

static imx_imatrix *collect(const imx_model *model, size_t n_tokens, uint32_t n_ctx,
                            imx_collect_options options, imx_collect_result *result) {
    imx_corpus corpus = tiny_corpus(n_tokens, n_ctx, imx_model_n_vocab(model));
    imx_imatrix *imatrix;
    imx_error err;
    if (imx_collect(&imatrix, model, &corpus, &options, result, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
    tiny_corpus_free(&corpus);
    return imatrix;
}

// ---------------------------------------------------------------------------------------------
// What an expert sees

// Which tokens the experts of the first layer see, by a hook.
typedef struct watcher {
    bool sent[N_EXPERTS][N_TOKENS];
    double in_sum2[N_EXPERTS]; // of column 3
} watcher;

static imx_status watch(void *context, const imx_walk_input *input, imx_error *err) {
    (void)err;
    watcher *w = context;
    if (strcmp(input->weights[0], "blk.0.ffn_down_exps.weight") == 0) {
        assert_int_equal(input->n_mats, N_EXPERTS);
        for (size_t i = 0; i < input->n_rows; ++i) {
            const double value = (double)input->x[i * input->n_cols + 3];
            w->sent[input->mat][input->tokens[i]] = true;
            w->in_sum2[input->mat] += value * value;
        }
    }
    return IMX_OK;
}

static void watch_experts(const imx_model *model, size_t n_tokens, uint32_t n_ctx, watcher *w) {
    imx_corpus corpus = tiny_corpus(n_tokens, n_ctx, imx_model_n_vocab(model));
    const imx_walk_hook hook = {.on_input = watch, .context = w};
    const imx_walk_options options = {.n_threads = 1, .hook = &hook};
    imx_error err;
    *w = (watcher){0};
    assert_int_equal(imx_walk_run(model, &corpus, &options, NULL, &err), IMX_OK);
    tiny_corpus_free(&corpus);
}

static void test_experts_count_their_tokens(void **state) {
    (void)state;
    static watcher w;
    const tiny_model spec = mixture();
    imx_model *model = tiny_open(&spec);
    imx_collect_result result;
    imx_imatrix *imatrix =
        collect(model, N_TOKENS, N_CTX, (imx_collect_options){.n_threads = 2}, &result);
    watch_experts(model, N_TOKENS, N_CTX, &w);
    const imx_imatrix_entry *up = imx_imatrix_find(imatrix, "blk.0.ffn_up_exps.weight");
    const imx_imatrix_entry *down = imx_imatrix_find(imatrix, "blk.0.ffn_down_exps.weight");
    assert_int_equal(down->n_mats, N_EXPERTS);
    assert_int_equal(down->n_cols, spec.n_ff);
    double n_all = 0;
    for (size_t e = 0; e < N_EXPERTS; ++e) {
        double n = 0;
        for (size_t i = 0; i < N_TOKENS; ++i) {
            n += w.sent[e][i];
        }
        assert_true(down->counts[e] == n);
        assert_true(up->counts[e] == n);
        assert_true(down->in_sum2[e * spec.n_ff + 3] == w.in_sum2[e]);
        n_all += n;
    }
    assert_true(n_all == (double)N_TOKENS * N_USED);
    assert_true(imx_imatrix_find(imatrix, "blk.0.ffn_gate_inp.weight")->counts[0] == N_TOKENS);
    imx_imatrix_free(imatrix);
    imx_model_close(model);
}

// ---------------------------------------------------------------------------------------------
// All tokens to all experts

static bool is_of_experts(const imx_imatrix_entry *entry) {
    return strstr(entry->name, "_exps") != NULL;
}

static void test_all_experts_see_all_tokens(void **state) {
    (void)state;
    const tiny_model spec = mixture();
    imx_model *model = tiny_open(&spec);
    imx_collect_options options = {.n_threads = 2, .process_output = true, .perplexity = true};
    imx_collect_result plain_result, result;
    imx_imatrix *plain = collect(model, N_TOKENS, N_CTX, options, &plain_result);
    options.all_experts = true;
    imx_imatrix *all = collect(model, N_TOKENS, N_CTX, options, &result);
    assert_true(all->origin.all_experts);
    assert_false(plain->origin.all_experts);
    assert_true(result.perplexity == plain_result.perplexity);
    assert_int_equal(all->n_entries, plain->n_entries);
    for (size_t i = 0; i < all->n_entries; ++i) {
        const imx_imatrix_entry *a = &all->entries[i], *b = &plain->entries[i];
        assert_string_equal(a->name, b->name);
        for (size_t mat = 0; mat < a->n_mats; ++mat) {
            assert_true(a->counts[mat] == N_TOKENS);
        }
        if (!is_of_experts(a)) {
            assert_memory_equal(a->in_sum2, b->in_sum2, a->n_cols * sizeof(double));
            assert_memory_equal(a->in_sum, b->in_sum, a->n_cols * sizeof(double));
        }
    }
    imx_imatrix_free(plain);
    imx_imatrix_free(all);
    imx_model_close(model);
}

// ---------------------------------------------------------------------------------------------
// Runs that end early

static bool stop_at_third(void *context, const imx_progress_report *report) {
    (void)report;
    return ++*(size_t *)context % 3 != 0;
}

static void assert_same_and_free(imx_imatrix *a, imx_imatrix *b) {
    uint8_t *bytes[2];
    size_t n[2];
    imx_error err;
    assert_int_equal(imx_imatrix_serialize(a, IMX_IMATRIX_GGUF, &bytes[0], &n[0], &err), IMX_OK);
    assert_int_equal(imx_imatrix_serialize(b, IMX_IMATRIX_GGUF, &bytes[1], &n[1], &err), IMX_OK);
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(bytes[0], bytes[1], n[0]);
    free(bytes[0]);
    free(bytes[1]);
    imx_imatrix_free(a);
    imx_imatrix_free(b);
}

// Stopped again and again, the run ends with the bytes of one that was not, also one of other
// threads.
static void test_stopped_and_gone_on(void **state) {
    (void)state;
    enum { MANY_TOKENS = 13000 }; // three blocks
    const tiny_model spec = mixture();
    imx_model *model = tiny_open(&spec);
    size_t n_reports = 0, n_runs = 0;
    const imx_progress progress = {stop_at_third, &n_reports};
    imx_collect_options options = {.n_threads = 2, .all_experts = true};
    imx_collect_result result;
    imx_imatrix *wanted = collect(model, MANY_TOKENS, N_CTX, options, &result), *imatrix = NULL;
    imx_corpus corpus = tiny_corpus(MANY_TOKENS, N_CTX, spec.n_vocab);
    imx_status status;
    imx_error err;
    unlink(partial);
    options.n_threads = 1;
    options.checkpoint_path = partial;
    options.checkpoint_seconds = 1e9;
    options.model_hash = "the model";
    options.progress = &progress;
    assert_int_equal(imx_collect(&imatrix, model, &corpus, &options, &result, &err),
                     IMX_ERR_INTERRUPTED);
    options.all_experts = false; // which is another run
    assert_int_equal(imx_collect(&imatrix, model, &corpus, &options, &result, &err),
                     IMX_ERR_MISMATCH);
    options.all_experts = true;
    do {
        status = imx_collect(&imatrix, model, &corpus, &options, &result, &err);
    } while (status == IMX_ERR_INTERRUPTED && ++n_runs < 20);
    assert_int_equal(status, IMX_OK);
    assert_true(n_runs > 1);
    assert_same_and_free(imatrix, wanted);
    tiny_corpus_free(&corpus);
    unlink(partial);
    imx_model_close(model);
}

// ---------------------------------------------------------------------------------------------
// Values that are not finite

// Whether a token of the chunk was sent to an expert.
static bool is_sent(const watcher *w, size_t expert, size_t chunk, size_t n_ctx) {
    bool sent = false;
    for (size_t i = chunk * n_ctx; i < (chunk + 1) * n_ctx; ++i) {
        sent = sent || w->sent[expert][i];
    }
    return sent;
}

// Expert 0 of the first layer yields infinities: the chunks it sees a token of end there, in the
// middle of the rows that were gathered for it; all others are in all sums.
static void test_expert_spoils_chunks(void **state) {
    (void)state;
    enum { CTX = 3, CHUNKS = 200 };
    static watcher w;
    tiny_model spec = mixture();
    imx_model *sound = tiny_open(&spec);
    spec.poisoned = "blk.0.ffn_up_exps.weight";
    imx_model *model = tiny_open(&spec);
    imx_collect_result result;
    imx_imatrix *imatrix =
        collect(model, (size_t)CTX * CHUNKS, CTX, (imx_collect_options){.n_threads = 2}, &result);
    watch_experts(sound, (size_t)CTX * CHUNKS, CTX, &w);
    const imx_imatrix_entry *up = imx_imatrix_find(imatrix, "blk.0.ffn_up_exps.weight");
    const imx_imatrix_entry *down = imx_imatrix_find(imatrix, "blk.0.ffn_down_exps.weight");
    double n_before = 0, n_after = 0, n_spoiled = 0;
    for (size_t c = 0; c < CHUNKS; ++c) {
        const bool is_spoiled = is_sent(&w, 0, c, CTX);
        n_spoiled += is_spoiled;
        for (size_t i = c * CTX; i < (c + 1) * CTX; ++i) {
            n_before += w.sent[0][i];
            n_after += w.sent[1][i] && !is_spoiled;
        }
    }
    assert_true(n_spoiled > 0 && n_spoiled < CHUNKS);
    assert_true((double)imatrix->origin.n_left_out == n_spoiled);
    assert_true(up->counts[0] == n_before);
    assert_true(down->counts[0] == 0);
    assert_true(down->counts[1] == n_after);
    assert_true(imx_imatrix_find(imatrix, "blk.1.attn_q.weight")->counts[0] ==
                CTX * (CHUNKS - n_spoiled));
    for (size_t j = 0; j < down->n_cols * down->n_mats; ++j) {
        assert_true(isfinite(down->in_sum2[j]));
    }
    imx_imatrix_free(imatrix);
    imx_model_close(sound);
    imx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_experts_count_their_tokens),
        cmocka_unit_test(test_all_experts_see_all_tokens),
        cmocka_unit_test(test_stopped_and_gone_on),
        cmocka_unit_test(test_expert_spoils_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
