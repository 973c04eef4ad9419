// SPDX-License-Identifier: MIT
//
// A hook on the walk: it sums what the walk shows and keeps the sums and the walk's place safe.
//
// Products that share their input (queries, keys and values; gate and up) are one call. It is
// summed once, into the entry of the first, and the others receive copies.
//
// Sums are taken chunk by chunk, and those of a chunk that turns out not to be finite are taken
// back: a copy of a column's sums costs little beside the column's few hundred values. Looking at
// the values first would read them twice.

#include "calib/collect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "calib/checkpoint.h"
#include "calib/column_stats.h"
#include "calib/scoring.h"
#include "calib/split.h"
#include "formats/memory.h"

enum { SETTINGS_BYTES = 64, N_SUMS = 3 };

// 2³¹ squares of it are below the largest float, which is what a file holds.
static const double largest_input = 0x1p48;

typedef struct collector {
    const imx_model *model;
    const imx_corpus *corpus;
    const imx_collect_options *options;
    imx_collect_result *result;
    imx_imatrix *imatrix;
    imx_residual_stream *stream;
    imx_walk_place start;
    int n_threads;
    char settings[SETTINGS_BYTES];
    double last_checkpoint; // seconds

    bool *left_out; // (n_chunks)
    size_t n_left_out;
    imx_error first_failure; // why the first chunk was left out
    double *saved;           // (N_SUMS, n_cols) sums before the chunk under way
    size_t saved_capacity;
} collector;

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// ---------------------------------------------------------------------------------------------
// Summing

static imx_status find_entry(const collector *c, const imx_walk_input *input, size_t weight,
                             imx_imatrix_entry **entry, imx_error *err) {
    *entry = imx_imatrix_find(c->imatrix, input->weights[weight]);
    return *entry != NULL ? IMX_OK
                          : imx_imatrix_add(c->imatrix, input->weights[weight], input->n_cols,
                                            input->n_mats, true, entry, err);
}

// The token of the corpus that a row of an input is.
static size_t token_of(const imx_walk_input *input, size_t row) {
    return input->tokens != NULL ? input->tokens[row] : input->first_token + row;
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

static bool are_usable(const imx_column_stats *stats, size_t n_cols) {
    bool usable = true;
    for (size_t j = 0; j < n_cols; ++j) {
        usable = usable && isfinite(stats->sum2[j]) && stats->max[j] <= largest_input;
    }
    return usable;
}

// Rows of an input that are of one chunk.
typedef struct chunk_rows {
    size_t chunk;
    const float *x; // (n_rows, n_cols)
    size_t n_rows;
} chunk_rows;

// From here on no sum takes the chunk, whose rows hold a value that cannot be used.
static void leave_out(collector *c, const imx_walk_input *input, const chunk_rows *rows) {
    size_t i = 0;
    while (fabs((double)rows->x[i]) <= largest_input) {
        ++i;
    }
    c->left_out[rows->chunk] = true;
    ++c->n_left_out;
    if (c->first_failure.status == IMX_OK) {
        const size_t row = (size_t)(rows->x - input->x) / input->n_cols + i / input->n_cols;
        imx_error_set(&c->first_failure, IMX_ERR_FORMAT,
                      "%s: the input of '%s' is not finite in chunk %zu at token %zu, column %zu "
                      "(%g); the weights before it are damaged or overflow",
                      imx_model_gguf(c->model)->path, input->weights[0], rows->chunk,
                      token_of(input, row) - c->corpus->starts[rows->chunk], i % input->n_cols,
                      (double)rows->x[i]);
    }
}

// Adds the rows of one chunk, all or none.
static void add_rows_of_chunk(collector *c, const imx_walk_input *input, imx_imatrix_entry *entry,
                              const chunk_rows *rows) {
    const imx_column_stats stats = stats_of(entry, input->mat);
    const imx_column_stats saved = {c->saved, c->saved + input->n_cols,
                                    c->saved + 2 * input->n_cols};
    copy_stats(&saved, &stats, input->n_cols);
    imx_column_stats_add(&stats, rows->x, rows->n_rows, input->n_cols, c->n_threads);
    if (are_usable(&stats, input->n_cols)) {
        entry->counts[input->mat] += (double)rows->n_rows;
    } else {
        copy_stats(&stats, &saved, input->n_cols);
        leave_out(c, input, rows);
    }
}

// The chunk that holds a token.
static size_t chunk_of(const imx_corpus *corpus, size_t token) {
    size_t begin = 0, end = corpus->n_chunks;
    while (end - begin > 1) {
        const size_t middle = begin + (end - begin) / 2;
        if (corpus->starts[middle] <= token) {
            begin = middle;
        } else {
            end = middle;
        }
    }
    return begin;
}

// The rows from `first` on that are of the same chunk.
static chunk_rows rows_of_chunk(const imx_corpus *corpus, const imx_walk_input *input,
                                size_t first) {
    chunk_rows rows = {.chunk = chunk_of(corpus, token_of(input, first)),
                       .x = input->x + first * input->n_cols};
    while (first + rows.n_rows < input->n_rows &&
           token_of(input, first + rows.n_rows) < corpus->starts[rows.chunk + 1]) {
        ++rows.n_rows;
    }
    return rows;
}

static imx_status copy_to_others(const collector *c, const imx_walk_input *input, imx_error *err) {
    for (size_t i = 1; i < input->n_weights; ++i) {
        imx_imatrix_entry *other;
        IMX_TRY(find_entry(c, input, i, &other, err));
        const imx_imatrix_entry *first = imx_imatrix_find(c->imatrix, input->weights[0]);
        const imx_column_stats from = stats_of(first, input->mat);
        const imx_column_stats to = stats_of(other, input->mat);
        copy_stats(&to, &from, input->n_cols);
        other->counts[input->mat] = first->counts[input->mat];
    }
    return IMX_OK;
}

static imx_status add_input(void *context, const imx_walk_input *input, imx_error *err) {
    collector *c = context;
    imx_imatrix_entry *entry;
    IMX_TRY(find_entry(c, input, 0, &entry, err));
    IMX_TRY(imx_grow(&c->saved, &c->saved_capacity, N_SUMS * input->n_cols, sizeof *c->saved, err));
    for (size_t i = 0; i < input->n_rows;) {
        const chunk_rows rows = rows_of_chunk(c->corpus, input, i);
        if (!c->left_out[rows.chunk]) {
            add_rows_of_chunk(c, input, entry, &rows);
        }
        i += rows.n_rows;
    }
    if (c->n_left_out == c->corpus->n_chunks) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s; no chunk is left", c->first_failure.message);
    }
    return copy_to_others(c, input, err);
}

// ---------------------------------------------------------------------------------------------
// Keeping safe

static imx_status list_left_out(const collector *c, imx_error *err) {
    imx_imatrix_origin *origin = &c->imatrix->origin;
    size_t n = 0;
    free(origin->left_out_chunks);
    IMX_TRY(imx_alloc_zeroed(&origin->left_out_chunks, c->n_left_out,
                             sizeof *origin->left_out_chunks, err));
    for (size_t chunk = 0; chunk < c->corpus->n_chunks; ++chunk) {
        if (c->left_out[chunk]) {
            origin->left_out_chunks[n++] = (uint32_t)chunk;
        }
    }
    origin->n_left_out = n;
    return IMX_OK;
}

static imx_checkpoint describe_run(const collector *c) {
    return (imx_checkpoint){
        .model_hash = c->options->model_hash,
        .settings = c->settings,
        .corpus = c->corpus,
        .imatrix = c->imatrix,
        .stream = c->stream,
        .n_embd = imx_model_n_embd(c->model),
        .max_rows = imx_walk_block_rows(c->model, c->corpus),
    };
}

static imx_status write_checkpoint(collector *c, imx_walk_place place, imx_error *err) {
    imx_checkpoint checkpoint = describe_run(c);
    checkpoint.place = place;
    IMX_TRY(list_left_out(c, err));
    IMX_TRY(imx_checkpoint_write(&checkpoint, c->options->checkpoint_path, err));
    c->last_checkpoint = seconds_now();
    return IMX_OK;
}

static bool is_checkpoint_due(const collector *c, const imx_walk_place *next) {
    const double interval = c->options->checkpoint_seconds;
    return interval > 0 ? seconds_now() - c->last_checkpoint >= interval
                        : next->chunk == 0 && next->layer > c->start.layer;
}

static imx_status finish_block(void *context, const imx_walk_place *next, bool is_stopping,
                               imx_error *err) {
    collector *c = context;
    const bool is_wanted = is_stopping || is_checkpoint_due(c, next);
    return is_wanted && c->options->checkpoint_path != NULL ? write_checkpoint(c, *next, err)
                                                            : IMX_OK;
}

static imx_status resume(collector *c, imx_error *err) {
    imx_checkpoint checkpoint = describe_run(c);
    bool found;
    if (c->options->checkpoint_path == NULL || c->options->restart) {
        return IMX_OK;
    }
    IMX_TRY(imx_checkpoint_read(&checkpoint, c->options->checkpoint_path, &found, err));
    c->start = checkpoint.place;
    c->n_left_out = c->imatrix->origin.n_left_out;
    for (size_t i = 0; i < c->n_left_out; ++i) {
        c->left_out[c->imatrix->origin.left_out_chunks[i]] = true;
    }
    return IMX_OK;
}

// ---------------------------------------------------------------------------------------------
// The run

// Chunks that were left out have no predictions worth a number.
static void drop_non_finite(imx_scores *scores) {
    size_t n = 0;
    for (size_t i = 0; i < scores->n; ++i) {
        if (isfinite(scores->nll[i])) {
            scores->nll[n++] = scores->nll[i];
        }
    }
    scores->n = n;
}

static imx_status measure_perplexity(collector *c, imx_error *err) {
    const imx_collect_options *options = c->options;
    const imx_scored_model side = {c->model, c->stream};
    imx_scores scores = {0};
    const imx_status status =
        imx_scores_new(&scores, &side, NULL, c->corpus, options->n_threads, options->progress, err);
    if (status == IMX_OK) {
        drop_non_finite(&scores);
        const imx_estimate perplexity = imx_estimate_exp(imx_estimate_mean(scores.nll, scores.n));
        *c->result = (imx_collect_result){perplexity.value, perplexity.error};
    }
    imx_scores_free(&scores);
    if (status == IMX_ERR_INTERRUPTED && options->checkpoint_path != NULL) {
        IMX_TRY(write_checkpoint(c, imx_walk_end(c->model), err));
    }
    return status;
}

static imx_status prepare(collector *c, bool perplexity, imx_error *err) {
    const imx_collect_options *options = c->options;
    const imx_collect_listener *listener = options->listener;
    snprintf(c->settings, sizeof c->settings,
             "process_output=%d perplexity=%d all_experts=%d precision=%d", options->process_output,
             perplexity, options->all_experts, (int)options->precision);
    IMX_TRY(imx_alloc_zeroed(&c->left_out, c->corpus->n_chunks, sizeof *c->left_out, err));
    IMX_TRY(imx_residual_stream_new(&c->stream, c->corpus->n_tokens, imx_model_n_embd(c->model),
                                    imx_walk_block_rows(c->model, c->corpus),
                                    options->scratch_beside, err));
    IMX_TRY(resume(c, err));
    if (listener != NULL) {
        listener->on_start(listener->context, &c->start);
    }
    c->last_checkpoint = seconds_now();
    return IMX_OK;
}

static imx_status run_collector(collector *c, imx_error *err) {
    const imx_collect_options *options = c->options;
    const bool perplexity = options->perplexity && imx_scores_count(c->corpus) > 0;
    IMX_TRY(prepare(c, perplexity, err));
    const imx_walk_hook hook = {add_input, finish_block, c};
    const imx_walk_options walk_options = {
        .n_threads = options->n_threads,
        .need_hidden = perplexity,
        .all_experts = options->all_experts,
        .precision = options->precision,
        .head_input_to_hook = options->process_output,
        .read_ahead = options->read_ahead,
        .start = c->start,
        .hook = &hook,
        .progress = options->progress,
    };
    IMX_TRY(imx_walk_run(c->model, c->corpus, &walk_options, c->stream, err));
    IMX_TRY(list_left_out(c, err));
    return perplexity ? measure_perplexity(c, err) : IMX_OK;
}

// Tells the user of an interrupted run where the work is.
static imx_status explain(const collector *c, imx_status status, imx_error *err) {
    if (status == IMX_ERR_INTERRUPTED && c->options->checkpoint_path != NULL && err != NULL) {
        const imx_error stopped = *err;
        imx_error_set(err, status, "%s; %s holds what is done, the same command goes on from there",
                      stopped.message, c->options->checkpoint_path);
    }
    return status;
}

imx_status imx_collect(imx_imatrix **out, const imx_model *model, const imx_corpus *corpus,
                       const imx_collect_options *options, imx_collect_result *result,
                       imx_error *err) {
    collector c = {
        .model = model,
        .corpus = corpus,
        .options = options,
        .result = result,
        .n_threads = imx_thread_count(options->n_threads),
    };
    *out = NULL;
    *result = (imx_collect_result){NAN, NAN};
    IMX_TRY(imx_imatrix_new(&c.imatrix, err));
    c.imatrix->chunk_count = (uint32_t)corpus->n_chunks;
    c.imatrix->chunk_size = corpus->n_ctx;
    c.imatrix->origin.n_tokens = corpus->n_tokens;
    c.imatrix->origin.all_experts = options->all_experts;
    const imx_status status = explain(&c, run_collector(&c, err), err);
    imx_residual_stream_free(c.stream);
    free(c.left_out);
    free(c.saved);
    if (status != IMX_OK) {
        imx_imatrix_free(c.imatrix);
        return status;
    }
    *out = c.imatrix;
    return IMX_OK;
}
