// SPDX-License-Identifier: MIT
//
// What `imatrix inspect` says about a model, on stdout: to be read, or as JSON.

#ifndef IMX_CLI_INSPECT_REPORT_H
#define IMX_CLI_INSPECT_REPORT_H

#include "imatrix/imatrix.h"

typedef struct inspect_report {
    const imatrix_inspection *model;
    const imatrix_inspect_options *options;
} inspect_report;

void inspect_report_print(const inspect_report *report);
void inspect_report_json(const inspect_report *report); // inspect_json.c

#endif
