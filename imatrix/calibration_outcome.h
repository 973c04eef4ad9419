// SPDX-License-Identifier: MIT
//
// What became of a tensor's matrices in a calibrated run.

#ifndef IMX_IMATRIX_CALIBRATION_OUTCOME_H
#define IMX_IMATRIX_CALIBRATION_OUTCOME_H

#include "imatrix/imatrix.h"
#include "quant/solver/solve_jobs.h"

// Matrices of a tensor; zero is none.
typedef struct imx_calibration_outcome {
    uint64_t n_reached[IMATRIX_N_REACHES][IMATRIX_N_REASONS];
    double damping; // sum over those whose errors pay for each other
    double gain;    // sum over all
} imx_calibration_outcome;

void imx_calibration_outcome_add(imx_calibration_outcome *outcome, const imx_solver_job *job);

// So many matrices that no run will show an input for.
void imx_calibration_outcome_add_unseen(imx_calibration_outcome *outcome, uint64_t n_matrices);

// Adds its matrices to `n_reached`.
void imx_calibration_outcome_count(const imx_calibration_outcome *outcome,
                                   uint64_t n_reached[IMATRIX_N_REACHES][IMATRIX_N_REASONS]);

imatrix_calibrated imx_calibration_outcome_publish(const imx_calibration_outcome *outcome);

#endif
