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
// Where errors outside the run are felt in it too, the loss is eᵀ H e + 2 eᵀ p with their pull p
// (Σ H_bc e_c over the other runs c of a row, for run b), and the slope r = H e + p; steps 3 and 4
// are the same. imx_descend takes one round of them from the codes that are there. It is called for
// all runs of a row in turn until none moves, so a call that moves nothing must be cheap: products
// with all of H are what costs, and it needs one, for r, whereas the integers of a group only ask
// what H is within the group. The halves of a whole run ask for all of it, and are left alone
// unless something else has moved. (To fit integers, too, only after a level has moved saves little
// more, and left Q2_K 6 % more of the loss under strong pulls.)
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

// The same of sixteen.
static imx_lanes nearest_levels(const imx_run_shape *shape, imx_lanes positions) {
    if (shape->values == NULL) {
        return imx_lanes_round(imx_lanes_clamp(positions, shape->codes));
    }
    const imx_lanes twice = imx_lanes_add(positions, positions);
    imx_lanes levels = imx_lanes_all((float)shape->values[0]);
    for (int i = 0; i < 15; ++i) {
        const imx_lanes border = imx_lanes_all((float)(shape->values[i] + shape->values[i + 1]));
        levels = imx_lanes_select(imx_lanes_greater(twice, border),
                                  imx_lanes_all((float)shape->values[i + 1]), levels);
    }
    return levels;
}

// From the last weight to the first, each takes the level nearest to itself and what those before
// it have left to pay back.
static void push_errors(imx_run_error *error) {
    const int group_len = error->shape->group_len;
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

// Moves a weight to the level that is best while the others stay. Returns whether it is another
// one.
static bool move_level(imx_run_error *error, const imx_run_grid *grid, int j) {
    const float level = error->run->levels[j];
    const float step = error->slope[j] * error->metric->cost[j] * grid->inverse;
    const float nearest = nearest_level(error->shape, level + step);
    if (nearest == level) {
        return false;
    }
    error->run->levels[j] = nearest;
    imx_add_scaled(error->slope, grid->scale * (level - nearest), error->metric->h[j], IMX_COV_RUN);
    return true;
}

// Whether none of the sixteen weights from j on would move.
static bool are_still(const imx_run_error *error, const imx_run_grid *grid, int j) {
    const imx_lanes levels = imx_lanes_load(error->run->levels + j);
    const imx_lanes slopes = imx_lanes_load(error->slope + j);
    const imx_lanes costs = imx_lanes_load(error->metric->cost + j);
    const imx_lanes steps =
        imx_lanes_mul(imx_lanes_mul(slopes, costs), imx_lanes_all(grid->inverse));
    const imx_lanes nearest = nearest_levels(error->shape, imx_lanes_add(levels, steps));
    return imx_lanes_greatest(imx_lanes_abs(imx_lanes_sub(nearest, levels))) == 0.0f;
}

// Returns whether any weight moved. In late sweeps hardly any does.
static bool sweep(imx_run_error *error) {
    bool moved = false;
    for (int j = 0; j < IMX_COV_RUN; j += IMX_N_LANES) {
        const imx_run_grid *grid = &error->grids[j / error->shape->group_len];
        for (int k = are_still(error, grid, j) ? IMX_N_LANES : 0; k < IMX_N_LANES; ++k) {
            moved |= move_level(error, grid, j + k);
        }
    }
    return moved;
}

// Returns whether any moved.
static bool sweep_until_still(imx_run_error *error) {
    int n_sweeps = 0;
    while (n_sweeps < MAX_SWEEPS && sweep(error)) {
        ++n_sweeps;
    }
    return n_sweeps > 0;
}

// ---- the searches ------------------------------------------------------------------------------

// A round of the steps 3 and 4 begins with what is cheap; returns whether it has moved anything.
static bool begin_round(imx_run_error *error) {
    const bool moved = sweep_until_still(error);
    return imx_refit_integers(error) || moved;
}

// Returns the loss.
static float end_round(imx_run_error *error) {
    imx_refit_halves(error);
    sweep_until_still(error);
    return imx_run_error_measure(error);
}

// Takes rounds; returns the loss that is left of `loss`.
static float improve(imx_run_error *error, float loss) {
    for (int round = 0; round < MAX_ROUNDS; ++round) {
        begin_round(error);
        const float next = end_round(error);
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
    if (!imx_run_error_open(&error, run, shape, x, NULL, metric)) {
        return;
    }
    const float start_loss = imx_run_error_measure(&error);
    push_errors(&error);
    const float loss = improve(&error, imx_run_error_measure(&error));
    if (!(loss < start_loss)) {
        *run = start;
    }
}

bool imx_descend(imx_coded_run *run, const imx_run_shape *shape, const float *x, const float *pull,
                 const imx_run_metric *metric) {
    const imx_coded_run start = *run;
    imx_run_error error;
    if (!imx_run_error_open(&error, run, shape, x, pull, metric)) {
        return false;
    }
    const float start_loss = imx_run_error_measure(&error);
    if (begin_round(&error) && end_round(&error) < start_loss) {
        return true;
    }
    *run = start;
    return false;
}
