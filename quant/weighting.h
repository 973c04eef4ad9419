// SPDX-License-Identifier: MIT
//
// The weights w_j of the error that every encoder minimises.
//
// The importance q_j of a column says how much an error in it costs on average. Minimising
// sum q_j · e_j² alone treats all weights of a column alike. Experience with k-quants is that it
// pays to favour the large ones, whose products reach furthest, so that
//
//     w_j = q_j · sqrt(σ² + x_j²),    σ² = 2 · mean of x² over the block.
//
// Only ratios of importance within a block matter: q is divided by its largest value there, which
// makes a constant importance exactly the same as none. Columns that calibration never saw active
// keep a floor of FLOOR (weighting.c), so that they are still coded well where that is free and no
// sum of weights is ever zero.

#ifndef IMX_QUANT_WEIGHTING_H
#define IMX_QUANT_WEIGHTING_H

#include <stddef.h>

#include "formats/importance.h"

// Fills w (n) for the weights x (n), which are columns `first`.. of the row. |x_j| <= 1 is
// expected, w_j > 0 is promised as long as some x_j is not zero.
void imx_weigh_block(const float *x, size_t n, const imx_importance *importance, size_t first,
                     float *w);

#endif
