// SPDX-License-Identifier: MIT
//
// Carries out a plan: bounded row blocks are read, decoded, encoded by all threads and written in
// order. Memory does not grow with tensor or model size, and the bytes do not depend on n_threads.

#ifndef IMX_QUANT_PIPELINE_H
#define IMX_QUANT_PIPELINE_H

#include <stdint.h>

#include "formats/error.h"
#include "formats/gguf.h"
#include "formats/progress.h"
#include "quant/encoder.h"
#include "quant/plan.h"

// What encoding one tensor cost.
typedef struct imx_tensor_loss {
    double weighted_error; // sum over rows and columns of importance · (x - decoded)²
    double weighted_power; // the same sum of x²; their ratio is the weighted relative error
    double squared_error;  // unweighted
    double squared_power;
} imx_tensor_loss;

typedef struct imx_pipeline_options {
    int n_threads;                // 0 = all processors
    const imx_progress *progress; // may be NULL
    imx_encode_options encode;
    bool resume; // go on from what an interrupted run of the same plan has left
} imx_pipeline_options;

// Writes the planned file atomically to `path`. `builder` holds the keys of the new file and no
// tensors yet; records are added here. `losses` (plan->n_items) is filled in, zero for copied
// tensors; it may be NULL. A non-finite source weight is IMX_ERR_FORMAT naming tensor and row.
imx_status imx_pipeline_run(const imx_plan *plan, const imx_gguf *source, imx_gguf_builder *builder,
                            const char *path, const imx_pipeline_options *options,
                            imx_tensor_loss *losses, imx_error *err);

#endif
