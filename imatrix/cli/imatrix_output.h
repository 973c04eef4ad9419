// SPDX-License-Identifier: MIT
//
// How `convert` and `merge` write an imatrix: the options they share, and what is lost on the way.

#ifndef IMX_CLI_IMATRIX_OUTPUT_H
#define IMX_CLI_IMATRIX_OUTPUT_H

#include "imatrix/cli/format_names.h"
#include "imatrix/cli/options.h"
#include "imatrix/imatrix.h"

typedef struct imatrix_output {
    const char *path;
    int format; // an imatrix_format
    uint32_t digits;
} imatrix_output;

// clang-format off
// Their rows, for an imatrix_output called `output` in the struct that FIELD knows.
#define IMATRIX_OUTPUT_ROWS \
    {OPTION_STRING, "output", 'o', FIELD(output.path), "FILE", "where it goes; needed"}, \
    {OPTION_STRING, "output-file", 0, FIELD(output.path), "FILE", NULL}, \
    {OPTION_CHOICE, "output-format", 0, FIELD(output.format), FORMAT_METAVAR, "zst: compressed GGUF [default]; gguf: as llama-imatrix writes it;\ndat: the legacy format", .choices = format_names}, \
    {OPTION_U32, "digits", 0, FIELD(output.digits), "N", "round the sums to N decimal digits, for a smaller zst file [all]", 1, 7}
// clang-format on

// Rounds the file, warns on stderr of what the format cannot hold, writes it and says so on stdout.
// Returns the exit status.
int imatrix_output_write(const imatrix_output *output, imatrix_file *file);

#endif
