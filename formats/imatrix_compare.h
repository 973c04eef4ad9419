// SPDX-License-Identifier: MIT
//
// How far the statistics of a weight in two imatrices are apart.

#ifndef IMX_FORMATS_IMATRIX_COMPARE_H
#define IMX_FORMATS_IMATRIX_COMPARE_H

#include "formats/imatrix_file.h"

// The cosine of the angle between two vectors (n), -1..1; NAN when one of them is 0.
double imx_cosine(const double *a, const double *b, uint64_t n);

// Of the mean squared inputs of two entries, over the matrices that both have seen. NAN where they
// have nothing in common.
typedef struct imx_entry_difference {
    bool comparable;         // whether the entries have as many values
    double cosine;           // 0..1
    double rank_correlation; // Spearman's, -1..1: whether both put the columns in the same order
    double sum_ratio;        // Σ of b / Σ of a
} imx_entry_difference;

// An entry with one count for all experts (n_mats = 1) compares with one that has a count for each.
// Fails for lack of memory only.
imx_status imx_entry_compare(const imx_imatrix_entry *a, const imx_imatrix_entry *b,
                             imx_entry_difference *out, imx_error *err);

#endif
