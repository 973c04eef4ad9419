// SPDX-License-Identifier: MIT

#include "imatrix/cli/console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BAR_WIDTH = 30, N_BUFFERS = 4, LINE_BYTES = 160 };

static const double refresh_seconds = 1.0 / 6.0;

// How a phase's work is told. Unknown phases show no rate.
typedef struct phase_row {
    const char *phase;
    const char *unit;
    double unit_size;      // work in one unit
    bool work_is_repeated; // work counts every item of the total, e.g. tokens once per layer
} phase_row;

static const phase_row phase_table[] = {
    {"layers", "tokens/s", 1.0, true},
    {"tensors", "million weights/s", 1e6, false},
};

double console_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

const char *console_bytes(uint64_t n_bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    static char buffers[N_BUFFERS][32];
    static int next;
    char *out = buffers[next++ % N_BUFFERS];
    double value = (double)n_bytes;
    size_t unit = 0;
    while (value >= 1024.0 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024.0;
        ++unit;
    }
    snprintf(out, sizeof buffers[0], unit == 0 ? "%.0f %s" : "%.2f %s", value, units[unit]);
    return out;
}

static void format_rate(const imatrix_progress_report *report, double elapsed, char *out,
                        size_t size) {
    out[0] = '\0';
    for (size_t i = 0; i < sizeof phase_table / sizeof *phase_table; ++i) {
        const phase_row *row = &phase_table[i];
        if (strcmp(row->phase, report->phase) == 0 && elapsed > 0.0) {
            const double repeats = row->work_is_repeated ? (double)report->total : 1.0;
            const double rate = (double)report->work_done / (elapsed * row->unit_size * repeats);
            snprintf(out, size, ", %.*f %s", rate < 10.0 ? 2 : 0, rate, row->unit);
        }
    }
}

static void format_time_left(double share, double elapsed, char *out, size_t size) {
    const double left = share > 0.0 ? elapsed * (1.0 - share) / share : 0.0;
    const unsigned long seconds = (unsigned long)(left + 0.5);
    if (share >= 1.0) {
        snprintf(out, size, ", %.1f s", elapsed);
    } else if (seconds >= 3600) {
        snprintf(out, size, ", %lu h %02lu min left", seconds / 3600, seconds / 60 % 60);
    } else {
        snprintf(out, size, ", %lu:%02lu left", seconds / 60, seconds % 60);
    }
}

static void show(console_progress *display, const imatrix_progress_report *report, double share,
                 double now) {
    const double elapsed = now - display->started;
    char rate[64];
    char left[64];
    char line[LINE_BYTES];
    format_rate(report, elapsed, rate, sizeof rate);
    format_time_left(share, elapsed, left, sizeof left);
    snprintf(line, sizeof line, "%s %llu/%llu%s%s", report->phase, (unsigned long long)report->done,
             (unsigned long long)report->total, rate, left);
    if (!display->is_terminal) {
        fprintf(stderr, "%s\n", line);
        return;
    }
    char bar[BAR_WIDTH + 1];
    const int filled = (int)(share * BAR_WIDTH);
    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '#', (size_t)filled);
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r[%s] %3.0f %% %s\033[K", bar, 100.0 * share, line);
    display->has_bar = true;
}

static bool is_due(const console_progress *display, const imatrix_progress_report *report,
                   uint64_t tenth, double now) {
    if (report->done == report->total && report->work_done == report->work_total) {
        return true;
    }
    return display->is_terminal ? now - display->last_shown >= refresh_seconds
                                : tenth > display->last_tenth;
}

static bool report_progress(void *context, const imatrix_progress_report *report) {
    console_progress *display = context;
    const double now = console_seconds();
    // A phase may come twice in a row: the layers of the base, then those of the model.
    if (display->phase == NULL || strcmp(display->phase, report->phase) != 0 ||
        report->work_done < display->last_work) {
        console_progress_end(display);
        display->phase = report->phase;
        display->started = now;
        display->last_tenth = 0;
    }
    display->last_work = report->work_done;
    const double share =
        report->work_total > 0 ? (double)report->work_done / (double)report->work_total : 1.0;
    const uint64_t tenth = (uint64_t)(share * 10.0);
    if (is_due(display, report, tenth, now)) {
        show(display, report, share, now);
        display->last_shown = now;
        display->last_tenth = tenth;
    }
    return true;
}

imatrix_progress console_progress_start(console_progress *display) {
    *display = (console_progress){.is_terminal = isatty(STDERR_FILENO) != 0};
    return (imatrix_progress){report_progress, display};
}

void console_progress_end(console_progress *display) {
    if (display->has_bar) {
        fputc('\n', stderr);
        display->has_bar = false;
    }
}

int console_error(const imatrix_error *error) {
    fprintf(stderr, "imatrix: %s\n", error->message);
    return EXIT_FAILURE;
}

void console_print_json(json_t *root) {
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    fputc('\n', stdout);
    json_decref(root);
}
