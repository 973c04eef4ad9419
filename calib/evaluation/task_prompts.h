// SPDX-License-Identifier: MIT
//
// Multiple-choice tasks as tokens, and which of these tokens tell how well a choice fits.

#ifndef IMX_CALIB_TASK_PROMPTS_H
#define IMX_CALIB_TASK_PROMPTS_H

#include <stddef.h>
#include <stdint.h>

#include "calib/evaluation/logit_rows.h"
#include "calib/evaluation/task_file.h"
#include "calib/tokenizer/tokenizer.h"
#include "formats/error.h"

// A task's text with one of its choices, which becomes a chunk of its own.
typedef struct imx_task_prompt {
    size_t start; // in the tokens
    size_t n_tokens;
    size_t first, end; // tokens first .. end − 1 of it are scored, perhaps none
    size_t first_prediction, n_predictions; // which are these
} imx_task_prompt;

// The prompts of some tasks; zero-initialise, free with imx_task_prompts_free.
typedef struct imx_task_prompts {
    imx_tokens tokens; // of all prompts, one behind another
    imx_task_prompt *items;
    size_t n, capacity;
    imx_prediction *predictions; // in the order of the prompts
    size_t n_predictions, predictions_capacity;
    char *text; // scratch
    size_t text_capacity;
} imx_task_prompts;

// Appends a prompt for each choice of a task of `file`. A choice of no tokens is IMX_ERR_FORMAT.
imx_status imx_task_prompts_add(imx_task_prompts *prompts, const imx_tokenizer *tokenizer,
                                const imx_task_file *file, const imx_task *task, imx_error *err);

// Forgets all prompts but keeps the memory.
void imx_task_prompts_clear(imx_task_prompts *prompts);
void imx_task_prompts_free(imx_task_prompts *prompts);

#endif
