// SPDX-License-Identifier: MIT
//
// Calibration: runs a corpus through a model and sums column statistics of every weight's input.

#ifndef IMX_CALIB_COLLECT_H
#define IMX_CALIB_COLLECT_H

#include <stdbool.h>

#include "calib/forward/walk.h"
#include "calib/model/model.h"
#include "calib/text/corpus.h"
#include "formats/error.h"
#include "formats/imatrix_file.h"
#include "formats/progress.h"

// Called once, before the first weight is read, with where the run starts: {0, 0} unless it goes on
// from a checkpoint.
typedef struct imx_collect_listener {
    void (*on_start)(void *context, const imx_walk_place *start);
    void *context;
} imx_collect_listener;

typedef struct imx_collect_options {
    int n_threads;           // 0 = all processors
    imx_precision precision; // of products with weights
    bool process_output;     // statistics of the head's input too, as output.weight
    bool perplexity;         // run the head and compute the perplexity of the text
    bool all_experts;        // experts' statistics are of all tokens, whatever the router says
    bool covariance;         // mean products of columns too

    // How memory is used: see collect_plan.h.
    const char *scratch_beside; // the residual stream goes to a file there; NULL: it is in memory
    bool read_ahead;            // read a layer's weights while the one before it is computed

    const char *checkpoint_path; // NULL: no checkpoints
    double checkpoint_seconds;   // between two of them; 0: one after every layer
    bool restart;                // pass over what an earlier run has left at checkpoint_path
    const char *model_hash;      // of the model's file; may be NULL without a checkpoint_path

    const imx_collect_listener *listener; // may be NULL
    const imx_progress *progress;         // may be NULL
} imx_collect_options;

typedef struct imx_collect_result {
    double perplexity; // NAN unless asked for and a position is scored
    double perplexity_error;
} imx_collect_result;

// Sums in f64 in token order: in_sum2, in_sum and counts, and in_max, of every weight product, and
// with `covariance` in_cov of those with rows of at least IMX_COV_RUN inputs; the same bytes for
// any n_threads and use of memory. The imatrix gets entries, chunk_count, chunk_size,
// origin.n_tokens, .all_experts and .left_out_chunks; datasets and the rest of origin are the
// caller's to fill in. *out is the caller's to imx_imatrix_free.
//
// A chunk of which an input is not finite (or beyond 2⁴⁸, whose square no file could hold) is left
// out from that weight on; the weights before it, which it has passed in good order, keep what it
// gave them, and each weight's counts tell. When every chunk is, that is IMX_ERR_FORMAT naming
// weight, chunk and token of the first.
//
// A run that is stopped by the progress callback leaves a checkpoint and is IMX_ERR_INTERRUPTED;
// one that is killed leaves its last. The next run with the same model, corpus and options goes on
// from there and ends with the same bytes. The checkpoint stays until the caller, having stored
// the imatrix, removes it.
imx_status imx_collect(imx_imatrix **out, const imx_model *model, const imx_corpus *corpus,
                       const imx_collect_options *options, imx_collect_result *result,
                       imx_error *err);

// Adds to the empty imatrix an entry with zeroed sums for every weight whose input a walk over the
// model shows, that of the head with `process_output`. Entries stay where they are while
// imx_input_sums_add fills them, so that who needs them all can plan before the first comes.
imx_status imx_collect_announce(imx_imatrix *imatrix, const imx_model *model, bool process_output,
                                imx_error *err);

#endif
