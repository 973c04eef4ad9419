// SPDX-License-Identifier: MIT
//
// Scores of tasks against their definition, on logits of the naive forward pass. The vocabulary has
// a token for every letter, so that the tokens of a text can be counted by eye: BOS, ▁, and one for
// each character.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../formats/file_fixture.h"
#include "calib/evaluation/tasks.h"
#include "naive_llama.h"
#include "tiny_model.h"

enum { N_VOCAB = 48, BOS = 1, SPACE = 3, LETTERS = 4, PERIOD = LETTERS + 26, MAX_TOKENS = 32 };

static imx_status add_letters(imx_gguf_builder *builder, imx_error *err) {
    static const char *const first[] = {"<unk>", "<s>", "</s>", "\xe2\x96\x81"};
    char texts[N_VOCAB][8];
    const char *pointers[N_VOCAB];
    float scores[N_VOCAB] = {0};
    int32_t types[N_VOCAB];
    for (size_t i = 0; i < N_VOCAB; ++i) {
        if (i < LETTERS) {
            snprintf(texts[i], sizeof texts[i], "%s", first[i]);
        } else {
            const char letter = i < PERIOD ? (char)('a' + (i - LETTERS)) : '.';
            snprintf(texts[i], sizeof texts[i], i > PERIOD ? "%c%zu" : "%c", letter, i);
        }
        types[i] = i == 0 ? 2 : i < SPACE ? 3 : 1; // unknown, control, normal
        pointers[i] = texts[i];
    }
    IMX_TRY(imx_gguf_set_str(builder, "tokenizer.ggml.model", "llama", err));
    IMX_TRY(imx_gguf_set_str_array(builder, "tokenizer.ggml.tokens", pointers, N_VOCAB, err));
    IMX_TRY(imx_gguf_set_array(builder, "tokenizer.ggml.token_type", IMX_GGUF_I32, types, N_VOCAB,
                               err));
    return imx_gguf_set_array(builder, "tokenizer.ggml.scores", IMX_GGUF_F32, scores, N_VOCAB, err);
}

static tiny_model letter_model(void) {
    tiny_model spec = tiny_default;
    spec.n_vocab = N_VOCAB;
    spec.add_keys = add_letters;
    return spec;
}

static size_t tokenize(const char *text, int32_t tokens[MAX_TOKENS]) {
    size_t n = 0;
    tokens[n++] = BOS;
    tokens[n++] = SPACE;
    for (; *text != '\0'; ++text) {
        tokens[n++] = *text == ' ' ? SPACE : *text == '.' ? PERIOD : LETTERS + *text - 'a';
    }
    return n;
}

// ln p of `token` behind token `position` of a text.
static double ln_p(const imx_model *model, const char *text, size_t position, int32_t token) {
    const tiny_model spec = letter_model();
    int32_t tokens[MAX_TOKENS];
    const size_t n = tokenize(text, tokens);
    double *logits = naive_logits(imx_model_gguf(model), &spec, tokens, n);
    const double *row = logits + position * N_VOCAB;
    double sum = 0;
    for (size_t j = 0; j < N_VOCAB; ++j) {
        sum += exp(row[j]);
    }
    const double result = row[token] - log(sum);
    free(logits);
    return result;
}

// Mean over tokens first .. end − 1 of a text.
static double mean_ln_p(const imx_model *model, const char *text, size_t first, size_t end) {
    int32_t tokens[MAX_TOKENS];
    double sum = 0;
    tokenize(text, tokens);
    for (size_t k = first; k < end; ++k) {
        sum += ln_p(model, text, k - 1, tokens[k]);
    }
    return sum / (double)(end - first);
}

static imx_task_result run(const imx_model *model, const char *tasks, imx_task_kind kind,
                           const imx_task_options *options) {
    imx_task_file file;
    imx_task_result result = {0};
    imx_error err = {0};
    write_plain("tasks", tasks);
    if (imx_task_file_open(&file, "tasks", kind, 0, &err) != IMX_OK ||
        imx_tasks_run(&result, model, &file, options, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
    imx_task_file_close(&file);
    return result;
}

static void assert_scores(const imx_task_result *result, const double *expected, size_t n) {
    assert_int_equal(result->n_choices, n);
    for (size_t i = 0; i < n; ++i) {
        if (!(fabs(result->ln_p[i] - expected[i]) < 1e-5)) {
            fail_msg("choice %zu: %.7f instead of %.7f", i, result->ln_p[i], expected[i]);
        }
    }
}

static const imx_task_options one_thread = {.n_threads = 1};

// All choices begin with BOS ▁ a b ▁, five tokens; the third is the beginning of the first.
static void test_hellaswag(void **state) {
    (void)state;
    const tiny_model spec = letter_model();
    imx_model *model = tiny_open(&spec);
    imx_task_result result =
        run(model, "ab\n1\ncd\nxyz\nc\nxq.\n", IMX_TASKS_HELLASWAG, &one_thread);
    const double expected[] = {
        mean_ln_p(model, "ab cd", 5, 7),
        mean_ln_p(model, "ab xyz", 5, 8),
        mean_ln_p(model, "ab c", 5, 6),
        mean_ln_p(model, "ab xq.", 5, 8),
    };
    assert_scores(&result, expected, 4);
    const imx_task_outcome *outcome = &result.tasks[0];
    for (size_t i = 0; i < 4; ++i) {
        assert_true(expected[outcome->chosen] >= expected[i]);
    }
    assert_int_equal(outcome->is_right, outcome->chosen == 1);
    assert_true(result.chance == 0.25);
    imx_task_result_free(&result);
    imx_model_close(model);
}

// Two choices with more than three tokens behind the common five: only what follows the choice
// counts, and of it not the last token.
static void test_winogrande(void **state) {
    (void)state;
    const tiny_model spec = letter_model();
    imx_model *model = tiny_open(&spec);
    imx_task_result result = run(model, "0,ab _ cdef,x,yz,2\n", IMX_TASKS_WINOGRANDE, &one_thread);
    const double expected[] = {
        mean_ln_p(model, "ab x cdef", 6, 10),
        mean_ln_p(model, "ab yz cdef", 7, 11),
    };
    assert_scores(&result, expected, 2);
    imx_task_result_free(&result);
    imx_model_close(model);
}

// A short tail, three tokens with the first choice: the choice counts too, and the second one's
// first token is read from behind the first one's text.
static void test_short_winogrande(void **state) {
    (void)state;
    const tiny_model spec = letter_model();
    imx_model *model = tiny_open(&spec);
    imx_task_result result = run(model, "0,ab _e.,x,yzw,1\n", IMX_TASKS_WINOGRANDE, &one_thread);
    const int32_t y = LETTERS + 'y' - 'a';
    const double expected[] = {
        mean_ln_p(model, "ab xe.", 5, 7),
        (ln_p(model, "ab xe.", 7, y) + 3 * mean_ln_p(model, "ab yzwe.", 6, 9)) / 4,
    };
    assert_scores(&result, expected, 2);
    imx_task_result_free(&result);
    imx_model_close(model);
}

static const char many[] = "ab\n1\ncd\nxyz\nc\nxq.\n"
                           "some longer words\n0\nand\nbut\nor else\nit\n"
                           "q\n3\nr\ns\nt\nu\n"
                           "more of it\n2\na\nb\nc\nd\n";

// Several passes of a few tasks, and several threads, give the bits of one.
static void test_same_bits_for_any_options(void **state) {
    (void)state;
    const tiny_model spec = letter_model();
    imx_model *model = tiny_open(&spec);
    imx_task_result wanted = run(model, many, IMX_TASKS_HELLASWAG, &one_thread);
    assert_int_equal(wanted.n_tasks, 4);
    for (uint64_t n_tokens = 1; n_tokens < 100; n_tokens *= 3) {
        const imx_task_options options = {.n_threads = 3,
                                          .pass_bytes = n_tokens * spec.n_embd * sizeof(float)};
        imx_task_result result = run(model, many, IMX_TASKS_HELLASWAG, &options);
        assert_int_equal(result.n_choices, wanted.n_choices);
        assert_memory_equal(result.ln_p, wanted.ln_p, wanted.n_choices * sizeof(double));
        assert_int_equal(result.tasks[3].number, wanted.tasks[3].number);
        assert_int_equal(result.tasks[3].first_choice, 12);
        imx_task_result_free(&result);
    }
    imx_task_result_free(&wanted);
    imx_model_close(model);
}

// The intervals are those that llama-perplexity prints for no and for one right task of one.
static void test_accuracy(void **state) {
    (void)state;
    const tiny_model spec = letter_model();
    imx_model *model = tiny_open(&spec);
    imx_task_result first =
        run(model, "ab\n1\ncd\nxyz\nc\nxq.\n", IMX_TASKS_HELLASWAG, &one_thread);
    for (size_t right = 0; right < 4; ++right) {
        char task[] = "ab\n_\ncd\nxyz\nc\nxq.\n";
        *strchr(task, '_') = (char)('0' + right);
        imx_task_result result = run(model, task, IMX_TASKS_HELLASWAG, &one_thread);
        const bool is_right = right == first.tasks[0].chosen;
        assert_int_equal(result.tasks[0].is_right, is_right);
        assert_true(result.accuracy.value == (is_right ? 1 : 0));
        assert_true(fabs(result.interval[0] - (is_right ? 0.206549 : 0)) < 1e-6);
        assert_true(fabs(result.interval[1] - (is_right ? 1 : 0.793451)) < 1e-6);
        imx_task_result_free(&result);
    }
    imx_task_result_free(&first);
    imx_model_close(model);
}

static bool stop(void *context, const imx_progress_report *report) {
    int *n_calls = context;
    assert_string_equal(report->phase, "tasks");
    assert_int_equal(report->total, 4);
    return --*n_calls > 0;
}

static void test_refusals(void **state) {
    (void)state;
    tiny_model spec = letter_model();
    imx_task_file file;
    imx_task_result result;
    imx_error err;
    int n_calls = 3;
    const imx_progress progress = {stop, &n_calls};
    const imx_task_options options = {.progress = &progress};
    write_plain("tasks", many);
    assert_int_equal(imx_task_file_open(&file, "tasks", IMX_TASKS_HELLASWAG, 0, &err), IMX_OK);
    imx_model *model = tiny_open(&spec);
    assert_int_equal(imx_tasks_run(&result, model, &file, &options, &err), IMX_ERR_INTERRUPTED);
    imx_task_result_free(&result);
    imx_model_close(model);

    spec.poisoned = "output_norm.weight";
    model = tiny_open(&spec);
    assert_int_equal(imx_tasks_run(&result, model, &file, &one_thread, &err), IMX_ERR_FORMAT);
    assert_non_null(strstr(err.message, "not finite"));
    imx_task_result_free(&result);
    imx_model_close(model);
    imx_task_file_close(&file);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_directory, leave_directory)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_hellaswag),        IN_DIRECTORY(test_winogrande),
        IN_DIRECTORY(test_short_winogrande), IN_DIRECTORY(test_same_bits_for_any_options),
        IN_DIRECTORY(test_accuracy),         IN_DIRECTORY(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
