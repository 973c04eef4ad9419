// SPDX-License-Identifier: MIT
//
// The value that calibration and quantization share: how much an error in each column of a weight
// costs. It is passed by value or pointer, never by file name.

#ifndef IMX_FORMATS_IMPORTANCE_H
#define IMX_FORMATS_IMPORTANCE_H

typedef enum imx_importance_kind {
    IMX_IMPORTANCE_UNIFORM,  // nothing known: every column counts the same
    IMX_IMPORTANCE_DIAGONAL, // E[x_j²] of each column j
} imx_importance_kind;

typedef struct imx_importance {
    imx_importance_kind kind;
    const float *diagonal; // (n_cols) mean squared inputs, finite and >= 0; NULL for UNIFORM
} imx_importance;

#endif
