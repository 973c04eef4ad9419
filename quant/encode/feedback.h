// SPDX-License-Identifier: MIT
//
// Makes the errors of a run's weights pay for each other. See feedback.c for the mathematics.

#ifndef IMX_QUANT_FEEDBACK_H
#define IMX_QUANT_FEEDBACK_H

#include <stdbool.h>

#include "quant/encode/coded_run.h"
#include "quant/encode/run_metric.h"

// Lowers the error eᵀ H e, e = x - x̂, of a run that a search has coded: by other levels and other
// parameters of its grids. `x` (IMX_COV_RUN) are the weights. What cannot be improved stays as it
// is, and so does everything when the metric is not known.
void imx_feed_back(imx_coded_run *run, const imx_run_shape *shape, const float *x,
                   const imx_run_metric *metric);

#endif
