// SPDX-License-Identifier: MIT
//
// What `imatrix compare` prints.

#ifndef IMX_CLI_COMPARE_REPORT_H
#define IMX_CLI_COMPARE_REPORT_H

#include "imatrix/imatrix.h"

typedef enum compare_style {
    COMPARE_TEXT, // for people
    COMPARE_JSON, // everything
    COMPARE_CSV,  // the table of models
} compare_style;

// Prints the result on stdout; returns what main should.
int compare_report_print(const imatrix_compare_options *options, const imatrix_comparison *result,
                         compare_style style);

#endif
