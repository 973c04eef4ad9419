// SPDX-License-Identifier: MIT
//
// Fields of JSON objects: what they are called for people, and how their values look. Whatever is
// missing or of another type than expected reads as "", NAN or nothing.

#ifndef IMX_CLI_REPORT_FIELDS_H
#define IMX_CLI_REPORT_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

typedef enum field_kind {
    FIELD_END = 0, // closes a table
    FIELD_TEXT,    // a string
    FIELD_CODE,    // a string shown as written: a tensor, a file, a hash
    FIELD_COUNT,   // a whole number
    FIELD_BYTES,   // shown in KiB, MiB, ...
    FIELD_REAL,    // three digits
    FIELD_FIXED,   // two decimals
    FIELD_PERCENT, // 0..1
    FIELD_SHAPE,   // an array of whole numbers
    FIELD_FLAG,    // shown only where true
} field_kind;

// Numbers may also be estimates, {"value", "error"}, which show as value ± one standard error.
typedef struct field_row {
    field_kind kind;
    const char *key;
    const char *title;
} field_row;

// "" where there is none.
const char *field_text(const json_t *object, const char *key);

// The number at `key`, of an estimate its value; NAN where there is none.
double field_number(const json_t *object, const char *key);

// Of an estimate, one standard error; 0 where there is none.
double field_error(const json_t *object, const char *key);

// Whether the object has something to show there.
bool field_is_present(const field_row *row, const json_t *object);

// Prints the value, escaped; nothing where it is not present.
void field_print(FILE *page, const field_row *row, const json_t *object);

// Three significant digits without an exponent where that is readable, into a buffer that the next
// call but three overwrites.
const char *field_real(double number);

// Prints "title: value" of all that are present, each on a line of its own: what shows on hover.
void field_print_hint(FILE *page, const field_row *rows, const json_t *object);

// Prints a table of the objects in `array` that folds away under `caption`. Columns that no object
// has are left out; an empty table is not printed.
void field_print_table(FILE *page, const char *caption, const field_row *rows, const json_t *array,
                       bool is_open);

#endif
