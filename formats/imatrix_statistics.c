// SPDX-License-Identifier: MIT
//
// With a_i the n mean squared inputs in ascending order and p_i = a_i / Σ a:
//
//     entropy      -Σ p log2 p: 0 when one column has it all, log2 n when all are alike
//     top share    Σ of the ceil(n / 100) largest p: what protecting 1 % of the columns would save
//
// Both say how uneven the importance is, and so how much quantization can gain from it.

#include "formats/imatrix_statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"

static const double inactive_below = 1e-5;

static const imx_entry_statistics unknown = {
    .sum = NAN,
    .min = NAN,
    .max = NAN,
    .mean = NAN,
    .sigma = NAN,
    .active = NAN,
    .entropy = NAN,
    .above_sigma = NAN,
    .evenness = NAN,
    .top_share = NAN,
};

static int compare_means(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

// Fills `means` (n_mats · n_cols) from the matrices that have seen something; returns how many.
static uint64_t gather_means(const imx_imatrix_entry *entry, double *means) {
    uint64_t n = 0;
    for (uint64_t i = 0; i < entry->n_mats * entry->n_cols; ++i) {
        const double count = entry->counts[i / entry->n_cols];
        if (count > 0.0) {
            means[n++] = entry->in_sum2[i] / count;
        }
    }
    return n;
}

// `a` (n) in ascending order, n > 0.
static void describe_level(const double *a, uint64_t n, imx_entry_statistics *out) {
    double sum = 0.0;
    double sum_of_squares = 0.0;
    uint64_t n_active = 0;
    for (uint64_t i = 0; i < n; ++i) {
        sum += a[i];
        sum_of_squares += a[i] * a[i];
        n_active += a[i] > inactive_below;
    }
    out->sum = sum;
    out->min = a[0];
    out->max = a[n - 1];
    out->mean = sum / (double)n;
    out->sigma = sqrt(fmax(0.0, sum_of_squares / (double)n - out->mean * out->mean));
    out->active = (double)n_active / (double)n;
}

// `a` (n) as above, `out` with its level.
static void describe_profile(const double *a, uint64_t n, imx_entry_statistics *out) {
    const uint64_t n_top = n / 100 + (n % 100 > 0);
    uint64_t n_above = 0;
    double entropy = 0.0;
    double top = 0.0;
    for (uint64_t i = 0; i < n; ++i) {
        const double p = out->sum > 0.0 ? a[i] / out->sum : 0.0;
        entropy -= p > 0.0 ? p * log2(p) : 0.0;
        n_above += out->sigma > 0.0 && a[i] - out->mean > out->sigma;
        top += i >= n - n_top ? p : 0.0;
    }
    out->entropy = entropy;
    out->above_sigma = (double)n_above / (double)n;
    out->evenness = n > 1 ? entropy / log2((double)n) : NAN;
    out->top_share = out->sum > 0.0 ? top : NAN;
}

// Sorts `counts` (n).
static void describe_coverage(double *counts, uint64_t n, imx_entry_statistics *out) {
    qsort(counts, n, sizeof *counts, compare_means);
    out->rows_min = counts[0];
    out->rows_median = counts[(n - 1) / 2];
    out->rows_max = counts[n - 1];
    for (uint64_t i = 0; i < n; ++i) {
        out->rows += counts[i];
        out->n_unseen += counts[i] == 0.0;
    }
}

imx_status imx_entry_statistics_compute(const imx_imatrix_entry *entry, imx_entry_statistics *out,
                                        imx_error *err) {
    double *scratch;
    *out = unknown;
    IMX_TRY(imx_alloc_zeroed(&scratch, entry->n_mats * entry->n_cols, sizeof *scratch, err));
    out->n_values = gather_means(entry, scratch);
    if (out->n_values > 0) {
        qsort(scratch, out->n_values, sizeof *scratch, compare_means);
        describe_level(scratch, out->n_values, out);
        describe_profile(scratch, out->n_values, out);
    }
    memcpy(scratch, entry->counts, entry->n_mats * sizeof *scratch);
    describe_coverage(scratch, entry->n_mats, out);
    free(scratch);
    return IMX_OK;
}
