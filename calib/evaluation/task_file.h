// SPDX-License-Identifier: MIT
//
// Files of multiple-choice tasks in llama-perplexity's formats.
//
// HellaSwag, text, six lines a task: the context; the number of the right ending, 0..3; four
// endings.
//
// Winogrande, text, a line a task: "number,sentence,choice 1,choice 2,1 or 2". The first '_' of the
// sentence stands for the choice; a sentence with commas is in double quotes.
//
// Multiple choice (ARC, MMLU, TruthfulQA), binary, little-endian:
//
//     u32 n_tasks, u32 offset[n_tasks]          of the tasks in the file
//     n_tasks × { string question, answers single, answers several }
//     string  = u32 n_bytes, bytes
//     answers = u32 n (<= 100), n strings, i32 is_right[n]
//
// Of the two lists the first is used. A file is read whole and must be sound to its end, whichever
// tasks are chosen.

#ifndef IMX_CALIB_TASK_FILE_H
#define IMX_CALIB_TASK_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/file_map.h"
#include "formats/gguf.h"

typedef enum imx_task_kind {
    IMX_TASKS_HELLASWAG,
    IMX_TASKS_WINOGRANDE,
    IMX_TASKS_MULTIPLE_CHOICE,
    IMX_N_TASK_KINDS,
} imx_task_kind;

typedef struct imx_task_choice {
    imx_str text; // not empty but in Winogrande
    bool is_right;
} imx_task_choice;

// A text is head, choice and tail, as they are.
typedef struct imx_task {
    size_t number; // in the file, from 0
    imx_str head;
    imx_str tail;
    size_t first_choice; // in the file's choices
    size_t n_choices;    // at least 1
} imx_task;

typedef struct imx_task_file {
    imx_file_map map;      // the strings lie in it
    const char *separator; // between head and choice
    bool scores_tail;      // what follows a choice tells whether it fits, rather than the choice
    imx_task *tasks;       // (n_tasks) in the order in which they are to be done
    size_t n_tasks, tasks_capacity;
    imx_task_choice *choices; // (n_choices)
    size_t n_choices, choices_capacity;
} imx_task_file;

// Reads the file at `path` and chooses `max_tasks` (0 = all) as llama-perplexity does: HellaSwag's
// tasks are shuffled always, the others' where not all of them are wanted. IMX_ERR_FORMAT names the
// line or byte that is no task. *file is the caller's to imx_task_file_close, also on failure.
imx_status imx_task_file_open(imx_task_file *file, const char *path, imx_task_kind kind,
                              uint64_t max_tasks, imx_error *err);
void imx_task_file_close(imx_task_file *file);

#endif
