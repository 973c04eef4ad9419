// SPDX-License-Identifier: MIT
//
// Whether an imatrix and a model belong together, and where quantizing would miss statistics.

#ifndef IMX_QUANT_STATISTICS_FIT_H
#define IMX_QUANT_STATISTICS_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/gguf.h"
#include "formats/imatrix_file.h"

// One row of statistics for each matrix, or one count for all of them together.
bool imx_statistics_fit(const imx_imatrix_entry *entry, const imx_gguf_tensor *tensor);

// Matrices that saw fewer than `n_rows` rows.
uint64_t imx_count_matrices_below(const imx_imatrix_entry *entry, double n_rows);

// Matrices that saw nothing.
uint64_t imx_count_matrices_unseen(const imx_imatrix_entry *entry);

typedef enum imx_finding_kind {
    IMX_FINDING_SHAPE,     // entry and tensor differ: n values in the entry, n_of in the tensor
    IMX_FINDING_MISSING,   // a layer's weight has no entry
    IMX_FINDING_UNSEEN,    // its entry has seen nothing
    IMX_FINDING_NO_TOKENS, // n of n_of experts have seen nothing
    IMX_FINDING_STARVED,   // n of n_of experts have seen something, but less than was asked for
    IMX_FINDING_ONE_COUNT, // one count for n_of experts
    IMX_FINDING_ZEROS,     // n of n_of columns, all experts together, have only seen zeros
    IMX_FINDING_FOREIGN,   // an entry that the model has no tensor for
    IMX_FINDING_COUNT,
} imx_finding_kind;

typedef struct imx_finding {
    imx_finding_kind kind;
    const char *name; // of the weight: borrowed from model or imatrix
    uint64_t n;
    uint64_t n_of;
} imx_finding;

typedef struct imx_fit_report {
    uint64_t n_weights; // of layers, that recipes quantize
    uint64_t n_covered; // of these, with statistics
    size_t n_findings;
    imx_finding *findings; // (n_findings), in the order of the model's tensors, then the imatrix's
} imx_fit_report;

// Experts that saw fewer than `min_rows` are starved. The caller frees with imx_fit_report_free,
// also on failure, which is for lack of memory only.
imx_status imx_statistics_check(imx_fit_report *report, const imx_imatrix *imatrix,
                                const imx_gguf *model, double min_rows, imx_error *err);
void imx_fit_report_free(imx_fit_report *report);

#endif
