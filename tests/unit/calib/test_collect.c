// SPDX-License-Identifier: MIT
//
// Collection: sums against those of a hook of the test's own, the same bits for any number of
// threads, runs that are stopped or killed and go on, chunks left out, damaged weights named.

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "calib/evaluation/evaluate.h"
#include "calib/forward/walk.h"
#include "calib/statistics/collect.h"
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
    double in_sum[64], in_sum2[64], in_max[64];
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
                sums->in_max[i % input->n_cols] =
                    fmax(sums->in_max[i % input->n_cols], fabs(value));
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
    const imx_walk_hook hook = {.on_input = sum_input, .context = &sums};
    const imx_walk_options options = {.n_threads = 1, .head_input_to_hook = true, .hook = &hook};
    imx_error err;
    assert_int_equal(imx_walk_run(model, &corpus, &options, NULL, &err), IMX_OK);
    assert_non_null(entry);
    assert_int_equal(entry->n_cols, n_cols);
    assert_int_equal(entry->n_mats, 1);
    assert_true(entry->counts[0] == N_TOKENS);
    assert_memory_equal(entry->in_sum2, sums.in_sum2, n_cols * sizeof(double));
    assert_memory_equal(entry->in_sum, sums.in_sum, n_cols * sizeof(double));
    assert_memory_equal(entry->in_max, sums.in_max, n_cols * sizeof(double));
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

// The GGUF of an imatrix, which is freed; the bytes are the caller's to free.
typedef struct file_bytes {
    uint8_t *bytes;
    size_t n;
} file_bytes;

static file_bytes serialize(imx_imatrix *imatrix) {
    file_bytes file;
    imx_error err;
    assert_int_equal(imx_imatrix_serialize(imatrix, IMX_IMATRIX_GGUF, &file.bytes, &file.n, &err),
                     IMX_OK);
    imx_imatrix_free(imatrix);
    return file;
}

static void assert_same_file(file_bytes a, file_bytes b) {
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.bytes, b.bytes, a.n);
}

static void test_same_bytes_for_any_thread_count(void **state) {
    (void)state;
    imx_model *model = tiny_open(&tiny_default);
    imx_collect_result result;
    const file_bytes wanted =
        serialize(collect(model, (imx_collect_options){.n_threads = 1}, &result));
    for (int n_threads = 2; n_threads <= 3; ++n_threads) {
        const file_bytes file =
            serialize(collect(model, (imx_collect_options){.n_threads = n_threads}, &result));
        assert_same_file(file, wanted);
        free(file.bytes);
    }
    free(wanted.bytes);
    imx_model_close(model);
}

// ---------------------------------------------------------------------------------------------
// Runs that end early

static const char partial[] = "/tmp/imatrix-test-collect.partial";

// A progress callback that stops or kills the run at its report number `at`.
typedef struct reaper {
    size_t n_reports;
    size_t at;
    bool kills;
} reaper;

static bool reap(void *context, const imx_progress_report *report) {
    (void)report;
    reaper *r = context;
    const bool is_time = r->n_reports++ == r->at;
    if (is_time && r->kills) {
        raise(SIGKILL);
    }
    return !is_time;
}

static imx_collect_options reaped_options(const imx_progress *progress) {
    return (imx_collect_options){
        .n_threads = 1,
        .process_output = true,
        .perplexity = true,
        .checkpoint_path = partial,
        .model_hash = "the model",
        .progress = progress,
    };
}

static imx_status collect_reaped(const imx_model *model, imx_collect_options options,
                                 imx_imatrix **imatrix, imx_error *err) {
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, imx_model_n_vocab(model));
    imx_collect_result result;
    const imx_status status = imx_collect(imatrix, model, &corpus, &options, &result, err);
    tiny_corpus_free(&corpus);
    return status;
}

static file_bytes collect_whole(const imx_model *model) {
    imx_collect_options options = reaped_options(NULL);
    imx_collect_result result;
    options.checkpoint_path = NULL;
    return serialize(collect(model, options, &result));
}

// Stopped after every single report, the run still ends with the same bytes.
static void test_stopped_at_every_block(void **state) {
    (void)state;
    imx_model *model = tiny_open(&tiny_default);
    const file_bytes wanted = collect_whole(model);
    imx_imatrix *imatrix = NULL;
    imx_status status = IMX_ERR_INTERRUPTED;
    size_t n_runs = 0;
    unlink(partial);
    while (status == IMX_ERR_INTERRUPTED && ++n_runs < 100) {
        reaper r = {.at = 1};
        const imx_progress progress = {reap, &r};
        imx_error err;
        imx_collect_options options = reaped_options(&progress);
        options.checkpoint_seconds = 1e9;
        status = collect_reaped(model, options, &imatrix, &err);
        if (status != IMX_OK) {
            assert_int_equal(status, IMX_ERR_INTERRUPTED);
            assert_non_null(strstr(err.message, "goes on from there"));
        }
        // Scoring begins anew each time, and its second report stops it: let it end.
        if (n_runs == 6) {
            options.progress = NULL;
            status = collect_reaped(model, options, &imatrix, &err);
        }
    }
    assert_int_equal(status, IMX_OK);
    assert_int_equal(n_runs, 6);
    const file_bytes file = serialize(imatrix);
    assert_same_file(file, wanted);
    free(file.bytes);
    free(wanted.bytes);
    unlink(partial);
    imx_model_close(model);
}

// The stream in a file, stopped in the middle as well.
static void test_stream_in_a_file(void **state) {
    (void)state;
    imx_model *model = tiny_open(&tiny_default);
    const file_bytes wanted = collect_whole(model);
    reaper r = {.at = 3};
    const imx_progress progress = {reap, &r};
    imx_collect_options options = reaped_options(&progress);
    imx_imatrix *imatrix;
    imx_error err;
    unlink(partial);
    options.scratch_beside = partial;
    options.checkpoint_seconds = 1e9;
    assert_int_equal(collect_reaped(model, options, &imatrix, &err), IMX_ERR_INTERRUPTED);
    options.progress = NULL;
    assert_int_equal(collect_reaped(model, options, &imatrix, &err), IMX_OK);
    const file_bytes file = serialize(imatrix);
    assert_same_file(file, wanted);
    free(file.bytes);
    free(wanted.bytes);
    unlink(partial);
    imx_model_close(model);
}

// Runs in a process of its own, which may be killed. True when it ended by itself.
static bool survives(const imx_model *model, size_t at) {
    int status;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        reaper r = {.at = at, .kills = true};
        const imx_progress progress = {reap, &r};
        imx_imatrix *imatrix;
        imx_error err;
        const bool ended =
            collect_reaped(model, reaped_options(&progress), &imatrix, &err) == IMX_OK;
        _exit(ended ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    return !WIFSIGNALED(status);
}

// Killed at every report of its way, and the next run again, the work goes on from the last layer.
static void test_killed_anywhere(void **state) {
    (void)state;
    imx_model *model = tiny_open(&tiny_default);
    const file_bytes wanted = collect_whole(model);
    for (size_t first = 0, ended = 0; !ended && first < 50; ++first) {
        for (size_t second = 0; second < 4; second += 3) {
            imx_imatrix *imatrix;
            imx_error err;
            unlink(partial);
            ended = survives(model, first);
            survives(model, second);
            const imx_status status = collect_reaped(model, reaped_options(NULL), &imatrix, &err);
            if (status != IMX_OK) {
                fail_msg("%s", err.message);
            }
            const file_bytes file = serialize(imatrix);
            assert_same_file(file, wanted);
            free(file.bytes);
        }
    }
    free(wanted.bytes);
    unlink(partial);
    imx_model_close(model);
}

static void note_start(void *context, const imx_walk_place *start) {
    *(imx_walk_place *)context = *start;
}

// A checkpoint is used, refused by another run, and passed over when a new start is asked for.
static void test_whose_checkpoint(void **state) {
    (void)state;
    imx_model *model = tiny_open(&tiny_default);
    imx_walk_place start;
    const imx_collect_listener listener = {note_start, &start};
    imx_collect_options options = reaped_options(NULL);
    imx_imatrix *imatrix;
    imx_error err;
    unlink(partial);
    assert_false(survives(model, 4)); // the first report of the second layer is the third
    options.listener = &listener;
    assert_int_equal(collect_reaped(model, options, &imatrix, &err), IMX_OK);
    imx_imatrix_free(imatrix);
    assert_int_equal(start.layer, 1);
    options.model_hash = "another model";
    assert_int_equal(collect_reaped(model, options, &imatrix, &err), IMX_ERR_MISMATCH);
    assert_null(imatrix);
    options.restart = true;
    assert_int_equal(collect_reaped(model, options, &imatrix, &err), IMX_OK);
    imx_imatrix_free(imatrix);
    assert_int_equal(start.layer, 0);
    unlink(partial);
    imx_model_close(model);
}

// ---------------------------------------------------------------------------------------------
// Values that are not finite

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

// Token 0 of the poisoned embedding is infinite. The chunk that holds it is in no sum, the others
// are in all, as if it had never been there.
static void test_chunk_is_left_out(void **state) {
    (void)state;
    enum { CTX = 16, CHUNKS = 5, BAD = 3 };
    tiny_model spec = tiny_default;
    spec.poisoned = "token_embd.weight";
    imx_model *model = tiny_open(&spec);
    imx_corpus corpus = tiny_corpus((size_t)CTX * CHUNKS, CTX, spec.n_vocab);
    imx_corpus without = tiny_corpus((size_t)CTX * (CHUNKS - 1), CTX, spec.n_vocab);
    const imx_collect_options options = {.n_threads = 2, .perplexity = true};
    imx_collect_result result, result_without;
    imx_imatrix *imatrix, *wanted;
    imx_error err;
    for (size_t i = 0; i < corpus.n_tokens; ++i) {
        corpus.tokens[i] = corpus.tokens[i] > 0 ? corpus.tokens[i] : 1;
    }
    for (size_t i = 0; i < without.n_tokens; ++i) {
        without.tokens[i] = corpus.tokens[i < CTX * BAD ? i : i + CTX];
    }
    corpus.tokens[CTX * BAD + 5] = 0;
    assert_int_equal(imx_collect(&imatrix, model, &corpus, &options, &result, &err), IMX_OK);
    assert_int_equal(imx_collect(&wanted, model, &without, &options, &result_without, &err),
                     IMX_OK);
    assert_int_equal(imatrix->origin.n_left_out, 1);
    assert_int_equal(imatrix->origin.left_out_chunks[0], BAD);
    assert_int_equal(imatrix->n_entries, wanted->n_entries);
    for (size_t i = 0; i < wanted->n_entries; ++i) {
        const imx_imatrix_entry *a = &imatrix->entries[i], *b = &wanted->entries[i];
        assert_true(a->counts[0] == CTX * (CHUNKS - 1));
        for (size_t j = 0; j < b->n_cols; ++j) {
            assert_true(fabs(a->in_sum2[j] - b->in_sum2[j]) <= 1e-5 * b->in_sum2[j]);
            assert_true(fabs(a->in_max[j] - b->in_max[j]) <= 1e-5 * b->in_max[j]);
        }
    }
    assert_true(fabs(result.perplexity - result_without.perplexity) < 1e-3);
    imx_imatrix_free(imatrix);
    imx_imatrix_free(wanted);
    tiny_corpus_free(&corpus);
    tiny_corpus_free(&without);
    imx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_output_and_perplexity),
        cmocka_unit_test(test_same_bytes_for_any_thread_count),
        cmocka_unit_test(test_stopped_at_every_block),
        cmocka_unit_test(test_killed_anywhere),
        cmocka_unit_test(test_whose_checkpoint),
        cmocka_unit_test(test_stream_in_a_file),
        cmocka_unit_test(test_infinite_weight_is_named),
        cmocka_unit_test(test_chunk_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
