// SPDX-License-Identifier: MIT
//
// Calibration: runs a corpus through a model and sums column statistics of every weight's input.

#ifndef IMX_CALIB_COLLECT_H
#define IMX_CALIB_COLLECT_H

#include <stdbool.h>

#include "calib/corpus.h"
#include "calib/model.h"
#include "formats/error.h"
#include "formats/imatrix_file.h"
#include "formats/progress.h"

typedef struct imx_collect_options {
    int n_threads;                // 0 = all processors
    bool process_output;          // statistics of the head's input too, as output.weight
    bool perplexity;              // run the head and compute the perplexity of the text
    const imx_progress *progress; // may be NULL
} imx_collect_options;

typedef struct imx_collect_result {
    double perplexity; // NAN unless asked for and a position is scored
    double perplexity_error;
} imx_collect_result;

// Sums in f64 in token order: in_sum2, in_sum and counts of every weight product, the same bytes
// for any n_threads. The imatrix gets entries, chunk_count, chunk_size and origin.n_tokens;
// datasets and the rest of origin are the caller's to fill in. *out is the caller's to
// imx_imatrix_free. A non-finite input is IMX_ERR_FORMAT naming weight, chunk and token.
imx_status imx_collect(imx_imatrix **out, const imx_model *model, const imx_corpus *corpus,
                       const imx_collect_options *options, imx_collect_result *result,
                       imx_error *err);

#endif
