// SPDX-License-Identifier: MIT
//
// What a person sees: progress on stderr, sizes and times in readable units, errors.

#ifndef IMX_CLI_CONSOLE_H
#define IMX_CLI_CONSOLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "imatrix/imatrix.h"

// A job's progress display: a bar on a terminal, else a line every tenth of the way.
typedef struct console_progress {
    const char *phase; // of the last report
    double started;    // seconds, of the phase
    double last_shown; // seconds
    uint64_t last_tenth;
    uint64_t last_work;
    bool is_terminal;
    bool has_bar; // a bar stands on the current line
} console_progress;

// The callback for the library; `display` must outlive the job.
imatrix_progress console_progress_start(console_progress *display);

// Ends a bar's line, if one stands there.
void console_progress_end(console_progress *display);

// Prints "imatrix: MESSAGE" on stderr and returns EXIT_FAILURE.
int console_error(const imatrix_error *error);

// Seconds of a monotonic clock.
double console_seconds(void);

// Prints `root` on stdout, indented, and releases it.
void console_print_json(json_t *root);

// "1.23 MiB" into a buffer that the next call but three overwrites.
const char *console_bytes(uint64_t n_bytes);

#endif
