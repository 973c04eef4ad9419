// SPDX-License-Identifier: MIT
//
// A search codes every weight as well as its grid can. But what a model feels is eᵀ H e
// (quant/encode/run_metric.c), and there errors in columns that are active together add up or
// cancel: of the 4^256 codings of a Q2_K super-block, one whose errors are each larger can lose
// half as much. Finding the best is the closest vector problem, which nobody solves in 256
// dimensions. What is cheap is a good coding and steps that never make it worse:
//
//  1. the search's grids and codes, which know the diagonal of H only;
//  2. its grids with codes that pay errors back, from the last weight to the first. H = L D Lᵀ
//     leaves each weight a square of its own (run_metric.c);
//  3. coordinate descent. With r = H e, moving x̂_j by δ changes the loss by H_jj δ² - 2 r_j δ, so
//     the best level is that nearest to x̂_j + r_j / H_jj; where it is another one, r loses δ times
//     a column of H. Four sweeps over the run leave next to nothing to move;
//  4. better grids for these codes (refit_run.c), and 3 and 4 again as long as that gains.
//
// The loss left of that of step 1, in metrics shrunk as they are here, over all weights of the
// layers of a trained 11-million-parameter Llama:
//
//                                            Q2_K     Q4_K
//     2                                      0.678    0.659
//     3, from the codes of 1                 0.611    0.622
//     2, 3                                   0.598    0.602
//     2, 3, 4 once                           0.571    0.591
//     2, 3, 4 without end                    0.560    0.588
//     3, 4, from the codes of 1              0.573    0.606
//
// More sweeps or rounds than allowed here gain less than 0.001. The KL divergence falls further
// than the loss that is measured here (docs/quality.md).
//
// Sums run in sixteen lanes in an order that no instruction set changes.

#include "quant/encode/feedback.h"

#include <string.h>

#include "quant/encode/refit_run.h"
#include "quant/encode/run_error.h"

enum {
    MAX_ROUNDS = 4,
    MAX_SWEEPS = 4,
};

#define LEAST_GAIN 1e-3f // share of the loss, for another round

// ---- codes -------------------------------------------------------------------------------------

static float nearest_level(const imx_run_shape *shape, float position) {
    if (shape->values == NULL) {
        return imx_round(imx_clamp(position, shape->codes));
    }
    int q = 0;
    for (int i = 0; i < 15; ++i) {
        q += 2.0f * position > (float)(shape->values[i] + shape->values[i + 1]);
    }
    return (float)shape->values[q];
}

// From the last weight to the first, each takes the level nearest to itself and what those before
// it have left to pay back.
static void push_errors(imx_run_error *error) {
    const int group_len = imx_group_len(error);
    float wanted[IMX_COV_RUN];
    memcpy(wanted, error->x, sizeof wanted);
    for (int j = IMX_COV_RUN - 1; j >= 0; --j) {
        const imx_run_grid *grid = &error->grids[j / group_len];
        const float position = (wanted[j] - grid->offset) * grid->inverse;
        const float level = nearest_level(error->shape, position);
        error->run->levels[j] = level;
        imx_add_scaled(wanted, error->x[j] - (grid->scale * level + grid->offset),
                       error->metric->push[j], j);
    }
}

// Moves each weight to the level that is best while the others stay. Returns how many moved.
static int sweep(imx_run_error *error) {
    const imx_run_metric *metric = error->metric;
    const int group_len = imx_group_len(error);
    int n_moved = 0;
    for (int j = 0; j < IMX_COV_RUN; ++j) {
        const imx_run_grid *grid = &error->grids[j / group_len];
        const float level = error->run->levels[j];
        const float step = error->slope[j] * metric->cost[j] * grid->inverse;
        const float nearest = nearest_level(error->shape, level + step);
        if (nearest != level) {
            error->run->levels[j] = nearest;
            imx_add_scaled(error->slope, grid->scale * (level - nearest), metric->h[j],
                           IMX_COV_RUN);
            ++n_moved;
        }
    }
    return n_moved;
}

static void sweep_until_still(imx_run_error *error) {
    for (int i = 0; i < MAX_SWEEPS && sweep(error) > 0; ++i) {
    }
}

// ---- the search --------------------------------------------------------------------------------

// Takes the steps 3 and 4; returns the loss that is left of `loss`.
static float improve(imx_run_error *error, float loss) {
    for (int round = 0; round < MAX_ROUNDS; ++round) {
        sweep_until_still(error);
        imx_refit_run(error);
        sweep_until_still(error);
        const float next = imx_run_error_measure(error);
        if (next > (1.0f - LEAST_GAIN) * loss) {
            return next;
        }
        loss = next;
    }
    return loss;
}

void imx_feed_back(imx_coded_run *run, const imx_run_shape *shape, const float *x,
                   const imx_run_metric *metric) {
    const imx_coded_run start = *run;
    imx_run_error error;
    if (!metric->is_known || !imx_run_error_open(&error, run, shape, x, metric)) {
        return;
    }
    const float start_loss = imx_run_error_measure(&error);
    push_errors(&error);
    const float loss = improve(&error, imx_run_error_measure(&error));
    if (!(loss < start_loss)) {
        *run = start;
    }
}
