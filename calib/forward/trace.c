// SPDX-License-Identifier: MIT
//
// Two correct implementations differ by rounding: logits by 10⁻¹² of their mean square in f32, by
// 10⁻⁷ where one of them looks an activation up in a table of half floats. A wrong one differs by
// 10⁻³ and more. Which tensor is the first to differ tells where it went wrong.
//
// A column that is nearly zero in all the tokens an expert has seen may be off by much of itself.
// So differences are taken relative to the column and the mean of its matrix.

#include "calib/forward/trace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calib/forward/row_ops.h"
#include "calib/forward/walk.h"
#include "kernels/split.h"
#include "calib/statistics/column_stats.h"
#include "formats/memory.h"

// ---------------------------------------------------------------------------------------------
// Running

typedef struct recorder {
    imx_imatrix *products;
    int n_threads;
} recorder;

static imx_status record_weight(const recorder *r, const imx_walk_input *input, const char *name,
                                imx_error *err) {
    imx_imatrix_entry *entry = imx_imatrix_find(r->products, name);
    if (entry == NULL) {
        IMX_TRY(
            imx_imatrix_add(r->products, name, input->n_cols, input->n_mats, true, &entry, err));
    }
    const size_t begin = (size_t)input->mat * input->n_cols;
    const imx_column_stats stats = {entry->in_sum + begin, entry->in_sum2 + begin,
                                    entry->in_max + begin};
    imx_column_stats_add(&stats, input->x, input->n_rows, input->n_cols, r->n_threads);
    entry->counts[input->mat] += (double)input->n_rows;
    return IMX_OK;
}

static imx_status record_input(void *context, const imx_walk_input *input, imx_error *err) {
    for (size_t i = 0; i < input->n_weights; ++i) {
        IMX_TRY(record_weight(context, input, input->weights[i], err));
    }
    return IMX_OK;
}

static imx_status compute_logits(imx_trace *trace, const imx_model *model,
                                 imx_residual_stream *stream, int n_threads, imx_error *err) {
    imx_head *head;
    float *hidden;
    IMX_TRY(imx_residual_stream_load(stream, 0, trace->n_tokens, &hidden, err));
    IMX_TRY(imx_head_open(&head, model, n_threads, err));
    const imx_status status = imx_head_logits(head, hidden, trace->n_tokens, trace->logits, err);
    imx_head_close(head);
    return status;
}

static imx_status reserve(imx_trace *trace, size_t n_tokens, size_t n_vocab, imx_error *err) {
    *trace = (imx_trace){.n_tokens = n_tokens, .n_vocab = n_vocab};
    IMX_TRY(imx_alloc_zeroed(&trace->tokens, n_tokens, sizeof *trace->tokens, err));
    IMX_TRY(imx_alloc_aligned(&trace->logits, n_tokens, n_vocab * sizeof *trace->logits, err));
    return imx_imatrix_new(&trace->products, err);
}

imx_status imx_trace_run(imx_trace *trace, const imx_model *model, const int32_t *tokens,
                         size_t n_tokens, int n_threads, const imx_progress *progress,
                         imx_error *err) {
    IMX_TRY(reserve(trace, n_tokens, imx_model_n_vocab(model), err));
    memcpy(trace->tokens, tokens, n_tokens * sizeof *tokens);
    size_t starts[2] = {0, n_tokens};
    const imx_corpus corpus = {trace->tokens, n_tokens, (uint32_t)n_tokens, 1, starts};
    recorder r = {trace->products, imx_thread_count(n_threads)};
    const imx_walk_hook hook = {.on_input = record_input, .context = &r};
    const imx_walk_options options = {
        .n_threads = n_threads,
        .need_hidden = true,
        .head_input_to_hook = true,
        .hook = &hook,
        .progress = progress,
    };
    imx_residual_stream *stream;
    imx_status status;
    IMX_TRY(imx_residual_stream_new(&stream, n_tokens, imx_model_n_embd(model), 0, NULL, err));
    IMX_TRY_GOTO(done, imx_walk_run(model, &corpus, &options, stream, err));
    IMX_TRY_GOTO(done, compute_logits(trace, model, stream, n_threads, err));
done:
    imx_residual_stream_free(stream);
    return status;
}

void imx_trace_free(imx_trace *trace) {
    free(trace->tokens);
    free(trace->logits);
    imx_imatrix_free(trace->products);
    *trace = (imx_trace){0};
}

// ---------------------------------------------------------------------------------------------
// Comparing

static void compare_logits(imx_trace_comparison *comparison, const imx_trace *trace,
                           const imx_trace *reference) {
    const size_t n_vocab = trace->n_vocab;
    double error2 = 0, reference2 = 0;
    size_t n_same = 0;
    for (size_t i = 0; i < trace->n_tokens * n_vocab; ++i) {
        const double wanted = (double)reference->logits[i];
        const double difference = (double)trace->logits[i] - wanted;
        error2 += difference * difference;
        reference2 += wanted * wanted;
    }
    for (size_t i = 0; i < trace->n_tokens; ++i) {
        n_same += imx_index_of_largest(trace->logits + i * n_vocab, n_vocab) ==
                  imx_index_of_largest(reference->logits + i * n_vocab, n_vocab);
    }
    comparison->logits_error = error2 / reference2;
    comparison->same_top = (double)n_same / (double)trace->n_tokens;
}

// The larger one; NaN is worse than any number.
static double worse_of(double a, double b) {
    return isnan(a) || a >= b ? a : b;
}

// The largest difference of a matrix's columns.
static double compare_columns(const double *found, const double *wanted, size_t n) {
    double mean = 0, worst = 0;
    for (size_t j = 0; j < n; ++j) {
        mean += wanted[j] / (double)n;
    }
    for (size_t j = 0; j < n; ++j) {
        const double difference = fabs(found[j] - wanted[j]);
        const double relative = difference > 0 ? difference / (wanted[j] + mean) : difference;
        worst = worse_of(worst, relative);
    }
    return worst;
}

static imx_trace_difference compare_entries(const imx_imatrix_entry *found,
                                            const imx_imatrix_entry *wanted) {
    imx_trace_difference difference = {
        .name = found != NULL ? found->name : wanted->name,
        .is_missing = found == NULL,
        .is_extra = wanted == NULL,
    };
    if (found == NULL || wanted == NULL || found->n_cols != wanted->n_cols ||
        found->n_mats != wanted->n_mats) {
        return difference;
    }
    difference.has_shape = true;
    difference.has_counts = true;
    for (size_t mat = 0; mat < found->n_mats; ++mat) {
        const size_t begin = mat * (size_t)found->n_cols;
        const double worst =
            compare_columns(found->in_sum2 + begin, wanted->in_sum2 + begin, (size_t)found->n_cols);
        difference.worst = worse_of(difference.worst, worst);
        difference.has_counts = difference.has_counts && found->counts[mat] == wanted->counts[mat];
    }
    return difference;
}

// Both lists are sorted by name.
static void compare_products(imx_trace_comparison *comparison, const imx_imatrix *found,
                             const imx_imatrix *wanted) {
    size_t i = 0, j = 0;
    while (i < found->n_entries || j < wanted->n_entries) {
        const int order = i == found->n_entries ? 1
                          : j == wanted->n_entries
                              ? -1
                              : strcmp(found->entries[i].name, wanted->entries[j].name);
        const imx_imatrix_entry *a = order <= 0 ? &found->entries[i++] : NULL;
        const imx_imatrix_entry *b = order >= 0 ? &wanted->entries[j++] : NULL;
        comparison->products[comparison->n_products++] = compare_entries(a, b);
    }
}

imx_status imx_trace_compare(imx_trace_comparison *comparison, const imx_trace *trace,
                             const imx_trace *reference, imx_error *err) {
    const size_t n = trace->products->n_entries + reference->products->n_entries;
    *comparison = (imx_trace_comparison){0};
    if (trace->n_vocab != reference->n_vocab || trace->n_tokens != reference->n_tokens ||
        memcmp(trace->tokens, reference->tokens, trace->n_tokens * sizeof *trace->tokens) != 0) {
        return imx_fail(err, IMX_ERR_MISMATCH,
                        "the traces are of %zu and %zu tokens of vocabularies of %zu and %zu, or "
                        "the tokens differ; only traces of the same tokens can be compared",
                        trace->n_tokens, reference->n_tokens, trace->n_vocab, reference->n_vocab);
    }
    IMX_TRY(imx_alloc_zeroed(&comparison->products, n, sizeof *comparison->products, err));
    compare_logits(comparison, trace, reference);
    compare_products(comparison, trace->products, reference->products);
    return IMX_OK;
}
