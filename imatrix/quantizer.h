// SPDX-License-Identifier: MIT
//
// What an imatrix_quantizer is: a source, a plan and what carrying it out has shown.

#ifndef IMX_IMATRIX_QUANTIZER_H
#define IMX_IMATRIX_QUANTIZER_H

#include <stdbool.h>
#include <stddef.h>

#include "formats/gguf.h"
#include "formats/imatrix_file.h"
#include "imatrix/calibration_outcome.h"
#include "imatrix/imatrix.h"
#include "imatrix/quantize_settings.h"
#include "quant/pipeline/pipeline.h"
#include "quant/plan/plan.h"

struct imatrix_quantizer {
    imx_gguf *source;
    imx_imatrix *imatrix;             // NULL without one
    imatrix_calibration *calibration; // likewise; borrowed
    imx_plan *plan;
    imx_tensor_loss *losses;           // (plan->n_items)
    imx_calibration_outcome *outcomes; // (plan->n_items)
    size_t n_kept;                     // tensors that an interrupted run had finished
    bool has_run;
    char *imatrix_name; // base name of the imatrix file, or NULL
    char imatrix_hash[33];
    imx_quantize_settings settings;
    imx_pipeline_needs needs;
    int n_threads;
    bool resume;
    imatrix_progress progress;
};

// How a run goes. `progress` is borrowed.
imx_pipeline_options imx_quantizer_pipeline_options(const imatrix_quantizer *quantizer,
                                                    const imx_progress *progress);

// The keys of the new model; *builder is the caller's to imx_gguf_builder_free.
imx_status imx_quantizer_set_keys(imx_gguf_builder **builder, const imatrix_quantizer *quantizer,
                                  imx_error *err);

#endif
