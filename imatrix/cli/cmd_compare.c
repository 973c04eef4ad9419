// SPDX-License-Identifier: MIT
//
// imatrix compare: which of the files made from one model are worth their bytes.

#include <stdio.h>
#include <stdlib.h>

#include "imatrix/cli/commands.h"
#include "imatrix/cli/compare_report.h"
#include "imatrix/cli/console.h"
#include "imatrix/imatrix.h"

typedef struct compare_args {
    imatrix_compare_options options;
    bool json;
    bool csv;
} compare_args;

#define FIELD(name) offsetof(compare_args, name)

// clang-format off
static const option_row rows[] = {
    {OPTION_STRING, "file", 'f', FIELD(options.text_path), "FILE", "text; another one than the models were calibrated on"},
    {OPTION_STRING, "against", 0, FIELD(options.against_path), "FILE", "hold every file against this one of them [against the best\nof those that are smaller]"},
    {OPTION_STRING, "tasks", 0, FIELD(options.tasks_path), "FILE", "count the tasks that each file solves, in HellaSwag's format"},
    {OPTION_U64, "hellaswag-tasks", 0, FIELD(options.max_tasks), "N", "random tasks to run, -1 = all [400]", 1, UINT32_MAX},
    {OPTION_U32, "ctx-size", 'c', FIELD(options.n_ctx), "N", "tokens in a chunk; the second half of each is scored [512]", 4, 1 << 20},
    {OPTION_U64, "chunks", 0, FIELD(options.max_chunks), "N", "run at most N chunks, -1 = all [all]", 1, UINT32_MAX},
    {OPTION_TRUE, "parse-special", 0, FIELD(options.parse_special), NULL, "special tokens written in the text become their ids"},
    {OPTION_INT, "threads", 't', FIELD(options.n_threads), "N", "threads [all processors]", 1, 4096},
    {OPTION_TRUE, "json", 0, FIELD(json), NULL, "print everything as JSON"},
    {OPTION_TRUE, "csv", 0, FIELD(csv), NULL, "print the table of files as CSV"},
    {OPTION_END},
};
// clang-format on

static const char *const examples[] = {
    "imatrix compare model-f16.gguf model-Q*.gguf -f held-out.txt",
    "imatrix compare model-f16.gguf model-Q*.gguf -f held-out.txt --against model-Q4_K_M.gguf",
    "imatrix compare model-f16.gguf model-Q*.gguf -f held-out.txt --json > compare.json",
    NULL,
};

static int compare(const compare_args *args) {
    console_progress display;
    imatrix_compare_options options = args->options;
    imatrix_comparison result;
    imatrix_error error;
    options.progress = console_progress_start(&display, false);
    const imatrix_status status = imatrix_compare(&options, &result, &error);
    console_progress_end(&display);
    const int exit_status = status != IMATRIX_OK ? console_error(&error)
                                                 : compare_report_print(&options, &result,
                                                                        args->json  ? COMPARE_JSON
                                                                        : args->csv ? COMPARE_CSV
                                                                                    : COMPARE_TEXT);
    imatrix_comparison_free(&result);
    return exit_status;
}

static int run_compare(const cli_command *command, int argc, char **argv) {
    compare_args args = {.json = false};
    int exit_status;
    imatrix_compare_options_init(&args.options);
    const int n = parse_options(command, argc, argv, &args, &exit_status);
    if (n < 0) {
        return exit_status;
    }
    if (n < 2 || args.options.text_path == NULL) {
        return usage_error(command, "a base, at least one file made from it, and a text (-f) are "
                                    "needed");
    }
    if (args.json && args.csv) {
        return usage_error(command, "--json and --csv exclude each other");
    }
    args.options.base_path = argv[1];
    args.options.model_paths = (const char *const *)argv + 2;
    args.options.n_models = (size_t)n - 1;
    return compare(&args);
}

const cli_command compare_command = {
    .name = "compare",
    .summary = "tell which of the files made from one model are worth their bytes",
    .usage = "BASE.gguf A.gguf B.gguf ... -f TEXT [OPTIONS]",
    .examples = examples,
    .options = rows,
    .run = run_compare,
};
