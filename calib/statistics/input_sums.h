// SPDX-License-Identifier: MIT
//
// Sums over the inputs that a walk shows, weight by weight, and which chunks are left out of them.

#ifndef IMX_CALIB_INPUT_SUMS_H
#define IMX_CALIB_INPUT_SUMS_H

#include <stdbool.h>
#include <stddef.h>

#include "calib/forward/walk.h"
#include "calib/text/corpus.h"
#include "formats/error.h"
#include "formats/imatrix_file.h"

typedef struct imx_input_sums {
    imx_imatrix *imatrix; // the sums; borrowed. Until the end in_cov is sums of products, not means
    const imx_corpus *corpus;
    const char *model_path; // for messages
    bool with_covariance;
    int n_threads; // at least 1

    bool *left_out; // (n_chunks) chunks that turned non-finite on their way
    size_t n_left_out;
    imx_error first_failure; // why the first chunk was left out

    double *saved; // (3, n_cols) sums before the chunk under way
    size_t saved_capacity;
} imx_input_sums;

// Prepares *sums, of which the caller has filled in the first five members; the chunks that
// imatrix->origin lists are left out from the beginning. The caller's to imx_input_sums_close, also
// on failure.
imx_status imx_input_sums_open(imx_input_sums *sums, imx_error *err);
void imx_input_sums_close(imx_input_sums *sums);

// Adds an input to the entries of its weights, chunk by chunk: all rows of a chunk or, where one of
// them holds a value that is not finite or beyond 2⁴⁸, none, and none of it from then on.
// IMX_ERR_FORMAT, naming weight, chunk and token of the first, when no chunk is left.
imx_status imx_input_sums_add(imx_input_sums *sums, const imx_walk_input *input, imx_error *err);

// Writes the chunks that are left out into imatrix->origin.
imx_status imx_input_sums_list_left_out(const imx_input_sums *sums, imx_error *err);

// Turns sums of products into the means that an imatrix holds. Nothing is added after this.
void imx_input_sums_finish(imx_input_sums *sums);

#endif
