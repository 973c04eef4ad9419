// SPDX-License-Identifier: MIT
//
// The formats of imatrix files as users name them.

#ifndef IMX_CLI_FORMAT_NAMES_H
#define IMX_CLI_FORMAT_NAMES_H

#include <stddef.h>

#define FORMAT_METAVAR "{zst,gguf,dat}"

static const char *const format_names[] = {"zst", "gguf", "dat", NULL}; // by imatrix_format

#endif
