// SPDX-License-Identifier: MIT
//
// What `imatrix quantize` says about a plan and about a finished run.

#ifndef IMX_CLI_QUANTIZE_REPORT_H
#define IMX_CLI_QUANTIZE_REPORT_H

#include <jansson.h>

#include "imatrix/cli/run_options.h"
#include "imatrix/imatrix.h"

typedef struct quantize_report {
    const imatrix_quantizer *quantizer;
    const imatrix_quantize_options *options;
    const char *recipe;
    const run_args *run; // of the text that it was calibrated with, or NULL
    const char *out_path;
    double seconds; // NAN when nothing was run
} quantize_report;

// On stderr, before hours are spent: what the imatrix does not cover.
void quantize_report_warnings(const imatrix_quantizer *quantizer);

// On stdout: every tensor; the sums by type.
void quantize_report_tensors(const imatrix_quantizer *quantizer);
void quantize_report_totals(const quantize_report *report);

// All of it as JSON.
json_t *quantize_report_pack(const quantize_report *report);

#endif
