// SPDX-License-Identifier: MIT
//
// Which file should one publish? Each is a point: how large it is, and how far its predictions are
// from the original's. Losses span several powers of ten between 8 bits and 2, so they stand on a
// log scale; sizes, which people compare with their memory, on a linear one. The front is joined by
// straight lines: a staircase, which it is to be exact, was tried and hides the shape that tells
// where another byte still buys much.

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "imatrix/cli/report/fields.h"
#include "imatrix/cli/report/html.h"
#include "imatrix/cli/report/label_layout.h"
#include "imatrix/cli/report/loss_rows.h"
#include "imatrix/cli/report/plot.h"
#include "imatrix/cli/report/sections.h"

// Widths in pixels that labels are laid out for: a telephone's, and whatever is wider.
enum { NARROW = 260, WIDE = 540 };

static const double n_errors = 2; // standard errors that a bar reaches to each side

static const char legend[] =
    "<p class=\"legend\"><span><svg class=\"key\"><circle class=\"best\" r=\"5\"/></svg> on the Pareto "
    "front: no file that is as small loses less</span><span><svg class=\"key\"><path class=\"beaten\" "
    "d=\"M0-5L5 0L0 5L-5 0Z\"/></svg> beaten</span><span><svg class=\"key\"><path class=\"bar\" "
    "d=\"M0-6V6M-4-6H4M-4 6H4\"/></svg> two standard errors to each side</span></p>\n";

// The files that are drawn, by size, and where.
typedef struct loss_picture {
    plot frame;
    double unit_bytes; // of one on the scale of sizes
    const json_t *rows;
} loss_picture;

// clang-format off
static const field_row columns[] = {
    {FIELD_CODE,    "name",           "file"},
    {FIELD_BYTES,   "file_bytes",      "size"},
    {FIELD_REAL,    "kl_mean",         "KL divergence"},
    {FIELD_FLAG,    "on_front",        "on the front"},
    {FIELD_PERCENT, "top1",            "same top token"},
    {FIELD_REAL,    "kl_p99",          "KL 99 %"},
    {FIELD_REAL,    "perplexity",      "perplexity"},
    {FIELD_PERCENT, "accuracy",        "tasks solved"},
    {FIELD_FIXED,   "bits_per_weight", "bits per weight"},
    {FIELD_END},
};

static const field_row difference_columns[] = {
    {FIELD_CODE, "name",         "file"},
    {FIELD_CODE, "against_name", "against"},
    {FIELD_REAL, "kl_mean",      "KL divergence"},
    {FIELD_TEXT, "kl_verdict",   "is"},
    {FIELD_REAL, "ln_ratio",     "ln perplexity"},
    {FIELD_TEXT, "ratio_verdict", "is"},
    {FIELD_END},
};

static const struct {
    const char *title;
    double bytes;
} units[] = {
    {"file size, bytes", 1.0},
    {"file size, KiB",   1024.0},
    {"file size, MiB",   1048576.0},
    {"file size, GiB",   1073741824.0},
};
// clang-format on

enum { N_UNITS = sizeof units / sizeof *units };

// ---- scales ------------------------------------------------------------------------------------

static void fit_sizes(plot *p, double *unit_bytes, const json_t *rows) {
    const double most = field_number(json_array_get(rows, json_array_size(rows) - 1), "file_bytes");
    size_t unit = 0;
    size_t i;
    const json_t *row;
    while (unit + 1 < N_UNITS && most >= units[unit + 1].bytes) {
        ++unit;
    }
    *unit_bytes = units[unit].bytes;
    p->x_title = units[unit].title;
    p->x = scale_new(false);
    json_array_foreach(rows, i, row) {
        scale_include(&p->x, field_number(row, "file_bytes") / *unit_bytes);
    }
    scale_pad(&p->x, 0.08, 0.08);
}

static void fit_losses(plot *p, const json_t *rows) {
    size_t i;
    const json_t *row;
    p->y = scale_new(true);
    json_array_foreach(rows, i, row) {
        scale_include(&p->y, field_number(row, "kl_mean"));
    }
    scale_include(&p->y, scale_is_known(&p->y) ? p->y.most : 1.0);
    scale_pad(&p->y, 0.08, 0.08);
}

static double row_x(const loss_picture *picture, const json_t *row) {
    return plot_x(&picture->frame, field_number(row, "file_bytes") / picture->unit_bytes);
}

static double row_y(const loss_picture *picture, const json_t *row) {
    return plot_y(&picture->frame, field_number(row, "kl_mean"));
}

// ---- marks -------------------------------------------------------------------------------------

static bool is_on_front(const json_t *row) {
    return json_is_true(json_object_get(row, "on_front"));
}

// From one file on the front to the next.
static void draw_front(const loss_picture *picture) {
    const json_t *last = NULL;
    size_t i;
    const json_t *row;
    json_array_foreach(picture->rows, i, row) {
        if (!is_on_front(row)) {
            continue;
        }
        if (last != NULL) {
            html_print(
                picture->frame.page,
                "<line class=\"front\" x1=\"%.2f%%\" y1=\"%.1f\" x2=\"%.2f%%\" y2=\"%.1f\"/>\n",
                row_x(picture, last), row_y(picture, last), row_x(picture, row),
                row_y(picture, row));
        }
        last = row;
    }
}

// The bar of a mark whose middle is the origin.
static void draw_bar(const loss_picture *picture, const json_t *row) {
    const double kl = field_number(row, "kl_mean");
    const double reach = n_errors * field_error(row, "kl_mean");
    const double top = plot_y(&picture->frame, kl + reach) - row_y(picture, row);
    const double bottom = plot_y(&picture->frame, kl - reach) - row_y(picture, row);
    html_print(picture->frame.page, "<path class=\"bar\" d=\"M0 %.1fV%.1fM-4 %.1fH4M-4 %.1fH4\"/>",
               top, bottom, top, bottom);
}

static void draw_mark(const loss_picture *picture, const json_t *row) {
    FILE *page = picture->frame.page;
    html_print(page, "<svg class=\"mark\" x=\"%.2f%%\" y=\"%.1f\"><title>", row_x(picture, row),
               row_y(picture, row));
    field_print_hint(page, columns, row);
    html_print(page, "</title>");
    draw_bar(picture, row);
    html_print(page, is_on_front(row) ? "<circle class=\"best\" r=\"5\"/>"
                                      : "<path class=\"beaten\" d=\"M0-5L5 0L0 5L-5 0Z\"/>");
    html_print(page, "<circle class=\"reach\" r=\"10\"/></svg>\n");
}

// Those of files on the front, or of the others, which lie on top: they are hollow.
static void draw_marks(const loss_picture *picture, bool on_front) {
    size_t i;
    const json_t *row;
    json_array_foreach(picture->rows, i, row) {
        if (is_on_front(row) == on_front) {
            draw_mark(picture, row);
        }
    }
}

static void draw_labels(const loss_picture *picture, label_point *points, double width,
                        const char *class_name) {
    const size_t n = json_array_size(picture->rows);
    label_layout(points, n, width);
    for (size_t i = 0; i < n; ++i) {
        if (points[i].anchor != NULL) {
            html_print(picture->frame.page,
                       "<svg x=\"%.2f%%\" y=\"%.1f\"><text class=\"name %s\" x=\"%.0f\" y=\"%.0f\" "
                       "text-anchor=\"%s\">%s</text></svg>\n",
                       100 * points[i].x, points[i].y, class_name, points[i].dx, points[i].dy,
                       points[i].anchor, points[i].text);
        }
    }
}

static void draw_all_labels(const loss_picture *picture) {
    label_point *points = calloc(json_array_size(picture->rows) + 1, sizeof *points);
    size_t i;
    const json_t *row;
    if (points == NULL) {
        return; // the table names them all
    }
    json_array_foreach(picture->rows, i, row) {
        points[i] = (label_point){
            .x = row_x(picture, row) / 100,
            .y = row_y(picture, row),
            .text = field_text(row, "name"),
            .comes_first = is_on_front(row),
        };
    }
    draw_labels(picture, points, NARROW, "narrow");
    draw_labels(picture, points, WIDE, "broad");
    free(points);
}

static void draw_picture(FILE *page, const json_t *rows) {
    loss_picture picture = {
        .frame = {.page = page,
                  .y_title = "KL divergence from the original, nats",
                  .label = "Size of each file against its KL divergence"},
        .rows = rows,
    };
    fit_sizes(&picture.frame, &picture.unit_bytes, rows);
    fit_losses(&picture.frame, rows);
    plot_begin(&picture.frame);
    draw_front(&picture);
    draw_marks(&picture, true);
    draw_marks(&picture, false);
    draw_all_labels(&picture);
    plot_end(&picture.frame);
    html_print(page, legend);
}

// ---- the section -------------------------------------------------------------------------------

// Those that have a place in the picture, as a new array.
static json_t *select_drawn(const json_t *rows) {
    json_t *drawn = json_array();
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) {
        if (field_number(row, "file_bytes") > 0 && !isnan(field_number(row, "kl_mean"))) {
            json_array_append(drawn, row);
        }
    }
    return drawn;
}

static void explain_absence(FILE *page, size_t n_absent) {
    if (n_absent > 0) {
        html_print(
            page,
            "<p class=\"note\">Not drawn: %zu without a size (give the report the JSON of "
            "<code>quantize</code> too) or without a KL divergence (<code>eval --base</code>)."
            "</p>\n",
            n_absent);
    }
}

static void print_differences(FILE *page, const report_inputs *inputs) {
    for (size_t i = 0; i < inputs->n; ++i) {
        if (inputs->items[i].kind == INPUT_COMPARE) {
            field_print_table(page, "Differences at the same positions", difference_columns,
                              json_object_get(inputs->items[i].root, "differences"), false);
        }
    }
}

void section_losses(FILE *page, const report_inputs *inputs) {
    json_t *rows = loss_rows_new(inputs);
    json_t *drawn = select_drawn(rows);
    if (json_array_size(rows) > 0) {
        html_print(page, "<section id=\"losses\"><h2>Size and loss</h2>\n");
        if (json_array_size(drawn) > 0) {
            draw_picture(page, drawn);
        }
        explain_absence(page, json_array_size(rows) - json_array_size(drawn));
        field_print_table(page, "All files", columns, rows, true);
        print_differences(page, inputs);
        html_print(page, "</section>\n");
    }
    json_decref(drawn);
    json_decref(rows);
}
