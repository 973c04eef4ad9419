// SPDX-License-Identifier: MIT

#include "imatrix/cli/table.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imatrix/cli/console.h"

enum { CELL_BYTES = 64 };

// ---- fields ------------------------------------------------------------------------------------

static const char *text_at(const table_column *column, const void *row) {
    const char *text;
    memcpy(&text, (const char *)row + column->offset, sizeof text);
    return text;
}

static bool is_text(const table_column *column) {
    return column->kind == COLUMN_NAME || column->kind == COLUMN_TEXT;
}

static bool is_estimate(const table_column *column) {
    return column->kind == COLUMN_FIXED_ESTIMATE || column->kind == COLUMN_EXACT_ESTIMATE;
}

static double error_at(const table_column *column, const void *row) {
    imatrix_estimate estimate;
    memcpy(&estimate, (const char *)row + column->offset, sizeof estimate);
    return estimate.error;
}

// The value of a column of numbers.
static double number_at(const table_column *column, const void *row) {
    const char *field = (const char *)row + column->offset;
    int32_t as_i32;
    uint64_t as_u64;
    bool as_bool;
    double as_real;
    switch (column->kind) {
    case COLUMN_I32:
        memcpy(&as_i32, field, sizeof as_i32);
        return as_i32;
    case COLUMN_U64:
    case COLUMN_BYTES:
        memcpy(&as_u64, field, sizeof as_u64);
        return (double)as_u64;
    case COLUMN_MARK:
        memcpy(&as_bool, field, sizeof as_bool);
        return as_bool;
    default: // an estimate begins with its value
        memcpy(&as_real, field, sizeof as_real);
        return as_real;
    }
}

// ---- for people --------------------------------------------------------------------------------

static void format_number(const table_column *column, double number, char cell[CELL_BYTES]) {
    static const struct {
        const char *format;
        double scale;
    } looks[] = {
        [COLUMN_I32] = {"%.0f", 1},
        [COLUMN_U64] = {"%.0f", 1},
        [COLUMN_COUNT] = {"%.0f", 1},
        [COLUMN_REAL] = {"%.3g", 1},
        [COLUMN_FIXED] = {"%.4f", 1},
        [COLUMN_EXACT] = {"%.6f", 1},
        [COLUMN_SHARE] = {"%.1f", 100},
        [COLUMN_FIXED_ESTIMATE] = {"%.4f", 1},
        [COLUMN_EXACT_ESTIMATE] = {"%.6f", 1},
    };
    if (isnan(number)) {
        snprintf(cell, CELL_BYTES, "-");
    } else {
        snprintf(cell, CELL_BYTES, looks[column->kind].format, looks[column->kind].scale * number);
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

static void print_estimate(const table_column *column, const void *row) {
    char value[CELL_BYTES];
    char error[CELL_BYTES];
    format_number(column, number_at(column, row), value);
    format_number(column, error_at(column, row), error);
    const int rest = column->width - (int)strlen(error) - 3;
    printf("%*s ± %s", rest, value, error);
}

static void print_cell(const table_column *column, const void *row) {
    char cell[CELL_BYTES];
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
    case COLUMN_FIXED_ESTIMATE:
    case COLUMN_EXACT_ESTIMATE:
        print_estimate(column, row);
        break;
    default:
        format_number(column, number_at(column, row), cell);
        printf("%*s", column->width, cell);
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

void table_print(const table_column *columns, const void *rows, size_t n, size_t row_bytes) {
    for (const table_column *column = columns; column->kind != COLUMN_END; ++column) {
        if (column->title != NULL) {
            print_title(column);
        }
    }
    printf("\n");
    for (size_t i = 0; i < n; ++i) {
        for (const table_column *column = columns; column->kind != COLUMN_END; ++column) {
            if (column->title != NULL) {
                print_cell(column, (const char *)rows + i * row_bytes);
            }
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

static void print_csv_field(const table_column *column, const void *row) {
    if (is_text(column)) {
        print_quoted(text_at(column, row));
    } else if (is_estimate(column)) {
        printf("%.10g,%.10g", number_at(column, row), error_at(column, row));
    } else {
        printf("%.16g", number_at(column, row));
    }
}

void table_print_csv(const table_column *columns, const void *rows, size_t n, size_t row_bytes) {
    for (const table_column *column = columns; column->kind != COLUMN_END; ++column) {
        printf("%s%s", column != columns ? "," : "", column->key);
        if (is_estimate(column)) {
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
    if (is_text(column)) {
        return json_string(text_at(column, row));
    }
    const double number = number_at(column, row);
    switch (column->kind) {
    case COLUMN_I32:
    case COLUMN_U64:
    case COLUMN_BYTES:
        return json_integer((json_int_t)number);
    case COLUMN_MARK:
        return json_boolean(number != 0);
    case COLUMN_FIXED_ESTIMATE:
    case COLUMN_EXACT_ESTIMATE:
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
        if (!is_text(columns) && strcmp(columns->key, key) == 0) {
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
