// SPDX-License-Identifier: MIT
//
// A choice is a chunk of its own: BOS, head, choice and tail, tokenized as one text. The score of a
// choice is the mean ln p of its scored tokens, and the choice with the best score is the model's.
//
// With c the number of tokens in which all choices of a task begin alike, scored are
//
//     HellaSwag, multiple choice    all tokens from c on
//     Winogrande                    those behind head and choice, without the last token. Where a
//                                   choice leaves no more than three tokens behind c, those from c
//                                   on, for the tail is then too short to tell anything
//
// In that last case llama-perplexity reads the probability of the second choice's first token from
// behind the end of the first choice's text. So do we: figures are there to be compared.
//
// The choices of many tasks walk together, as chunks of one corpus. The shared beginnings are run
// once for each choice: sharing them would take attention that branches, for at most a fourfold
// gain in a few minutes. What bounds memory is the residual stream, so tasks go in passes.

#include "calib/tasks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calib/evaluate.h"
#include "calib/scoring.h"
#include "calib/tokenizer.h"
#include "formats/memory.h"

enum {
    PASS_BYTES = 1 << 30,
    MIN_TRAILING = 4,     // tokens behind the common beginning to score a Winogrande tail alone
    PROGRESS_UNITS = 1000, // work in a task
};

// A choice under way: tokens first .. end − 1 of its text are scored.
typedef struct choice_chunk {
    size_t start; // in the tokens of the pass
    size_t n_tokens;
    size_t first, end;
    size_t first_prediction, n_predictions;
} choice_chunk;

typedef struct runner {
    const imx_model *model;
    const imx_task_file *file;
    imx_task_result *result;
    imx_tokenizer *tokenizer;
    const imx_task_options *options;
    size_t first_task, n_tasks; // of the pass

    // Of the pass.
    imx_tokens tokens;
    choice_chunk *chunks; // (n_chunks)
    size_t n_chunks, chunks_capacity;
    imx_prediction *predictions; // (n_predictions)
    size_t n_predictions, predictions_capacity;
    char *text; // of one choice
    size_t text_capacity;
} runner;

// ---------------------------------------------------------------------------------------------
// Texts to tokens

static imx_status tokenize_parts(runner *r, const imx_str *parts, size_t n_parts, imx_error *err) {
    size_t len = 0;
    for (size_t i = 0; i < n_parts; ++i) {
        len += parts[i].len;
    }
    IMX_TRY(imx_grow(&r->text, &r->text_capacity, len + 1, 1, err));
    char *out = r->text;
    for (size_t i = 0; i < n_parts; ++i) {
        memcpy(out, parts[i].data, parts[i].len);
        out += parts[i].len;
    }
    return imx_tokenize(r->tokenizer, r->text, len, true, false, &r->tokens, err);
}

static imx_status add_chunk(runner *r, const imx_task *task, const imx_task_choice *choice,
                               imx_error *err) {
    const imx_str separator = {r->file->separator, strlen(r->file->separator)};
    const imx_str parts[] = {task->head, separator, choice->text, task->tail};
    const size_t start = r->tokens.n;
    IMX_TRY(imx_grow(&r->chunks, &r->chunks_capacity, r->n_chunks + 1,
                     sizeof *r->chunks, err));
    IMX_TRY(tokenize_parts(r, parts, 4, err));
    const size_t n_tokens = r->tokens.n - start;
    if (n_tokens == 0) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: task %zu has a choice of no text",
                        r->file->map.path, task->number + 1);
    }
    r->chunks[r->n_chunks++] =
        (choice_chunk){.start = start, .n_tokens = n_tokens, .end = n_tokens};
    return IMX_OK;
}

// Tokens of head and choice alone.
static imx_status count_tokens_to_choice(runner *r, const imx_task *task,
                                         const imx_task_choice *choice, size_t *n,
                                         imx_error *err) {
    const imx_str parts[] = {task->head, choice->text};
    const size_t start = r->tokens.n;
    IMX_TRY(tokenize_parts(r, parts, 2, err));
    *n = r->tokens.n - start;
    r->tokens.n = start;
    return IMX_OK;
}

// Tokens that all chunks begin with; every sequence has at least one more.
static size_t count_common(const runner *r, const choice_chunk *chunks, size_t n) {
    size_t most = chunks[0].n_tokens;
    for (size_t s = 1; s < n; ++s) {
        most = chunks[s].n_tokens < most ? chunks[s].n_tokens : most;
    }
    for (size_t k = 0; k + 1 < most; ++k) {
        for (size_t s = 1; s < n; ++s) {
            if (r->tokens.ids[chunks[s].start + k] != r->tokens.ids[chunks[0].start + k]) {
                return k;
            }
        }
    }
    return most > 0 ? most - 1 : 0;
}

// ---------------------------------------------------------------------------------------------
// What is scored

static imx_status add_prediction(runner *r, size_t position, int32_t token, imx_error *err) {
    IMX_TRY(imx_grow(&r->predictions, &r->predictions_capacity, r->n_predictions + 1,
                     sizeof *r->predictions, err));
    r->predictions[r->n_predictions++] = (imx_prediction){position, token};
    return IMX_OK;
}

// `first_position`: where the first token is predicted.
static imx_status add_predictions(runner *r, choice_chunk *chunk, size_t first_position,
                                  imx_error *err) {
    const int32_t *tokens = r->tokens.ids + chunk->start;
    chunk->first_prediction = r->n_predictions;
    for (size_t k = chunk->first; k < chunk->end; ++k) {
        const size_t position = k == chunk->first ? first_position : chunk->start + k - 1;
        IMX_TRY(add_prediction(r, position, tokens[k], err));
    }
    chunk->n_predictions = r->n_predictions - chunk->first_prediction;
    return IMX_OK;
}

static imx_status set_winogrande_range(runner *r, const imx_task *task, choice_chunk *two,
                                       size_t n_common, bool *scores_choice, imx_error *err) {
    const imx_task_choice *choices = r->file->choices + task->first_choice;
    *scores_choice = two[0].n_tokens - n_common < MIN_TRAILING ||
                     two[1].n_tokens - n_common < MIN_TRAILING;
    for (size_t s = 0; s < 2; ++s) {
        if (!*scores_choice) {
            IMX_TRY(count_tokens_to_choice(r, task, &choices[s], &two[s].first, err));
        }
        two[s].end -= two[s].first + 1 < two[s].n_tokens ? 1 : 0;
    }
    return IMX_OK;
}

// The chunks and predictions of a task.
static imx_status add_task(runner *r, const imx_task *task, imx_error *err) {
    const size_t first = r->n_chunks;
    bool scores_choice = false;
    for (size_t i = 0; i < task->n_choices; ++i) {
        IMX_TRY(add_chunk(r, task, &r->file->choices[task->first_choice + i], err));
    }
    choice_chunk *chunks = r->chunks + first;
    const size_t n_common = count_common(r, chunks, task->n_choices);
    for (size_t i = 0; i < task->n_choices; ++i) {
        chunks[i].first = n_common > 0 ? n_common : 1; // nothing predicts the first token
    }
    if (r->file->kind == IMX_TASKS_WINOGRANDE) {
        IMX_TRY(set_winogrande_range(r, task, chunks, n_common, &scores_choice, err));
    }
    for (size_t i = 0; i < task->n_choices; ++i) {
        const bool from_other = scores_choice && i == 1;
        const size_t position = from_other ? chunks[1].start - 1
                                           : chunks[i].start + chunks[i].first - 1;
        IMX_TRY(add_predictions(r, &chunks[i], position, err));
    }
    return IMX_OK;
}

// Fills the pass that begins with first_task: as many tasks as may be in memory, at
// least one.
static imx_status fill_pass(runner *r, imx_error *err) {
    const uint64_t bytes = r->options->pass_bytes > 0 ? r->options->pass_bytes : PASS_BYTES;
    const uint64_t max_tokens = bytes / (imx_model_n_embd(r->model) * sizeof(float));
    r->tokens.n = r->n_chunks = r->n_predictions = r->n_tasks = 0;
    do {
        IMX_TRY(add_task(r, &r->file->tasks[r->first_task + r->n_tasks++], err));
    } while (r->first_task + r->n_tasks < r->file->n_tasks && r->tokens.n < max_tokens);
    return IMX_OK;
}

// ---------------------------------------------------------------------------------------------
// A pass

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

static imx_status build_corpus(const runner *r, imx_corpus *corpus, imx_error *err) {
    *corpus = (imx_corpus){
        .tokens = r->tokens.ids,
        .n_tokens = r->tokens.n,
        .n_chunks = r->n_chunks,
    };
    IMX_TRY(imx_alloc_zeroed(&corpus->starts, r->n_chunks + 1, sizeof(size_t), err));
    for (size_t s = 0; s < r->n_chunks; ++s) {
        const size_t n_tokens = r->chunks[s].n_tokens;
        corpus->starts[s] = r->chunks[s].start;
        corpus->n_ctx = n_tokens > corpus->n_ctx ? (uint32_t)n_tokens : corpus->n_ctx;
    }
    corpus->starts[r->n_chunks] = r->tokens.n;
    return IMX_OK;
}

static double mean_ln_p(const double *ln_p, const choice_chunk *chunk) {
    double sum = 0;
    for (size_t i = 0; i < chunk->n_predictions; ++i) {
        sum += ln_p[chunk->first_prediction + i];
    }
    return sum / (double)chunk->n_predictions;
}

static imx_status check_finite(const runner *r, const double *ln_p, imx_error *err) {
    for (size_t i = 0; i < r->n_predictions; ++i) {
        if (!isfinite(ln_p[i])) {
            return imx_fail(err, IMX_ERR_FORMAT,
                            "%s: its predictions are not finite; its weights are damaged or "
                            "overflow",
                            imx_model_gguf(r->model)->path);
        }
    }
    return IMX_OK;
}

static void settle_tasks(runner *r, const double *ln_p) {
    const choice_chunk *chunk = r->chunks;
    for (size_t t = r->first_task; t < r->first_task + r->n_tasks; ++t) {
        const imx_task *task = &r->file->tasks[t];
        imx_task_outcome outcome = {
            .number = task->number,
            .first_choice = r->result->n_choices,
            .n_choices = task->n_choices,
        };
        double *scores = r->result->ln_p + outcome.first_choice;
        for (size_t i = 0; i < task->n_choices; ++i) {
            scores[i] = mean_ln_p(ln_p, chunk++);
            outcome.chosen = scores[i] > scores[outcome.chosen] ? i : outcome.chosen;
        }
        outcome.is_right = r->file->choices[task->first_choice + outcome.chosen].is_right;
        r->result->n_choices += task->n_choices;
        r->result->tasks[r->result->n_tasks++] = outcome;
    }
}

static imx_status run_pass(runner *r, imx_error *err) {
    const imx_progress progress = {report_tasks, r};
    imx_scored_model side = {r->model, NULL};
    imx_corpus corpus = {0};
    double *ln_p = NULL;
    imx_status status;
    IMX_TRY_GOTO(done, build_corpus(r, &corpus, err));
    IMX_TRY_GOTO(done, imx_alloc_zeroed(&ln_p, r->n_predictions, sizeof *ln_p, err));
    IMX_TRY_GOTO(done, imx_run_to_hidden(&side.hidden, r->model, &corpus, r->options->n_threads, &progress,
                                         err));
    IMX_TRY_GOTO(done, imx_score_predictions(ln_p, &side, r->predictions, r->n_predictions,
                                             r->options->n_threads, err));
    IMX_TRY_GOTO(done, check_finite(r, ln_p, err));
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

static void close_runner(runner *r) {
    imx_tokenizer_close(r->tokenizer);
    imx_tokens_free(&r->tokens);
    free(r->chunks);
    free(r->predictions);
    free(r->text);
}

imx_status imx_tasks_run(imx_task_result *result, const imx_model *model, const imx_task_file *file,
                         const imx_task_options *options, imx_error *err) {
    runner r = {.model = model, .file = file, .result = result, .options = options};
    imx_status status;
    *result = (imx_task_result){0};
    IMX_TRY_GOTO(done, open_runner(&r, err));
    for (; r.first_task < file->n_tasks; r.first_task += r.n_tasks) {
        IMX_TRY_GOTO(done, fill_pass(&r, err));
        IMX_TRY_GOTO(done, run_pass(&r, err));
    }
    status = summarize(result, err);
done:
    close_runner(&r);
    return status;
}

void imx_task_result_free(imx_task_result *result) {
    free(result->tasks);
    free(result->ln_p);
    *result = (imx_task_result){0};
}
