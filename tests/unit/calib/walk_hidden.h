// SPDX-License-Identifier: MIT

#ifndef IMX_TESTS_WALK_HIDDEN_H
#define IMX_TESTS_WALK_HIDDEN_H

#include <stdlib.h>
#include <string.h>

#include "calib/forward/walk.h"
#include "calib/model/model.h"
#include "calib/text/corpus.h"

// The hidden states (n_tokens, n_embd) of a corpus, the caller's to free. For files that include
// cmocka.h before.
static inline float *walk_hidden(const imx_model *model, const imx_corpus *corpus, int n_threads) {
    const imx_walk_options options = {.n_threads = n_threads, .need_hidden = true};
    imx_error err;
    const size_t n_embd = imx_model_n_embd(model);
    float *hidden = malloc(corpus->n_tokens * n_embd * sizeof *hidden);
    imx_residual_stream *stream;
    float *rows;
    assert_int_equal(imx_residual_stream_new(&stream, corpus->n_tokens, n_embd, 0, NULL, &err),
                     IMX_OK);
    assert_int_equal(imx_walk_run(model, corpus, &options, stream, &err), IMX_OK);
    assert_int_equal(imx_residual_stream_load(stream, 0, corpus->n_tokens, &rows, &err), IMX_OK);
    memcpy(hidden, rows, corpus->n_tokens * n_embd * sizeof *hidden);
    imx_residual_stream_free(stream);
    return hidden;
}

#endif
