// SPDX-License-Identifier: MIT
//
// With logits z and base logits b of one position, and lse(z) = ln sum exp(z):
//
//     nll = lse(z) − z[t]            of the token t that follows
//     KL  = sum over tokens of p (ln p − ln q)      ln p = b − lse(b), ln q = z − lse(z)
//
// Exponentials are f32 of differences from the row's maximum, sums f64, one thread a row. Equal
// rows give a KL of exactly zero; a rounding of the f32 logits shows as about 1e−7.
//
// Logits are large (a row has n_vocab) and short-lived: they exist for BLOCK_ROWS positions.

#include "calib/scoring.h"

#include <math.h>
#include <stdlib.h>

#include "calib/split.h"
#include "calib/walk.h"
#include "formats/memory.h"

enum { BLOCK_ROWS = 128 };

typedef struct scorer {
    imx_scores *scores;
    const imx_corpus *corpus;
    imx_scored_model sides[2]; // model, base
    size_t n_sides;
    imx_head *heads[2];
    float *logits[2]; // (BLOCK_ROWS, n_vocab)
    size_t n_vocab;
    int n_threads;
    size_t n_done;
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
    const uint64_t logits_bytes = (uint64_t)BLOCK_ROWS * imx_model_n_vocab(model) * sizeof(float);
    return imx_head_bytes(model) + logits_bytes + imx_scores_count(corpus) * sizeof(double);
}

typedef struct row_summary {
    size_t top; // the first of the largest logits
    double lse;
} row_summary;

static row_summary summarize_row(const float *logits, size_t n) {
    row_summary summary = {0};
    double sum = 0;
    for (size_t j = 1; j < n; ++j) {
        summary.top = logits[j] > logits[summary.top] ? j : summary.top;
    }
    const float max = logits[summary.top];
    for (size_t j = 0; j < n; ++j) {
        sum += (double)expf(logits[j] - max);
    }
    summary.lse = (double)max + log(sum);
    return summary;
}

static double divergence(const float *base, double base_lse, const float *model, double model_lse,
                         size_t n) {
    double kl = 0;
    for (size_t j = 0; j < n; ++j) {
        const double ln_p = (double)base[j] - base_lse;
        const double ln_q = (double)model[j] - model_lse;
        kl += (double)expf((float)ln_p) * (ln_p - ln_q);
    }
    return kl;
}

static void score_row(const scorer *s, size_t row, int32_t next, size_t out) {
    const float *logits = s->logits[0] + row * s->n_vocab;
    const row_summary model = summarize_row(logits, s->n_vocab);
    s->scores->nll[out] = model.lse - (double)logits[next];
    if (s->n_sides == 2) {
        const float *base_logits = s->logits[1] + row * s->n_vocab;
        const row_summary base = summarize_row(base_logits, s->n_vocab);
        s->scores->base_nll[out] = base.lse - (double)base_logits[next];
        s->scores->kl[out] = divergence(base_logits, base.lse, logits, model.lse, s->n_vocab);
        s->scores->same_top[out] = base.top == model.top;
    }
}

static imx_status score_block(scorer *s, span block, imx_error *err) {
    for (size_t side = 0; side < s->n_sides; ++side) {
        float *hidden;
        IMX_TRY(
            imx_residual_stream_load(s->sides[side].hidden, block.first, block.n, &hidden, err));
        IMX_TRY(imx_head_logits(s->heads[side], hidden, block.n, s->logits[side], err));
    }
#pragma omp parallel for num_threads(s->n_threads)
    for (size_t i = 0; i < block.n; ++i) {
        score_row(s, i, s->corpus->tokens[block.first + i + 1], s->n_done + i);
    }
    s->n_done += block.n;
    return IMX_OK;
}

static imx_status score_chunk(scorer *s, size_t chunk, imx_error *err) {
    const span all = scored_span(s->corpus, chunk);
    for (size_t i = 0; i < all.n; i += BLOCK_ROWS) {
        const span block = {all.first + i, imx_piece_len(all.n, i, BLOCK_ROWS)};
        IMX_TRY(score_block(s, block, err));
    }
    return IMX_OK;
}

static imx_status score_all(scorer *s, const imx_progress *progress, imx_error *err) {
    for (size_t c = 0; c < s->corpus->n_chunks; ++c) {
        IMX_TRY(score_chunk(s, c, err));
        const imx_progress_report report = {
            .phase = "predictions",
            .done = s->n_done,
            .total = s->scores->n,
            .work_done = s->n_done,
            .work_total = s->scores->n,
        };
        if (!imx_progress_continue(progress, &report)) {
            return imx_fail(err, IMX_ERR_INTERRUPTED, "stopped after %zu of %zu predictions",
                            s->n_done, s->scores->n);
        }
    }
    return IMX_OK;
}

static imx_status alloc_scores(imx_scores *scores, size_t n, bool has_base, imx_error *err) {
    *scores = (imx_scores){.n = n};
    IMX_TRY(imx_alloc_zeroed(&scores->nll, n, sizeof(double), err));
    if (has_base) {
        IMX_TRY(imx_alloc_zeroed(&scores->base_nll, n, sizeof(double), err));
        IMX_TRY(imx_alloc_zeroed(&scores->kl, n, sizeof(double), err));
        IMX_TRY(imx_alloc_zeroed(&scores->same_top, n, sizeof(double), err));
    }
    return IMX_OK;
}

static imx_status open_sides(scorer *s, imx_error *err) {
    for (size_t side = 0; side < s->n_sides; ++side) {
        IMX_TRY(imx_head_open(&s->heads[side], s->sides[side].model, s->n_threads, err));
        IMX_TRY(imx_alloc_aligned(&s->logits[side], BLOCK_ROWS, s->n_vocab * sizeof(float), err));
    }
    return IMX_OK;
}

imx_status imx_scores_new(imx_scores *scores, const imx_scored_model *model,
                          const imx_scored_model *base, const imx_corpus *corpus, int n_threads,
                          const imx_progress *progress, imx_error *err) {
    scorer s = {
        .scores = scores,
        .corpus = corpus,
        .sides = {*model},
        .n_sides = 1,
        .n_vocab = imx_model_n_vocab(model->model),
        .n_threads = imx_thread_count(n_threads),
    };
    imx_status status;
    if (base != NULL) {
        s.sides[s.n_sides++] = *base;
    }
    IMX_TRY_GOTO(done, alloc_scores(scores, imx_scores_count(corpus), base != NULL, err));
    IMX_TRY_GOTO(done, open_sides(&s, err));
    IMX_TRY_GOTO(done, score_all(&s, progress, err));
done:
    for (size_t side = 0; side < s.n_sides; ++side) {
        imx_head_close(s.heads[side]);
        free(s.logits[side]);
    }
    return status;
}

void imx_scores_free(imx_scores *scores) {
    free(scores->nll);
    free(scores->base_nll);
    free(scores->kl);
    free(scores->same_top);
    *scores = (imx_scores){0};
}

imx_estimate imx_estimate_mean(const double *x, size_t n) {
    double sum = 0, sum2 = 0;
    for (size_t i = 0; i < n; ++i) {
        sum += x[i];
    }
    const double mean = sum / (double)n;
    for (size_t i = 0; i < n; ++i) {
        sum2 += (x[i] - mean) * (x[i] - mean);
    }
    const double variance = sum2 / (double)n;
    return (imx_estimate){mean, n > 1 ? sqrt(variance / (double)(n - 1)) : 0};
}

imx_estimate imx_estimate_exp(imx_estimate estimate) {
    const double value = exp(estimate.value);
    return (imx_estimate){value, value * estimate.error};
}
