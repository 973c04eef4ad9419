// SPDX-License-Identifier: MIT
//
// What a type with grids does with a run of 256 weights, one step at a time: for those who decide
// what is coded after what (quant/solver). An encoder takes the same steps, run by run.

#ifndef IMX_QUANT_RUN_CODER_H
#define IMX_QUANT_RUN_CODER_H

#include <stdbool.h>
#include <stddef.h>

#include "formats/importance.h"
#include "quant/encode/coded_run.h"
#include "quant/encode/run_metric.h"

struct imx_encode_options;

typedef struct imx_run_coder {
    imx_run_shape shape;

    // *run = what the type's search makes of columns first … first + n − 1 of `row`: n is
    // IMX_COV_RUN or, at the end of a row, fewer but whole blocks; levels behind n are 0.
    void (*choose)(const float *row, size_t first, size_t n, const imx_importance *importance,
                   const struct imx_encode_options *options, imx_coded_run *run);

    // Lowers eᵀ H e, e = x - x̂, of a whole run; see quant/encode/feedback.h.
    void (*feed_back)(imx_coded_run *run, const imx_run_shape *shape, const float *x,
                      const imx_run_metric *metric);

    // Lowers eᵀ H e + 2 eᵀ pull from the codes that are there, by coordinate descent and refits
    // alone; `pull` (IMX_COV_RUN) is what errors outside the run do to it. Returns whether anything
    // moved; what is not lower stays as it was.
    bool (*descend)(imx_coded_run *run, const imx_run_shape *shape, const float *x,
                    const float *pull, const imx_run_metric *metric);

    // x̂ (n), to the bit what the type's decoder makes of the packed run.
    void (*decode)(const imx_coded_run *run, const imx_run_shape *shape, size_t n, float *out);

    // The run's first n weights as the blocks of the type.
    void (*pack)(const imx_coded_run *run, size_t n, void *blocks);
} imx_run_coder;

#endif
