// SPDX-License-Identifier: MIT
//
// imatrix convert: from one format of the imatrix to another.

#include <stddef.h>
#include <stdlib.h>

#include "imatrix/cli/commands.h"
#include "imatrix/cli/console.h"
#include "imatrix/cli/imatrix_output.h"
#include "imatrix/imatrix.h"

typedef struct convert_args {
    imatrix_output output;
} convert_args;

#define FIELD(name) offsetof(convert_args, name)

static const option_row rows[] = {IMATRIX_OUTPUT_ROWS, {OPTION_END}};

static const char *const examples[] = {
    "imatrix convert model.imatrix -o imatrix.gguf --output-format gguf",
    "imatrix convert imatrix.dat -o model.imatrix",
    "imatrix convert model.imatrix -o small.imatrix --digits 3",
    NULL,
};

static int convert(const convert_args *args, const char *path) {
    imatrix_error error;
    imatrix_file *file;
    if (imatrix_file_open(&file, path, &error) != IMATRIX_OK) {
        return console_error(&error);
    }
    const int exit_status = imatrix_output_write(&args->output, file);
    imatrix_file_close(file);
    return exit_status;
}

static int run_convert(const cli_command *command, int argc, char **argv) {
    convert_args args = {.output.format = IMATRIX_FORMAT_ZST};
    int exit_status;
    const int n = parse_options(command, argc, argv, &args, &exit_status);
    if (n < 0) {
        return exit_status;
    }
    if (n != 1 || args.output.path == NULL) {
        return usage_error(command, "needs one file to convert and an output (-o)");
    }
    return convert(&args, argv[1]);
}

const cli_command convert_command = {
    .name = "convert",
    .summary = "write an imatrix in another format, or with fewer digits",
    .usage = "IN -o OUT [--output-format " FORMAT_METAVAR "] [--digits N]",
    .examples = examples,
    .options = rows,
    .run = run_convert,
};
