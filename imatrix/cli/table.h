// SPDX-License-Identifier: MIT
//
// Arrays of structs as tables for people and arrays of objects for programs. What a field is
// called, where it is and how it looks is a row of columns.

#ifndef IMX_CLI_TABLE_H
#define IMX_CLI_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "imatrix/imatrix.h"

typedef enum column_kind {
    COLUMN_END = 0,        // closes the columns
    COLUMN_NAME,           // const char *: a weight, shown without ".weight"
    COLUMN_I32,            // int32_t
    COLUMN_U64,            // uint64_t
    COLUMN_COUNT,          // double, shown as a whole number; NAN is shown as - and null
    COLUMN_REAL,           // double, three digits
    COLUMN_HUNDREDTHS,     // double, two decimals
    COLUMN_FIXED,          // double, four decimals
    COLUMN_EXACT,          // double, six decimals
    COLUMN_SHARE,          // double 0..1, shown in per cent
    COLUMN_TEXT,           // const char *, flush left behind two spaces
    COLUMN_MARK,           // bool, shown as * or nothing
    COLUMN_BYTES,          // uint64_t, shown in MiB and the like
    COLUMN_ESTIMATE_3,     // imatrix_estimate, value ± error with three decimals
    COLUMN_ESTIMATE_4,     // with four
    COLUMN_ESTIMATE_6,     // with six
    COLUMN_ESTIMATE_SHARE, // imatrix_estimate of a share, in per cent with one decimal
} column_kind;

typedef struct table_column {
    column_kind kind;
    const char *key;   // in JSON, and what to sort by
    const char *title; // NULL: in JSON only
    int width;         // of the column, with the space before it; 0: that of its longest text
    size_t offset;     // of the field
    const char *about; // for the help, or NULL
} table_column;

// Prints a heading and the rows (n of row_bytes) on stdout, of at most 32 columns with titles.
void table_print(const table_column *columns, const void *rows, size_t n, size_t row_bytes);

// The same as CSV, for spreadsheets: keys, then rows, ten digits, NAN empty. An estimate is two
// fields, its error under KEY_error.
void table_print_csv(const table_column *columns, const void *rows, size_t n, size_t row_bytes);

// The rows as a new array of objects; NULL when out of memory.
json_t *table_pack(const table_column *columns, const void *rows, size_t n, size_t row_bytes);

// A number, or null when it is not finite.
json_t *table_pack_number(double number);

// Sorts the rows by the column of numbers called `key`, largest first and NAN last; false when
// there is no such column, or no memory.
bool table_sort(const table_column *columns, const char *key, void *rows, size_t n,
                size_t row_bytes);

// Whether there is a column of numbers called `key`.
bool table_has_number(const table_column *columns, const char *key);

// Prints keys and what they mean, for the help of a command.
void table_explain(const table_column *columns);

#endif
