// SPDX-License-Identifier: MIT
//
// imatrix eval: what was lost, and how many tasks are solved.

#include <stdio.h>
#include <stdlib.h>

#include "imatrix/cli/commands.h"
#include "imatrix/cli/console.h"
#include "imatrix/cli/eval_report.h"
#include "imatrix/imatrix.h"

enum { N_TASK_KINDS = 3 };

typedef struct eval_args {
    imatrix_evaluate_options options;
    const char *logits_path; // to read with kl_divergence, else to write
    bool kl_divergence;
    bool tasks[N_TASK_KINDS]; // which kind of tasks the file holds, if any
    uint64_t max_tasks[N_TASK_KINDS];
    bool json;
} eval_args;

#define FIELD(name)     offsetof(eval_args, name)
#define TASKS(kind)     FIELD(tasks[IMATRIX_TASKS_##kind])
#define MAX_TASKS(kind) FIELD(max_tasks[IMATRIX_TASKS_##kind])

// clang-format off
static const option_row rows[] = {
    {OPTION_STRING, "model", 'm', FIELD(options.model_path), "FILE", "model in GGUF, of any type"},
    {OPTION_STRING, "file", 'f', FIELD(options.text_path), "FILE", "text, another one than the model was calibrated on; or tasks"},
    {OPTION_STRING, "binary-file", 0, FIELD(options.text_path), "FILE", NULL},
    {OPTION_STRING, "base", 0, FIELD(options.base_path), "FILE", "the model it was made from: adds KL divergence and agreement"},
    {OPTION_STRING, "kl-divergence-base", 0, FIELD(logits_path), "FILE", "predictions in a file, as llama-perplexity has them: the model's\nare written, or with --kl-divergence the base's are read"},
    {OPTION_STRING, "save-all-logits", 0, FIELD(logits_path), "FILE", NULL},
    {OPTION_TRUE, "kl-divergence", 0, FIELD(kl_divergence), NULL, "compare with the predictions of --kl-divergence-base, on their\ntext: neither --base nor -f is needed"},
    {OPTION_TRUE, "hellaswag", 0, TASKS(HELLASWAG), NULL, "count HellaSwag tasks solved, of those in -f"},
    {OPTION_U64, "hellaswag-tasks", 0, MAX_TASKS(HELLASWAG), "N", "random tasks to run, -1 = all [400]", 1, UINT32_MAX},
    {OPTION_TRUE, "winogrande", 0, TASKS(WINOGRANDE), NULL, "count Winogrande tasks solved"},
    {OPTION_U64, "winogrande-tasks", 0, MAX_TASKS(WINOGRANDE), "N", "random tasks to run, -1 = all [all]", 1, UINT32_MAX},
    {OPTION_TRUE, "multiple-choice", 0, TASKS(MULTIPLE_CHOICE), NULL, "count multiple-choice tasks solved (ARC, MMLU, TruthfulQA)"},
    {OPTION_U64, "multiple-choice-tasks", 0, MAX_TASKS(MULTIPLE_CHOICE), "N", "random tasks to run, -1 = all [all]", 1, UINT32_MAX},
    {OPTION_U32, "ctx-size", 'c', FIELD(options.n_ctx), "N", "tokens in a chunk; the second half of each is scored [512]", 4, 1 << 20},
    {OPTION_U64, "chunks", 0, FIELD(options.max_chunks), "N", "run at most N chunks, -1 = all [all]", 1, UINT32_MAX},
    {OPTION_TRUE, "parse-special", 0, FIELD(options.parse_special), NULL, "special tokens written in the text become their ids"},
    {OPTION_INT, "threads", 't', FIELD(options.n_threads), "N", "threads [all processors]", 1, 4096},
    {OPTION_TRUE, "json", 0, FIELD(json), NULL, "print the result as JSON, with every task"},
    {OPTION_END},
};
// clang-format on

static const char *const examples[] = {
    "imatrix eval -m model-Q4_K_M.gguf --base model-f16.gguf -f held-out.txt",
    "imatrix eval -m model-f16.gguf -f wiki.test.raw --chunks 50 --json",
    "imatrix eval -m model-f16.gguf -f wiki.test.raw --kl-divergence-base model.kld",
    "imatrix eval -m model-Q4_K_M.gguf --kl-divergence-base model.kld --kl-divergence",
    "imatrix eval -m model-Q4_K_M.gguf --hellaswag -f hellaswag_val_full.txt",
    NULL,
};

// Adds the files' names to a result and prints it.
static void print_json(json_t *root, const imatrix_evaluate_options *options,
                       const char *text_key) {
    const struct {
        const char *key, *path;
    } files[] = {
        {"model", options->model_path},
        {text_key, options->text_path},
        {"base", options->base_path},
        {"base_logits", options->base_logits_path},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
        if (files[i].path != NULL) {
            json_object_set_new(root, files[i].key, json_string(files[i].path));
        }
    }
    console_print_json(root);
}

static int run_text(eval_args *args) {
    console_progress display;
    imatrix_evaluation result;
    imatrix_error error;
    args->options.progress = console_progress_start(&display, false);
    const imatrix_status status = imatrix_evaluate(&args->options, &result, &error);
    console_progress_end(&display);
    if (status != IMATRIX_OK) {
        return console_error(&error);
    }
    if (args->json) {
        print_json(eval_report_pack(&result), &args->options, "text");
    } else {
        eval_report_print(&result);
    }
    return EXIT_SUCCESS;
}

static int run_tasks(const eval_args *args, imatrix_task_kind kind) {
    console_progress display;
    imatrix_task_options options;
    imatrix_task_result result;
    imatrix_error error;
    imatrix_task_options_init(&options);
    options.model_path = args->options.model_path;
    options.tasks_path = args->options.text_path;
    options.kind = kind;
    options.max_tasks = args->max_tasks[kind];
    options.n_threads = args->options.n_threads;
    options.progress = console_progress_start(&display, false);
    const imatrix_status status = imatrix_run_tasks(&options, &result, &error);
    console_progress_end(&display);
    int exit_status = EXIT_SUCCESS;
    if (status != IMATRIX_OK) {
        exit_status = console_error(&error);
    } else if (args->json) {
        print_json(eval_report_pack_tasks(&result, kind), &args->options, "file");
    } else {
        eval_report_print_tasks(&result, kind);
    }
    imatrix_task_result_free(&result);
    return exit_status;
}

// The kind of tasks asked for, -1 for none, N_TASK_KINDS for several.
static int wanted_tasks(const eval_args *args) {
    int wanted = -1;
    for (int kind = 0; kind < N_TASK_KINDS; ++kind) {
        if (args->tasks[kind]) {
            wanted = wanted < 0 ? kind : N_TASK_KINDS;
        }
    }
    return wanted;
}

// What the options mean together; EXIT_SUCCESS or what usage_error returns.
static int settle_options(const cli_command *command, eval_args *args, int tasks) {
    imatrix_evaluate_options *options = &args->options;
    if (tasks == N_TASK_KINDS) {
        return usage_error(command, "a file holds tasks of one kind");
    }
    if (tasks >= 0 && (options->base_path != NULL || args->logits_path != NULL)) {
        return usage_error(command, "tasks are run without a base");
    }
    if (args->kl_divergence && args->logits_path == NULL) {
        return usage_error(command, "--kl-divergence needs the base's predictions "
                                    "(--kl-divergence-base FILE)");
    }
    if (args->kl_divergence && options->base_path != NULL) {
        return usage_error(command, "--base and --kl-divergence are two ways to give a base");
    }
    if (options->model_path == NULL || (options->text_path == NULL && !args->kl_divergence)) {
        return usage_error(command, "a model (-m) and a text (-f) are needed");
    }
    if (args->kl_divergence) {
        options->base_logits_path = args->logits_path;
        options->text_path = NULL;
    } else {
        options->save_logits_path = args->logits_path;
    }
    return EXIT_SUCCESS;
}

static int run_eval(const cli_command *command, int argc, char **argv) {
    eval_args args = {.max_tasks[IMATRIX_TASKS_HELLASWAG] = 400};
    int exit_status;
    imatrix_evaluate_options_init(&args.options);
    if (parse_options_only(command, argc, argv, &args, &exit_status) < 0) {
        return exit_status;
    }
    const int tasks = wanted_tasks(&args);
    exit_status = settle_options(command, &args, tasks);
    if (exit_status != EXIT_SUCCESS) {
        return exit_status;
    }
    return tasks < 0 ? run_text(&args) : run_tasks(&args, (imatrix_task_kind)tasks);
}

const cli_command eval_command = {
    .name = "eval",
    .summary = "measure perplexity, the loss against a base model, and tasks solved",
    .usage = "-m MODEL.gguf -f TEXT [--base BASE.gguf] [OPTIONS]",
    .examples = examples,
    .options = rows,
    .run = run_eval,
};
