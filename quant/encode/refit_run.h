// SPDX-License-Identifier: MIT
//
// Better grids for the levels that a run has. See refit_run.c for the mathematics.

#ifndef IMX_QUANT_REFIT_RUN_H
#define IMX_QUANT_REFIT_RUN_H

#include "quant/encode/run_error.h"

// Moves the integers of one group after another, then the halves, each to the values that lose
// least while everything else stays. Keeps error->grids and slope up to date.
void imx_refit_run(imx_run_error *error);

#endif
