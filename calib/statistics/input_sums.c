// SPDX-License-Identifier: MIT
//
// Products that share their input (queries, keys and values; gate and up) are one call. It is
// summed once, into the entry of the first; the others receive copies of its sums and share its
// products of columns, which are a hundred times as large.
//
// Sums are taken chunk by chunk, and those of a chunk that turns out not to be finite are taken
// back: a copy of a column's sums costs little beside the column's few hundred values. Looking at
// the values first would read them twice.
//
// Products of columns cannot be taken back so cheaply. They come when the chunks of an input have
// been judged, for each stretch of rows whose chunks stay: an expert's few rows of each chunk are
// then one product. Where the stretches lie depends on the walk's blocks and on what was left out,
// not on threads or on where a run was interrupted.

#include "calib/statistics/input_sums.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calib/statistics/chunk_rows.h"
#include "calib/statistics/column_products.h"
#include "calib/statistics/column_stats.h"
#include "formats/imatrix_covariance.h"
#include "formats/memory.h"

enum { N_SUMS = 3 };

// 2³¹ squares of it are below the largest float, which is what a file holds.
static const double largest_input = 0x1p48;

imx_status imx_input_sums_open(imx_input_sums *sums, imx_error *err) {
    const imx_imatrix_origin *origin = &sums->imatrix->origin;
    IMX_TRY(imx_alloc_zeroed(&sums->left_out, sums->corpus->n_chunks, sizeof *sums->left_out, err));
    sums->n_left_out = origin->n_left_out;
    for (size_t i = 0; i < origin->n_left_out; ++i) {
        sums->left_out[origin->left_out_chunks[i]] = true;
    }
    return IMX_OK;
}

void imx_input_sums_close(imx_input_sums *sums) {
    free(sums->left_out);
    free(sums->saved);
}

// ---- entries -----------------------------------------------------------------------------------

static imx_status find_entry(const imx_input_sums *s, const imx_walk_input *input, size_t weight,
                             imx_imatrix_entry **entry, imx_error *err) {
    *entry = imx_imatrix_find(s->imatrix, input->weights[weight]);
    return *entry != NULL ? IMX_OK
                          : imx_imatrix_add(s->imatrix, input->weights[weight], input->n_cols,
                                            input->n_mats, true, entry, err);
}

static imx_column_stats stats_of(const imx_imatrix_entry *entry, uint32_t mat) {
    const size_t begin = (size_t)mat * (size_t)entry->n_cols;
    return (imx_column_stats){entry->in_sum + begin, entry->in_sum2 + begin, entry->in_max + begin};
}

static void copy_stats(const imx_column_stats *to, const imx_column_stats *from, size_t n_cols) {
    memcpy(to->sum, from->sum, n_cols * sizeof(double));
    memcpy(to->sum2, from->sum2, n_cols * sizeof(double));
    memcpy(to->max, from->max, n_cols * sizeof(double));
}

static imx_status copy_to_others(const imx_input_sums *s, const imx_walk_input *input,
                                 imx_error *err) {
    for (size_t i = 1; i < input->n_weights; ++i) {
        imx_imatrix_entry *other;
        IMX_TRY(find_entry(s, input, i, &other, err));
        const imx_imatrix_entry *first = imx_imatrix_find(s->imatrix, input->weights[0]);
        const imx_column_stats from = stats_of(first, input->mat);
        const imx_column_stats to = stats_of(other, input->mat);
        copy_stats(&to, &from, input->n_cols);
        other->counts[input->mat] = first->counts[input->mat];
        other->in_cov = first->in_cov;
    }
    return IMX_OK;
}

// ---- chunks ------------------------------------------------------------------------------------

static bool are_usable(const imx_column_stats *stats, size_t n_cols) {
    bool usable = true;
    for (size_t j = 0; j < n_cols; ++j) {
        usable = usable && isfinite(stats->sum2[j]) && stats->max[j] <= largest_input;
    }
    return usable;
}

// From here on no sum takes the chunk, whose rows hold a value that cannot be used.
static void leave_out(imx_input_sums *s, const imx_walk_input *input, const imx_chunk_rows *rows) {
    size_t i = 0;
    while (fabs((double)rows->x[i]) <= largest_input) {
        ++i;
    }
    s->left_out[rows->chunk] = true;
    ++s->n_left_out;
    if (s->first_failure.status == IMX_OK) {
        const size_t row = (size_t)(rows->x - input->x) / input->n_cols + i / input->n_cols;
        imx_error_set(&s->first_failure, IMX_ERR_FORMAT,
                      "%s: the input of '%s' is not finite in chunk %zu at token %zu, column %zu "
                      "(%g); the weights before it are damaged or overflow",
                      s->model_path, input->weights[0], rows->chunk,
                      imx_input_token(input, row) - s->corpus->starts[rows->chunk],
                      i % input->n_cols, (double)rows->x[i]);
    }
}

// Adds the rows of one chunk, all or none.
static void add_rows_of_chunk(imx_input_sums *s, const imx_walk_input *input,
                              imx_imatrix_entry *entry, const imx_chunk_rows *rows) {
    const imx_column_stats stats = stats_of(entry, input->mat);
    const imx_column_stats saved = {s->saved, s->saved + input->n_cols,
                                    s->saved + 2 * input->n_cols};
    copy_stats(&saved, &stats, input->n_cols);
    imx_column_stats_add(&stats, rows->x, rows->n_rows, input->n_cols, s->n_threads);
    if (are_usable(&stats, input->n_cols)) {
        entry->counts[input->mat] += (double)rows->n_rows;
    } else {
        copy_stats(&stats, &saved, input->n_cols);
        leave_out(s, input, rows);
    }
}

// ---- products of columns -----------------------------------------------------------------------

static int kind_of_chunk(const void *left_out, size_t chunk) {
    return ((const bool *)left_out)[chunk];
}

static imx_status add_products(imx_input_sums *s, const imx_walk_input *input,
                               imx_imatrix_entry *entry, imx_error *err) {
    if (entry->in_cov == NULL) {
        IMX_TRY(imx_imatrix_add_covariance(s->imatrix, entry, err));
    }
    float *sums = imx_covariance_of(entry, input->mat);
    for (size_t i = 0; i < input->n_rows;) {
        const imx_stretch stretch = imx_stretch_at(s->corpus, input, i, kind_of_chunk, s->left_out);
        const bool is_left_out = stretch.kind != 0;
        if (!is_left_out) {
            IMX_TRY(imx_column_products_add(sums, stretch.x, stretch.n_rows, input->n_cols,
                                            IMX_COV_RUN, s->n_threads, err));
        }
        i += stretch.n_rows;
    }
    return IMX_OK;
}

// ---- inputs ------------------------------------------------------------------------------------

imx_status imx_input_sums_add(imx_input_sums *s, const imx_walk_input *input, imx_error *err) {
    imx_imatrix_entry *entry;
    IMX_TRY(find_entry(s, input, 0, &entry, err));
    IMX_TRY(imx_grow(&s->saved, &s->saved_capacity, N_SUMS * input->n_cols, sizeof *s->saved, err));
    for (size_t i = 0; i < input->n_rows;) {
        const imx_chunk_rows rows = imx_chunk_rows_at(s->corpus, input, i);
        if (!s->left_out[rows.chunk]) {
            add_rows_of_chunk(s, input, entry, &rows);
        }
        i += rows.n_rows;
    }
    if (s->n_left_out == s->corpus->n_chunks) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s; no chunk is left", s->first_failure.message);
    }
    if (s->with_covariance && input->n_cols >= IMX_COV_RUN) {
        IMX_TRY(add_products(s, input, entry, err));
    }
    return copy_to_others(s, input, err);
}

imx_status imx_input_sums_list_left_out(const imx_input_sums *s, imx_error *err) {
    imx_imatrix_origin *origin = &s->imatrix->origin;
    size_t n = 0;
    free(origin->left_out_chunks);
    IMX_TRY(imx_alloc_zeroed(&origin->left_out_chunks, s->n_left_out,
                             sizeof *origin->left_out_chunks, err));
    for (size_t chunk = 0; chunk < s->corpus->n_chunks; ++chunk) {
        if (s->left_out[chunk]) {
            origin->left_out_chunks[n++] = (uint32_t)chunk;
        }
    }
    origin->n_left_out = n;
    return IMX_OK;
}

static void divide_products(const imx_imatrix_entry *entry) {
    const uint64_t n = imx_covariance_len(entry->n_cols);
    for (uint64_t mat = 0; mat < entry->n_mats; ++mat) {
        float *products = imx_covariance_of(entry, mat);
        const float count = (float)entry->counts[mat];
        for (uint64_t i = 0; count > 0 && i < n; ++i) {
            products[i] /= count;
        }
    }
}

void imx_input_sums_finish(imx_input_sums *s) {
    const imx_imatrix *imatrix = s->imatrix;
    for (size_t k = 0; k < imatrix->n_covariances; ++k) {
        const imx_imatrix_entry *entry = imatrix->entries;
        while (entry->in_cov != imatrix->covariances[k]) {
            ++entry;
        }
        divide_products(entry); // once for all that share them
    }
}
