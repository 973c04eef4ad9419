// SPDX-License-Identifier: MIT
//
// What a collection, or a quantization that calibrates layer by layer, will take of the machine,
// known before it starts.

#ifndef IMX_CALIB_COLLECT_PLAN_H
#define IMX_CALIB_COLLECT_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "calib/forward/operands.h"
#include "calib/model/model.h"
#include "calib/text/corpus.h"
#include "formats/error.h"

typedef struct imx_collect_plan {
    uint64_t memory_bytes;  // of the process, at most
    uint64_t granted_bytes; // of these, of those that were wanted
    uint64_t scratch_bytes; // of the file that holds the residual stream; 0: it is in memory
    bool read_ahead;        // there is room to read the next layer while one is computed
} imx_collect_plan;

typedef struct imx_collect_demand {
    const imx_model *model;
    const imx_corpus *corpus;
    imx_precision precision; // of products with weights
    int n_threads;           // 0 = all processors
    bool process_output;     // statistics of the head's input
    bool perplexity;         // the head is run
    bool covariance;         // products of columns are summed
    bool passes_twice;       // the walk's hook has an on_layer
    bool may_use_scratch;    // the residual stream may go to a file
    uint64_t resident_bytes; // that the process has already
    uint64_t extra_bytes;    // that the hook takes while the walk is in a layer
    uint64_t wanted_bytes;   // that it would take besides; may get less
    uint64_t limit_bytes;    // of memory; 0: none
} imx_collect_demand;

// Memory that is short goes to what is wanted before it goes to the residual stream, and to both
// before it goes to reading ahead. IMX_ERR_MEMORY with the number needed when the limit is too low.
//
// Who keeps the covariances of a layer takes imx_layer_covariances_least_bytes and wants
// imx_layer_covariances_most_bytes; what is granted is their budget.
imx_status imx_collect_plan_make(imx_collect_plan *plan, const imx_collect_demand *demand,
                                 imx_error *err);

#endif
