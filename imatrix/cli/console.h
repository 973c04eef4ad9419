// SPDX-License-Identifier: MIT
//
// What a person sees: progress on stderr, sizes and times in readable units, errors.

#ifndef IMX_CLI_CONSOLE_H
#define IMX_CLI_CONSOLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "imatrix/imatrix.h"

// How progress is shown on stderr.
typedef enum console_style {
    CONSOLE_BAR,   // one line that changes, for a terminal
    CONSOLE_LINES, // a line for every tenth of the work and for every layer
    CONSOLE_JSON,  // an object a line for every report, for programs
} console_style;

typedef struct console_progress {
    console_style style;
    const char *model;   // of the last report
    const char *phase;   // likewise
    double started;      // seconds, of the phase
    double last_shown;   // seconds
    uint64_t first_work; // of the phase: an earlier run may have done so much
    uint64_t last_work;
    uint64_t last_tenth;
    uint64_t last_done;
    bool has_bar; // a bar stands on the current line
} console_progress;

// The callback for the library; `display` must outlive the job. With `as_json` reports are objects:
// {"phase", "done", "total", "part_done", "part_total", "work_done", "work_total", "seconds",
// "seconds_left"}, and "rate" in work a second.
imatrix_progress console_progress_start(console_progress *display, bool as_json);

// Ends a bar's line, if one stands there.
void console_progress_end(console_progress *display);

// Prints "imatrix: MESSAGE" on stderr and returns EXIT_FAILURE.
int console_error(const imatrix_error *error);

// The same for lack of memory.
int console_out_of_memory(void);

// Seconds of a monotonic clock.
double console_seconds(void);

// Prints `root` on stdout, indented, and releases it.
void console_print_json(json_t *root);

// What a text has given: {"name", "hash", "weight", "n_tokens", "n_chunks"}.
json_t *console_pack_share(const imatrix_text_share *share);

// Prints `root` on one line of stderr and releases it.
void console_print_json_line(json_t *root);

// "1.23 MiB" into a buffer that the next call but three overwrites.
const char *console_bytes(uint64_t n_bytes);

#endif
