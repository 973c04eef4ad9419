// SPDX-License-Identifier: MIT
//
// Joins imatrices of one model: what several machines, or several texts, have collected.

#ifndef IMX_FORMATS_IMATRIX_MERGE_H
#define IMX_FORMATS_IMATRIX_MERGE_H

#include "formats/imatrix_file.h"

typedef struct imx_merge_part {
    const imx_imatrix *imatrix;
    const char *path; // for messages
    double weight;    // of its sums and counts, above 0; 1 = as they are
} imx_merge_part;

// Sums and counts of the parts (n_parts >= 1) times their weights add up, maxima are maximal; a
// weight that only some parts have is taken from these. Sums, maxima and products of inputs stay
// where all parts that have the weight have them. The texts stand one behind another, their weights
// scaled; what the origins do not agree on is left out.
//
// A part that does not say its chunk size (1: a .dat, which counts chunks) counts as if its chunks
// were as large as the largest of the others.
//
// Different shapes are IMX_ERR_MISMATCH naming the weight and the file, an impossible weight is
// IMX_ERR_ARGUMENT. *out is the caller's to imx_imatrix_free.
imx_status imx_imatrix_merge(imx_imatrix **out, const imx_merge_part *parts, size_t n_parts,
                             imx_error *err);

#endif
