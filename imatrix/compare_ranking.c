// SPDX-License-Identifier: MIT
//
// A publisher asks of every file: is there a smaller one that does as well? So the reference of a
// file is the best of the smaller ones. On the Pareto front that is the next smaller file of the
// front, and the difference is what the additional bytes buy; off the front it is a file that makes
// this one superfluous, and the difference says whether that is certain. The neighbour in size is
// there for two files of about one size, of which one is to be chosen.

#include "imatrix/compare_ranking.h"

#include <stdbool.h>
#include <stdlib.h>

static double loss_of(const imatrix_compared_model *model) {
    return model->evaluation.kl_mean.value;
}

static int compare_ranks(const void *left, const void *right) {
    const imatrix_compared_model *a = left;
    const imatrix_compared_model *b = right;
    if (a->file_bytes != b->file_bytes) {
        return a->file_bytes < b->file_bytes ? 1 : -1;
    }
    if (loss_of(a) != loss_of(b)) {
        return loss_of(a) > loss_of(b) ? 1 : -1;
    }
    return (a->index > b->index) - (a->index < b->index);
}

void imx_rank_by_size(imatrix_compared_model *models, size_t n) {
    qsort(models, n, sizeof *models, compare_ranks);
}

// Keys make up a few hundred bytes: a file made with an imatrix says so. They buy nothing.
static bool is_as_small(const imatrix_compared_model *a, const imatrix_compared_model *b) {
    return a->file_bytes <= b->file_bytes + b->file_bytes / 1000;
}

static bool beats(const imatrix_compared_model *a, const imatrix_compared_model *b) {
    return is_as_small(a, b) && loss_of(a) <= loss_of(b) &&
           (a->file_bytes < b->file_bytes || loss_of(a) < loss_of(b));
}

void imx_mark_front(imatrix_compared_model *models, size_t n) {
    for (size_t i = 0; i < n; ++i) {
        models[i].on_front = true;
        for (size_t j = 0; j < n; ++j) {
            models[i].on_front = models[i].on_front && !beats(&models[j], &models[i]);
        }
    }
}

static size_t best_from(const imatrix_compared_model *models, size_t first, size_t n) {
    size_t best = first;
    for (size_t i = first; i < n; ++i) {
        best = loss_of(&models[i]) < loss_of(&models[best]) ? i : best;
    }
    return best;
}

size_t imx_choose_pairs(imatrix_model_difference *pairs, const imatrix_compared_model *models,
                        size_t n, size_t against) {
    size_t n_pairs = 0;
    for (size_t i = 0; i < n; ++i) {
        const size_t next = i + 1;
        const size_t reference = against < n ? against : best_from(models, next, n);
        if (next < n) {
            pairs[n_pairs++] = (imatrix_model_difference){.model = i, .against = next};
        }
        // The one in front of the reference has it as its neighbour, and the reference that one.
        if (reference < n && reference != i && reference != next && reference + 1 != i) {
            pairs[n_pairs++] = (imatrix_model_difference){.model = i, .against = reference};
        }
    }
    return n_pairs;
}
