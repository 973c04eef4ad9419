// SPDX-License-Identifier: MIT
//
// Better grids for the levels that a run has. See refit_run.c for the mathematics.

#ifndef IMX_QUANT_REFIT_RUN_H
#define IMX_QUANT_REFIT_RUN_H

#include "quant/encode/run_error.h"

// Move the integers of one group after another, or the halves, each to the values that lose least
// while everything else stays. Keep error->grids and slope up to date; return whether anything
// moved.
bool imx_refit_integers(imx_run_error *error);
bool imx_refit_halves(imx_run_error *error);

#endif
