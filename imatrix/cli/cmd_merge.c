// SPDX-License-Identifier: MIT
//
// imatrix merge: one imatrix of several.

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imatrix/cli/commands.h"
#include "imatrix/cli/console.h"
#include "imatrix/cli/imatrix_output.h"
#include "imatrix/imatrix.h"

typedef struct merge_args {
    imatrix_output output;
    string_list weights;
    size_t n_files;
    imatrix_file **files; // (n_files)
    double *factors;      // (n_files)
} merge_args;

#define FIELD(name) offsetof(merge_args, name)

static const option_row rows[] = {
    IMATRIX_OUTPUT_ROWS,
    {OPTION_STRINGS, "weight", 'w', FIELD(weights), "W",
     "what a file counts for, above 0; once for each file, in their\norder [1 for all]"},
    {OPTION_END},
};

static const char *const examples[] = {
    "imatrix merge first-half.imatrix second-half.imatrix -o model.imatrix",
    "imatrix merge chat.imatrix code.imatrix -w 1 -w 0.25 -o model.imatrix",
    NULL,
};

// Fills the factors from the weights; false when they are no numbers above 0, one for each file.
static bool read_weights(merge_args *args) {
    if (args->weights.n > 0 && args->weights.n != args->n_files) {
        return false;
    }
    for (size_t i = 0; i < args->n_files; ++i) {
        const char *text = args->weights.n > 0 ? args->weights.items[i] : "1";
        char *end;
        args->factors[i] = strtod(text, &end);
        if (end == text || *end != '\0' || !(args->factors[i] > 0 && isfinite(args->factors[i]))) {
            return false;
        }
    }
    return true;
}

// On stderr, what cannot be seen in the result: files that count chunks, files of other models.
static void warn_of_differences(const merge_args *args, char **paths) {
    const char *first_hash = NULL;
    uint32_t most = 1;
    imatrix_file_info info;
    for (size_t i = 0; i < args->n_files; ++i) {
        imatrix_file_get_info(args->files[i], &info);
        most = info.chunk_size > most ? info.chunk_size : most;
        first_hash = first_hash != NULL ? first_hash : info.model_hash;
    }
    for (size_t i = 0; i < args->n_files; ++i) {
        imatrix_file_get_info(args->files[i], &info);
        if (info.chunk_size == 1 && most > 1) {
            fprintf(stderr, "%s: counts chunks; they are taken for chunks of %u tokens\n", paths[i],
                    most);
        }
        if (info.model_hash != NULL && strcmp(info.model_hash, first_hash) != 0) {
            fprintf(stderr, "%s: was collected on another model file: %s\n", paths[i],
                    info.model_name != NULL ? info.model_name : info.model_hash);
        }
    }
}

static int merge_opened(const merge_args *args, char **paths) {
    imatrix_error error;
    imatrix_file *merged;
    warn_of_differences(args, paths);
    if (imatrix_file_merge(&merged, (const imatrix_file *const *)args->files, args->factors,
                           args->n_files, &error) != IMATRIX_OK) {
        return console_error(&error);
    }
    const int exit_status = imatrix_output_write(&args->output, merged);
    imatrix_file_close(merged);
    return exit_status;
}

static int open_and_merge(const merge_args *args, char **paths) {
    imatrix_error error;
    for (size_t i = 0; i < args->n_files; ++i) {
        if (imatrix_file_open(&args->files[i], paths[i], &error) != IMATRIX_OK) {
            return console_error(&error);
        }
    }
    return merge_opened(args, paths);
}

static int merge(const cli_command *command, merge_args *args, char **paths) {
    args->files = calloc(args->n_files, sizeof(imatrix_file *));
    args->factors = calloc(args->n_files, sizeof *args->factors);
    if (args->files == NULL || args->factors == NULL) {
        return console_out_of_memory();
    }
    if (!read_weights(args)) {
        return usage_error(command, "--weight takes a number above 0 for each of the %zu files",
                           args->n_files);
    }
    return open_and_merge(args, paths);
}

static int run_merge(const cli_command *command, int argc, char **argv) {
    merge_args args = {.output.format = IMATRIX_FORMAT_ZST};
    int exit_status;
    const int n = parse_options(command, argc, argv, &args, &exit_status);
    if (n >= 0) {
        args.n_files = (size_t)n;
        exit_status = n > 0 && args.output.path != NULL
                          ? merge(command, &args, argv + 1)
                          : usage_error(command, "needs files to merge and an output (-o)");
    }
    for (size_t i = 0; args.files != NULL && i < args.n_files; ++i) {
        imatrix_file_close(args.files[i]);
    }
    free(args.files);
    free(args.factors);
    free(args.weights.items);
    return exit_status;
}

const cli_command merge_command = {
    .name = "merge",
    .summary = "join imatrices of one model: from several texts, several machines",
    .usage = "A B ... -o OUT [-w WA -w WB ...] [OPTIONS]",
    .examples = examples,
    .options = rows,
    .run = run_merge,
};
