// SPDX-License-Identifier: MIT
//
// The residual stream of a whole corpus: n_rows × n_cols floats that live from layer to layer, in
// memory or, where that is too much, in a scratch file of which one block is in memory.

#ifndef IMX_CALIB_RESIDUAL_STREAM_H
#define IMX_CALIB_RESIDUAL_STREAM_H

#include <stddef.h>

#include "formats/error.h"

typedef struct imx_residual_stream imx_residual_stream;

// A stream of zeros. With `scratch_beside` NULL it lies in memory; else in a file without a name in
// the directory of that path, which goes when the process does, and at most `max_rows` rows can be
// loaded at a time. IMX_ERR_IO when the directory has no room for it. *out is the caller's to
// imx_residual_stream_free; NULL on failure.
imx_status imx_residual_stream_new(imx_residual_stream **out, size_t n_rows, size_t n_cols,
                                   size_t max_rows, const char *scratch_beside, imx_error *err);
void imx_residual_stream_free(imx_residual_stream *stream);

// Rows first .. first + n − 1, to be read and changed until the next call on the stream. From a
// stream in memory any number of rows can be loaded, and the pointer is valid as long as it lives.
imx_status imx_residual_stream_load(imx_residual_stream *stream, size_t first, size_t n,
                                    float **rows, imx_error *err);

// Keeps the rows loaded last as they are now.
imx_status imx_residual_stream_store(imx_residual_stream *stream, imx_error *err);

#endif
