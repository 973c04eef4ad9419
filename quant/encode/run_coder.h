// SPDX-License-Identifier: MIT
//
// What a type with grids does with a run of 256 weights, one step at a time: for those who decide
// what is coded after what (quant/solver). An encoder takes the same steps, run by run. A coder is
// a row of a table: types differ in its first half, instruction sets in the second.

#ifndef IMX_QUANT_RUN_CODER_H
#define IMX_QUANT_RUN_CODER_H

#include <stdbool.h>
#include <stddef.h>

#include "formats/importance.h"
#include "quant/encode/coded_run.h"
#include "quant/encode/effort.h"
#include "quant/encode/run_metric.h"

struct imx_encode_options;

typedef struct imx_run_coder imx_run_coder;
struct imx_run_coder {
    imx_run_shape shape;
    imx_emphasis emphasis; // unless the user asks for another

    // The type's search: chooses halves, integers and levels of block b of the run, the 256 /
    // n_halves weights on `view`. *run comes as a run of zeros.
    void (*search)(const imx_block_view *view, const imx_run_shape *shape, imx_effort effort, int b,
                   imx_coded_run *run);

    // The run's first n weights, whole blocks, as the blocks of the type.
    size_t run_bytes; // of 256 weights
    void (*pack)(const imx_coded_run *run, size_t n, void *blocks);

    // *run = what the search makes of columns first … first + n - 1 of `row`: n is IMX_COV_RUN or,
    // at the end of a row, fewer but whole blocks; levels behind n are 0.
    void (*choose)(const imx_run_coder *coder, const float *row, size_t first, size_t n,
                   const imx_importance *importance, const struct imx_encode_options *options,
                   imx_coded_run *run);

    // Lowers eᵀ H e, e = x - x̂, of a whole run; see quant/encode/feedback.h.
    void (*feed_back)(imx_coded_run *run, const imx_run_shape *shape, const float *x,
                      const imx_run_metric *metric);

    // x̂ (n), to the bit what the type's decoder makes of the packed run.
    void (*decode)(const imx_coded_run *run, const imx_run_shape *shape, size_t n, float *out);
};

#endif
