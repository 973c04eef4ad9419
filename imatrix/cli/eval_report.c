// SPDX-License-Identifier: MIT

#include "imatrix/cli/eval_report.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "imatrix/cli/table.h"

typedef struct estimate_row {
    const char *key;
    const char *title;
    size_t offset;
    bool needs_base;
    double scale; // shown × this
    int digits;
    const char *unit;
} estimate_row;

#define FIELD(name) offsetof(imatrix_evaluation, name)

// clang-format off
static const estimate_row estimates[] = {
    {"perplexity", "Perplexity", FIELD(perplexity), false, 1, 4, ""},
    {"base_perplexity", "Base perplexity", FIELD(base_perplexity), true, 1, 4, ""},
    {"perplexity_ratio", "Perplexity ratio", FIELD(perplexity_ratio), true, 1, 6, ""},
    {"perplexity_difference", "Perplexity difference", FIELD(perplexity_difference), true, 1, 6, ""},
    {"ln_ratio", "ln(perplexity ratio)", FIELD(ln_ratio), true, 1, 6, ""},
    {"kl_mean", "KL divergence", FIELD(kl_mean), true, 1, 6, " nats"},
    {"top1", "Same top token", FIELD(top1), true, 100, 3, " %"},
    {"dp_mean", "Change of p, mean", FIELD(dp_mean), true, 100, 3, " %"},
    {"dp_rms", "Change of p, RMS", FIELD(dp_rms), true, 100, 3, " %"},
};

static const struct {
    const char *key; // behind "kl_" and "dp_"
    const char *title;
} quantiles[IMATRIX_N_QUANTILES] = {
    [IMATRIX_MINIMUM] = {"min", "minimum"},
    [IMATRIX_P0_1]    = {"p0_1", "0.1 %"},
    [IMATRIX_P1]      = {"p1", "1 %"},
    [IMATRIX_P5]      = {"p5", "5 %"},
    [IMATRIX_P10]     = {"p10", "10 %"},
    [IMATRIX_P25]     = {"p25", "25 %"},
    [IMATRIX_MEDIAN]  = {"median", "median"},
    [IMATRIX_P75]     = {"p75", "75 %"},
    [IMATRIX_P90]     = {"p90", "90 %"},
    [IMATRIX_P95]     = {"p95", "95 %"},
    [IMATRIX_P99]     = {"p99", "99 %"},
    [IMATRIX_P99_9]   = {"p99_9", "99.9 %"},
    [IMATRIX_MAXIMUM] = {"max", "maximum"},
};
// clang-format on

static const imatrix_estimate *estimate_of(const imatrix_evaluation *evaluation,
                                           const estimate_row *row) {
    return (const imatrix_estimate *)((const char *)evaluation + row->offset);
}

static void print_quantiles(const imatrix_evaluation *evaluation) {
    printf("\n%-22s %14s %14s\n", "", "KL divergence", "change of p");
    for (size_t i = IMATRIX_N_QUANTILES; i-- > 0;) {
        printf("%-22s %14.6f %12.3f %%\n", quantiles[i].title, evaluation->kl[i],
               100 * evaluation->dp[i]);
    }
}

void eval_report_print(const imatrix_evaluation *evaluation) {
    for (size_t i = 0; i < sizeof estimates / sizeof *estimates; ++i) {
        const estimate_row *row = &estimates[i];
        const imatrix_estimate *x = estimate_of(evaluation, row);
        if (evaluation->has_base || !row->needs_base) {
            printf("%-22s %14.*f +/- %.*f%s\n", row->title, row->digits, row->scale * x->value,
                   row->digits, row->scale * x->error, row->unit);
        }
    }
    if (evaluation->has_base) {
        printf("%-22s %14.3f %%\n", "Correlation of ln p", 100 * evaluation->correlation);
    }
    printf("%-22s %14llu of %llu tokens\n", "Scored", (unsigned long long)evaluation->n_scored,
           (unsigned long long)evaluation->n_tokens);
    if (evaluation->has_base) {
        print_quantiles(evaluation);
    }
}

static void set_quantiles(json_t *root, const char *prefix, const double *values) {
    char key[32];
    for (size_t i = 0; i < IMATRIX_N_QUANTILES; ++i) {
        snprintf(key, sizeof key, "%s_%s", prefix, quantiles[i].key);
        json_object_set_new(root, key, table_pack_number(values[i]));
    }
}

json_t *eval_report_pack(const imatrix_evaluation *evaluation) {
    json_t *root =
        json_pack("{s:I, s:I, s:I}", "n_ctx", (json_int_t)evaluation->n_ctx, "n_tokens",
                  (json_int_t)evaluation->n_tokens, "n_scored", (json_int_t)evaluation->n_scored);
    for (size_t i = 0; i < sizeof estimates / sizeof *estimates; ++i) {
        const imatrix_estimate *x = estimate_of(evaluation, &estimates[i]);
        if (evaluation->has_base || !estimates[i].needs_base) {
            json_object_set_new(root, estimates[i].key,
                                json_pack("{s:f, s:f}", "value", x->value, "error", x->error));
        }
    }
    if (evaluation->has_base) {
        json_object_set_new(root, "correlation", table_pack_number(evaluation->correlation));
        set_quantiles(root, "kl", evaluation->kl);
        set_quantiles(root, "dp", evaluation->dp);
    }
    return root;
}

// ---------------------------------------------------------------------------------------------
// Tasks

static const struct {
    const char *key;
    const char *title;
} task_kinds[] = {
    [IMATRIX_TASKS_HELLASWAG] = {"hellaswag", "HellaSwag"},
    [IMATRIX_TASKS_WINOGRANDE] = {"winogrande", "Winogrande"},
    [IMATRIX_TASKS_MULTIPLE_CHOICE] = {"multiple_choice", "Multiple choice"},
};

void eval_report_print_tasks(const imatrix_task_result *result, imatrix_task_kind kind) {
    printf("%-22s %10.4f +/- %.4f %%\n", task_kinds[kind].title, 100 * result->accuracy.value,
           100 * result->accuracy.error);
    printf("%-22s %10.4f to %.4f %%\n", "95 % interval", 100 * result->interval[0],
           100 * result->interval[1]);
    printf("%-22s %10.4f %%\n", "Guessing", 100 * result->chance);
    printf("%-22s %10llu of %zu tasks\n", "Right", (unsigned long long)result->n_right,
           result->n_tasks);
}

static json_t *pack_outcome(const imatrix_task_outcome *outcome) {
    json_t *scores = json_array();
    for (size_t i = 0; i < outcome->n_choices; ++i) {
        json_array_append_new(scores, table_pack_number(outcome->ln_p[i]));
    }
    return json_pack("{s:I, s:I, s:b, s:o}", "number", (json_int_t)outcome->number, "chosen",
                     (json_int_t)outcome->chosen, "is_right", outcome->is_right, "ln_p", scores);
}

json_t *eval_report_pack_tasks(const imatrix_task_result *result, imatrix_task_kind kind) {
    json_t *tasks = json_array();
    for (size_t i = 0; i < result->n_tasks; ++i) {
        json_array_append_new(tasks, pack_outcome(&result->tasks[i]));
    }
    return json_pack("{s:s, s:I, s:I, s:{s:f, s:f}, s:[f, f], s:f, s:o}", "kind",
                     task_kinds[kind].key, "n_tasks", (json_int_t)result->n_tasks, "n_right",
                     (json_int_t)result->n_right, "accuracy", "value", result->accuracy.value,
                     "error", result->accuracy.error, "interval", result->interval[0],
                     result->interval[1], "chance", result->chance, "tasks", tasks);
}
