// SPDX-License-Identifier: MIT

#include "imatrix/cli/report/fields.h"

#include <math.h>
#include <stdint.h>

#include "imatrix/cli/console.h"
#include "imatrix/cli/report/html.h"

enum { MAX_COLUMNS = 40 };

const char *field_text(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

double field_number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (json_is_object(value)) {
        value = json_object_get(value, "value");
    }
    return json_is_number(value) ? json_number_value(value) : NAN;
}

double field_error(const json_t *object, const char *key) {
    const json_t *error = json_object_get(json_object_get(object, key), "error");
    return json_is_number(error) ? fmax(json_number_value(error), 0.0) : 0.0;
}

const char *field_real(double number) {
    static char buffers[4][32];
    static int next;
    char *out = buffers[next++ % 4];
    const double size = fabs(number);
    if (size != 0 && (size < 1e-5 || size >= 1e6)) {
        snprintf(out, sizeof buffers[0], "%.2e", number);
    } else {
        const int magnitude = size > 0 ? (int)floor(log10(size)) : 0;
        snprintf(out, sizeof buffers[0], "%.*f", magnitude < 2 ? 2 - magnitude : 0, number);
    }
    return out;
}

bool field_is_present(const field_row *row, const json_t *object) {
    const json_t *value = json_object_get(object, row->key);
    switch (row->kind) {
    case FIELD_TEXT:
    case FIELD_CODE:
        return json_string_length(value) > 0;
    case FIELD_SHAPE:
        return json_array_size(value) > 0;
    case FIELD_FLAG:
        return json_is_true(value);
    default:
        return !isnan(field_number(object, row->key));
    }
}

// ---- one value ---------------------------------------------------------------------------------

static void print_shape(FILE *page, const json_t *dims) {
    size_t i;
    const json_t *dim;
    json_array_foreach(dims, i, dim) {
        html_print(page, "%s%.0f", i > 0 ? " × " : "", json_number_value(dim));
    }
}

// A whole number, thousands apart.
static void print_count(FILE *page, double number) {
    char digits[352];
    const int n = snprintf(digits, sizeof digits, "%.0f", number);
    for (int i = 0; i < n; ++i) {
        if (i > 0 && (n - i) % 3 == 0 && digits[i - 1] != '-') {
            html_print(page, "\u202f"); // a narrow space that keeps the number on one line
        }
        fputc(digits[i], page);
    }
}

// Both with the decimals that show two digits of the error.
static void print_estimate(FILE *page, double value, double error) {
    char text[2][352];
    const int decimals = (int)fmin(fmax(1 - floor(log10(error)), 0), 9);
    snprintf(text[0], sizeof text[0], "%.*f", decimals, value);
    snprintf(text[1], sizeof text[1], "%.*f", decimals, error);
    html_print(page, "%s ± %s", text[0], text[1]);
}

static void print_number(FILE *page, const field_row *row, const json_t *object) {
    const double unit = row->kind == FIELD_PERCENT ? 100.0 : 1.0;
    const double number = unit * field_number(object, row->key);
    const double error = unit * field_error(object, row->key);
    if (row->kind == FIELD_BYTES) {
        html_print(page, "%s", console_bytes((uint64_t)fmin(fmax(number, 0), 1e18)));
    } else if (row->kind == FIELD_COUNT) {
        print_count(page, number);
    } else if (error > 0) {
        print_estimate(page, number, error);
    } else if (row->kind == FIELD_FIXED || row->kind == FIELD_PERCENT) {
        html_print(page, "%.2f", number);
    } else {
        html_print(page, "%s", field_real(number));
    }
    if (row->kind == FIELD_PERCENT) {
        html_print(page, " %%");
    }
}

void field_print(FILE *page, const field_row *row, const json_t *object) {
    if (!field_is_present(row, object)) {
        return;
    }
    switch (row->kind) {
    case FIELD_TEXT:
    case FIELD_CODE:
        html_print(page, "%s", field_text(object, row->key));
        break;
    case FIELD_SHAPE:
        print_shape(page, json_object_get(object, row->key));
        break;
    case FIELD_FLAG:
        html_print(page, "yes");
        break;
    default:
        print_number(page, row, object);
        break;
    }
}

// ---- all of an object --------------------------------------------------------------------------

void field_print_hint(FILE *page, const field_row *rows, const json_t *object) {
    for (; rows->kind != FIELD_END; ++rows) {
        if (field_is_present(rows, object)) {
            html_print(page, "%s: ", rows->title);
            field_print(page, rows, object);
            html_print(page, "\n");
        }
    }
}

static bool any_has(const field_row *row, const json_t *array) {
    size_t i;
    const json_t *object;
    json_array_foreach(array, i, object) {
        if (field_is_present(row, object)) {
            return true;
        }
    }
    return false;
}

static const char *cell_class(const field_row *row) {
    return row->kind == FIELD_CODE   ? " class=\"code\""
           : row->kind == FIELD_TEXT ? " class=\"text\""
                                     : "";
}

// Fills `columns` with the rows that some object has, and returns how many.
static size_t find_columns(const field_row *rows, const json_t *array,
                           const field_row *columns[MAX_COLUMNS]) {
    size_t n = 0;
    for (; rows->kind != FIELD_END && n < MAX_COLUMNS; ++rows) {
        if (any_has(rows, array)) {
            columns[n++] = rows;
        }
    }
    return n;
}

void field_print_table(FILE *page, const char *caption, const field_row *rows, const json_t *array,
                       bool is_open) {
    const field_row *columns[MAX_COLUMNS];
    const size_t n_columns = find_columns(rows, array, columns);
    size_t i;
    const json_t *object;
    if (n_columns == 0) {
        return;
    }
    fprintf(page, "<details%s><summary>", is_open ? " open" : "");
    html_print(page, "%s</summary>\n<div class=\"wide\"><table><thead><tr>", caption);
    for (size_t c = 0; c < n_columns; ++c) {
        fprintf(page, "<th scope=\"col\"%s>", cell_class(columns[c]));
        html_print(page, "%s</th>", columns[c]->title);
    }
    html_print(page, "</tr></thead>\n<tbody>\n");
    json_array_foreach(array, i, object) {
        html_print(page, "<tr>");
        for (size_t c = 0; c < n_columns; ++c) {
            fprintf(page, "<td%s>", cell_class(columns[c]));
            field_print(page, columns[c], object);
            html_print(page, "</td>");
        }
        html_print(page, "</tr>\n");
    }
    html_print(page, "</tbody></table></div></details>\n");
}
