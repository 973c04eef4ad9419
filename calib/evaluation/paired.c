// SPDX-License-Identifier: MIT
//
// What makes one position harder than another makes it harder for every model, so differences at
// the same position vary far less than the values themselves: two files whose intervals overlap can
// still be told apart.
//
// But neighbours are alike: a table of numbers, or a page in another language, shifts a hundred
// positions the same way, and an error that takes them for independent is too small. So positions
// are grouped, and only the groups are taken for independent. With S_g the sum of the differences
// of group g, which has n_g of the n positions, and d their mean over all positions,
//
//     error² = G / (G − 1) · Σ_g (S_g − d n_g)² / n²
//
// For groups of one size this is the standard error of the mean of the G group means.
//
// A group is a chunk: chunks share no context, and are long against what correlates. Fewer than
// MIN_GROUPS of them would not tell how much groups vary, so then each chunk is cut into equal
// parts, as many as it takes.
//
// Tried and dropped: single positions with the autocorrelation of the differences summed up to a
// lag. It says the same and has a lag to be chosen.

#include "calib/evaluation/paired.h"

#include <math.h>

enum { MIN_GROUPS = 32 };

// Parts that a chunk of `len` positions is cut into.
static size_t parts_of_chunk(size_t len, size_t n_chunks) {
    const size_t wanted = (MIN_GROUPS + n_chunks - 1) / n_chunks;
    return wanted < len ? wanted : len;
}

size_t imx_paired_n_groups(size_t n, size_t n_chunks) {
    return n_chunks * parts_of_chunk(n / n_chunks, n_chunks);
}

imx_estimate imx_paired_difference(const double *a, const double *b, size_t n, size_t n_chunks) {
    const size_t chunk_len = n / n_chunks;
    const size_t n_parts = parts_of_chunk(chunk_len, n_chunks);
    const double n_groups = (double)(n_chunks * n_parts);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; ++i) {
        sum += a[i] - b[i];
    }
    const double mean = sum / (double)n;
    for (size_t c = 0; c < n_chunks; ++c) {
        for (size_t part = 0; part < n_parts; ++part) {
            const size_t begin = c * chunk_len + chunk_len * part / n_parts;
            const size_t end = c * chunk_len + chunk_len * (part + 1) / n_parts;
            double excess = 0;
            for (size_t i = begin; i < end; ++i) {
                excess += a[i] - b[i] - mean;
            }
            squares += excess * excess;
        }
    }
    const double spread = n_groups > 1 ? n_groups / (n_groups - 1) : 0;
    return (imx_estimate){mean, sqrt(spread * squares) / (double)n};
}

bool imx_is_measurable(imx_estimate difference) {
    return fabs(difference.value) > 2 * difference.error;
}
