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
// Where that is not better than what was there, 3 and 4 begin from what was there: over whole rows
// (quant/solver), where a run is coded again and again, up to 5 % of the loss.
//
// What costs is not arithmetic but reading H, 256 KiB, from the second cache. So r is computed at
// the start and once all errors have been pushed, and kept up to date by columns of H while levels
// and grids move; the loss is then eᵀ r. With that, what the halves of a whole run ask for taken
// from r too (refit_run.c) and no division for each weight, a run takes about half the time of
// measuring from H after every round, for losses equal in three digits. Tried and dropped: giving
// up a push that has lost more than rounds seldom win back, 0.3 of it: 2 to 10 % faster, and over
// whole rows (quant/solver) up to 3 % more of the loss.
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
    for (int g = error->shape->n_groups; g-- > 0;) {
        const imx_run_grid *grid = &error->grids[g];
        for (int j = (g + 1) * group_len; j-- > g * group_len;) {
            const float position = (wanted[j] - grid->offset) * grid->inverse;
            const float level = nearest_level(error->shape, position);
            error->run->levels[j] = level;
            imx_add_scaled(wanted, error->x[j] - (grid->scale * level + grid->offset),
                           error->metric->push[j], j);
        }
    }
    imx_run_error_measure(error);
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

static void sweep_until_still(imx_run_error *error) {
    int n_sweeps = 0;
    while (n_sweeps < MAX_SWEEPS && sweep(error)) {
        ++n_sweeps;
    }
}

// ---- the search --------------------------------------------------------------------------------

// Takes rounds of the steps 3 and 4; returns the loss that is left.
static float improve(imx_run_error *error) {
    float loss = imx_run_error_loss(error);
    bool gains = true;
    for (int round = 0; round < MAX_ROUNDS && gains; ++round) {
        sweep_until_still(error);
        imx_refit_run(error);
        sweep_until_still(error);
        const float next = imx_run_error_loss(error);
        gains = next < (1.0f - LEAST_GAIN) * loss;
        loss = next;
    }
    return loss;
}

void imx_feed_back(imx_coded_run *run, const imx_run_shape *shape, const float *x,
                   const imx_run_metric *metric) {
    imx_coded_run coded = *run;
    imx_run_error start;
    if (!imx_run_error_open(&start, &coded, shape, x, metric)) {
        return;
    }
    const float loss = imx_run_error_loss(&start);
    imx_run_error pushed = start;
    push_errors(&pushed);
    if (improve(&pushed) < loss) {
        *run = coded;
        return;
    }
    coded = *run;
    if (improve(&start) < loss) {
        *run = coded;
    }
}
