// SPDX-License-Identifier: MIT
//
// Which rows of a walk's input are of which chunk. Tokens of an input ascend, so that a chunk's
// rows stand together.

#ifndef IMX_CALIB_CHUNK_ROWS_H
#define IMX_CALIB_CHUNK_ROWS_H

#include <stddef.h>

#include "calib/forward/walk.h"
#include "calib/text/corpus.h"

// Rows of an input that are of one chunk.
typedef struct imx_chunk_rows {
    size_t chunk;
    const float *x; // (n_rows, n_cols)
    size_t n_rows;
} imx_chunk_rows;

// The token of the corpus that a row of an input is.
size_t imx_input_token(const imx_walk_input *input, size_t row);

// The rows from `first` on that are of the same chunk.
imx_chunk_rows imx_chunk_rows_at(const imx_corpus *corpus, const imx_walk_input *input,
                                 size_t first);

// What a chunk is to someone who treats chunks differently.
typedef int imx_chunk_kind_fn(const void *context, size_t chunk);

// Consecutive rows of an input whose chunks are of one kind.
typedef struct imx_stretch {
    int kind;
    const float *x; // (n_rows, n_cols)
    size_t n_rows;
} imx_stretch;

// The stretch of rows from `first` on, up to the next chunk of another kind.
imx_stretch imx_stretch_at(const imx_corpus *corpus, const imx_walk_input *input, size_t first,
                           imx_chunk_kind_fn *kind_of, const void *context);

#endif
