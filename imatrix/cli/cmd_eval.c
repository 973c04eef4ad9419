// SPDX-License-Identifier: MIT
//
// imatrix eval: what was lost.

#include <stdio.h>
#include <stdlib.h>

#include "imatrix/cli/commands.h"
#include "imatrix/cli/console.h"
#include "imatrix/cli/eval_report.h"
#include "imatrix/imatrix.h"

typedef struct eval_args {
    imatrix_evaluate_options options;
    const char *logits_path; // to read with kl_divergence, else to write
    bool kl_divergence;
    bool json;
} eval_args;

#define FIELD(name) offsetof(eval_args, name)

// clang-format off
static const option_row rows[] = {
    {OPTION_STRING, "model", 'm', FIELD(options.model_path), "FILE", "model in GGUF, of any type"},
    {OPTION_STRING, "file", 'f', FIELD(options.text_path), "FILE", "text; another one than the model was calibrated on"},
    {OPTION_STRING, "base", 0, FIELD(options.base_path), "FILE", "the model it was made from: adds KL divergence and agreement"},
    {OPTION_STRING, "kl-divergence-base", 0, FIELD(logits_path), "FILE", "write the model's predictions as llama-perplexity does, for --kl-divergence"},
    {OPTION_STRING, "save-all-logits", 0, FIELD(logits_path), "FILE", NULL},
    {OPTION_TRUE, "kl-divergence", 0, FIELD(kl_divergence), NULL, "take the file of --kl-divergence-base for the base, its text for -f"},
    {OPTION_U32, "ctx-size", 'c', FIELD(options.n_ctx), "N", "tokens in a chunk; the second half of each is scored [512]", 4, 1 << 20},
    {OPTION_U64, "chunks", 0, FIELD(options.max_chunks), "N", "run at most N chunks, -1 = all [all]", 1, UINT32_MAX},
    {OPTION_TRUE, "parse-special", 0, FIELD(options.parse_special), NULL, "special tokens written in the text become their ids"},
    {OPTION_INT, "threads", 't', FIELD(options.n_threads), "N", "threads [all processors]", 1, 4096},
    {OPTION_TRUE, "json", 0, FIELD(json), NULL, "print the result as JSON"},
    {OPTION_END},
};
// clang-format on

static const char *const examples[] = {
    "imatrix eval -m model-Q4_K_M.gguf --base model-f16.gguf -f held-out.txt",
    "imatrix eval -m model-f16.gguf -f wiki.test.raw --chunks 50 --json",
    NULL,
};

static void print_json(const eval_args *args, const imatrix_evaluation *result) {
    json_t *root = eval_report_pack(result);
    const imatrix_evaluate_options *options = &args->options;
    const struct {
        const char *key, *path;
    } files[] = {
        {"model", options->model_path},
        {"text", options->text_path},
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

// Sorts out what the options mean together; EXIT_SUCCESS or what usage_error returns.
static int settle_options(const cli_command *command, eval_args *args) {
    imatrix_evaluate_options *options = &args->options;
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
        options->text_path = NULL;
    }
    *(args->kl_divergence ? &options->base_logits_path : &options->save_logits_path) =
        args->logits_path;
    return EXIT_SUCCESS;
}

static int run_eval(const cli_command *command, int argc, char **argv) {
    eval_args args = {.json = false};
    int exit_status;
    imatrix_evaluate_options_init(&args.options);
    if (parse_options_only(command, argc, argv, &args, &exit_status) < 0) {
        return exit_status;
    }
    exit_status = settle_options(command, &args);
    if (exit_status != EXIT_SUCCESS) {
        return exit_status;
    }

    console_progress display;
    imatrix_evaluation result;
    imatrix_error error;
    args.options.progress = console_progress_start(&display, false);
    const imatrix_status status = imatrix_evaluate(&args.options, &result, &error);
    console_progress_end(&display);
    if (status != IMATRIX_OK) {
        return console_error(&error);
    }
    if (args.json) {
        print_json(&args, &result);
    } else {
        eval_report_print(&result);
    }
    return EXIT_SUCCESS;
}

const cli_command eval_command = {
    .name = "eval",
    .summary = "measure perplexity and, against a base model, what quantization has lost",
    .usage = "-m MODEL.gguf -f TEXT [--base BASE.gguf] [OPTIONS]",
    .examples = examples,
    .options = rows,
    .run = run_eval,
};
