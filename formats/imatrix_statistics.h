// SPDX-License-Identifier: MIT
//
// What the statistics of a weight look like: a few numbers that say which columns matter, and how
// well they are known.

#ifndef IMX_FORMATS_IMATRIX_STATISTICS_H
#define IMX_FORMATS_IMATRIX_STATISTICS_H

#include "formats/imatrix_file.h"

// Of the mean squared inputs a of all columns of all matrices that have seen something. The
// first eight are what `llama-imatrix --show-statistics` prints. NAN where they are not defined.
typedef struct imx_entry_statistics {
    uint64_t n_values;
    double sum, min, max, mean;
    double sigma;       // standard deviation
    double active;      // share of a above 1e-5, 0..1
    double entropy;     // of the distribution a / sum, bits
    double above_sigma; // share of a beyond mean + sigma, 0..1
    double evenness;    // entropy / log2(n_values), 0..1
    double top_share;   // of the sum in the largest hundredth of a, rounded up, 0..1
    uint64_t n_unseen;  // matrices without data
    double rows;        // summed over all matrices
    double rows_min;    // of the matrix that has seen least
    double rows_median; // the lower of two
    double rows_max;
} imx_entry_statistics;

// Fails for lack of memory only.
imx_status imx_entry_statistics_compute(const imx_imatrix_entry *entry, imx_entry_statistics *out,
                                        imx_error *err);

#endif
