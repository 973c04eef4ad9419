// SPDX-License-Identifier: MIT
//
// The score of a choice is the mean ln p of its scored tokens (task_prompts.h), and the choice with
// the best score is the model's.
//
// The prompts of many tasks walk together, as chunks of one corpus. The text that the prompts of a
// task share is run once for each: sharing it would take attention that branches, for a gain of
// two or three times in a few minutes. What bounds memory are the hidden states, so tasks go in
// passes.

#include "calib/evaluation/tasks.h"

#include <math.h>
#include <stdlib.h>

#include "calib/evaluation/evaluate.h"
#include "calib/evaluation/scoring.h"
#include "calib/evaluation/task_prompts.h"
#include "formats/memory.h"

enum {
    PASS_BYTES = 1 << 30,
    PROGRESS_UNITS = 1000, // work in a task
};

typedef struct runner {
    const imx_model *model;
    const imx_task_file *file;
    const imx_task_options *options;
    imx_task_result *result;
    imx_tokenizer *tokenizer;
    imx_task_prompts prompts;   // of the pass
    size_t first_task, n_tasks; // of the pass
} runner;

// ---------------------------------------------------------------------------------------------
// A pass

// Fills the pass that begins with first_task: as many tasks as may be in memory, at least one.
static imx_status fill_pass(runner *r, imx_error *err) {
    const uint64_t bytes = r->options->pass_bytes > 0 ? r->options->pass_bytes : PASS_BYTES;
    const uint64_t max_tokens = bytes / (imx_model_n_embd(r->model) * sizeof(float));
    imx_task_prompts_clear(&r->prompts);
    r->n_tasks = 0;
    do {
        const imx_task *task = &r->file->tasks[r->first_task + r->n_tasks++];
        IMX_TRY(imx_task_prompts_add(&r->prompts, r->tokenizer, r->file, task, err));
    } while (r->first_task + r->n_tasks < r->file->n_tasks && r->prompts.tokens.n < max_tokens);
    return IMX_OK;
}

// A walk's progress as that of all tasks.
static bool report_tasks(void *context, const imx_progress_report *walk) {
    const runner *r = context;
    const double share =
        walk->work_total > 0 ? (double)walk->work_done / (double)walk->work_total : 1;
    const double n_done = (double)r->first_task + share * (double)r->n_tasks;
    const imx_progress_report report = {
        .phase = "tasks",
        .done = (uint64_t)n_done,
        .total = r->file->n_tasks,
        .work_done = (uint64_t)(n_done * PROGRESS_UNITS),
        .work_total = r->file->n_tasks * PROGRESS_UNITS,
    };
    return imx_progress_continue(r->options->progress, &report);
}

// Of the pass's tokens; the caller frees corpus->starts.
static imx_status build_corpus(const imx_task_prompts *prompts, imx_corpus *corpus,
                               imx_error *err) {
    *corpus = (imx_corpus){
        .tokens = prompts->tokens.ids,
        .n_tokens = prompts->tokens.n,
        .n_chunks = prompts->n,
    };
    IMX_TRY(imx_alloc_zeroed(&corpus->starts, prompts->n + 1, sizeof(size_t), err));
    for (size_t i = 0; i < prompts->n; ++i) {
        const uint32_t n_tokens = (uint32_t)prompts->items[i].n_tokens;
        corpus->starts[i] = prompts->items[i].start;
        corpus->n_ctx = n_tokens > corpus->n_ctx ? n_tokens : corpus->n_ctx;
    }
    corpus->starts[prompts->n] = prompts->tokens.n;
    return IMX_OK;
}

static double mean_ln_p(const double *ln_p, const imx_task_prompt *prompt) {
    double sum = 0;
    for (size_t i = 0; i < prompt->n_predictions; ++i) {
        sum += ln_p[prompt->first_prediction + i];
    }
    return sum / (double)prompt->n_predictions;
}

static void settle_tasks(runner *r, const double *ln_p) {
    imx_task_result *result = r->result;
    const imx_task_prompt *prompt = r->prompts.items;
    for (size_t t = r->first_task; t < r->first_task + r->n_tasks; ++t) {
        const imx_task *task = &r->file->tasks[t];
        imx_task_outcome outcome = {
            .number = task->number,
            .first_choice = result->n_choices,
            .n_choices = task->n_choices,
        };
        double *scores = result->ln_p + outcome.first_choice;
        for (size_t i = 0; i < task->n_choices; ++i) {
            scores[i] = mean_ln_p(ln_p, prompt++);
            outcome.chosen = scores[i] > scores[outcome.chosen] ? i : outcome.chosen;
        }
        outcome.is_right = r->file->choices[task->first_choice + outcome.chosen].is_right;
        result->n_choices += task->n_choices;
        result->tasks[result->n_tasks++] = outcome;
    }
}

static imx_status run_pass(runner *r, imx_error *err) {
    const imx_progress progress = {report_tasks, r};
    const size_t n = r->prompts.n_predictions;
    const int n_threads = r->options->n_threads;
    imx_scored_model side = {r->model, NULL};
    imx_corpus corpus = {0};
    double *ln_p = NULL;
    imx_status status;
    IMX_TRY_GOTO(done, build_corpus(&r->prompts, &corpus, err));
    IMX_TRY_GOTO(done, imx_alloc_zeroed(&ln_p, n, sizeof *ln_p, err));
    IMX_TRY_GOTO(done,
                 imx_run_to_hidden(&side.hidden, r->model, &corpus, n_threads, &progress, err));
    IMX_TRY_GOTO(done,
                 imx_score_predictions(ln_p, &side, r->prompts.predictions, n, n_threads, err));
    IMX_TRY_GOTO(done, imx_check_finite(ln_p, n, imx_model_gguf(r->model)->path, err));
    settle_tasks(r, ln_p);
done:
    imx_residual_stream_free(side.hidden);
    free(corpus.starts);
    free(ln_p);
    return status;
}

// ---------------------------------------------------------------------------------------------
// All tasks

// Wilson's interval of a share p of n: the true shares whose own interval of ±z holds p.
static void set_interval(imx_task_result *result) {
    const double n = (double)result->n_tasks;
    const double p = result->accuracy.value;
    const double z = 1.95996398454; // 97.5 % of a normal distribution lie below
    const double center = p + z * z / (2 * n);
    const double half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    result->interval[0] = (center - half) / (1 + z * z / n);
    result->interval[1] = (center + half) / (1 + z * z / n);
}

static imx_status summarize(imx_task_result *result, imx_error *err) {
    double *rights;
    IMX_TRY(imx_alloc_zeroed(&rights, result->n_tasks, sizeof *rights, err));
    for (size_t t = 0; t < result->n_tasks; ++t) {
        rights[t] = result->tasks[t].is_right ? 1 : 0;
    }
    result->accuracy = imx_estimate_mean(rights, result->n_tasks);
    result->chance = (double)result->n_tasks / (double)result->n_choices;
    set_interval(result);
    free(rights);
    return IMX_OK;
}

static imx_status open_runner(runner *r, imx_error *err) {
    IMX_TRY(imx_tokenizer_open(&r->tokenizer, imx_model_gguf(r->model), err));
    IMX_TRY(imx_alloc_zeroed(&r->result->tasks, r->file->n_tasks, sizeof *r->result->tasks, err));
    return imx_alloc_zeroed(&r->result->ln_p, r->file->n_choices, sizeof(double), err);
}

imx_status imx_tasks_run(imx_task_result *result, const imx_model *model, const imx_task_file *file,
                         const imx_task_options *options, imx_error *err) {
    runner r = {.model = model, .file = file, .options = options, .result = result};
    imx_status status;
    *result = (imx_task_result){0};
    IMX_TRY_GOTO(done, open_runner(&r, err));
    for (; r.first_task < file->n_tasks; r.first_task += r.n_tasks) {
        IMX_TRY_GOTO(done, fill_pass(&r, err));
        IMX_TRY_GOTO(done, run_pass(&r, err));
    }
    status = summarize(result, err);
done:
    imx_tokenizer_close(r.tokenizer);
    imx_task_prompts_free(&r.prompts);
    return status;
}

void imx_task_result_free(imx_task_result *result) {
    free(result->tasks);
    free(result->ln_p);
    *result = (imx_task_result){0};
}
