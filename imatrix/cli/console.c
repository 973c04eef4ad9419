// SPDX-License-Identifier: MIT

#include "imatrix/cli/console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "imatrix/cli/signals.h"

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
    {"calibrated layers", "million weights/s", 1e6, false},
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

// What a display shows of a report beyond its numbers.
typedef struct pace {
    double share;   // of the work, 0..1
    double elapsed; // seconds of this run in this phase
    double rate;    // work per second; 0 when unknown
    double left;    // seconds; negative when unknown
} pace;

static pace measure_pace(const console_progress *display, const imatrix_progress_report *report,
                         double now) {
    const double done_here = (double)(report->work_done - display->first_work);
    pace p = {.share = 1, .elapsed = now - display->started, .left = -1};
    if (report->work_total > 0) {
        p.share = (double)report->work_done / (double)report->work_total;
    }
    if (p.elapsed > 0 && done_here > 0) {
        p.rate = done_here / p.elapsed;
        p.left = (double)(report->work_total - report->work_done) / p.rate;
    }
    return p;
}

static void format_parts(const imatrix_progress_report *report, char *out, size_t size) {
    out[0] = '\0';
    if (report->part_done < report->part_total) {
        snprintf(out, size, ", chunk %llu/%llu", (unsigned long long)report->part_done,
                 (unsigned long long)report->part_total);
    }
}

static void format_rate(const imatrix_progress_report *report, const pace *p, char *out,
                        size_t size) {
    out[0] = '\0';
    for (size_t i = 0; i < sizeof phase_table / sizeof *phase_table; ++i) {
        const phase_row *row = &phase_table[i];
        if (strcmp(row->phase, report->phase) == 0 && p->rate > 0) {
            const double repeats = row->work_is_repeated ? (double)report->total : 1.0;
            const double rate = p->rate / (row->unit_size * repeats);
            snprintf(out, size, ", %.*f %s", rate < 10.0 ? 2 : 0, rate, row->unit);
        }
    }
}

static void format_time_left(const pace *p, char *out, size_t size) {
    const unsigned long seconds = p->left > 0 ? (unsigned long)(p->left + 0.5) : 0;
    out[0] = '\0';
    if (p->share >= 1.0) {
        snprintf(out, size, ", %.1f s", p->elapsed);
    } else if (p->left >= 3600) {
        snprintf(out, size, ", %lu h %02lu min left", seconds / 3600, seconds / 60 % 60);
    } else if (p->left >= 0) {
        snprintf(out, size, ", %lu:%02lu left", seconds / 60, seconds % 60);
    }
}

static void show(console_progress *display, const imatrix_progress_report *report, const pace *p) {
    char parts[64];
    char rate[64];
    char left[64];
    char line[LINE_BYTES];
    format_parts(report, parts, sizeof parts);
    format_rate(report, p, rate, sizeof rate);
    format_time_left(p, left, sizeof left);
    snprintf(line, sizeof line, "%s %llu/%llu%s%s%s", report->phase,
             (unsigned long long)report->done, (unsigned long long)report->total, parts, rate,
             left);
    if (display->style == CONSOLE_LINES) {
        fprintf(stderr, "%s\n", line);
        return;
    }
    char bar[BAR_WIDTH + 1];
    const int filled = (int)(p->share * BAR_WIDTH);
    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '#', (size_t)filled);
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r[%s] %3.0f %% %s\033[K", bar, 100.0 * p->share, line);
    display->has_bar = true;
}

static void show_json(const imatrix_progress_report *report, const pace *p) {
    json_t *root = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "phase", report->phase, "done",
        (json_int_t)report->done, "total", (json_int_t)report->total, "part_done",
        (json_int_t)report->part_done, "part_total", (json_int_t)report->part_total, "work_done",
        (json_int_t)report->work_done, "work_total", (json_int_t)report->work_total, "seconds",
        p->elapsed, "rate", p->rate, "seconds_left", p->left > 0 ? p->left : 0.0);
    console_print_json_line(root);
}

static bool is_layer_done(const console_progress *display, const imatrix_progress_report *report) {
    return report->part_total > 0 && report->done > display->last_done;
}

static bool is_due(const console_progress *display, const imatrix_progress_report *report,
                   const pace *p, double now) {
    if (display->style == CONSOLE_JSON) {
        return true;
    }
    if (report->work_done == report->work_total) {
        return true;
    }
    if (report->work_done == display->first_work) {
        return false; // nothing has been done yet
    }
    return display->style == CONSOLE_BAR ? now - display->last_shown >= refresh_seconds
                                         : (uint64_t)(p->share * 10.0) > display->last_tenth ||
                                               is_layer_done(display, report);
}

static void begin_phase(console_progress *display, const imatrix_progress_report *report,
                        double now) {
    console_progress_end(display);
    *display = (console_progress){
        .style = display->style,
        .model = report->model,
        .phase = report->phase,
        .started = now,
        .first_work = report->work_done,
        .last_done = report->done,
    };
}

// Of several models, on a line of its own, the one that reports now.
static void name_model(console_progress *display, const imatrix_progress_report *report) {
    const char *slash = strrchr(report->model, '/');
    console_progress_end(display);
    fprintf(stderr, "%s (%llu of %llu)\n", slash != NULL ? slash + 1 : report->model,
            (unsigned long long)report->model_index + 1, (unsigned long long)report->n_models);
}

static bool report_progress(void *context, const imatrix_progress_report *report) {
    console_progress *display = context;
    const double now = console_seconds();
    if (report->model != display->model && display->style != CONSOLE_JSON) {
        name_model(display, report);
    }
    // A phase may come twice in a row: the layers of the base, then those of the model.
    if (display->phase == NULL || report->model != display->model ||
        strcmp(display->phase, report->phase) != 0 || report->work_done < display->last_work) {
        begin_phase(display, report, now);
    }
    display->last_work = report->work_done;
    const pace p = measure_pace(display, report, now);
    if (is_due(display, report, &p, now)) {
        if (display->style == CONSOLE_JSON) {
            show_json(report, &p);
        } else {
            show(display, report, &p);
        }
        display->last_shown = now;
        display->last_tenth = (uint64_t)(p.share * 10.0);
        display->last_done = report->done;
    }
    return !signals_stop_requested();
}

imatrix_progress console_progress_start(console_progress *display, bool as_json) {
    const console_style human = isatty(STDERR_FILENO) ? CONSOLE_BAR : CONSOLE_LINES;
    *display = (console_progress){.style = as_json ? CONSOLE_JSON : human};
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

int console_out_of_memory(void) {
    fprintf(stderr, "imatrix: out of memory\n");
    return EXIT_FAILURE;
}

json_t *console_pack_share(const imatrix_text_share *share) {
    return json_pack("{s:s, s:s, s:f, s:I, s:I}", "name", share->name, "hash", share->hash,
                     "weight", share->weight, "n_tokens", (json_int_t)share->n_tokens, "n_chunks",
                     (json_int_t)share->n_chunks);
}

void console_print_json(json_t *root) {
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    fputc('\n', stdout);
    json_decref(root);
}

void console_print_json_line(json_t *root) {
    json_dumpf(root, stderr, JSON_COMPACT | JSON_REAL_PRECISION(10));
    fputc('\n', stderr);
    json_decref(root);
}
