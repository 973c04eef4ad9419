// SPDX-License-Identifier: MIT
//
// The three formats of task files, what is wrong with damaged ones, and which tasks are chosen.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../formats/file_fixture.h"
#include "calib/evaluation/task_file.h"

static void assert_text(imx_str text, const char *expected) {
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.data, expected, text.len);
}

static imx_task_file open_bytes(const void *bytes, size_t n_bytes, imx_task_kind kind,
                                uint64_t max_tasks) {
    imx_task_file file;
    imx_error err;
    write_bytes("tasks", bytes, n_bytes);
    if (imx_task_file_open(&file, "tasks", kind, max_tasks, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
    return file;
}

static imx_task_file open_text(const char *text, imx_task_kind kind, uint64_t max_tasks) {
    return open_bytes(text, strlen(text), kind, max_tasks);
}

static void assert_refused(const void *bytes, size_t n_bytes, imx_task_kind kind,
                           const char *message) {
    imx_task_file file;
    imx_error err;
    write_bytes("tasks", bytes, n_bytes);
    assert_int_equal(imx_task_file_open(&file, "tasks", kind, 0, &err), IMX_ERR_FORMAT);
    imx_task_file_close(&file);
    if (strstr(err.message, message) == NULL || strstr(err.message, "tasks: ") != err.message) {
        fail_msg("'tasks: ' and '%s' are not in '%s'", message, err.message);
    }
}

static void assert_text_refused(const char *text, imx_task_kind kind, const char *message) {
    assert_refused(text, strlen(text), kind, message);
}

// Task i of the file has the choices 4i .. 4i + 3, of which 2 + i % 2 is right.
static void test_hellaswag(void **state) {
    (void)state;
    imx_task_file file = open_text("Context one\n2\na\nb\nc c\nd\n"
                                   "Context two\n3 \ne\nf\ng\nh", // no newline at the end
                                   IMX_TASKS_HELLASWAG, 0);
    assert_int_equal(file.n_tasks, 2);
    assert_string_equal(file.separator, " ");
    for (size_t t = 0; t < 2; ++t) {
        const imx_task *task = &file.tasks[t];
        const imx_task_choice *choices = file.choices + task->first_choice;
        assert_text(task->head, task->number == 0 ? "Context one" : "Context two");
        assert_int_equal(task->tail.len, 0);
        assert_int_equal(task->n_choices, 4);
        assert_text(choices[2].text, task->number == 0 ? "c c" : "g");
        for (size_t i = 0; i < 4; ++i) {
            assert_int_equal(choices[i].is_right, i == 2 + task->number);
        }
    }
    imx_task_file_close(&file);
}

static void test_winogrande(void **state) {
    (void)state;
    imx_task_file file = open_text("0,Ann was older so _ won _ it.,Ann,Sue,2\n"
                                   "\n"
                                   "7,\"When, then, _ fell.\",the cup,the ball, 1,more\n",
                                   IMX_TASKS_WINOGRANDE, 0);
    assert_int_equal(file.n_tasks, 2);
    assert_string_equal(file.separator, "");
    assert_text(file.tasks[0].head, "Ann was older so ");
    assert_text(file.tasks[0].tail, " won _ it.");
    assert_text(file.tasks[1].head, "When, then, ");
    assert_text(file.tasks[1].tail, " fell.");
    assert_int_equal(file.n_choices, 4);
    assert_text(file.choices[0].text, "Ann");
    assert_text(file.choices[3].text, "the ball");
    assert_false(file.choices[0].is_right);
    assert_true(file.choices[1].is_right && file.choices[2].is_right);
    imx_task_file_close(&file);
}

// Two tasks; the second list of answers, here of none and of one that is empty, is passed over.
static const uint8_t multiple_choice[] = {
    2, 0, 0, 0, 12,  0,   0, 0, 53,  0, 0, 0,                 // n, offsets
    2, 0, 0, 0, 'Q', '?',                                     // question
    2, 0, 0, 0, 1,   0,   0, 0, 'y', 2, 0, 0, 0, 'n', 'o',    // answers
    0, 0, 0, 0, 1,   0,   0, 0, 0,   0, 0, 0, 1, 0,   0,   0, // labels, no second list, filler
    9, 9, 9, 9,                                               // more filler
    1, 0, 0, 0, 'R', 1,   0, 0, 0,   1, 0, 0, 0, 'z', 1,   0, 0, 0, //
    1, 0, 0, 0, 0,   0,   0, 0, 0,   0, 0, 0,                       // a second list
};

static void test_multiple_choice(void **state) {
    (void)state;
    imx_task_file file =
        open_bytes(multiple_choice, sizeof multiple_choice, IMX_TASKS_MULTIPLE_CHOICE, 0);
    assert_int_equal(file.n_tasks, 2);
    assert_text(file.tasks[0].head, "Q?");
    assert_text(file.tasks[1].head, "R");
    assert_int_equal(file.tasks[0].n_choices, 2);
    assert_int_equal(file.tasks[1].n_choices, 1);
    assert_text(file.choices[1].text, "no");
    assert_false(file.choices[0].is_right);
    assert_true(file.choices[1].is_right && file.choices[2].is_right);
    imx_task_file_close(&file);
}

static void test_damaged_texts(void **state) {
    (void)state;
    assert_text_refused("", IMX_TASKS_HELLASWAG, "no tasks");
    assert_text_refused("", IMX_TASKS_WINOGRANDE, "no tasks");
    assert_text_refused("c\n2\na\nb\nc\n", IMX_TASKS_HELLASWAG,
                        "line 5: the last task has 5 lines");
    assert_text_refused("c\n4\na\nb\nc\nd\n", IMX_TASKS_HELLASWAG, "line 2: ");
    assert_text_refused("c\nx\na\nb\nc\nd\n", IMX_TASKS_HELLASWAG, "0 to 3");
    assert_text_refused("0,a _ b,c,d,1\n1,a _ b,c", IMX_TASKS_WINOGRANDE, "line 2: ");
    assert_text_refused("no commas\n", IMX_TASKS_WINOGRANDE, "line 1: ");
    assert_text_refused("0,a _ b,c,d,12\n", IMX_TASKS_WINOGRANDE, "1 or 2");
    assert_text_refused("c\n10\na\nb\nc\nd\n", IMX_TASKS_HELLASWAG, "line 2: ");
    assert_text_refused("0,a b,c,d,1\n", IMX_TASKS_WINOGRANDE, "line 1: ");
    assert_text_refused("0,a _ b,c,d,3\n", IMX_TASKS_WINOGRANDE, "1 or 2");
    assert_text_refused("0,\"a _ b,c,d,1\n", IMX_TASKS_WINOGRANDE, "line 1: ");
}

static void test_damaged_binary(void **state) {
    (void)state;
    uint8_t bytes[sizeof multiple_choice];
    for (size_t n_bytes = 0; n_bytes < sizeof bytes; ++n_bytes) {
        assert_refused(multiple_choice, n_bytes, IMX_TASKS_MULTIPLE_CHOICE, "truncated");
    }
    static const struct {
        size_t at;
        uint8_t value;
        const char *message;
    } cases[] = {
        {0, 0, "no tasks"},
        {4, 11, "task 1 of 2 is said to begin at byte 11, and the one before it ends at 12"},
        {8, 44, "task 2 of 2 is said to begin at byte 44, and the one before it ends at 45"},
        {12, 0, "byte 12: the question is empty"},
        {18, 0, "byte 18: a task with 0 answers"},
        {18, 101, "byte 18: a task with 101 answers"},
        {22, 0, "byte 22: the answer is empty"},
        {15, 0xff, "byte 16: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        memcpy(bytes, multiple_choice, sizeof bytes);
        bytes[cases[i].at] = cases[i].value;
        assert_refused(bytes, sizeof bytes, IMX_TASKS_MULTIPLE_CHOICE, cases[i].message);
    }
}

static void assert_order(const imx_task_file *file, const size_t *expected, size_t n) {
    assert_int_equal(file->n_tasks, n);
    for (size_t i = 0; i < n; ++i) {
        assert_int_equal(file->tasks[i].number, expected[i]);
    }
}

// The orders are those that llama-perplexity's loops give with C++'s standard library (GCC 12).
static void test_choice(void **state) {
    (void)state;
    static const size_t in_order[] = {5, 11, 8, 10, 0, 1, 3, 9, 2, 4, 6, 7};
    static const size_t by_swap[] = {5, 10, 7, 8, 0, 9, 1, 4};
    char hellaswag[12 * 16] = "", winogrande[12 * 16] = "";
    for (size_t i = 0; i < 12; ++i) {
        strcat(hellaswag, "c\n0\na\nb\nc\nd\n");
        strcat(winogrande, "0,a _ b,c,d,1\n");
    }
    imx_task_file file = open_text(hellaswag, IMX_TASKS_HELLASWAG, 0);
    assert_order(&file, in_order, 12);
    imx_task_file_close(&file);
    file = open_text(hellaswag, IMX_TASKS_HELLASWAG, 5);
    assert_order(&file, in_order, 5);
    imx_task_file_close(&file);
    file = open_text(winogrande, IMX_TASKS_WINOGRANDE, 8);
    assert_order(&file, by_swap, 8);
    imx_task_file_close(&file);
    file = open_text(winogrande, IMX_TASKS_WINOGRANDE, 12);
    assert_int_equal(file.tasks[0].number, 0); // all of them: as they are
    assert_int_equal(file.tasks[11].number, 11);
    imx_task_file_close(&file);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_directory, leave_directory)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_hellaswag),       IN_DIRECTORY(test_winogrande),
        IN_DIRECTORY(test_multiple_choice), IN_DIRECTORY(test_damaged_texts),
        IN_DIRECTORY(test_damaged_binary),  IN_DIRECTORY(test_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
