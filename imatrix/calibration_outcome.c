// SPDX-License-Identifier: MIT

#include "imatrix/calibration_outcome.h"

#include <assert.h>
#include <math.h>

static_assert((int)IMATRIX_REACH_ROW == (int)IMX_REACH_ROW &&
                  (int)IMATRIX_REASON_HELD_OUT == (int)IMX_REASON_HELD_OUT &&
                  (int)IMATRIX_N_REASONS == (int)IMX_REASON_COUNT,
              "public and internal outcomes have the same numbers");

static const char *const reach_names[IMATRIX_N_REACHES] = {"column", "super-block", "row"};

static const char *const reason_names[IMATRIX_N_REASONS] = {
    [IMATRIX_REASON_NONE] = "",           [IMATRIX_REASON_TYPE] = "type or row length",
    [IMATRIX_REASON_UNSEEN] = "no input", [IMATRIX_REASON_FEW_TOKENS] = "few tokens",
    [IMATRIX_REASON_MEMORY] = "memory",   [IMATRIX_REASON_HELD_OUT] = "held-out chunks",
};

const char *imatrix_reach_name(imatrix_reach reach) {
    return reach_names[reach];
}

const char *imatrix_reason_name(imatrix_reach_reason reason) {
    return reason_names[reason];
}

void imx_calibration_outcome_add(imx_calibration_outcome *outcome, const imx_solver_job *job) {
    ++outcome->n_reached[job->reach][job->reason];
    outcome->damping += job->reach != IMX_REACH_COLUMN ? job->damping : 0;
    outcome->gain += job->gain;
}

void imx_calibration_outcome_add_unseen(imx_calibration_outcome *outcome, uint64_t n_matrices) {
    outcome->n_reached[IMATRIX_REACH_COLUMN][IMATRIX_REASON_UNSEEN] += n_matrices;
    outcome->gain += (double)n_matrices;
}

void imx_calibration_outcome_count(const imx_calibration_outcome *outcome,
                                   uint64_t n_reached[IMATRIX_N_REACHES][IMATRIX_N_REASONS]) {
    for (int reach = 0; reach < IMATRIX_N_REACHES; ++reach) {
        for (int reason = 0; reason < IMATRIX_N_REASONS; ++reason) {
            n_reached[reach][reason] += outcome->n_reached[reach][reason];
        }
    }
}

imatrix_calibrated imx_calibration_outcome_publish(const imx_calibration_outcome *outcome) {
    imatrix_calibrated published = {.damping = (double)NAN, .gain = 1};
    uint64_t n_paying = 0;
    uint64_t most = 0;
    for (int reach = 0; reach < IMATRIX_N_REACHES; ++reach) {
        for (int reason = 0; reason < IMATRIX_N_REASONS; ++reason) {
            const uint64_t n = outcome->n_reached[reach][reason];
            published.n_matrices += n;
            n_paying += reach != IMATRIX_REACH_COLUMN ? n : 0;
            if (n > most) {
                most = n;
                published.reach = (imatrix_reach)reach;
                published.reason = (imatrix_reach_reason)reason;
            }
        }
    }
    if (published.n_matrices > 0) {
        published.gain = outcome->gain / (double)published.n_matrices;
    }
    if (n_paying > 0) {
        published.damping = outcome->damping / (double)n_paying;
    }
    return published;
}
