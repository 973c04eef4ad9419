// SPDX-License-Identifier: MIT
//
// What a report is made from: the JSON that other commands print.

#ifndef IMX_CLI_REPORT_INPUTS_H
#define IMX_CLI_REPORT_INPUTS_H

#include <jansson.h>
#include <stddef.h>

typedef enum input_kind {
    INPUT_COMPARE,
    INPUT_QUANTIZE,
    INPUT_EVAL,
    INPUT_SHOW,
    INPUT_CHECK,
    INPUT_COLLECT,
    INPUT_INSPECT,
    N_INPUT_KINDS,
} input_kind;

typedef struct report_input {
    input_kind kind;
    const char *path;
    json_t *root;
} report_input;

typedef struct report_inputs {
    report_input *items; // (n) by kind, then by bits per weight, then as given
    size_t n;
} report_inputs;

// The command that prints this kind: "compare".
const char *input_kind_name(input_kind kind);

// What a report shows of it, in a few words.
const char *input_kind_use(input_kind kind);

// Reads the files at `paths` (n) and tells what each is by its content. Returns an exit status,
// after saying on stderr what was wrong. *inputs is the caller's to inputs_free, also on failure.
int inputs_read(report_inputs *inputs, const char *const *paths, size_t n);
void inputs_free(report_inputs *inputs);

// The first input of a kind, or NULL.
const report_input *inputs_first(const report_inputs *inputs, input_kind kind);

// What stands behind the last slash.
const char *input_base_name(const char *path);

#endif
