// SPDX-License-Identifier: MIT
//
// imatrix: the program. Finds the command and runs it.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imatrix/cli/commands.h"
#include "imatrix/cli/signals.h"
#include "imatrix/imatrix.h"

static const cli_command *const commands[] = {
    &collect_command,
    &quantize_command,
    &eval_command,
    &compare_command,
    &inspect_command,
    &show_command,
    &diff_command,
    &merge_command,
    &convert_command,
    &check_command,
    &report_command,
    &trace_command,
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *stream) {
    fprintf(stream,
            "imatrix %s: importance-matrix calibration and quantization of GGUF models\n\n"
            "Usage: imatrix COMMAND [OPTIONS]\n\nCommands:\n",
            imatrix_version());
    for (size_t i = 0; i < N_COMMANDS; ++i) {
        fprintf(stream, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    }
    fprintf(stream, "\n`imatrix COMMAND --help` explains a command.\n");
}

static int close_stdout(int exit_status) {
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "imatrix: cannot write to standard output\n");
        return EXIT_FAILURE;
    }
    return exit_status;
}

int main(int argc, char **argv) {
    signals_install();
    const char *name = argc > 1 ? argv[1] : NULL;
    if (name == NULL) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return close_stdout(EXIT_SUCCESS);
    }
    if (strcmp(name, "--version") == 0) {
        printf("imatrix %s\n", imatrix_version());
        return close_stdout(EXIT_SUCCESS);
    }
    for (size_t i = 0; i < N_COMMANDS; ++i) {
        if (strcmp(commands[i]->name, name) == 0) {
            return close_stdout(commands[i]->run(commands[i], argc - 1, argv + 1));
        }
    }
    fprintf(stderr, "imatrix: unknown command '%s'\n\n", name);
    print_help(stderr);
    return EXIT_USAGE;
}
