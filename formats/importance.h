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

// Products of columns are known within runs of IMX_COV_RUN columns, the length of a super-block: of
// each run the lower triangle, its diagonal included, row by row: IMX_COV_PAIRS values, that of
// columns j <= i of the run at i (i + 1) / 2 + j. Columns behind the last whole run have none.
enum {
    IMX_COV_RUN = 256,
    IMX_COV_PAIRS = IMX_COV_RUN * (IMX_COV_RUN + 1) / 2,
};

typedef struct imx_importance {
    imx_importance_kind kind;
    const float *diagonal; // (n_cols) mean squared inputs, finite and >= 0; NULL for UNIFORM
} imx_importance;

#endif
