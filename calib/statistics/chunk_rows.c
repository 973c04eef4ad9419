// SPDX-License-Identifier: MIT

#include "calib/statistics/chunk_rows.h"

size_t imx_input_token(const imx_walk_input *input, size_t row) {
    return input->tokens != NULL ? input->tokens[row] : input->first_token + row;
}

// The chunk that holds a token.
static size_t chunk_of(const imx_corpus *corpus, size_t token) {
    size_t begin = 0, end = corpus->n_chunks;
    while (end - begin > 1) {
        const size_t middle = begin + (end - begin) / 2;
        if (corpus->starts[middle] <= token) {
            begin = middle;
        } else {
            end = middle;
        }
    }
    return begin;
}

imx_chunk_rows imx_chunk_rows_at(const imx_corpus *corpus, const imx_walk_input *input,
                                 size_t first) {
    imx_chunk_rows rows = {.chunk = chunk_of(corpus, imx_input_token(input, first)),
                           .x = input->x + first * input->n_cols};
    while (first + rows.n_rows < input->n_rows &&
           imx_input_token(input, first + rows.n_rows) < corpus->starts[rows.chunk + 1]) {
        ++rows.n_rows;
    }
    return rows;
}

imx_stretch imx_stretch_at(const imx_corpus *corpus, const imx_walk_input *input, size_t first,
                           imx_chunk_kind_fn *kind_of, const void *context) {
    imx_chunk_rows rows = imx_chunk_rows_at(corpus, input, first);
    imx_stretch stretch = {.kind = kind_of(context, rows.chunk), .x = rows.x};
    do {
        stretch.n_rows += rows.n_rows;
        if (first + stretch.n_rows == input->n_rows) {
            break;
        }
        rows = imx_chunk_rows_at(corpus, input, first + stretch.n_rows);
    } while (kind_of(context, rows.chunk) == stretch.kind);
    return stretch;
}
