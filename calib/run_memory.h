// SPDX-License-Identifier: MIT
//
// What a llama.cpp client needs to run a model, beside the weights: from the metadata alone, for
// any architecture, whether `collect` knows it or not. docs/inspect.md has the formulas.

#ifndef IMX_CALIB_RUN_MEMORY_H
#define IMX_CALIB_RUN_MEMORY_H

#include <stdint.h>

#include "formats/error.h"
#include "formats/gguf.h"

typedef struct imx_run_memory {
    uint64_t n_ctx;           // tokens of context; asked for, or what the model was trained for
    uint64_t n_cache_layers;  // layers that keep keys and values
    uint64_t n_window_layers; // of these, the ones that keep those of a window only
    uint64_t n_state_layers;  // recurrent layers
    uint64_t window;          // tokens; 0 where there is none
    uint64_t cache_bytes;     // keys and values in F16, recurrent states in F32, of one sequence
    uint64_t compute_bytes;   // an estimate: buffers for intermediate values, batches of 512 tokens
} imx_run_memory;

// `n_ctx` 0 stands for the model's own context; 4096 where it does not say. IMX_ERR_FORMAT when the
// metadata's numbers are no model's.
imx_status imx_run_memory_measure(imx_run_memory *memory, const imx_gguf *gguf, uint64_t n_ctx,
                                  imx_error *err);

#endif
