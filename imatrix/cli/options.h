// SPDX-License-Identifier: MIT
//
// Command-line options as table rows: a row drives both the parsing and the help text.

#ifndef IMX_CLI_OPTIONS_H
#define IMX_CLI_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

// What an option stores into the command's arguments struct, at `offset`.
typedef enum option_kind {
    OPTION_END = 0, // closes a table
    OPTION_TRUE,    // bool, set to true; takes no value
    OPTION_FALSE,   // bool, set to false; takes no value
    OPTION_STRING,  // const char *
    OPTION_INT,     // int, min..max
    OPTION_U32,     // uint32_t, min..max
    OPTION_U64,     // uint64_t, min..max; -1 stands for 0, "all", as in llama.cpp
    OPTION_CHOICE,  // int, index into choices
    OPTION_SIZE,    // uint64_t, bytes: "500M" and "2G" are decimal, as in llama.cpp
    OPTION_STRINGS, // string_list; each use of the option appends its value
    OPTION_NUMBERS, // number_list; numbers separated by commas, min..max, uses append
} option_kind;

typedef struct option_row {
    option_kind kind;
    const char *name;    // "ctx-size"; further rows with help NULL are aliases of the row above
    char letter;         // 'c', or 0
    size_t offset;       // of the field
    const char *metavar; // "N", for options with a value
    const char *help;    // one or two lines, "\n" between them; NULL for an alias
    uint64_t min, max;
    const char *const *choices; // NULL-terminated, for OPTION_CHOICE
    const char *needs;          // the option without which this one is a mistake, or NULL
} option_row;

// Values of options that may be given several times; zero is empty. The items are the caller's to
// free().
typedef struct string_list {
    const char **items; // (n)
    size_t n;
} string_list;

typedef struct number_list {
    uint32_t *items; // (n)
    size_t n;
} number_list;

typedef struct cli_command {
    const char *name;
    const char *summary;         // one line
    const char *usage;           // what stands behind "imatrix NAME"
    const char *const *examples; // NULL-terminated
    const option_row *options;   // closed by OPTION_END; -h, --help is understood by every command
    void (*more_help)(void);     // prints what the tables do not say, or NULL
    int (*run)(const struct cli_command *command, int argc, char **argv);
} cli_command;

enum { EXIT_USAGE = 2 };

// Parses argv[1..] into `args` by the command's rows. Returns the number of positional arguments,
// which are moved to the front of argv (argv[1], argv[2], ...), or -1 after --help or a mistake:
// *exit_status is then what main should return. Mistakes are explained on stderr.
int parse_options(const cli_command *command, int argc, char **argv, void *args, int *exit_status);

// The same for a command that takes no positional arguments: a mistake where there is one, else 0.
int parse_options_only(const cli_command *command, int argc, char **argv, void *args,
                       int *exit_status);

// Says "imatrix NAME: message" and where help is on stderr; returns EXIT_USAGE.
int usage_error(const cli_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void print_command_help(const cli_command *command);

#endif
