// SPDX-License-Identifier: MIT
//
// imatrix inspect: what a model is, and what would become of it.

#include <stdlib.h>

#include "imatrix/cli/commands.h"
#include "imatrix/cli/console.h"
#include "imatrix/cli/inspect_report.h"
#include "imatrix/imatrix.h"

typedef struct inspect_args {
    imatrix_inspect_options options;
    bool json;
} inspect_args;

#define FIELD(name) offsetof(inspect_args, name)

// clang-format off
static const option_row rows[] = {
    {OPTION_SIZE, "fit", 0, FIELD(options.fit_bytes), "N{M,G}", "memory to run in (8G: 8,000,000,000 bytes): says which types\nfit, and the best of them"},
    {OPTION_U32, "ctx-size", 'c', FIELD(options.n_ctx), "N", "tokens of context to run with [the model's own]", 1, UINT32_MAX},
    {OPTION_STRING, "imatrix", 0, FIELD(options.imatrix_path), "FILE", "statistics to quantize with: they change some sizes"},
    {OPTION_TRUE, "json", 0, FIELD(json), NULL, "print the result as JSON"},
    {OPTION_END},
};
// clang-format on

static const char *const examples[] = {
    "imatrix inspect model-f16.gguf",
    "imatrix inspect --fit 8G -c 8192 --imatrix model.imatrix model-f16.gguf",
    "imatrix inspect --json model-f16.gguf",
    NULL,
};

static int run_inspect(const cli_command *command, int argc, char **argv) {
    inspect_args args = {.json = false};
    imatrix_inspection *model;
    imatrix_error error;
    int exit_status;
    imatrix_inspect_options_init(&args.options);
    const int n_positional = parse_options(command, argc, argv, &args, &exit_status);
    if (n_positional < 0) {
        return exit_status;
    }
    if (n_positional != 1) {
        return usage_error(command, "needs one MODEL.gguf, got %d arguments", n_positional);
    }
    args.options.model_path = argv[1];
    if (imatrix_inspect(&model, &args.options, &error) != IMATRIX_OK) {
        return console_error(&error);
    }
    const inspect_report report = {.model = model, .options = &args.options};
    (args.json ? inspect_report_json : inspect_report_print)(&report);
    imatrix_inspection_free(model);
    return EXIT_SUCCESS;
}

const cli_command inspect_command = {
    .name = "inspect",
    .summary = "say what a model is, what can be done with it and how large each type would be",
    .usage = "[OPTIONS] MODEL.gguf",
    .examples = examples,
    .options = rows,
    .run = run_inspect,
};
