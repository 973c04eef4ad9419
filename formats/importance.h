// SPDX-License-Identifier: MIT
//
// The value that calibration and quantization share: how much an error in each column of a weight
// costs. It is passed by value or pointer, never by file name.

#ifndef IMX_FORMATS_IMPORTANCE_H
#define IMX_FORMATS_IMPORTANCE_H

#include <stddef.h>
#include <stdint.h>

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

// Values of a triangle of n columns, its diagonal included.
static inline uint64_t imx_triangle_len(uint64_t n) {
    return n * (n + 1) / 2;
}

// The products of columns of an input, summed over the tokens of a calibration text in two parts:
// one to fit by, one to judge by. Products are known within runs of `run_len` columns, either all
// of them (n_cols) or those of a super-block (IMX_COV_RUN; columns behind the last whole run have
// none). A part is the lower triangles of the runs one after another, each row by row as above.
typedef struct imx_input_covariance {
    size_t n_cols;
    size_t run_len;
    const float *fitted;   // (n_cols / run_len, imx_triangle_len(run_len)) sums of x_i x_j
    const float *held_out; // likewise; NULL when nothing was held out
    double n_fitted;       // tokens in each part
    double n_held_out;
} imx_input_covariance;

typedef struct imx_importance {
    imx_importance_kind kind;
    const float *diagonal; // (n_cols) mean squared inputs, finite and >= 0; NULL for UNIFORM
} imx_importance;

#endif
