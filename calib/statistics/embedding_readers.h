// SPDX-License-Identifier: MIT
//
// What an error in the token embedding costs, by the weights that read it. See embedding_readers.c.

#ifndef IMX_CALIB_EMBEDDING_READERS_H
#define IMX_CALIB_EMBEDDING_READERS_H

#include "calib/model/model.h"
#include "formats/error.h"
#include "formats/importance.h"

// Fills *covariance with the products of the columns of all rows that read the embedding, as if
// they were its inputs, within runs of `run_len` columns (n_embd or IMX_COV_RUN); nothing is held
// out. n_fitted is 0 where the head is the embedding itself, whose error then reaches the
// predictions before all else. The sums are the caller's to imx_embedding_readers_free, also on
// failure. The same bits for any n_threads (0 = all processors).
imx_status imx_embedding_readers_sum(imx_input_covariance *covariance, const imx_model *model,
                                     size_t run_len, int n_threads, imx_error *err);
void imx_embedding_readers_free(imx_input_covariance *covariance);

#endif
