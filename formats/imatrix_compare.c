// SPDX-License-Identifier: MIT
//
// The cosine of two importances tells whether the large columns agree, and a few outliers decide
// it. Spearman's correlation tells whether all columns are in the same order, whatever their size:
// it is the correlation of the ranks, columns of equal value sharing the mean of theirs. Ranks have
// the mean (n + 1) / 2, so it is also the cosine of the ranks taken from there.

#include "formats/imatrix_compare.h"

#include <math.h>
#include <stdlib.h>

#include "formats/memory.h"

double imx_cosine(const double *a, const double *b, uint64_t n) {
    double ab = 0.0;
    double aa = 0.0;
    double bb = 0.0;
    for (uint64_t i = 0; i < n; ++i) {
        ab += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
    }
    return aa > 0.0 && bb > 0.0 ? ab / (sqrt(aa) * sqrt(bb)) : NAN;
}

static double sum(const double *values, uint64_t n) {
    double total = 0.0;
    for (uint64_t i = 0; i < n; ++i) {
        total += values[i];
    }
    return total;
}

// ---- ranks -------------------------------------------------------------------------------------

typedef struct ranked_value {
    double value;
    uint64_t index;
} ranked_value;

static int compare_values(const void *a, const void *b) {
    const double x = ((const ranked_value *)a)->value;
    const double y = ((const ranked_value *)b)->value;
    return (x > y) - (x < y);
}

// Replaces values (n) by their ranks, counted from the mean rank. `order` (n) is scratch.
static void replace_by_ranks(double *values, uint64_t n, ranked_value *order) {
    for (uint64_t i = 0; i < n; ++i) {
        order[i] = (ranked_value){values[i], i};
    }
    qsort(order, n, sizeof *order, compare_values);
    for (uint64_t begin = 0, end; begin < n; begin = end) {
        for (end = begin + 1; end < n && order[end].value <= order[begin].value;) {
            ++end;
        }
        const double shared = 0.5 * (double)(begin + end - 1) - 0.5 * (double)(n - 1);
        for (uint64_t i = begin; i < end; ++i) {
            values[order[i].index] = shared;
        }
    }
}

// ---- entries -----------------------------------------------------------------------------------

// The means that both entries have, in `x` and `y` (n_values of an entry); returns how many.
static uint64_t gather_common(const imx_imatrix_entry *a, const imx_imatrix_entry *b, double *x,
                              double *y) {
    uint64_t n = 0;
    for (uint64_t i = 0; i < a->n_cols * a->n_mats; ++i) {
        const double count_a = a->counts[i / a->n_cols];
        const double count_b = b->counts[i / b->n_cols];
        if (count_a > 0.0 && count_b > 0.0) {
            x[n] = a->in_sum2[i] / count_a;
            y[n++] = b->in_sum2[i] / count_b;
        }
    }
    return n;
}

imx_status imx_entry_compare(const imx_imatrix_entry *a, const imx_imatrix_entry *b,
                             imx_entry_difference *out, imx_error *err) {
    const uint64_t n_values = a->n_cols * a->n_mats;
    const bool same_shape = a->n_mats == b->n_mats || a->n_mats == 1 || b->n_mats == 1;
    double *x = NULL;
    double *y = NULL;
    ranked_value *order = NULL;
    imx_status status = IMX_OK;
    *out = (imx_entry_difference){same_shape && n_values == b->n_cols * b->n_mats, NAN, NAN, NAN};
    if (!out->comparable) {
        return IMX_OK;
    }
    IMX_TRY_GOTO(done, imx_alloc_zeroed(&x, n_values, sizeof *x, err));
    IMX_TRY_GOTO(done, imx_alloc_zeroed(&y, n_values, sizeof *y, err));
    IMX_TRY_GOTO(done, imx_alloc_zeroed(&order, n_values, sizeof *order, err));
    const uint64_t n = gather_common(a, b, x, y);
    if (n > 0) {
        out->cosine = imx_cosine(x, y, n);
        out->sum_ratio = sum(y, n) / sum(x, n);
        replace_by_ranks(x, n, order);
        replace_by_ranks(y, n, order);
        out->rank_correlation = imx_cosine(x, y, n);
    }
done:
    free(order);
    free(y);
    free(x);
    return status;
}
