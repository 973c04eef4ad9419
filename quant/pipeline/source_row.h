// SPDX-License-Identifier: MIT
//
// Rows of a source tensor on their way to an encoder.

#ifndef IMX_QUANT_SOURCE_ROW_H
#define IMX_QUANT_SOURCE_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/gguf.h"

// Decodes row `row` of a tensor, counted through its matrices, into x (n_cols). False when it holds
// an infinity or NaN.
bool imx_source_row_read(const imx_gguf_tensor *tensor, uint64_t row, float *x);

// IMX_ERR_FORMAT: says which row of which tensor in which file is not finite.
imx_status imx_source_row_fail(const imx_gguf *source, const imx_gguf_tensor *tensor, uint64_t row,
                               imx_error *err);

#endif
