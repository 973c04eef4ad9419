// SPDX-License-Identifier: MIT
//
// With logits z and base logits b of one position, and lse(z) = ln sum exp(z):
//
//     nll = lse(z) − z[t]            of the token t that follows
//     KL  = sum over tokens of p (ln p − ln q)      ln p = b − lse(b), ln q = z − lse(z)
//
// Exponentials are f32, sums f64, one thread a row. Equal rows give a KL of exactly zero; a
// rounding of the f32 logits shows as about 1e−7.
//
// A base read from a file is rows of ln p, whose lse is 0 by definition: they were rounded and cut
// below, and must not be normalised again. What was cut is left out of the sum, as llama-perplexity
// does.

#include "calib/evaluation/scoring.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "kernels/split.h"
#include "formats/memory.h"

typedef struct scorer {
    const imx_scoring *scoring;
    imx_scores *scores;
    imx_prediction *predictions; // (scores->n)
    imx_logit_rows model;
    imx_logit_rows base;
    float *stored; // (IMX_LOGIT_ROWS, n_vocab) ln p of a stored base
    size_t n_vocab;
    int n_threads;
} scorer;

// Positions first .. first + n − 1 of the corpus, all within one chunk.
typedef struct span {
    size_t first;
    size_t n;
} span;

static span scored_span(const imx_corpus *corpus, size_t chunk) {
    const size_t begin = corpus->n_ctx / 2;
    const size_t end = imx_corpus_chunk_len(corpus, chunk) - 1;
    return (span){corpus->starts[chunk] + begin, end > begin ? end - begin : 0};
}

size_t imx_scores_count(const imx_corpus *corpus) {
    size_t n = 0;
    for (size_t c = 0; c < corpus->n_chunks; ++c) {
        n += scored_span(corpus, c).n;
    }
    return n;
}

uint64_t imx_scores_bytes(const imx_model *model, const imx_corpus *corpus) {
    return imx_logit_rows_bytes(model) +
           imx_scores_count(corpus) * (sizeof(double) + sizeof(imx_prediction));
}

static void list_predictions(imx_prediction *predictions, const imx_corpus *corpus) {
    for (size_t c = 0; c < corpus->n_chunks; ++c) {
        const span scored = scored_span(corpus, c);
        for (size_t i = scored.first; i < scored.first + scored.n; ++i) {
            *predictions++ = (imx_prediction){i, corpus->tokens[i + 1]};
        }
    }
}

// ---------------------------------------------------------------------------------------------
// One position

// A row of either kind of base.
typedef struct base_row {
    const float *values; // (n_vocab)
    imx_row_summary summary;
    double floor; // ln p at or below it is left out
} base_row;

// Of prediction `index`, which is row `row` of the block.
static base_row base_row_at(const scorer *s, size_t row, size_t index) {
    const imx_logits_base *stored = s->scoring->stored_base;
    base_row base = {.floor = -INFINITY};
    if (stored == NULL) {
        base.values = s->base.logits + row * s->n_vocab;
        base.summary = imx_row_summarize(base.values, s->n_vocab);
        return base;
    }
    float *ln_p = s->stored + row * s->n_vocab;
    imx_logits_base_row(stored, index, ln_p);
    base.values = ln_p;
    base.summary.top = imx_row_summarize(ln_p, s->n_vocab).top;
    base.floor = IMX_LOGITS_BASE_FLOOR;
    return base;
}

static double divergence(const base_row *base, const float *model, double model_lse, size_t n) {
    double kl = 0;
    for (size_t j = 0; j < n; ++j) {
        const double ln_p = (double)base->values[j] - base->summary.lse;
        const double ln_q = (double)model[j] - model_lse;
        kl += ln_p > base->floor ? (double)expf((float)ln_p) * (ln_p - ln_q) : 0;
    }
    return kl;
}

static bool has_base(const imx_scoring *scoring) {
    return scoring->base != NULL || scoring->stored_base != NULL;
}

static void score_row(const scorer *s, size_t row, size_t index) {
    const int32_t next = s->predictions[index].token;
    const float *logits = s->model.logits + row * s->n_vocab;
    const imx_row_summary model = imx_row_summarize(logits, s->n_vocab);
    s->scores->nll[index] = model.lse - (double)logits[next];
    if (has_base(s->scoring)) {
        const base_row base = base_row_at(s, row, index);
        s->scores->base_nll[index] = base.summary.lse - (double)base.values[next];
        s->scores->kl[index] = divergence(&base, logits, model.lse, s->n_vocab);
        s->scores->same_top[index] = base.summary.top == model.top;
    }
}

// ---------------------------------------------------------------------------------------------
// All positions

static imx_status load_rows(scorer *s, size_t first, size_t n, imx_error *err) {
    const imx_scoring *scoring = s->scoring;
    IMX_TRY(imx_logit_rows_load(&s->model, s->predictions + first, n, err));
    if (scoring->base != NULL) {
        IMX_TRY(imx_logit_rows_load(&s->base, s->predictions + first, n, err));
    }
    if (scoring->record != NULL) {
        IMX_TRY(imx_logits_writer_append(scoring->record, s->model.logits, n, s->n_threads, err));
    }
    return IMX_OK;
}

static imx_status report(const scorer *s, size_t n_done, imx_error *err) {
    const size_t n = s->scores->n;
    const imx_progress_report report = {
        .phase = "predictions",
        .done = n_done,
        .total = n,
        .work_done = n_done,
        .work_total = n,
    };
    if (!imx_progress_continue(s->scoring->progress, &report)) {
        return imx_fail(err, IMX_ERR_INTERRUPTED, "stopped after %zu of %zu predictions", n_done,
                        n);
    }
    return IMX_OK;
}

static imx_status score_all(scorer *s, imx_error *err) {
    for (size_t first = 0; first < s->scores->n; first += IMX_LOGIT_ROWS) {
        const size_t n = imx_piece_len(s->scores->n, first, IMX_LOGIT_ROWS);
        IMX_TRY(load_rows(s, first, n, err));
#pragma omp parallel for num_threads(s->n_threads)
        for (size_t i = 0; i < n; ++i) {
            score_row(s, i, first + i);
        }
        IMX_TRY(report(s, first + n, err));
    }
    return IMX_OK;
}

static imx_status alloc_scores(scorer *s, imx_error *err) {
    imx_scores *scores = s->scores;
    const size_t n = imx_scores_count(s->scoring->corpus);
    *scores = (imx_scores){.n = n};
    IMX_TRY(imx_alloc_zeroed(&s->predictions, n, sizeof(imx_prediction), err));
    IMX_TRY(imx_alloc_zeroed(&scores->nll, n, sizeof(double), err));
    if (has_base(s->scoring)) {
        IMX_TRY(imx_alloc_zeroed(&scores->base_nll, n, sizeof(double), err));
        IMX_TRY(imx_alloc_zeroed(&scores->kl, n, sizeof(double), err));
        IMX_TRY(imx_alloc_zeroed(&scores->same_top, n, sizeof(double), err));
    }
    list_predictions(s->predictions, s->scoring->corpus);
    return IMX_OK;
}

static imx_status open_rows(scorer *s, imx_error *err) {
    const imx_scoring *scoring = s->scoring;
    IMX_TRY(imx_logit_rows_open(&s->model, &scoring->model, s->n_threads, err));
    if (scoring->base != NULL) {
        IMX_TRY(imx_logit_rows_open(&s->base, scoring->base, s->n_threads, err));
    }
    if (scoring->stored_base != NULL) {
        IMX_TRY(imx_alloc_aligned(&s->stored, IMX_LOGIT_ROWS, s->n_vocab * sizeof(float), err));
    }
    return IMX_OK;
}

imx_status imx_scores_run(imx_scores *scores, const imx_scoring *scoring, imx_error *err) {
    scorer s = {
        .scoring = scoring,
        .scores = scores,
        .n_vocab = imx_model_n_vocab(scoring->model.model),
        .n_threads = imx_thread_count(scoring->n_threads),
    };
    imx_status status;
    IMX_TRY_GOTO(done, alloc_scores(&s, err));
    IMX_TRY_GOTO(done, open_rows(&s, err));
    IMX_TRY_GOTO(done, score_all(&s, err));
done:
    imx_logit_rows_close(&s.model);
    imx_logit_rows_close(&s.base);
    free(s.stored);
    free(s.predictions);
    return status;
}

imx_status imx_scores_new(imx_scores *scores, const imx_scored_model *model,
                          const imx_scored_model *base, const imx_corpus *corpus, int n_threads,
                          const imx_progress *progress, imx_error *err) {
    const imx_scoring scoring = {
        .model = *model,
        .base = base,
        .corpus = corpus,
        .n_threads = n_threads,
        .progress = progress,
    };
    return imx_scores_run(scores, &scoring, err);
}

void imx_scores_free(imx_scores *scores) {
    free(scores->nll);
    free(scores->base_nll);
    free(scores->kl);
    free(scores->same_top);
    *scores = (imx_scores){0};
}

imx_status imx_score_predictions(double *ln_p, const imx_scored_model *model,
                                 const imx_prediction *predictions, size_t n, int n_threads,
                                 imx_error *err) {
    imx_logit_rows rows;
    const int n_workers = imx_thread_count(n_threads);
    imx_status status;
    IMX_TRY_GOTO(done, imx_logit_rows_open(&rows, model, n_workers, err));
    for (size_t first = 0; first < n; first += IMX_LOGIT_ROWS) {
        const size_t n_block = imx_piece_len(n, first, IMX_LOGIT_ROWS);
        IMX_TRY_GOTO(done, imx_logit_rows_load(&rows, predictions + first, n_block, err));
#pragma omp parallel for num_threads(n_workers)
        for (size_t i = 0; i < n_block; ++i) {
            const float *logits = rows.logits + i * rows.n_vocab;
            ln_p[first + i] = (double)logits[predictions[first + i].token] -
                              imx_row_summarize(logits, rows.n_vocab).lse;
        }
    }
done:
    imx_logit_rows_close(&rows);
    return status;
}

imx_status imx_check_finite(const double *x, size_t n, const char *path, imx_error *err) {
    for (size_t i = 0; i < n; ++i) {
        if (!isfinite(x[i])) {
            return imx_fail(err, IMX_ERR_FORMAT,
                            "%s: its predictions are not finite; its weights are damaged or "
                            "overflow",
                            path);
        }
    }
    return IMX_OK;
}
