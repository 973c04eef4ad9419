// SPDX-License-Identifier: MIT
//
// From logits to weights:
//
//     gates    g = softmax(l), sigmoid(l), or l itself where the softmax comes after the choice
//     choice   the n_experts_used largest of g + bias. With groups only from the best of them; a
//              group is as good as its two best experts together
//     weights  g of the chosen ones; or their softmax; then divided by their sum, then scaled

#include "calib/forward/router.h"

#include <assert.h>
#include <math.h>

#include "calib/forward/row_ops.h"
#include <stdbool.h>

enum { MAX_EXPERTS = 4096, MAX_USED = 256 };

// The smallest normal f16, below which the sum of weights is not trusted.
static const double least_sum = 0x1p-14;

static void softmax(float *values, size_t n) {
    float max = -INFINITY;
    double sum = 0;
    for (size_t i = 0; i < n; ++i) {
        max = fmaxf(max, values[i]);
    }
    for (size_t i = 0; i < n; ++i) {
        values[i] = expf(values[i] - max);
        sum += (double)values[i];
    }
    for (size_t i = 0; i < n; ++i) {
        values[i] = (float)((double)values[i] / sum);
    }
}

static void apply_gating(uint32_t gating, float *values, size_t n) {
    if (gating == IMX_GATING_SIGMOID) {
        for (size_t i = 0; i < n; ++i) {
            values[i] = 1 / (1 + expf(-values[i]));
        }
    } else if (gating != IMX_GATING_SOFTMAX_CHOSEN) {
        softmax(values, n);
    }
}

// The sum of the two largest.
static float group_score(const float *values, size_t n) {
    float first = -INFINITY, second = -INFINITY;
    for (size_t i = 0; i < n; ++i) {
        second = fmaxf(second, fminf(first, values[i]));
        first = fmaxf(first, values[i]);
    }
    return n > 1 ? first + second : first;
}

// Puts the scores of all but the best groups out of the race.
static void leave_best_groups(const imx_hparams *hparams, float *scores) {
    const size_t n_groups = hparams->n_expert_groups;
    const size_t group_len = hparams->n_experts / n_groups;
    float groups[MAX_EXPERTS];
    for (size_t i = 0; i < n_groups; ++i) {
        groups[i] = group_score(scores + i * group_len, group_len);
    }
    for (size_t i = 0; i < hparams->n_expert_groups_used; ++i) {
        groups[imx_index_of_largest(groups, n_groups)] = -INFINITY;
    }
    for (size_t i = 0; i < hparams->n_experts; ++i) {
        scores[i] = groups[i / group_len] > -INFINITY ? -INFINITY : scores[i];
    }
}

static void finish_weights(const imx_hparams *hparams, float *weights, size_t n) {
    double factor = hparams->gate_scale != 0 ? (double)hparams->gate_scale : 1.0;
    if (hparams->gating == IMX_GATING_SOFTMAX_CHOSEN) {
        softmax(weights, n);
    }
    if (hparams->normalises_gates) {
        double sum = 0;
        for (size_t i = 0; i < n; ++i) {
            sum += (double)weights[i];
        }
        factor /= fmax(sum, least_sum);
    }
    for (size_t i = 0; i < n; ++i) {
        weights[i] = (float)((double)weights[i] * factor);
    }
}

static bool has_nan(const float *values, size_t n) {
    size_t i = 0;
    while (i < n && !isnan(values[i])) {
        ++i;
    }
    return i < n;
}

void imx_route(const imx_hparams *hparams, const float *bias, float *values) {
    const size_t n = hparams->n_experts, n_used = hparams->n_experts_used;
    float scores[MAX_EXPERTS], weights[MAX_USED];
    size_t chosen[MAX_USED];
    assert(n <= MAX_EXPERTS && n_used <= MAX_USED);
    apply_gating(hparams->gating, values, n);
    for (size_t i = 0; i < n; ++i) {
        scores[i] = values[i] + (bias != NULL ? bias[i] : 0);
    }
    if (has_nan(scores, n)) { // there is no choice, and that shall show in the result
        for (size_t i = 0; i < n; ++i) {
            values[i] = i < n_used ? NAN : -1;
        }
        return;
    }
    if (hparams->n_expert_groups > 1) {
        leave_best_groups(hparams, scores);
    }
    for (size_t i = 0; i < n_used; ++i) {
        chosen[i] = imx_index_of_largest(scores, n);
        weights[i] = values[chosen[i]];
        scores[chosen[i]] = -INFINITY;
    }
    finish_weights(hparams, weights, n_used);
    for (size_t i = 0; i < n; ++i) {
        values[i] = -1;
    }
    for (size_t i = 0; i < n_used; ++i) {
        values[chosen[i]] = weights[i];
    }
}
