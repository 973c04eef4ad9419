// SPDX-License-Identifier: MIT
//
// imatrix: the program. Finds the command and runs it; on SIGINT, SIGTERM and SIGHUP removes the
// temporary files of unfinished outputs and dies of the signal.

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imatrix/cli/commands.h"
#include "imatrix/imatrix.h"

static const cli_command *const commands[] = {&collect_command, &quantize_command, &eval_command};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void clean_up_and_die(int signal_number) {
    imatrix_remove_temporary_files();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void install_handlers(void) {
    static const int fatal_signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof fatal_signals / sizeof *fatal_signals; ++i) {
        struct sigaction action;
        sigaction(fatal_signals[i], NULL, &action);
        if (action.sa_handler != SIG_IGN) { // nohup keeps its meaning
            action = (struct sigaction){.sa_handler = clean_up_and_die};
            sigemptyset(&action.sa_mask);
            sigaction(fatal_signals[i], &action, NULL);
        }
    }
    signal(SIGXFSZ, SIG_IGN); // a file size limit is then an error like a full disk
}

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
    install_handlers();
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
