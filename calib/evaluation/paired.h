// SPDX-License-Identifier: MIT
//
// Whether two models differ on one text: the mean difference of a value that both have at every
// scored position, and how sure it is.

#ifndef IMX_CALIB_PAIRED_H
#define IMX_CALIB_PAIRED_H

#include <stdbool.h>
#include <stddef.h>

#include "calib/evaluation/score_statistics.h"

// Mean of a − b (n) and its standard error. The positions lie, in this order, in `n_chunks` chunks
// of equal length, which divides n.
imx_estimate imx_paired_difference(const double *a, const double *b, size_t n, size_t n_chunks);

// The groups of neighbouring positions that such an error takes for independent of each other.
size_t imx_paired_n_groups(size_t n, size_t n_chunks);

// Whether a difference is more than two standard errors from nothing.
bool imx_is_measurable(imx_estimate difference);

#endif
