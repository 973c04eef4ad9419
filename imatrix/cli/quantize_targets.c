// SPDX-License-Identifier: MIT

#include "imatrix/cli/quantize_targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "imatrix/cli/console.h"
#include "imatrix/imatrix.h"

// "dir/model-f16.gguf" and Q4_K_M make "dir/model-Q4_K_M.gguf", or "DIR/model-Q4_K_M.gguf" where
// `dir` is not NULL.
static char *make_default_path(const char *model_path, const char *dir, const char *recipe) {
    static const char *const endings[] = {".gguf", "-f16",  "-bf16", "-f32",
                                          ".f16",  ".bf16", ".f32"};
    const char *slash = strrchr(model_path, '/');
    const char *stem = dir != NULL && slash != NULL ? slash + 1 : model_path;
    size_t len = strlen(stem);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; ++i) {
        const size_t n = strlen(endings[i]);
        if (len > n && strncasecmp(stem + len - n, endings[i], n) == 0) {
            len -= n;
        }
    }
    char *path;
    const int n_written = asprintf(&path, "%s%s%.*s-%s.gguf", dir != NULL ? dir : "",
                                   dir != NULL ? "/" : "", (int)len, stem, recipe);
    return n_written >= 0 ? path : NULL;
}

// Appends one; the list owns its path also on failure.
static int add(quantize_targets *targets, const cli_command *command, quantize_target target) {
    quantize_target *grown = realloc(targets->items, (targets->n + 1) * sizeof *grown);
    if (grown == NULL) {
        free(target.default_path);
        return console_out_of_memory();
    }
    targets->items = grown;
    grown[targets->n++] = target;
    if (target.path == NULL) {
        return console_out_of_memory();
    }
    for (size_t i = 0; i + 1 < targets->n; ++i) {
        if (strcmp(grown[i].path, target.path) == 0) {
            return usage_error(command, "type %s is listed twice", target.recipe);
        }
    }
    return EXIT_SUCCESS;
}

static int add_type(quantize_targets *targets, const cli_command *command, const char *model_path,
                    const char *dir, const char *type, const char *path) {
    imatrix_recipe_info recipe;
    if (!imatrix_recipe_find(type, &recipe)) {
        return usage_error(command, "unknown type '%s'", type);
    }
    quantize_target target = {.recipe = recipe.name, .path = path};
    if (path == NULL) {
        target.default_path = make_default_path(model_path, dir, recipe.name);
        target.path = target.default_path;
    }
    return add(targets, command, target);
}

int quantize_targets_add(quantize_targets *targets, const cli_command *command,
                         const char *model_path, const char *type, const char *path) {
    return add_type(targets, command, model_path, NULL, type, path);
}

int quantize_targets_add_types(quantize_targets *targets, const cli_command *command,
                               const char *model_path, const char *dir, const char *types) {
    char *words = strdup(types);
    char *rest = NULL;
    if (words == NULL) {
        return console_out_of_memory();
    }
    int exit_status = EXIT_SUCCESS;
    for (char *word = strtok_r(words, ",", &rest); word != NULL && exit_status == EXIT_SUCCESS;
         word = strtok_r(NULL, ",", &rest)) {
        exit_status = add_type(targets, command, model_path, dir, word, NULL);
    }
    free(words);
    return exit_status == EXIT_SUCCESS && targets->n == 0
               ? usage_error(command, "--types names no type")
               : exit_status;
}

void quantize_targets_free(quantize_targets *targets) {
    for (size_t i = 0; i < targets->n; ++i) {
        free(targets->items[i].default_path);
    }
    free(targets->items);
}
