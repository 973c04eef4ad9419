// SPDX-License-Identifier: MIT
//
// The weights w_j of the error that every encoder minimises.
//
// The importance q_j of a column says how much an error in it costs on average, if errors are
// independent. They are not: a least-squares grid of few codes clips the large weights of a block
// and so shrinks the block as a whole, which shrinks what it computes. Favouring large weights
// holds against that:
//
//     w_j = q_j · (σ² + x_j²)^p,    σ² = mean of x² over the block,
//
// with p = 1/2 for types of two and three bits, 1/4 from four bits on, where little is clipped, and
// 0 at eight bits, where nothing is and no difference can be measured.
// Chosen by the KL divergence of a small trained model: with p = 0 that of Q2_K and Q3_K files is
// more than a tenth larger, with p = 1 slightly, and with p = 1/2 that of Q4_K a few per cent.
//
// Only ratios of importance within a block matter: q is divided by its largest value there, which
// makes a constant importance exactly the same as none. Columns that calibration never saw active
// keep a floor of it, so that they are still coded well where that is free, and so that no sum of
// weights is ever zero.

#ifndef IMX_QUANT_WEIGHTING_H
#define IMX_QUANT_WEIGHTING_H

#include <stddef.h>

#include "formats/importance.h"

// How much large weights are favoured.
typedef enum imx_emphasis {
    IMX_EMPHASIS_NONE,   // p = 0
    IMX_EMPHASIS_WEAK,   // p = 1/4
    IMX_EMPHASIS_STRONG, // p = 1/2
} imx_emphasis;

// What the user asks for.
typedef enum imx_weighting {
    IMX_WEIGHTING_AUTO,  // by type, as above
    IMX_WEIGHTING_PLAIN, // the importance alone, p = 0
    IMX_WEIGHTING_SQRT,  // p = 1/2 for every type, as llama.cpp does
    IMX_WEIGHTING_COUNT,
} imx_weighting;

// The emphasis for a type that on its own would have `by_type`.
imx_emphasis imx_emphasis_of(imx_weighting weighting, imx_emphasis by_type);

// Fills w (n, a multiple of 16) for the weights x (n), columns `first` and on of the row. |x_j| <=
// 4 is expected; w_j > 0 is promised as long as some x_j is not zero.
void imx_weigh_block(const float *x, size_t n, const imx_importance *importance, size_t first,
                     imx_emphasis emphasis, float *w);

#endif
