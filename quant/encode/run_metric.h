// SPDX-License-Identifier: MIT
//
// What errors in a run of 256 columns cost together: eᵀ H e, H from the mean products of the
// inputs. See run_metric.c for the mathematics.

#ifndef IMX_QUANT_RUN_METRIC_H
#define IMX_QUANT_RUN_METRIC_H

#include <stdbool.h>
#include <stddef.h>

#include "formats/importance.h"

// How far the covariance C of a text is believed: H = (1 - s) C + s diag(C) + t mean(diag C) I.
typedef struct imx_belief {
    double shrinkage; // s, 0..1
    double damping;   // t, > 0
} imx_belief;

// Groups of weights that share a grid are of one or two strips.
enum { IMX_COV_STRIP = 16, IMX_COV_STRIPS = IMX_COV_RUN / IMX_COV_STRIP };

// For products within runs alone.
extern const imx_belief imx_run_belief;

// The same for all rows of a matrix; 529 KiB. Aligned to lines of the cache, which doubles the
// speed of products with h.
typedef struct imx_run_metric {
    _Alignas(64) float h[IMX_COV_RUN][IMX_COV_RUN]; // H: symmetric, positive definite, of any scale
    float push[IMX_COV_RUN][IMX_COV_RUN]; // L of H = L D Lᵀ, zeros for its unit diagonal and above
    float cost[IMX_COV_RUN];              // 1 / h[j][j]
    float sums[IMX_COV_STRIPS][IMX_COV_RUN]; // of the rows of h, sixteen at a time
    bool is_known;                           // else nothing above counts
} imx_run_metric;

// From the lower triangle, row by row, of E[x_i x_j] (IMX_COV_PAIRS); the mean diagonal of H
// becomes 1. Unknown when all inputs were zero, or when the numbers cannot be products of inputs.
void imx_run_metric_init(imx_run_metric *metric, const float *products, imx_belief belief);

// From an H that is ready, with a mean diagonal of 1e-8..1e8: `h` (n, n) with rows `stride` apart,
// of which the lower triangle is read. Columns behind n <= IMX_COV_RUN stand alone. Unknown when H
// is not positive definite.
void imx_run_metric_from_square(imx_run_metric *metric, const float *h, size_t stride, size_t n);

#endif
