// SPDX-License-Identifier: MIT
//
// Which of several measured models is worth its bytes: their order, the Pareto front, and the
// pairs whose difference decides what is published.

#ifndef IMX_IMATRIX_COMPARE_RANKING_H
#define IMX_IMATRIX_COMPARE_RANKING_H

#include <stddef.h>

#include "imatrix/imatrix.h"

// Largest file first; of files of one size the one that loses less.
void imx_rank_by_size(imatrix_compared_model *models, size_t n);

// Sets on_front: nobody loses less in no more bytes, nor as little in fewer. A thousandth more is no
// more.
void imx_mark_front(imatrix_compared_model *models, size_t n);

// Fills in `model` and `against` of the pairs of ranked models: each with its successor, and with
// the best of all behind it, or, if that is below n, with number `against`; no pair twice. Returns
// how many they are; `pairs` has room for 2 n.
size_t imx_choose_pairs(imatrix_model_difference *pairs, const imatrix_compared_model *models,
                        size_t n, size_t against);

#endif
