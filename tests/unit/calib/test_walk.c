// SPDX-License-Identifier: MIT
//
// The walk over a small random model: logits against the definition in naive_llama.h, the same bits
// for any number of threads, and what a hook gets to see.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/forward/walk.h"
#include "calib/model/model.h"
#include "naive_llama.h"
#include "tiny_model.h"
#include "walk_hidden.h"

// 9 chunks of 257 and one of 100: two blocks of the walk.
enum { N_TOKENS = 2413, N_CTX = 257 };

static float *walk_logits(const imx_model *model, const imx_corpus *corpus, int n_threads) {
    imx_head *head;
    imx_error err;
    float *hidden = walk_hidden(model, corpus, n_threads);
    float *logits = malloc(corpus->n_tokens * imx_model_n_vocab(model) * sizeof *logits);
    assert_int_equal(imx_head_open(&head, model, n_threads, &err), IMX_OK);
    assert_int_equal(imx_head_logits(head, hidden, corpus->n_tokens, logits, &err), IMX_OK);
    imx_head_close(head);
    free(hidden);
    return logits;
}

static void check_logits(const tiny_model *spec) {
    imx_model *model = tiny_open(spec);
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, spec->n_vocab);
    float *logits = walk_logits(model, &corpus, 2);
    double worst = 0;
    for (size_t begin = 0; begin < N_TOKENS; begin += N_CTX) {
        const size_t n = N_TOKENS - begin < N_CTX ? N_TOKENS - begin : N_CTX;
        double *wanted = naive_logits(imx_model_gguf(model), spec, corpus.tokens + begin, n);
        for (size_t i = 0; i < n * spec->n_vocab; ++i) {
            const double got = (double)logits[begin * spec->n_vocab + i];
            worst = fmax(worst, fabs(got - wanted[i]));
        }
        free(wanted);
    }
    assert_true(worst < 2e-4); // logits are of the order of one, f32 holds 24 bits
    free(logits);
    tiny_corpus_free(&corpus);
    imx_model_close(model);
}

static void test_logits_against_definition(void **state) {
    (void)state;
    tiny_model spec = tiny_default;
    check_logits(&spec);
    spec.has_output = false;
    spec.has_biases = false;
    spec.n_kv_heads = 4;
    spec.n_layers = 1;
    check_logits(&spec);
}

static void test_same_bits_for_any_thread_count(void **state) {
    (void)state;
    tiny_model spec = tiny_default;
    spec.n_embd = 96;
    spec.n_ff = 300;
    spec.n_vocab = 700;
    imx_model *model = tiny_open(&spec);
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, spec.n_vocab);
    const size_t logits_bytes = (size_t)N_TOKENS * spec.n_vocab * sizeof(float);
    float *wanted = walk_logits(model, &corpus, 1);
    for (int n_threads = 2; n_threads <= 3; ++n_threads) {
        float *logits = walk_logits(model, &corpus, n_threads);
        assert_memory_equal(logits, wanted, logits_bytes);
        free(logits);
    }
    free(wanted);
    tiny_corpus_free(&corpus);
    imx_model_close(model);
}

// Chunks of any length do not see one another: alone, a chunk gives the same hidden states.
static void test_chunks_are_separate(void **state) {
    (void)state;
    imx_model *model = tiny_open(&tiny_default);
    imx_corpus corpus = tiny_corpus(60, 10, tiny_default.n_vocab);
    static const size_t starts[] = {0, 20, 22, 35, 36, 55, 60};
    memcpy(corpus.starts, starts, sizeof starts);
    corpus.n_ctx = 20;
    float *all = walk_hidden(model, &corpus, 1);
    for (size_t c = 0; c < corpus.n_chunks; ++c) {
        const size_t n_tokens = imx_corpus_chunk_len(&corpus, c);
        imx_corpus chunk = {
            .tokens = corpus.tokens + starts[c],
            .n_tokens = n_tokens,
            .n_ctx = 20,
            .n_chunks = 1,
            .starts = (size_t[]){0, n_tokens},
        };
        float *alone = walk_hidden(model, &chunk, 1);
        for (size_t i = 0; i < n_tokens * tiny_default.n_embd; ++i) {
            assert_true(fabsf(all[starts[c] * tiny_default.n_embd + i] - alone[i]) < 1e-4f);
        }
        free(alone);
    }
    free(all);
    tiny_corpus_free(&corpus);
    imx_model_close(model);
}

// ---------------------------------------------------------------------------------------------
// Hooks

typedef struct diary {
    char text[4096]; // names of each call that begins at token 0, a line each
    size_t n_calls;
    size_t n_rows; // of all calls
    imx_status answer;
} diary;

static imx_status write_diary(void *context, const imx_walk_input *input, imx_error *err) {
    diary *d = context;
    assert_int_equal(input->mat, 0);
    assert_int_equal(input->n_mats, 1);
    if (input->first_token == 0) {
        for (size_t i = 0; i < input->n_weights; ++i) {
            strcat(d->text, input->weights[i]);
            strcat(d->text, i + 1 < input->n_weights ? " " : "\n");
        }
    } else {
        assert_int_equal(input->first_token + input->n_rows, N_TOKENS); // the second block
    }
    d->n_rows += input->n_rows;
    ++d->n_calls;
    return d->answer == IMX_OK ? IMX_OK : imx_fail(err, d->answer, "the diary is full");
}

static imx_status walk_with_diary(const imx_model *model, diary *d, imx_walk_options options,
                                  imx_error *err) {
    const imx_walk_hook hook = {.on_input = write_diary, .context = d};
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, imx_model_n_vocab(model));
    options.hook = &hook;
    const imx_status status = imx_walk_run(model, &corpus, &options, NULL, err);
    tiny_corpus_free(&corpus);
    return status;
}

#define LAYER(n)                                                                                   \
    "blk." n ".attn_q.weight blk." n ".attn_k.weight blk." n ".attn_v.weight\n"                    \
    "blk." n ".attn_output.weight\n"                                                               \
    "blk." n ".ffn_gate.weight blk." n ".ffn_up.weight\n"                                          \
    "blk." n ".ffn_down.weight\n"

static void test_hook_sees_every_input_once(void **state) {
    (void)state;
    imx_model *model = tiny_open(&tiny_default);
    imx_error err;
    diary d = {0};
    assert_int_equal(walk_with_diary(model, &d, (imx_walk_options){.n_threads = 1}, &err), IMX_OK);
    assert_string_equal(d.text, LAYER("0") LAYER("1"));
    assert_int_equal(d.n_calls, 2 * 4 * 2);
    assert_int_equal(d.n_rows, 2 * 4 * N_TOKENS);
    imx_model_close(model);
}

static void check_head_input(bool has_output, const char *wanted) {
    tiny_model spec = tiny_default;
    spec.n_layers = 1;
    spec.has_output = has_output;
    imx_model *model = tiny_open(&spec);
    imx_error err;
    diary d = {0};
    const imx_walk_options options = {.n_threads = 1, .head_input_to_hook = true};
    assert_int_equal(walk_with_diary(model, &d, options, &err), IMX_OK);
    assert_string_equal(d.text, wanted);
    assert_int_equal(d.n_rows, 5 * N_TOKENS);
    imx_model_close(model);
}

static void test_hook_sees_head_input(void **state) {
    (void)state;
    check_head_input(true, LAYER("0") "output.weight\n");
    check_head_input(false, LAYER("0") "token_embd.weight\n");
}

static void test_hook_can_stop(void **state) {
    (void)state;
    imx_model *model = tiny_open(&tiny_default);
    imx_error err;
    diary d = {.answer = IMX_ERR_FORMAT};
    const imx_walk_options options = {.n_threads = 1};
    assert_int_equal(walk_with_diary(model, &d, options, &err), IMX_ERR_FORMAT);
    assert_int_equal(d.n_calls, 1);
    assert_string_equal(err.message, "the diary is full");
    imx_model_close(model);
}

// ---------------------------------------------------------------------------------------------
// Streams and places

static imx_residual_stream *open_stream(const imx_model *model, const imx_corpus *corpus,
                                        const char *scratch_beside) {
    imx_residual_stream *stream;
    imx_error err;
    assert_int_equal(imx_residual_stream_new(&stream, corpus->n_tokens, imx_model_n_embd(model),
                                             imx_walk_block_rows(model, corpus), scratch_beside,
                                             &err),
                     IMX_OK);
    return stream;
}

static void check_hidden(imx_residual_stream *stream, const float *wanted, size_t n_embd,
                         size_t block_rows) {
    imx_error err;
    for (size_t i = 0; i < N_TOKENS; i += block_rows) {
        const size_t n = N_TOKENS - i < block_rows ? N_TOKENS - i : block_rows;
        float *rows;
        assert_int_equal(imx_residual_stream_load(stream, i, n, &rows, &err), IMX_OK);
        assert_memory_equal(rows, wanted + i * n_embd, n * n_embd * sizeof *rows);
    }
}

// A hook that makes each walk stop after one block, and notes where the next one can go on.
typedef struct pacemaker {
    imx_walk_place next;
    size_t n_reports;
} pacemaker;

static bool stop_after_one_block(void *context, const imx_progress_report *report) {
    (void)report;
    return ((pacemaker *)context)->n_reports++ == 0; // the first report comes before the block
}

static imx_status note_place(void *context, const imx_walk_place *next, bool is_stopping,
                             imx_error *err) {
    (void)is_stopping;
    (void)err;
    ((pacemaker *)context)->next = *next;
    return IMX_OK;
}

static imx_status ignore_input(void *context, const imx_walk_input *input, imx_error *err) {
    (void)context;
    (void)input;
    (void)err;
    return IMX_OK;
}

// Many walks of one block each give what one walk gives, in memory and in a file.
static void check_pieces(const char *scratch_beside) {
    imx_model *model = tiny_open(&tiny_default);
    imx_corpus corpus = tiny_corpus(N_TOKENS, N_CTX, tiny_default.n_vocab);
    float *wanted = walk_hidden(model, &corpus, 1);
    imx_residual_stream *stream = open_stream(model, &corpus, scratch_beside);
    pacemaker p = {.next = {0, 0}};
    const imx_walk_hook hook = {.on_input = ignore_input, .on_block = note_place, .context = &p};
    const imx_progress progress = {stop_after_one_block, &p};
    imx_status status = IMX_ERR_INTERRUPTED;
    size_t n_walks = 0;
    while (status == IMX_ERR_INTERRUPTED && ++n_walks < 100) {
        imx_error err;
        p.n_reports = 0;
        const imx_walk_options options = {.n_threads = 1,
                                          .need_hidden = true,
                                          .start = p.next,
                                          .hook = &hook,
                                          .progress = &progress};
        status = imx_walk_run(model, &corpus, &options, stream, &err);
    }
    assert_int_equal(status, IMX_OK);
    assert_int_equal(n_walks, 2 * 2 + 1); // two blocks in each of two layers, then the norm
    assert_int_equal(p.next.layer, imx_walk_end(model).layer);
    assert_int_equal(p.next.chunk, 0);
    check_hidden(stream, wanted, tiny_default.n_embd, imx_walk_block_rows(model, &corpus));
    imx_residual_stream_free(stream);
    free(wanted);
    tiny_corpus_free(&corpus);
    imx_model_close(model);
}

static void test_walk_in_pieces(void **state) {
    (void)state;
    check_pieces(NULL);
    check_pieces("/tmp/imatrix-test-walk");
}

// Blocks are cut by chunks, however long these are.
static void test_block_rows(void **state) {
    (void)state;
    const struct {
        uint32_t n_ctx;
        size_t wanted;
    } cases[] = {{N_CTX, 7 * N_CTX}, {2048, 2048}, {2049, 2049}, {3000, N_TOKENS}, {1, 2048}};
    imx_model *model = tiny_open(&tiny_default);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        imx_corpus corpus = tiny_corpus(N_TOKENS, cases[i].n_ctx, 48);
        assert_int_equal(imx_walk_block_rows(model, &corpus), cases[i].wanted);
        tiny_corpus_free(&corpus);
    }
    imx_model_close(model);
}

// ---------------------------------------------------------------------------------------------
// Progress and refusals

typedef struct watcher {
    uint64_t n_reports;
    uint64_t last_work;
    uint64_t stop_at;
} watcher;

static bool watch(void *context, const imx_progress_report *report) {
    watcher *w = context;
    assert_string_equal(report->phase, "layers");
    assert_true(w->n_reports++ == 0 ? report->work_done == 0 : report->work_done > w->last_work);
    assert_int_equal(report->total, 2);
    assert_int_equal(report->done, report->work_done / N_TOKENS);
    assert_int_equal(report->work_total, 2 * N_TOKENS);
    assert_int_equal(report->part_total, 10);
    assert_int_equal(report->part_done,
                     report->work_done == 0 ? 0 : (report->work_done - 1) % N_TOKENS / N_CTX + 1);
    w->last_work = report->work_done;
    return report->work_done < w->stop_at;
}

static void test_progress(void **state) {
    (void)state;
    imx_model *model = tiny_open(&tiny_default);
    imx_error err;
    diary d = {0};
    watcher w = {.stop_at = UINT64_MAX};
    const imx_progress progress = {watch, &w};
    const imx_walk_options options = {.n_threads = 1, .progress = &progress};
    assert_int_equal(walk_with_diary(model, &d, options, &err), IMX_OK);
    assert_int_equal(w.last_work, 2 * N_TOKENS);
    w = (watcher){.stop_at = N_TOKENS};
    d = (diary){0};
    assert_int_equal(walk_with_diary(model, &d, options, &err), IMX_ERR_INTERRUPTED);
    assert_string_equal(d.text, LAYER("0"));
    imx_model_close(model);
}

static void test_token_outside_vocabulary(void **state) {
    (void)state;
    imx_model *model = tiny_open(&tiny_default);
    imx_corpus corpus = tiny_corpus(10, 5, tiny_default.n_vocab);
    const imx_walk_options options = {.n_threads = 1};
    imx_error err;
    corpus.tokens[7] = (int32_t)tiny_default.n_vocab;
    assert_int_equal(imx_walk_run(model, &corpus, &options, NULL, &err), IMX_ERR_MISMATCH);
    assert_non_null(strstr(err.message, "token 7 of the text is number 48 of a vocabulary of 48"));
    tiny_corpus_free(&corpus);
    imx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits_against_definition),
        cmocka_unit_test(test_same_bits_for_any_thread_count),
        cmocka_unit_test(test_chunks_are_separate),
        cmocka_unit_test(test_hook_sees_every_input_once),
        cmocka_unit_test(test_hook_sees_head_input),
        cmocka_unit_test(test_hook_can_stop),
        cmocka_unit_test(test_walk_in_pieces),
        cmocka_unit_test(test_block_rows),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_token_outside_vocabulary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
