// SPDX-License-Identifier: MIT

#include "imatrix/cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 64, HELP_COLUMN = 30, FIRST_ROW = 256 }; // rows are numbered behind the letters

static bool takes_value(option_kind kind) {
    return kind != OPTION_TRUE && kind != OPTION_FALSE;
}

int usage_error(const cli_command *command, const char *format, ...) {
    va_list args;
    fprintf(stderr, "imatrix %s: ", command->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nSee `imatrix %s --help`.\n", command->name);
    return EXIT_USAGE;
}

static void print_option(const option_row *row) {
    char head[128];
    int n = snprintf(head, sizeof head, "  %c%c%s", row->letter != 0 ? '-' : ' ',
                     row->letter != 0 ? row->letter : ' ', row->letter != 0 ? "," : " ");
    n += snprintf(head + n, sizeof head - (size_t)n, " --%s", row->name);
    for (const option_row *alias = row + 1; alias->kind != OPTION_END && alias->help == NULL;
         ++alias) {
        n += snprintf(head + n, sizeof head - (size_t)n, ", --%s", alias->name);
    }
    if (takes_value(row->kind)) {
        n += snprintf(head + n, sizeof head - (size_t)n, " %s", row->metavar);
    }
    printf("%s", head);
    for (const char *line = row->help; line != NULL;) {
        const char *end = strchr(line, '\n');
        const int len = end != NULL ? (int)(end - line) : (int)strlen(line);
        if (n >= HELP_COLUMN) {
            printf("\n");
            n = 0;
        }
        printf("%*s%.*s\n", HELP_COLUMN - n, "", len, line);
        n = 0;
        line = end != NULL ? end + 1 : NULL;
    }
}

// Those that need another option, under its name.
static void print_dependent_options(const option_row *rows) {
    const char *needed = NULL;
    for (const option_row *row = rows; row->kind != OPTION_END; ++row) {
        if (row->help == NULL || row->needs == NULL) {
            continue;
        }
        if (needed == NULL || strcmp(needed, row->needs) != 0) {
            needed = row->needs;
            printf("\nWith --%s:\n", needed);
        }
        print_option(row);
    }
}

void print_command_help(const cli_command *command) {
    printf("Usage: imatrix %s %s\n\n%s\n\nOptions:\n", command->name, command->usage,
           command->summary);
    for (const option_row *row = command->options; row->kind != OPTION_END; ++row) {
        if (row->help != NULL && row->needs == NULL) {
            print_option(row);
        }
    }
    printf("  -h, --help%*sThis text\n", HELP_COLUMN - 12, "");
    print_dependent_options(command->options);
    if (command->more_help != NULL) {
        command->more_help();
    }
    printf("\nExamples:\n");
    for (const char *const *example = command->examples; *example != NULL; ++example) {
        printf("  %s\n", *example);
    }
}

static int bad_value(const cli_command *command, const option_row *row, const char *value) {
    switch (row->kind) {
    case OPTION_CHOICE:
        return usage_error(command, "invalid value '%s' for --%s: it is one of %s", value,
                           row->name, row->metavar);
    case OPTION_SIZE:
        return usage_error(command, "invalid value '%s' for --%s: a size such as 500M or 2G", value,
                           row->name);
    default:
        return usage_error(
            command, "invalid value '%s' for --%s: %s from %llu to %llu", value, row->name,
            row->kind == OPTION_NUMBERS ? "whole numbers, separated by commas," : "a whole number",
            (unsigned long long)row->min, (unsigned long long)row->max);
    }
}

// The whole number that `text` starts with, within the row's range; *end is what follows it.
static bool scan_number(const option_row *row, const char *text, uint64_t *number, char **end) {
    errno = 0;
    *number = strtoull(text, end, 10);
    return errno == 0 && text[0] >= '0' && text[0] <= '9' && *number >= row->min &&
           *number <= row->max;
}

static bool store_number(const option_row *row, const char *value, void *field) {
    char *end;
    uint64_t number;
    if (row->kind == OPTION_U64 && strcmp(value, "-1") == 0) {
        number = 0;
    } else if (!scan_number(row, value, &number, &end) || *end != '\0') {
        return false;
    }
    // The row's range fits the field's type.
    const int as_int = (int)number;
    const uint32_t as_u32 = (uint32_t)number;
    switch (row->kind) {
    case OPTION_INT:
        memcpy(field, &as_int, sizeof as_int);
        break;
    case OPTION_U32:
        memcpy(field, &as_u32, sizeof as_u32);
        break;
    default:
        memcpy(field, &number, sizeof number);
        break;
    }
    return true;
}

static bool store_size(const char *value, uint64_t *size) {
    static const char units[] = "KMG";
    char *end;
    errno = 0;
    *size = strtoull(value, &end, 10);
    const bool is_number = errno == 0 && value[0] >= '0' && value[0] <= '9';
    const char *unit = *end != '\0' ? strchr(units, *end & ~0x20) : NULL;
    for (const char *u = units; unit != NULL && u <= unit; ++u) {
        if (__builtin_mul_overflow(*size, UINT64_C(1000), size)) {
            return false;
        }
    }
    return is_number && *size > 0 && (*end == '\0' || (unit != NULL && end[1] == '\0'));
}

static bool store_choice(const option_row *row, const char *value, int *choice) {
    for (*choice = 0; row->choices[*choice] != NULL; ++*choice) {
        if (strcmp(row->choices[*choice], value) == 0) {
            return true;
        }
    }
    return false;
}

// Room for one more item behind the `n` of `items`.
static void *grow_list(void *items, size_t n, size_t item_bytes) {
    void *grown = realloc(items, (n + 1) * item_bytes);
    if (grown == NULL) {
        fprintf(stderr, "imatrix: out of memory\n");
        exit(EXIT_FAILURE);
    }
    return grown;
}

static void store_string(string_list *list, const char *value) {
    list->items = grow_list(list->items, list->n, sizeof *list->items);
    list->items[list->n++] = value;
}

static bool store_numbers(const option_row *row, const char *value, number_list *list) {
    for (;;) {
        char *end;
        uint64_t number;
        if (!scan_number(row, value, &number, &end)) {
            return false;
        }
        list->items = grow_list(list->items, list->n, sizeof *list->items);
        list->items[list->n++] = (uint32_t)number;
        if (*end != ',') {
            return *end == '\0';
        }
        value = end + 1;
    }
}

static int store(const cli_command *command, const option_row *row, const char *value, void *args) {
    void *field = (char *)args + row->offset;
    bool is_good = true;
    switch (row->kind) {
    case OPTION_TRUE:
    case OPTION_FALSE:
        *(bool *)field = row->kind == OPTION_TRUE;
        break;
    case OPTION_STRING:
        memcpy(field, &value, sizeof value);
        break;
    case OPTION_STRINGS:
        store_string(field, value);
        break;
    case OPTION_NUMBERS:
        is_good = store_numbers(row, value, field);
        break;
    case OPTION_CHOICE:
        is_good = store_choice(row, value, field);
        break;
    case OPTION_SIZE:
        is_good = store_size(value, field);
        break;
    default:
        is_good = store_number(row, value, field);
        break;
    }
    return is_good ? 0 : bad_value(command, row, value);
}

// getopt's view of the rows: letters keep their character, names are FIRST_ROW + row index.
static void build_getopt_tables(const option_row *rows, char *letters, struct option *names) {
    int n = 0;
    *letters++ = ':';
    for (; rows[n].kind != OPTION_END; ++n) {
        const int has_value = takes_value(rows[n].kind) ? required_argument : no_argument;
        names[n] = (struct option){rows[n].name, has_value, NULL, FIRST_ROW + n};
        if (rows[n].letter != 0) {
            *letters++ = rows[n].letter;
            if (has_value == required_argument) {
                *letters++ = ':';
            }
        }
    }
    *letters++ = 'h';
    *letters = '\0';
    names[n] = (struct option){"help", no_argument, NULL, 'h'};
    names[n + 1] = (struct option){0};
}

static const option_row *row_of(const option_row *rows, int code) {
    if (code >= FIRST_ROW) {
        return &rows[code - FIRST_ROW];
    }
    while (rows->kind != OPTION_END && rows->letter != code) {
        ++rows;
    }
    return rows;
}

static int explain_getopt(const cli_command *command, int code, char **argv) {
    const char *word = argv[optind - 1];
    if (code == ':') {
        return usage_error(command, "%s needs a value", word);
    }
    if (optopt != 0 && optopt < FIRST_ROW) {
        return usage_error(command, "unknown option -%c", optopt);
    }
    return usage_error(command, "unknown or ambiguous option %s", word);
}

// A mistake where an option was given without the one that it needs.
static int check_needs(const cli_command *command, const bool given[MAX_ROWS]) {
    const option_row *rows = command->options;
    for (size_t i = 0; rows[i].kind != OPTION_END; ++i) {
        if (given[i] && rows[i].needs != NULL) {
            size_t k = 0;
            while (strcmp(rows[k].name, rows[i].needs) != 0) {
                ++k;
            }
            if (!given[k]) {
                return usage_error(command, "--%s is of use with --%s only", rows[i].name,
                                   rows[k].name);
            }
        }
    }
    return 0;
}

int parse_options(const cli_command *command, int argc, char **argv, void *args, int *exit_status) {
    bool given[MAX_ROWS] = {false};
    char letters[2 * MAX_ROWS + 3];
    struct option names[MAX_ROWS + 2];
    build_getopt_tables(command->options, letters, names);
    optind = 1;
    opterr = 0;
    int code;
    while ((code = getopt_long(argc, argv, letters, names, NULL)) != -1) {
        if (code == 'h') {
            print_command_help(command);
            *exit_status = EXIT_SUCCESS;
            return -1;
        }
        const bool is_known = code != ':' && code != '?';
        const option_row *row = is_known ? row_of(command->options, code) : NULL;
        *exit_status =
            is_known ? store(command, row, optarg, args) : explain_getopt(command, code, argv);
        if (*exit_status != 0) {
            return -1;
        }
        given[row - command->options] = true;
    }
    *exit_status = check_needs(command, given);
    if (*exit_status != 0) {
        return -1;
    }
    const int n_positional = argc - optind;
    memmove(argv + 1, argv + optind, (size_t)n_positional * sizeof *argv);
    return n_positional;
}

int parse_options_only(const cli_command *command, int argc, char **argv, void *args,
                       int *exit_status) {
    const int n_positional = parse_options(command, argc, argv, args, exit_status);
    if (n_positional > 0) {
        *exit_status = usage_error(command, "unexpected argument '%s'", argv[1]);
        return -1;
    }
    return n_positional;
}
