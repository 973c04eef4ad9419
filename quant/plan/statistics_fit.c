// SPDX-License-Identifier: MIT
//
// What is looked for is what the plan and the encoders would make something of: a shape that stops
// them, a weight they quantize blindly, experts whose importance is a guess.

#include "quant/plan/statistics_fit.h"

#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"
#include "quant/plan/tensor_role.h"

bool imx_statistics_fit(const imx_imatrix_entry *entry, const imx_gguf_tensor *tensor) {
    const uint64_t n_cols = imx_gguf_tensor_cols(tensor);
    const uint64_t n_mats = imx_gguf_tensor_mats(tensor);
    return (entry->n_mats == n_mats && entry->n_cols == n_cols) ||
           (entry->n_mats == 1 && entry->n_cols == n_cols * n_mats);
}

uint64_t imx_count_matrices_below(const imx_imatrix_entry *entry, double n_rows) {
    uint64_t n = 0;
    for (uint64_t mat = 0; mat < entry->n_mats; ++mat) {
        n += entry->counts[mat] < n_rows;
    }
    return n;
}

uint64_t imx_count_matrices_unseen(const imx_imatrix_entry *entry) {
    uint64_t n = 0;
    for (uint64_t mat = 0; mat < entry->n_mats; ++mat) {
        n += !(entry->counts[mat] > 0.0);
    }
    return n;
}

// Columns of matrices that have seen something, but nothing other than zeros in this column.
static uint64_t count_zero_columns(const imx_imatrix_entry *entry) {
    uint64_t n = 0;
    for (uint64_t i = 0; i < entry->n_cols * entry->n_mats; ++i) {
        n += entry->in_sum2[i] == 0.0 && entry->counts[i / entry->n_cols] > 0.0;
    }
    return n;
}

// ---- the report --------------------------------------------------------------------------------

// A report being written: the first failure stays, and what comes after it is not done.
typedef struct checker {
    imx_fit_report *report;
    size_t capacity;
    double min_rows;
    imx_status status;
    imx_error *err;
} checker;

static void note(checker *c, imx_finding_kind kind, const char *name, uint64_t n, uint64_t n_of) {
    imx_fit_report *report = c->report;
    if (c->status == IMX_OK) {
        c->status = imx_grow(&report->findings, &c->capacity, report->n_findings + 1,
                             sizeof *report->findings, c->err);
    }
    if (c->status == IMX_OK) {
        report->findings[report->n_findings++] = (imx_finding){kind, name, n, n_of};
    }
}

static void check_experts(checker *c, const imx_imatrix_entry *entry,
                          const imx_gguf_tensor *tensor) {
    const uint64_t n_mats = imx_gguf_tensor_mats(tensor);
    const uint64_t n_unseen = imx_count_matrices_unseen(entry);
    const uint64_t n_starved = imx_count_matrices_below(entry, c->min_rows) - n_unseen;
    if (entry->n_mats < n_mats) {
        note(c, IMX_FINDING_ONE_COUNT, tensor->name, 1, n_mats);
        return;
    }
    if (n_unseen > 0) {
        note(c, IMX_FINDING_NO_TOKENS, tensor->name, n_unseen, n_mats);
    }
    if (n_starved > 0) {
        note(c, IMX_FINDING_STARVED, tensor->name, n_starved, n_mats);
    }
}

static void check_fit(checker *c, const imx_imatrix_entry *entry, const imx_gguf_tensor *tensor) {
    const uint64_t n_values = entry->n_cols * entry->n_mats;
    const uint64_t n_zero = count_zero_columns(entry);
    if (!imx_statistics_fit(entry, tensor)) {
        note(c, IMX_FINDING_SHAPE, tensor->name, n_values,
             imx_gguf_tensor_cols(tensor) * imx_gguf_tensor_mats(tensor));
        return;
    }
    if (imx_count_matrices_unseen(entry) == entry->n_mats) {
        note(c, IMX_FINDING_UNSEEN, tensor->name, entry->n_mats, entry->n_mats);
        return;
    }
    c->report->n_covered += imx_layer_of(tensor->name) >= 0;
    // Matrices by head all see every token.
    if (imx_gguf_tensor_mats(tensor) > 1 && strstr(tensor->name, "_exps") != NULL) {
        check_experts(c, entry, tensor);
    }
    if (n_zero > 0) {
        note(c, IMX_FINDING_ZEROS, tensor->name, n_zero, n_values);
    }
}

static void check_weight(checker *c, const imx_imatrix *imatrix, const imx_gguf_tensor *tensor) {
    const imx_imatrix_entry *entry = imx_imatrix_find(imatrix, tensor->name);
    const bool is_in_layer = imx_layer_of(tensor->name) >= 0;
    if (imx_gguf_tensor_rows(tensor) == 1 || imx_mix_role_of(tensor->name) == IMX_MIX_ROLE_KEPT) {
        return;
    }
    c->report->n_weights += is_in_layer;
    if (entry != NULL) {
        check_fit(c, entry, tensor);
    } else if (is_in_layer) { // what feeds the head is collected on request only
        note(c, IMX_FINDING_MISSING, tensor->name, 0, 1);
    }
}

imx_status imx_statistics_check(imx_fit_report *report, const imx_imatrix *imatrix,
                                const imx_gguf *model, double min_rows, imx_error *err) {
    checker c = {.report = report, .min_rows = min_rows, .err = err};
    *report = (imx_fit_report){0};
    for (size_t i = 0; i < model->n_tensors; ++i) {
        check_weight(&c, imatrix, &model->tensors[i]);
    }
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        if (imx_gguf_find_tensor(model, imatrix->entries[i].name) == NULL) {
            note(&c, IMX_FINDING_FOREIGN, imatrix->entries[i].name, 1, 1);
        }
    }
    return c.status;
}

void imx_fit_report_free(imx_fit_report *report) {
    free(report->findings);
}
