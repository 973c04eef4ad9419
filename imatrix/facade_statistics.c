// SPDX-License-Identifier: MIT
//
// What the statistics in an imatrix_file say: by weight, by layer, against another file, against a
// model.

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/imatrix_compare.h"
#include "formats/imatrix_statistics.h"
#include "formats/memory.h"
#include "imatrix/facade.h"
#include "imatrix/facade_imatrix.h"
#include "quant/plan/statistics_fit.h"
#include "quant/plan/tensor_role.h"

// ---- by weight ---------------------------------------------------------------------------------

// The same weight one layer below, or NULL.
static const imx_imatrix_entry *entry_below(const imx_imatrix *imatrix, const char *name) {
    char below[1200]; // longer than a name in any format
    const int layer = imx_layer_of(name);
    if (layer < 1) {
        return NULL;
    }
    const char *suffix = strchr(name + strlen("blk."), '.');
    const int n = snprintf(below, sizeof below, "blk.%d%s", layer - 1, suffix);
    return n > 0 && (size_t)n < sizeof below ? imx_imatrix_find(imatrix, below) : NULL;
}

static double cosine_with_below(const imx_imatrix *imatrix, const imx_imatrix_entry *entry) {
    const imx_imatrix_entry *below = entry_below(imatrix, entry->name);
    const uint64_t n = entry->n_cols * entry->n_mats;
    return below != NULL && below->n_cols * below->n_mats == n
               ? imx_cosine(entry->in_sum2, below->in_sum2, n)
               : NAN;
}

static imx_status describe_weight(const imx_imatrix *imatrix, const imx_imatrix_entry *entry,
                                  imatrix_weight_statistics *out, imx_error *err) {
    imx_entry_statistics s;
    IMX_TRY(imx_entry_statistics_compute(entry, &s, err));
    *out = (imatrix_weight_statistics){
        .name = entry->name,
        .layer = imx_layer_of(entry->name),
        .n_cols = entry->n_cols,
        .n_mats = entry->n_mats,
        .n_values = s.n_values,
        .sum = s.sum,
        .min = s.min,
        .max = s.max,
        .mean = s.mean,
        .sigma = s.sigma,
        .active = s.active,
        .entropy = s.entropy,
        .evenness = s.evenness,
        .above_sigma = s.above_sigma,
        .cosine = cosine_with_below(imatrix, entry),
        .top_share = s.top_share,
        .rows = s.rows,
        .rows_min = s.rows_min,
        .rows_median = s.rows_median,
        .rows_max = s.rows_max,
        .n_unseen = s.n_unseen,
    };
    return IMX_OK;
}

static int compare_weights(const void *a, const void *b) {
    const imatrix_weight_statistics *x = a;
    const imatrix_weight_statistics *y = b;
    const uint32_t layer_x = (uint32_t)x->layer; // -1 becomes the largest
    const uint32_t layer_y = (uint32_t)y->layer;
    return layer_x != layer_y ? (layer_x > layer_y) - (layer_x < layer_y)
                              : strcmp(x->name, y->name);
}

// ---- by layer ----------------------------------------------------------------------------------

// A mean under way, of the values that are numbers.
typedef struct weighted_mean {
    double sum;
    double weight;
} weighted_mean;

static void add_to_mean(weighted_mean *mean, double value, double weight) {
    if (!isnan(value)) {
        mean->sum += weight * value;
        mean->weight += weight;
    }
}

static double mean_of(const weighted_mean *mean) {
    return mean->weight > 0.0 ? mean->sum / mean->weight : NAN;
}

// `weights` (n_weights) of one layer, one behind another.
static void describe_layer(const imatrix_weight_statistics *weights, size_t n_weights,
                           imatrix_layer_statistics *out) {
    weighted_mean sum = {0};
    weighted_mean above_sigma = {0};
    weighted_mean cosine = {0};
    weighted_mean top_share = {0};
    for (size_t i = 0; i < n_weights; ++i) {
        const double n_values = (double)weights[i].n_values;
        add_to_mean(&sum, weights[i].sum, n_values);
        add_to_mean(&above_sigma, weights[i].above_sigma, n_values);
        add_to_mean(&cosine, weights[i].cosine, n_values);
        add_to_mean(&top_share, weights[i].top_share, n_values);
    }
    out->n_weights = n_weights;
    out->sum = mean_of(&sum);
    out->above_sigma = mean_of(&above_sigma);
    out->cosine = mean_of(&cosine);
    out->top_share = mean_of(&top_share);
}

// `weights` (n_weights) by layer, those outside layers last. Returns the number of layers.
static size_t describe_layers(const imatrix_weight_statistics *weights, size_t n_weights,
                              imatrix_layer_statistics *layers) {
    size_t n_layers = 0;
    for (size_t begin = 0, end; begin < n_weights && weights[begin].layer >= 0; begin = end) {
        for (end = begin + 1; end < n_weights && weights[end].layer == weights[begin].layer;) {
            ++end;
        }
        layers[n_layers].layer = weights[begin].layer;
        describe_layer(weights + begin, end - begin, &layers[n_layers++]);
    }
    return n_layers;
}

imatrix_status imatrix_file_statistics(const imatrix_file *file, imatrix_weight_statistics *weights,
                                       imatrix_layer_statistics *layers, size_t *n_layers,
                                       imatrix_error *error) {
    const imx_imatrix *imatrix = file->imatrix;
    const size_t n = imatrix->n_entries;
    imx_error err = {0};
    for (size_t i = 0; i < n; ++i) {
        const imx_status status = describe_weight(imatrix, &imatrix->entries[i], &weights[i], &err);
        if (status != IMX_OK) {
            return imx_publish_error(status, &err, error);
        }
    }
    qsort(weights, n, sizeof *weights, compare_weights);
    *n_layers = describe_layers(weights, n, layers);
    return IMATRIX_OK;
}

// ---- against another file ----------------------------------------------------------------------

static imx_status compare_entry(const imx_imatrix_entry *a, const imx_imatrix_entry *b,
                                imatrix_weight_difference *out, imx_error *err) {
    imx_entry_difference difference = {false, NAN, NAN, NAN};
    if (a != NULL && b != NULL) {
        IMX_TRY(imx_entry_compare(a, b, &difference, err));
    }
    *out = (imatrix_weight_difference){
        .name = a != NULL ? a->name : b->name,
        .in_a = a != NULL,
        .in_b = b != NULL,
        .comparable = difference.comparable,
        .cosine = difference.cosine,
        .rank_correlation = difference.rank_correlation,
        .sum_ratio = difference.sum_ratio,
    };
    return IMX_OK;
}

// Walks both in the order of names, as one merges sorted lists.
static imx_status compare_files(const imx_imatrix *a, const imx_imatrix *b,
                                imatrix_weight_difference *out, size_t *n, imx_error *err) {
    size_t i = 0;
    size_t j = 0;
    for (*n = 0; i < a->n_entries || j < b->n_entries; ++*n) {
        const int order = i == a->n_entries   ? 1
                          : j == b->n_entries ? -1
                                              : strcmp(a->entries[i].name, b->entries[j].name);
        const imx_imatrix_entry *in_a = order <= 0 ? &a->entries[i++] : NULL;
        const imx_imatrix_entry *in_b = order >= 0 ? &b->entries[j++] : NULL;
        IMX_TRY(compare_entry(in_a, in_b, &out[*n], err));
    }
    return IMX_OK;
}

imatrix_status imatrix_file_compare(const imatrix_file *a, const imatrix_file *b,
                                    imatrix_weight_difference **out, size_t *n,
                                    imatrix_error *error) {
    const size_t most = a->imatrix->n_entries + b->imatrix->n_entries;
    imx_error err = {0};
    imx_status status = imx_alloc_zeroed(out, most, sizeof **out, &err);
    if (status == IMX_OK) {
        status = compare_files(a->imatrix, b->imatrix, *out, n, &err);
    }
    if (status != IMX_OK) {
        free(*out);
        *out = NULL;
    }
    return imx_publish_error(status, &err, error);
}
