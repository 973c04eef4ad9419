// SPDX-License-Identifier: MIT

#include "imatrix/cli/table.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imatrix/cli/console.h"

enum { CELL_BYTES = 64, MAX_SHOWN = 32 };

// ---- fields ------------------------------------------------------------------------------------

// What lies in a row.
typedef enum field_type {
    FIELD_TEXT, // const char *
    FIELD_I32,
    FIELD_U64,
    FIELD_BOOL,
    FIELD_REAL,     // double
    FIELD_ESTIMATE, // imatrix_estimate
} field_type;

// How its numbers look to people.
static const struct {
    field_type type;
    const char *format;
    double scale;
} kinds[] = {
    [COLUMN_NAME] = {FIELD_TEXT},
    [COLUMN_TEXT] = {FIELD_TEXT},
    [COLUMN_I32] = {FIELD_I32, "%.0f", 1},
    [COLUMN_U64] = {FIELD_U64, "%.0f", 1},
    [COLUMN_BYTES] = {FIELD_U64},
    [COLUMN_MARK] = {FIELD_BOOL},
    [COLUMN_COUNT] = {FIELD_REAL, "%.0f", 1},
    [COLUMN_REAL] = {FIELD_REAL, "%.3g", 1},
    [COLUMN_HUNDREDTHS] = {FIELD_REAL, "%.2f", 1},
    [COLUMN_FIXED] = {FIELD_REAL, "%.4f", 1},
    [COLUMN_EXACT] = {FIELD_REAL, "%.6f", 1},
    [COLUMN_SHARE] = {FIELD_REAL, "%.1f", 100},
    [COLUMN_ESTIMATE_3] = {FIELD_ESTIMATE, "%.3f", 1},
    [COLUMN_ESTIMATE_4] = {FIELD_ESTIMATE, "%.4f", 1},
    [COLUMN_ESTIMATE_6] = {FIELD_ESTIMATE, "%.6f", 1},
    [COLUMN_ESTIMATE_SHARE] = {FIELD_ESTIMATE, "%.1f", 100},
};

static field_type type_of(const table_column *column) {
    return kinds[column->kind].type;
}

static const void *field_of(const table_column *column, const void *row) {
    return (const char *)row + column->offset;
}

static const char *text_at(const table_column *column, const void *row) {
    return *(const char *const *)field_of(column, row);
}

// The value of a column of numbers.
static double number_at(const table_column *column, const void *row) {
    const void *field = field_of(column, row);
    switch (type_of(column)) {
    case FIELD_I32:
        return *(const int32_t *)field;
    case FIELD_U64:
        return (double)*(const uint64_t *)field;
    case FIELD_BOOL:
        return *(const bool *)field;
    case FIELD_ESTIMATE:
        return ((const imatrix_estimate *)field)->value;
    default:
        return *(const double *)field;
    }
}

static double error_at(const table_column *column, const void *row) {
    return ((const imatrix_estimate *)field_of(column, row))->error;
}

// ---- for people --------------------------------------------------------------------------------

static void format_number(const table_column *column, double number, char cell[CELL_BYTES]) {
    if (isnan(number)) {
        snprintf(cell, CELL_BYTES, "-");
    } else {
        snprintf(cell, CELL_BYTES, kinds[column->kind].format, kinds[column->kind].scale * number);
    }
}

static void print_name(const table_column *column, const void *row) {
    static const char ending[] = ".weight";
    const char *name = text_at(column, row);
    const size_t len = strlen(name);
    const size_t n = sizeof ending - 1;
    const bool ends = len > n && strcmp(name + len - n, ending) == 0;
    printf("%-*.*s", column->width, (int)(ends ? len - n : len), name);
}

static void print_number(const table_column *column, double number, int width) {
    char cell[CELL_BYTES];
    format_number(column, number, cell);
    printf("%*s", width, cell);
}

static void print_estimate(const table_column *column, const void *row) {
    char error[CELL_BYTES];
    format_number(column, error_at(column, row), error);
    const int error_width = (int)(strlen(" ± ") - 1 + strlen(error)); // ± is two bytes
    print_number(column, number_at(column, row), column->width - error_width);
    printf(" ± %s", error);
}

static void print_cell(const table_column *column, const void *row) {
    switch (column->kind) {
    case COLUMN_NAME:
        print_name(column, row);
        break;
    case COLUMN_TEXT:
        printf("  %-*s", column->width - 2, text_at(column, row));
        break;
    case COLUMN_MARK:
        printf("%*s", column->width, number_at(column, row) != 0 ? "*" : "");
        break;
    case COLUMN_BYTES:
        printf("%*s", column->width, console_bytes((uint64_t)number_at(column, row)));
        break;
    default:
        if (type_of(column) == FIELD_ESTIMATE) {
            print_estimate(column, row);
        } else {
            print_number(column, number_at(column, row), column->width);
        }
        break;
    }
}

static void print_title(const table_column *column) {
    switch (column->kind) {
    case COLUMN_NAME:
        printf("%-*s", column->width, column->title);
        break;
    case COLUMN_TEXT:
        printf("  %-*s", column->width - 2, column->title);
        break;
    default:
        printf("%*s", column->width, column->title);
        break;
    }
}

// The column with its width, if it is that of its longest text.
static table_column fit_column(const table_column *column, const void *rows, size_t n,
                               size_t row_bytes) {
    table_column fitted = *column;
    if (column->kind == COLUMN_TEXT && column->width == 0) {
        size_t longest = strlen(column->title);
        for (size_t i = 0; i < n; ++i) {
            const size_t len = strlen(text_at(column, (const char *)rows + i * row_bytes));
            longest = len > longest ? len : longest;
        }
        fitted.width = (int)longest + 2;
    }
    return fitted;
}

void table_print(const table_column *columns, const void *rows, size_t n, size_t row_bytes) {
    table_column shown[MAX_SHOWN];
    size_t n_shown = 0;
    for (const table_column *column = columns; column->kind != COLUMN_END; ++column) {
        if (column->title != NULL) {
            shown[n_shown++] = fit_column(column, rows, n, row_bytes);
            print_title(&shown[n_shown - 1]);
        }
    }
    printf("\n");
    for (size_t i = 0; i < n; ++i) {
        for (size_t c = 0; c < n_shown; ++c) {
            print_cell(&shown[c], (const char *)rows + i * row_bytes);
        }
        printf("\n");
    }
}

void table_explain(const table_column *columns) {
    for (; columns->kind != COLUMN_END; ++columns) {
        if (columns->about != NULL) {
            printf("  %-12s %s\n", columns->key, columns->about);
        }
    }
}

// ---- for spreadsheets --------------------------------------------------------------------------

static void print_quoted(const char *text) {
    putchar('"');
    for (; *text != '\0'; ++text) {
        if (*text == '"') {
            putchar('"');
        }
        putchar(*text);
    }
    putchar('"');
}

static void print_csv_real(double number) {
    if (!isnan(number)) {
        printf("%.10g", number);
    }
}

static void print_csv_field(const table_column *column, const void *row) {
    switch (type_of(column)) {
    case FIELD_TEXT:
        print_quoted(text_at(column, row));
        break;
    case FIELD_REAL:
        print_csv_real(number_at(column, row));
        break;
    case FIELD_ESTIMATE:
        print_csv_real(number_at(column, row));
        putchar(',');
        print_csv_real(error_at(column, row));
        break;
    default:
        printf("%.0f", number_at(column, row));
        break;
    }
}

void table_print_csv(const table_column *columns, const void *rows, size_t n, size_t row_bytes) {
    for (const table_column *column = columns; column->kind != COLUMN_END; ++column) {
        printf("%s%s", column != columns ? "," : "", column->key);
        if (type_of(column) == FIELD_ESTIMATE) {
            printf(",%s_error", column->key);
        }
    }
    printf("\n");
    for (size_t i = 0; i < n; ++i) {
        for (const table_column *column = columns; column->kind != COLUMN_END; ++column) {
            printf("%s", column != columns ? "," : "");
            print_csv_field(column, (const char *)rows + i * row_bytes);
        }
        printf("\n");
    }
}

// ---- for programs ------------------------------------------------------------------------------

json_t *table_pack_number(double number) {
    return isfinite(number) ? json_real(number) : json_null();
}

static json_t *pack_field(const table_column *column, const void *row) {
    if (type_of(column) == FIELD_TEXT) {
        return json_string(text_at(column, row));
    }
    const double number = number_at(column, row);
    switch (type_of(column)) {
    case FIELD_I32:
    case FIELD_U64:
        return json_integer((json_int_t)number);
    case FIELD_BOOL:
        return json_boolean(number != 0);
    case FIELD_ESTIMATE:
        return json_pack("{s:o, s:o}", "value", table_pack_number(number), "error",
                         table_pack_number(error_at(column, row)));
    default:
        return table_pack_number(number);
    }
}

json_t *table_pack(const table_column *columns, const void *rows, size_t n, size_t row_bytes) {
    json_t *array = json_array();
    for (size_t i = 0; i < n; ++i) {
        json_t *object = json_object();
        for (const table_column *column = columns; column->kind != COLUMN_END; ++column) {
            json_object_set_new(object, column->key,
                                pack_field(column, (const char *)rows + i * row_bytes));
        }
        json_array_append_new(array, object);
    }
    return array;
}

// ---- order -------------------------------------------------------------------------------------

typedef struct sort_key {
    double number;
    size_t index;
} sort_key;

// Largest first, NAN last, else as before.
static int compare_keys(const void *a, const void *b) {
    const sort_key *x = a;
    const sort_key *y = b;
    const double number_x = isnan(x->number) ? -INFINITY : x->number;
    const double number_y = isnan(y->number) ? -INFINITY : y->number;
    const int order = (number_x < number_y) - (number_x > number_y);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

static const table_column *find_number(const table_column *columns, const char *key) {
    for (; columns->kind != COLUMN_END; ++columns) {
        if (type_of(columns) != FIELD_TEXT && strcmp(columns->key, key) == 0) {
            return columns;
        }
    }
    return NULL;
}

bool table_has_number(const table_column *columns, const char *key) {
    return find_number(columns, key) != NULL;
}

bool table_sort(const table_column *columns, const char *key, void *rows, size_t n,
                size_t row_bytes) {
    const table_column *column = find_number(columns, key);
    sort_key *keys = calloc(n + 1, sizeof *keys);
    char *sorted = calloc(n + 1, row_bytes);
    const bool can_sort = column != NULL && keys != NULL && sorted != NULL;
    for (size_t i = 0; can_sort && i < n; ++i) {
        keys[i] = (sort_key){number_at(column, (const char *)rows + i * row_bytes), i};
    }
    if (can_sort) {
        qsort(keys, n, sizeof *keys, compare_keys);
        for (size_t i = 0; i < n; ++i) {
            memcpy(sorted + i * row_bytes, (const char *)rows + keys[i].index * row_bytes,
                   row_bytes);
        }
        memcpy(rows, sorted, n * row_bytes);
    }
    free(sorted);
    free(keys);
    return can_sort;
}
