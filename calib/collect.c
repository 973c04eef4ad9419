// SPDX-License-Identifier: MIT
//
// A hook on the walk. Products that share their input (queries, keys and values; gate and up) are
// one call and are summed once, into the entry of the first; the others receive copies at the end.

#include "calib/collect.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calib/column_stats.h"
#include "calib/scoring.h"
#include "calib/split.h"
#include "calib/walk.h"
#include "formats/memory.h"

// Two weights with one input; names belong to the model.
typedef struct twin {
    const char *first;
    const char *other;
} twin;

typedef struct collector {
    const imx_model *model;
    const imx_corpus *corpus;
    imx_imatrix *imatrix;
    int n_threads;
    twin *twins; // (n_twins)
    size_t n_twins;
    size_t twins_capacity;
} collector;

static imx_status add_entries(collector *c, const imx_walk_input *input, imx_error *err) {
    const size_t n_twins = c->n_twins + input->n_weights - 1;
    imx_imatrix_entry *unused;
    IMX_TRY(imx_grow(&c->twins, &c->twins_capacity, n_twins, sizeof *c->twins, err));
    for (size_t i = 0; i < input->n_weights; ++i) {
        IMX_TRY(imx_imatrix_add(c->imatrix, input->weights[i], input->n_cols, input->n_mats, true,
                                &unused, err));
        if (i > 0) {
            c->twins[c->n_twins++] = (twin){input->weights[0], input->weights[i]};
        }
    }
    return IMX_OK;
}

// Names the first value that is not finite; there is one.
static imx_status refuse_input(const collector *c, const imx_walk_input *input, imx_error *err) {
    size_t i = 0;
    while (i < input->n_rows * input->n_cols && isfinite(input->x[i])) {
        ++i;
    }
    const size_t token = input->first_token + i / input->n_cols;
    return imx_fail(err, IMX_ERR_FORMAT,
                    "%s: the input of '%s' is not finite in chunk %zu at token %zu, column %zu; "
                    "the weights before it are damaged or overflow",
                    imx_model_gguf(c->model)->path, input->weights[0], token / c->corpus->n_ctx,
                    token % c->corpus->n_ctx, i % input->n_cols);
}

static imx_status add_input(void *context, const imx_walk_input *input, imx_error *err) {
    collector *c = context;
    imx_imatrix_entry *entry = imx_imatrix_find(c->imatrix, input->weights[0]);
    if (entry == NULL) {
        IMX_TRY(add_entries(c, input, err));
        entry = imx_imatrix_find(c->imatrix, input->weights[0]);
    }
    const size_t mat_begin = (size_t)input->mat * input->n_cols;
    double *in_sum2 = entry->in_sum2 + mat_begin;
    imx_column_stats_add(input->x, input->n_rows, input->n_cols, entry->in_sum + mat_begin, in_sum2,
                         c->n_threads);
    entry->counts[input->mat] += (double)input->n_rows;
    for (size_t j = 0; j < input->n_cols; ++j) {
        if (!isfinite(in_sum2[j])) {
            return refuse_input(c, input, err);
        }
    }
    return IMX_OK;
}

static void copy_to_twins(const collector *c) {
    for (size_t i = 0; i < c->n_twins; ++i) {
        const imx_imatrix_entry *first = imx_imatrix_find(c->imatrix, c->twins[i].first);
        const imx_imatrix_entry *other = imx_imatrix_find(c->imatrix, c->twins[i].other);
        const size_t n_sums = (size_t)(first->n_mats * first->n_cols);
        memcpy(other->in_sum2, first->in_sum2, n_sums * sizeof(double));
        memcpy(other->in_sum, first->in_sum, n_sums * sizeof(double));
        memcpy(other->counts, first->counts, (size_t)first->n_mats * sizeof(double));
    }
}

static imx_status measure_perplexity(const collector *c, const float *hidden,
                                     const imx_collect_options *options, imx_collect_result *result,
                                     imx_error *err) {
    const imx_scored_model side = {c->model, hidden};
    imx_scores scores = {0};
    const imx_status status =
        imx_scores_new(&scores, &side, NULL, c->corpus, options->n_threads, options->progress, err);
    if (status == IMX_OK) {
        const imx_estimate perplexity = imx_estimate_exp(imx_estimate_mean(scores.nll, scores.n));
        *result = (imx_collect_result){perplexity.value, perplexity.error};
    }
    imx_scores_free(&scores);
    return status;
}

static imx_status run_collector(collector *c, const imx_collect_options *options,
                                imx_collect_result *result, imx_error *err) {
    const bool perplexity = options->perplexity && imx_scores_count(c->corpus) > 0;
    const imx_walk_hook hook = {add_input, c};
    const imx_walk_options walk_options = {
        .n_threads = options->n_threads,
        .need_hidden = perplexity,
        .head_input_to_hook = options->process_output,
        .hook = &hook,
        .progress = options->progress,
    };
    float *hidden = NULL;
    imx_status status;
    if (perplexity) {
        IMX_TRY(imx_alloc_aligned(&hidden, c->corpus->n_tokens,
                                  imx_model_n_embd(c->model) * sizeof *hidden, err));
    }
    IMX_TRY_GOTO(done, imx_walk_run(c->model, c->corpus, &walk_options, hidden, err));
    copy_to_twins(c);
    if (perplexity) {
        IMX_TRY_GOTO(done, measure_perplexity(c, hidden, options, result, err));
    }
done:
    free(hidden);
    return status;
}

imx_status imx_collect(imx_imatrix **out, const imx_model *model, const imx_corpus *corpus,
                       const imx_collect_options *options, imx_collect_result *result,
                       imx_error *err) {
    collector c = {
        .model = model,
        .corpus = corpus,
        .n_threads = imx_thread_count(options->n_threads),
    };
    *out = NULL;
    *result = (imx_collect_result){NAN, NAN};
    IMX_TRY(imx_imatrix_new(&c.imatrix, err));
    c.imatrix->chunk_count = (uint32_t)corpus->n_chunks;
    c.imatrix->chunk_size = corpus->n_ctx;
    c.imatrix->origin.n_tokens = corpus->n_tokens;
    const imx_status status = run_collector(&c, options, result, err);
    free(c.twins);
    if (status != IMX_OK) {
        imx_imatrix_free(c.imatrix);
        return status;
    }
    *out = c.imatrix;
    return IMX_OK;
}
