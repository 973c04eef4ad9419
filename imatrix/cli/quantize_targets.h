// SPDX-License-Identifier: MIT
//
// The files that `imatrix quantize` is asked for, and what they are called.

#ifndef IMX_CLI_QUANTIZE_TARGETS_H
#define IMX_CLI_QUANTIZE_TARGETS_H

#include <stddef.h>

#include "imatrix/cli/options.h"

typedef struct quantize_target {
    const char *recipe;
    const char *path;
    char *default_path; // owned; what `path` points to where the user has not named the file
} quantize_target;

// Zero is empty.
typedef struct quantize_targets {
    quantize_target *items; // (n)
    size_t n;
} quantize_targets;

// Adds a file of that type, at `path`, or with NULL beside the model under a name made of both.
// Returns EXIT_SUCCESS, or else what main should, the mistake explained.
int quantize_targets_add(quantize_targets *targets, const cli_command *command,
                         const char *model_path, const char *type, const char *path);

// Adds a file for each of the types, separated by commas, in `dir` or with NULL beside the model.
int quantize_targets_add_types(quantize_targets *targets, const cli_command *command,
                               const char *model_path, const char *dir, const char *types);

void quantize_targets_free(quantize_targets *targets);

#endif
