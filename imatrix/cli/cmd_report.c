// SPDX-License-Identifier: MIT
//
// imatrix report: what the other commands have measured, as pictures.

#include <stdio.h>
#include <stdlib.h>

#include "imatrix/cli/commands.h"
#include "imatrix/cli/console.h"
#include "imatrix/cli/report/inputs.h"
#include "imatrix/cli/report/report_page.h"
#include "imatrix/imatrix.h"

typedef struct report_args {
    const char *out_path;
    const char *title;
} report_args;

#define FIELD(name) offsetof(report_args, name)

static const option_row rows[] = {
    {OPTION_STRING, "output", 'o', FIELD(out_path), "FILE", "where the report goes [report.html]"},
    {OPTION_STRING, "title", 0, FIELD(title), "TEXT", "its title [the model's name]"},
    {OPTION_END},
};

static const char *const examples[] = {
    "imatrix compare model-f16.gguf model-Q*.gguf -f held-out.txt --json > compare.json",
    "imatrix show model.imatrix --json > show.json",
    "imatrix report -o report.html compare.json show.json",
    NULL,
};

static void print_inputs(void) {
    printf("\nINPUT is what these commands print with --json; the report shows what is there:\n");
    for (int kind = 0; kind < N_INPUT_KINDS; ++kind) {
        printf("  %-10s %s\n", input_kind_name((input_kind)kind), input_kind_use((input_kind)kind));
    }
}

// *page (*size bytes) is the caller's to free(), NULL when out of memory.
static void print_page(char **page, size_t *size, const report_inputs *inputs, const char *title) {
    FILE *stream = open_memstream(page, size);
    if (stream == NULL) {
        *page = NULL;
        return;
    }
    report_page_print(stream, inputs, title);
    const bool is_whole = !ferror(stream);
    if (fclose(stream) != 0 || !is_whole) {
        free(*page);
        *page = NULL;
    }
}

static int write_report(const report_args *args, const report_inputs *inputs) {
    char *page;
    size_t size;
    imatrix_error error;
    print_page(&page, &size, inputs, args->title);
    if (page == NULL) {
        return console_out_of_memory();
    }
    const imatrix_status status = imatrix_write_file(args->out_path, page, size, &error);
    free(page);
    if (status != IMATRIX_OK) {
        return console_error(&error);
    }
    printf("%s: %s, of %zu inputs\n", args->out_path, console_bytes(size), inputs->n);
    return EXIT_SUCCESS;
}

static int run_report(const cli_command *command, int argc, char **argv) {
    report_args args = {.out_path = "report.html"};
    report_inputs inputs;
    int exit_status;
    const int n = parse_options(command, argc, argv, &args, &exit_status);
    if (n < 0) {
        return exit_status;
    }
    if (n == 0) {
        return usage_error(command, "needs at least one INPUT.json");
    }
    exit_status = inputs_read(&inputs, (const char *const *)argv + 1, (size_t)n);
    if (exit_status == EXIT_SUCCESS) {
        exit_status = write_report(&args, &inputs);
    }
    inputs_free(&inputs);
    return exit_status;
}

const cli_command report_command = {
    .name = "report",
    .summary = "draw what the other commands print as JSON into one HTML file",
    .usage = "[-o OUT.html] INPUT.json ...",
    .examples = examples,
    .options = rows,
    .more_help = print_inputs,
    .run = run_report,
};
