// SPDX-License-Identifier: MIT

#include "imatrix/cli/quantize_report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imatrix/cli/console.h"
#include "imatrix/cli/table.h"

enum { MAX_TYPES = 64 };

// Tensors and bytes of one type.
typedef struct type_total {
    const char *type;
    uint64_t n_tensors;
    uint64_t size_bytes;
} type_total;

static int compare_totals(const void *a, const void *b) {
    const type_total *x = a;
    const type_total *y = b;
    return (x->size_bytes < y->size_bytes) - (x->size_bytes > y->size_bytes);
}

// Fills `totals` (MAX_TYPES), largest first, and returns how many types there are.
static size_t sum_by_type(const imatrix_quantizer *quantizer, type_total *totals) {
    imatrix_plan_totals all;
    imatrix_tensor_plan tensor;
    size_t n = 0;
    imatrix_quantizer_totals(quantizer, &all);
    for (size_t i = 0; i < all.n_tensors; ++i) {
        imatrix_quantizer_tensor(quantizer, i, &tensor);
        size_t t = 0;
        while (t < n && strcmp(totals[t].type, tensor.type) != 0) {
            ++t;
        }
        if (t == n && n < MAX_TYPES) {
            totals[n++] = (type_total){.type = tensor.type};
        }
        ++totals[t].n_tensors;
        totals[t].size_bytes += tensor.size_bytes;
    }
    qsort(totals, n, sizeof *totals, compare_totals);
    return n;
}

static void format_dims(const imatrix_tensor_plan *tensor, char *out, size_t size) {
    size_t n = 0;
    for (uint32_t i = 0; i < tensor->n_dims && n < size; ++i) {
        n += (size_t)snprintf(out + n, size - n, "%s%llu", i > 0 ? " x " : "",
                              (unsigned long long)tensor->dims[i]);
    }
}

// "super-block (memory), damping 0.05, held-out loss 0.62"
static void format_calibrated(const imatrix_calibrated *calibrated, char *out, size_t size) {
    size_t n = (size_t)snprintf(out, size, "%s", imatrix_reach_name(calibrated->reach));
    if (calibrated->reason != IMATRIX_REASON_NONE && n < size) {
        n += (size_t)snprintf(out + n, size - n, " (%s)", imatrix_reason_name(calibrated->reason));
    }
    if (!isnan(calibrated->damping) && n < size) {
        snprintf(out + n, size - n, ", damping %.3g, held-out loss %.3f", calibrated->damping,
                 calibrated->gain);
    }
}

static void print_tensor(const imatrix_tensor_plan *tensor) {
    char dims[96];
    char error[32] = "";
    char note[128];
    const char *word = tensor->is_fallback        ? "row length fits no better type"
                       : tensor->lacks_statistics ? "no statistics"
                       : tensor->has_covariance   ? "covariance"
                       : tensor->has_statistics   ? "imatrix"
                                                  : "";
    snprintf(note, sizeof note, "%s", word);
    if (tensor->calibrated.n_matrices > 0) {
        format_calibrated(&tensor->calibrated, note, sizeof note);
    }
    format_dims(tensor, dims, sizeof dims);
    if (!isnan(tensor->weighted_error)) {
        snprintf(error, sizeof error, "%.3e", tensor->weighted_error);
    }
    printf("%-36s %-18s %5s -> %-5s %11s  %-9s  %s\n", tensor->name, dims, tensor->source_type,
           tensor->type, console_bytes(tensor->size_bytes), error, note);
}

void quantize_report_tensors(const imatrix_quantizer *quantizer) {
    imatrix_plan_totals totals;
    imatrix_tensor_plan tensor;
    imatrix_quantizer_totals(quantizer, &totals);
    printf("%-36s %-18s %14s %11s  %-9s\n", "tensor", "shape", "type", "size", "w. error");
    for (size_t i = 0; i < totals.n_tensors; ++i) {
        imatrix_quantizer_tensor(quantizer, i, &tensor);
        print_tensor(&tensor);
    }
    printf("\n");
}

static void print_statistics(const imatrix_plan_totals *totals, uint32_t prior_tokens) {
    printf("imatrix: %llu entries, used for %llu tensors\n",
           (unsigned long long)totals->n_imatrix_entries,
           (unsigned long long)totals->n_with_statistics);
    if (totals->n_with_covariance > 0) {
        printf("covariance: used for %llu of these\n",
               (unsigned long long)totals->n_with_covariance);
    }
    if (totals->n_starved > 0) {
        printf("%llu experts saw fewer than %u tokens and lean on the mean of their tensor\n",
               (unsigned long long)totals->n_starved, prior_tokens);
    }
}

// "3 within super-blocks (2 memory, 1 few tokens)"
static void print_reach(const imatrix_plan_totals *totals, imatrix_reach reach, const char *where) {
    const uint64_t *n_by_reason = totals->n_reached[reach];
    uint64_t n = 0;
    for (int reason = 0; reason < IMATRIX_N_REASONS; ++reason) {
        n += n_by_reason[reason];
    }
    printf("%llu %s", (unsigned long long)n, where);
    const char *before = " (";
    for (int reason = IMATRIX_REASON_NONE + 1; reason < IMATRIX_N_REASONS; ++reason) {
        if (n_by_reason[reason] > 0) {
            printf("%s%llu %s", before, (unsigned long long)n_by_reason[reason],
                   imatrix_reason_name((imatrix_reach_reason)reason));
            before = ", ";
        }
    }
    printf(before[0] == ',' ? ")" : "");
}

static void print_calibration(const quantize_report *report, const imatrix_plan_totals *totals) {
    if (isnan(report->seconds)) {
        printf("calibration: of %llu tensors\n", (unsigned long long)totals->n_with_statistics);
        return;
    }
    printf("calibration: matrices whose errors pay for each other: ");
    print_reach(totals, IMATRIX_REACH_ROW, "over rows, ");
    print_reach(totals, IMATRIX_REACH_SUPER_BLOCK, "within super-blocks");
    printf(", ");
    print_reach(totals, IMATRIX_REACH_COLUMN, "not");
    printf("\n");
}

static void print_outcome(const quantize_report *report, const imatrix_plan_totals *totals) {
    if (isnan(report->seconds)) {
        printf("needs %s on disk and about %s of memory\n", console_bytes(totals->disk_bytes),
               console_bytes(totals->memory_bytes));
        return;
    }
    if (totals->n_kept > 0) {
        printf("%llu tensors kept from the interrupted run\n", (unsigned long long)totals->n_kept);
    }
    printf("%s written in %.1f s", report->out_path, report->seconds);
    if (totals->n_shards > 1) {
        printf(", in %llu shards", (unsigned long long)totals->n_shards);
    }
    printf("\n");
}

void quantize_report_totals(const quantize_report *report) {
    imatrix_plan_totals totals;
    type_total by_type[MAX_TYPES];
    const size_t n_types = sum_by_type(report->quantizer, by_type);
    imatrix_quantizer_totals(report->quantizer, &totals);
    printf("%-9s %7s %14s\n", "type", "tensors", "size");
    for (size_t i = 0; i < n_types; ++i) {
        printf("%-9s %7llu %14s\n", by_type[i].type, (unsigned long long)by_type[i].n_tensors,
               console_bytes(by_type[i].size_bytes));
    }
    printf("%-9s %7llu %14s  %.3f bits per weight, from %s\n", "total",
           (unsigned long long)totals.n_tensors, console_bytes(totals.size_bytes),
           totals.bits_per_weight, console_bytes(totals.source_bytes));
    if (report->options->imatrix_path != NULL) {
        print_statistics(&totals, report->options->prior_tokens);
    }
    if (report->run != NULL) {
        print_calibration(report, &totals);
    }
    print_outcome(report, &totals);
}

static json_t *pack_calibrated(const imatrix_calibrated *calibrated) {
    return json_pack("{s:I, s:s, s:s, s:o, s:f}", "n_matrices", (json_int_t)calibrated->n_matrices,
                     "reach", imatrix_reach_name(calibrated->reach), "reason",
                     imatrix_reason_name(calibrated->reason), "damping",
                     table_pack_number(calibrated->damping), "held_out_loss", calibrated->gain);
}

// Matrices by reach and reason, those of which there are some.
static json_t *pack_reaches(const imatrix_plan_totals *totals) {
    json_t *reaches = json_array();
    for (int reach = 0; reach < IMATRIX_N_REACHES; ++reach) {
        for (int reason = 0; reason < IMATRIX_N_REASONS; ++reason) {
            const uint64_t n = totals->n_reached[reach][reason];
            if (n > 0) {
                json_array_append_new(reaches,
                                      json_pack("{s:s, s:s, s:I}", "reach",
                                                imatrix_reach_name((imatrix_reach)reach), "reason",
                                                imatrix_reason_name((imatrix_reach_reason)reason),
                                                "n_matrices", (json_int_t)n));
            }
        }
    }
    return reaches;
}

static json_t *tensor_to_json(const imatrix_tensor_plan *tensor) {
    json_t *dims = json_array();
    for (uint32_t i = 0; i < tensor->n_dims; ++i) {
        json_array_append_new(dims, json_integer((json_int_t)tensor->dims[i]));
    }
    json_t *object =
        json_pack("{s:s, s:o, s:s, s:s, s:I, s:b, s:b, s:b, s:b}", "name", tensor->name, "shape",
                  dims, "source_type", tensor->source_type, "type", tensor->type, "size_bytes",
                  (json_int_t)tensor->size_bytes, "has_statistics", tensor->has_statistics,
                  "has_covariance", tensor->has_covariance, "lacks_statistics",
                  tensor->lacks_statistics, "is_fallback", tensor->is_fallback);
    if (!isnan(tensor->weighted_error)) {
        json_object_set_new(object, "weighted_error", json_real(tensor->weighted_error));
        json_object_set_new(object, "relative_error", json_real(tensor->relative_error));
    }
    if (tensor->calibrated.n_matrices > 0) {
        json_object_set_new(object, "calibrated", pack_calibrated(&tensor->calibrated));
    }
    return object;
}

json_t *quantize_report_pack(const quantize_report *report) {
    imatrix_plan_totals totals;
    imatrix_tensor_plan tensor;
    json_t *tensors = json_array();
    imatrix_quantizer_totals(report->quantizer, &totals);
    for (size_t i = 0; i < totals.n_tensors; ++i) {
        imatrix_quantizer_tensor(report->quantizer, i, &tensor);
        json_array_append_new(tensors, tensor_to_json(&tensor));
    }
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "model",
        report->options->model_path, "output", report->out_path, "type", report->recipe,
        "n_weights", (json_int_t)totals.n_weights, "size_bytes", (json_int_t)totals.size_bytes,
        "bits_per_weight", totals.bits_per_weight, "n_with_statistics",
        (json_int_t)totals.n_with_statistics, "n_with_covariance",
        (json_int_t)totals.n_with_covariance, "n_lacking_statistics",
        (json_int_t)totals.n_lacking_statistics, "n_starved", (json_int_t)totals.n_starved,
        "n_shards", (json_int_t)totals.n_shards, "disk_bytes", (json_int_t)totals.disk_bytes,
        "memory_bytes", (json_int_t)totals.memory_bytes);
    if (!isnan(report->seconds)) {
        json_object_set_new(root, "seconds", json_real(report->seconds));
        json_object_set_new(root, "n_kept", json_integer((json_int_t)totals.n_kept));
    }
    if (report->run != NULL) {
        json_object_set_new(root, "texts", run_args_pack_shares(report->run));
        json_object_set_new(root, "reaches", pack_reaches(&totals));
    }
    json_object_set_new(root, "tensors", tensors);
    return root;
}

static void warn_of_missing(const imatrix_quantizer *quantizer, const imatrix_plan_totals *totals) {
    imatrix_tensor_plan tensor;
    fprintf(stderr,
            "imatrix: warning: the imatrix has no statistics for %llu tensors, which are "
            "quantized without:\n",
            (unsigned long long)totals->n_lacking_statistics);
    for (size_t i = 0; i < totals->n_tensors; ++i) {
        imatrix_quantizer_tensor(quantizer, i, &tensor);
        if (tensor.lacks_statistics) {
            fprintf(stderr, "  %s\n", tensor.name);
        }
    }
}

void quantize_report_warnings(const imatrix_quantizer *quantizer) {
    imatrix_plan_totals totals;
    imatrix_quantizer_totals(quantizer, &totals);
    if (totals.n_lacking_statistics > 0) {
        warn_of_missing(quantizer, &totals);
    }
    if (totals.n_unguided > 0) {
        fprintf(stderr,
                "imatrix: warning: %llu tensors become Q2_K without statistics, at a clear loss: "
                "an imatrix (imatrix collect) lowers it\n",
                (unsigned long long)totals.n_unguided);
    }
}
