// SPDX-License-Identifier: MIT

#include "imatrix/cli/report/inputs.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imatrix/cli/console.h"
#include "imatrix/cli/report/fields.h"

enum { MAX_SIGNS = 3 };

// clang-format off
static const struct {
    const char *name;
    const char *use;
    const char *signs[MAX_SIGNS]; // keys that no other command prints together
} kinds[N_INPUT_KINDS] = {
    [INPUT_COMPARE]  = {"compare",  "size and loss of every file", {"base", "candidates"}},
    [INPUT_QUANTIZE] = {"quantize", "types and errors of every tensor; sizes for eval", {"output", "tensors", "type"}},
    [INPUT_EVAL]     = {"eval",     "loss of a file", {"model", "n_scored", "perplexity"}},
    [INPUT_SHOW]     = {"show",     "importance of every weight, coverage of experts, texts", {"chunk_size", "layers", "weights"}},
    [INPUT_CHECK]    = {"check",    "whether the imatrix serves the model", {"findings", "imatrix", "n_covered"}},
    [INPUT_COLLECT]  = {"collect",  "what was run, experts that saw little", {"n_entries", "output", "texts"}},
    [INPUT_INSPECT]  = {"inspect",  "what the model is", {"architecture", "tensor_types", "types"}},
};
// clang-format on

const char *input_kind_name(input_kind kind) {
    return kinds[kind].name;
}

const char *input_kind_use(input_kind kind) {
    return kinds[kind].use;
}

static bool has_signs(const json_t *root, input_kind kind) {
    for (size_t i = 0; i < MAX_SIGNS && kinds[kind].signs[i] != NULL; ++i) {
        if (json_object_get(root, kinds[kind].signs[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static int recognize(report_input *input) {
    for (int kind = 0; kind < N_INPUT_KINDS; ++kind) {
        if (has_signs(input->root, (input_kind)kind)) {
            input->kind = (input_kind)kind;
            return EXIT_SUCCESS;
        }
    }
    fprintf(stderr,
            "imatrix: %s: JSON, but of none of the commands that a report knows:", input->path);
    for (int kind = 0; kind < N_INPUT_KINDS; ++kind) {
        fprintf(stderr, "%s %s", kind > 0 ? "," : "", kinds[kind].name);
    }
    fprintf(stderr, ", each with --json\n");
    return EXIT_FAILURE;
}

static int read_input(report_input *input) {
    json_error_t error;
    input->root = json_load_file(input->path, JSON_REJECT_DUPLICATES, &error);
    if (input->root != NULL) {
        return recognize(input);
    }
    const enum json_error_code code = json_error_code(&error);
    if (code == json_error_cannot_open_file) {
        fprintf(stderr, "imatrix: %s: %s\n", input->path, error.text);
    } else if (code == json_error_premature_end_of_input && error.position == 0) {
        fprintf(stderr,
                "imatrix: %s: is empty: did the command that should have written it fail?\n",
                input->path);
    } else {
        fprintf(stderr, "imatrix: %s: line %d, column %d: not JSON: %s\n", input->path, error.line,
                error.column, error.text);
    }
    return EXIT_FAILURE;
}

static bool comes_before(const report_input *a, const report_input *b) {
    return a->kind < b->kind ||
           (a->kind == b->kind &&
            field_number(a->root, "bits_per_weight") < field_number(b->root, "bits_per_weight"));
}

// Takes over what `input` holds.
static void insert(report_inputs *inputs, report_input input) {
    size_t place = inputs->n++;
    for (; place > 0 && comes_before(&input, &inputs->items[place - 1]); --place) {
        inputs->items[place] = inputs->items[place - 1];
    }
    inputs->items[place] = input;
}

int inputs_read(report_inputs *inputs, const char *const *paths, size_t n) {
    *inputs = (report_inputs){.items = calloc(n, sizeof *inputs->items)};
    if (inputs->items == NULL) {
        return console_out_of_memory();
    }
    for (size_t i = 0; i < n; ++i) {
        report_input input = {.path = paths[i]};
        const int exit_status = read_input(&input);
        insert(inputs, input);
        if (exit_status != EXIT_SUCCESS) {
            return exit_status;
        }
    }
    return EXIT_SUCCESS;
}

void inputs_free(report_inputs *inputs) {
    for (size_t i = 0; i < inputs->n; ++i) {
        json_decref(inputs->items[i].root);
    }
    free(inputs->items);
}

const report_input *inputs_first(const report_inputs *inputs, input_kind kind) {
    for (size_t i = 0; i < inputs->n; ++i) {
        if (inputs->items[i].kind == kind) {
            return &inputs->items[i];
        }
    }
    return NULL;
}

const char *input_base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}
