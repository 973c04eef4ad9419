// SPDX-License-Identifier: MIT

#include "imatrix/cli/table.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELL_BYTES = 64 };

// ---- fields ------------------------------------------------------------------------------------

static const char *text_at(const table_column *column, const void *row) {
    const char *text;
    memcpy(&text, (const char *)row + column->offset, sizeof text);
    return text;
}

// The value of a column of numbers.
static double number_at(const table_column *column, const void *row) {
    const char *field = (const char *)row + column->offset;
    int32_t as_i32;
    uint64_t as_u64;
    double as_real;
    switch (column->kind) {
    case COLUMN_I32:
        memcpy(&as_i32, field, sizeof as_i32);
        return as_i32;
    case COLUMN_U64:
        memcpy(&as_u64, field, sizeof as_u64);
        return (double)as_u64;
    default:
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
        [COLUMN_I32] = {"%.0f", 1},     [COLUMN_U64] = {"%.0f", 1},   [COLUMN_COUNT] = {"%.0f", 1},
        [COLUMN_REAL] = {"%.3g", 1},    [COLUMN_FIXED] = {"%.4f", 1}, [COLUMN_EXACT] = {"%.6f", 1},
        [COLUMN_SHARE] = {"%.1f", 100},
    };
    if (isnan(number)) {
        snprintf(cell, CELL_BYTES, "-");
    } else {
        snprintf(cell, CELL_BYTES, looks[column->kind].format, looks[column->kind].scale * number);
    }
}

static void print_cell(const table_column *column, const void *row) {
    static const char ending[] = ".weight";
    char cell[CELL_BYTES];
    if (column->kind == COLUMN_NAME) {
        const char *name = text_at(column, row);
        const size_t len = strlen(name);
        const size_t n = sizeof ending - 1;
        const bool ends = len > n && strcmp(name + len - n, ending) == 0;
        printf("%-*.*s", column->width, (int)(ends ? len - n : len), name);
    } else {
        format_number(column, number_at(column, row), cell);
        printf("%*s", column->width, cell);
    }
}

void table_print(const table_column *columns, const void *rows, size_t n, size_t row_bytes) {
    for (const table_column *column = columns; column->kind != COLUMN_END; ++column) {
        if (column->title != NULL) {
            printf(column->kind == COLUMN_NAME ? "%-*s" : "%*s", column->width, column->title);
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

// ---- for programs ------------------------------------------------------------------------------

json_t *table_pack_number(double number) {
    return isfinite(number) ? json_real(number) : json_null();
}

static json_t *pack_field(const table_column *column, const void *row) {
    if (column->kind == COLUMN_NAME) {
        return json_string(text_at(column, row));
    }
    const double number = number_at(column, row);
    if (column->kind == COLUMN_I32 || column->kind == COLUMN_U64) {
        return json_integer((json_int_t)number);
    }
    return table_pack_number(number);
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
        if (columns->kind != COLUMN_NAME && strcmp(columns->key, key) == 0) {
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
