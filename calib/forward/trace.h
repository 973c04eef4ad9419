// SPDX-License-Identifier: MIT
//
// A trace: what a model makes of a few tokens, in enough detail to compare two implementations of
// its forward pass. It is what one adds an architecture with (docs/adding-an-architecture.md).

#ifndef IMX_CALIB_TRACE_H
#define IMX_CALIB_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calib/model/model.h"
#include "formats/error.h"
#include "formats/imatrix_file.h"
#include "formats/progress.h"

typedef struct imx_trace {
    size_t n_tokens;
    size_t n_vocab;
    int32_t *tokens;       // (n_tokens)
    float *logits;         // (n_tokens, n_vocab)
    imx_imatrix *products; // of every weight product: in_sum2 and counts
} imx_trace;

// Runs the tokens as one chunk. *trace is the caller's to imx_trace_free, also on failure.
imx_status imx_trace_run(imx_trace *trace, const imx_model *model, const int32_t *tokens,
                         size_t n_tokens, int n_threads, const imx_progress *progress,
                         imx_error *err);
void imx_trace_free(imx_trace *trace);

// Traces lie in GGUF files: tokens (n_tokens) I32, logits [n_vocab, n_tokens] F32, and of every
// product NAME.in_sum2 [n_cols, n_mats] and NAME.counts [1, n_mats] F32.
imx_status imx_trace_write(const imx_trace *trace, const char *path, const char *model_name,
                           imx_error *err);

// *trace is the caller's to imx_trace_free, also on failure. IMX_ERR_FORMAT names what is missing.
imx_status imx_trace_read(imx_trace *trace, const char *path, imx_error *err);

// How far a product's input is from that of a reference.
typedef struct imx_trace_difference {
    const char *name; // valid as long as both traces
    bool is_missing;  // in the trace
    bool is_extra;    // not in the reference
    bool has_shape;   // of the reference
    bool has_counts;  // of the reference
    double worst;     // of all columns: |difference| / (reference + mean of the matrix's reference)
} imx_trace_difference;

typedef struct imx_trace_comparison {
    double logits_error; // mean squared difference / mean square of the reference
    double same_top;     // share of tokens with the same largest logit, 0..1
    size_t n_products;
    imx_trace_difference *products; // (n_products), by name
} imx_trace_comparison;

// Compares a trace with a reference of the same tokens. Other tokens or another vocabulary are
// IMX_ERR_MISMATCH. comparison->products is the caller's to free().
imx_status imx_trace_compare(imx_trace_comparison *comparison, const imx_trace *trace,
                             const imx_trace *reference, imx_error *err);

#endif
