// SPDX-License-Identifier: MIT
//
// What errors in a run of 256 columns cost together: eᵀ H e, H from the mean products of the
// inputs. See run_metric.c for the mathematics.

#ifndef IMX_QUANT_RUN_METRIC_H
#define IMX_QUANT_RUN_METRIC_H

#include <stdbool.h>

#include "formats/importance.h"

// The same for all rows of a matrix; 512 KiB.
typedef struct imx_run_metric {
    bool is_known;                        // else nothing below counts
    float h[IMX_COV_RUN][IMX_COV_RUN];    // H: symmetric, positive definite, mean diagonal 1
    float cost[IMX_COV_RUN];              // 1 / h[j][j]
    float push[IMX_COV_RUN][IMX_COV_RUN]; // L of H = L D Lᵀ, zeros for its unit diagonal and above
} imx_run_metric;

// From the lower triangle, row by row, of E[x_i x_j] (IMX_COV_PAIRS). Unknown when all inputs were
// zero, or when the numbers cannot be products of inputs.
void imx_run_metric_init(imx_run_metric *metric, const float *products);

#endif
