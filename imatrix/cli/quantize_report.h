// SPDX-License-Identifier: MIT
//
// What `imatrix quantize` says about a plan and about a finished run.

#ifndef IMX_CLI_QUANTIZE_REPORT_H
#define IMX_CLI_QUANTIZE_REPORT_H

#include "imatrix/imatrix.h"

typedef struct quantize_report {
    const imatrix_quantizer *quantizer;
    const imatrix_quantize_options *options;
    const char *out_path;
    double seconds; // NAN when nothing was run
} quantize_report;

// On stderr, before hours are spent: what the imatrix does not cover.
void quantize_report_warnings(const imatrix_quantizer *quantizer);

// On stdout: every tensor; the sums by type; all of it as JSON.
void quantize_report_tensors(const imatrix_quantizer *quantizer);
void quantize_report_totals(const quantize_report *report);
void quantize_report_json(const quantize_report *report);

#endif
