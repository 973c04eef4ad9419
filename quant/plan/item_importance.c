// SPDX-License-Identifier: MIT
//
// The importance of column j of expert e is E[x_j²] over the tokens that reach e, estimated by the
// mean m_ej of the n_e tokens that did. With few tokens that is noise: the squares of one token are
// worse than no statistics at all. So the estimate leans on what the other experts saw.
//
// A mean is a level and a profile,
//
//     m_ej = l_e · u_ej,    l_e = mean of m_ej over j.
//
// The level averages over all columns and is known well from few tokens; the profile is not.
// Levels differ between experts, and only ratios between the columns of one expert matter to the
// encoders (levels do matter to the error reported for the tensor). What is shared is therefore the
// profile, averaged so that every token counts the same whatever the level of its expert:
//
//     p_j = Σ_e n_e u_ej / Σ_e n_e.
//
// Let x_j be normal of variance θ_ej, and let θ_ej have an inverse-gamma prior of mean l_e p_j that
// weighs as much as t tokens. Then the posterior mean is
//
//     q_ej = (n_e m_ej + t · l_e p_j) / (n_e + t),    t = prior_tokens.
//
// Nothing in it has a scale: inputs a thousand times larger give a q a thousand times larger.
// Adding t · 1 to the sums, as has been proposed for llama.cpp, drowns small inputs and does
// nothing for large ones. An expert with n_e = 0 has no level of its own and takes the mean one, Σ
// n_e l_e / Σ n_e; so does one that only ever saw zeros.
//
// What t should be depends on the product. Up and gate read the stream that all experts share;
// their profiles are alike, and any t from 4 on takes nearly all of the noise away. The inputs of
// ffn_down are the expert's own, column j of one has nothing to do with column j of another, p is
// nearly flat, and a t beyond 16 costs experts with a hundred tokens more than it saves those with
// one (Q3_K, heavy-tailed independent inputs; text repeats itself, which asks for a larger t).

#include "quant/plan/item_importance.h"

#include <float.h>
#include <math.h>

#include "formats/imatrix_covariance.h"

// Of a matrix whose products are used: twice the columns of a run. With fewer, chance correlations
// are as large as real ones.
#define MIN_TOKENS (2.0 * IMX_COV_RUN)

// The mean of expert `mat` over tokens and columns; 0 when it saw nothing.
static double level_of(const imx_imatrix_entry *entry, uint64_t mat) {
    const double *sums = entry->in_sum2 + mat * entry->n_cols;
    double sum = 0.0;
    for (uint64_t j = 0; j < entry->n_cols; ++j) {
        sum += sums[j];
    }
    return entry->counts[mat] > 0.0 ? sum / entry->counts[mat] / (double)entry->n_cols : 0.0;
}

// The tensor's mean of one column, over the tokens of all experts whose level is not 0.
typedef struct column_mean {
    double n_tokens; // Σ n_e
    double profile;  // p_j; 1 when nothing was seen
    double level;    // Σ n_e l_e / Σ n_e; 1 when nothing was seen
} column_mean;

// `levels` points at that of the first expert; the others follow every n_cols floats.
static column_mean average_column(const imx_imatrix_entry *entry, uint64_t j, const float *levels) {
    column_mean mean = {0};
    for (uint64_t mat = 0; mat < entry->n_mats; ++mat) {
        const double level = (double)levels[mat * entry->n_cols];
        if (level > 0.0) {
            mean.n_tokens += entry->counts[mat];
            mean.profile += entry->in_sum2[mat * entry->n_cols + j] / level;
            mean.level += entry->counts[mat] * level;
        }
    }
    if (mean.n_tokens == 0.0) {
        return (column_mean){0.0, 1.0, 1.0};
    }
    mean.profile /= mean.n_tokens;
    mean.level /= mean.n_tokens;
    return mean;
}

// q_ej. A level of 0 stands for an expert that has nothing of its own.
static double shrink(double sum, double count, double level, double n_prior,
                     const column_mean *mean) {
    if (level == 0.0) {
        return mean->level * mean->profile;
    }
    const double own = count / (count + n_prior);
    return own * (sum / count) + (1.0 - own) * level * mean->profile;
}

void imx_item_importance(const imx_plan_item *item, float *importance) {
    const imx_imatrix_entry *entry = item->statistics;
    const uint64_t n_cols = entry->n_cols;
    if (entry->n_mats == 1) {
        imx_imatrix_mean_squares(entry, 0, importance);
        return;
    }
    for (uint64_t mat = 0; mat < entry->n_mats; ++mat) {
        const float level = (float)level_of(entry, mat);
        for (uint64_t j = 0; j < n_cols; ++j) {
            importance[mat * n_cols + j] = level; // until its column is done
        }
    }
    for (uint64_t j = 0; j < n_cols; ++j) {
        const column_mean mean = average_column(entry, j, importance + j);
        for (uint64_t mat = 0; mat < entry->n_mats; ++mat) {
            float *q = &importance[mat * n_cols + j];
            const double value = shrink(entry->in_sum2[mat * n_cols + j], entry->counts[mat],
                                        (double)*q, item->prior_tokens, &mean);
            *q = (float)fmin(value, FLT_MAX);
        }
    }
}

// ---- products ----------------------------------------------------------------------------------

static bool knows_products(const imx_imatrix_entry *entry, uint64_t mat) {
    return entry->counts[mat] >= MIN_TOKENS;
}

bool imx_has_products(const imx_imatrix_entry *entry, const imx_gguf_tensor *tensor) {
    bool is_known = false;
    for (uint64_t mat = 0; entry->in_cov != NULL && mat < entry->n_mats; ++mat) {
        is_known = is_known || knows_products(entry, mat);
    }
    return is_known && entry->n_cols == imx_gguf_tensor_cols(tensor) &&
           entry->n_mats == imx_gguf_tensor_mats(tensor) && entry->n_cols >= IMX_COV_RUN;
}

const float *imx_item_products(const imx_plan_item *item, uint64_t mat) {
    if (!item->feeds_back || !knows_products(item->statistics, mat)) {
        return NULL;
    }
    return imx_covariance_of(item->statistics, mat);
}
