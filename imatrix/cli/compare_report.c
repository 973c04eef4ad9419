// SPDX-License-Identifier: MIT
//
// Tables of at most 80 columns, as long as the names that tell the files apart are short: the
// models, the differences that decide between them and, where there are any, the tasks.

#include "imatrix/cli/compare_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imatrix/cli/console.h"
#include "imatrix/cli/eval_report.h"
#include "imatrix/cli/table.h"

typedef struct model_row {
    char *name; // what tells its path from the others
    const char *path;
    imatrix_compared_model model;
    const char *accuracy_verdict;
} model_row;

typedef struct difference_row {
    const char *name, *against;
    const char *path, *against_path;
    imatrix_model_difference difference;
    const char *kl_verdict, *ratio_verdict;
} difference_row;

typedef struct report {
    const imatrix_compare_options *options;
    const imatrix_comparison *result;
    size_t prefix_len; // of all paths
    const char *suffix;
    model_row *models;           // (result->n_models)
    difference_row *differences; // (result->n_differences)
} report;

#define MODEL(field)      offsetof(model_row, field)
#define DIFFERENCE(field) offsetof(difference_row, field)

// clang-format off
static const table_column model_columns[] = {
    {COLUMN_MARK,       "on_front",        "",              1,  MODEL(model.on_front)},
    {COLUMN_TEXT,       "name",            "file",          0,  MODEL(name)},
    {COLUMN_TEXT,       "file",            NULL,            0,  MODEL(path)},
    {COLUMN_BYTES,      "file_bytes",      "size",          11, MODEL(model.file_bytes)},
    {COLUMN_HUNDREDTHS, "bits_per_weight", "bits",          6,  MODEL(model.bits_per_weight)},
    {COLUMN_ESTIMATE_3, "perplexity",      "perplexity",    17, MODEL(model.evaluation.perplexity)},
    {COLUMN_ESTIMATE_6, "kl_mean",         "KL divergence", 21, MODEL(model.evaluation.kl_mean)},
    {COLUMN_FIXED,      "kl_p99",          "KL 99 %",       8,  MODEL(model.evaluation.kl[IMATRIX_P99])},
    {COLUMN_SHARE,      "top1",            "top-1 %",       8,  MODEL(model.evaluation.top1.value)},
    {COLUMN_ESTIMATE_SHARE, "accuracy",    NULL,            0,  MODEL(model.accuracy)},
    {COLUMN_END},
};

static const table_column task_columns[] = {
    {COLUMN_TEXT,           "name",             "file",     0,  MODEL(name)},
    {COLUMN_ESTIMATE_SHARE, "accuracy",         "solved %", 14, MODEL(model.accuracy)},
    {COLUMN_ESTIMATE_SHARE, "accuracy_change",  "change %", 14, MODEL(model.accuracy_change)},
    {COLUMN_TEXT,           "accuracy_verdict", "verdict",  2,  MODEL(accuracy_verdict)},
    {COLUMN_END},
};

static const table_column difference_columns[] = {
    {COLUMN_TEXT,       "name",            "file",           0,  DIFFERENCE(name)},
    {COLUMN_TEXT,       "against_name",    "versus",         0,  DIFFERENCE(against)},
    {COLUMN_TEXT,       "file",            NULL,             0,  DIFFERENCE(path)},
    {COLUMN_TEXT,       "against",         NULL,             0,  DIFFERENCE(against_path)},
    {COLUMN_ESTIMATE_6, "kl_mean",         "KL divergence",  21, DIFFERENCE(difference.kl)},
    {COLUMN_ESTIMATE_4, "ln_ratio",        "ln(perplexity)", 17, DIFFERENCE(difference.ln_ratio)},
    {COLUMN_TEXT,       "kl_verdict",      "verdict on KL",  2,  DIFFERENCE(kl_verdict)},
    {COLUMN_TEXT,       "ratio_verdict",   NULL,             0,  DIFFERENCE(ratio_verdict)},
    {COLUMN_END},
};

static const char *const verdicts[] = {
    [IMATRIX_NO_DIFFERENCE] = "no measurable difference",
    [IMATRIX_BETTER]        = "better",
    [IMATRIX_WORSE]         = "worse",
};
// clang-format on

// ---- names -------------------------------------------------------------------------------------

static bool all_end_in(const report *r, const char *suffix) {
    const size_t n = strlen(suffix);
    for (size_t i = 0; i < r->options->n_models; ++i) {
        const char *path = r->options->model_paths[i];
        const size_t len = strlen(path);
        if (len <= n || strcmp(path + len - n, suffix) != 0) {
            return false;
        }
    }
    return true;
}

// Of what all paths begin with, up to the last separator: "out/llama-" of out/llama-Q4_K_M.gguf and
// out/llama-Q4_K_S.gguf. Every path has something left behind it.
static size_t measure_prefix(const report *r) {
    const char *first = r->options->model_paths[0];
    size_t len = strlen(first) - strlen(r->suffix) - 1;
    for (size_t i = 1; i < r->options->n_models; ++i) {
        const char *path = r->options->model_paths[i];
        const size_t max = strlen(path) - strlen(r->suffix) - 1;
        size_t same = 0;
        while (same < len && same < max && path[same] == first[same]) {
            ++same;
        }
        len = same;
    }
    while (len > 0 && strchr("/-.", first[len - 1]) == NULL) {
        --len;
    }
    return len;
}

// ---- rows --------------------------------------------------------------------------------------

static bool build_models(report *r) {
    for (size_t i = 0; i < r->result->n_models; ++i) {
        const imatrix_compared_model *model = &r->result->models[i];
        const char *path = r->options->model_paths[model->index];
        const size_t len = strlen(path) - strlen(r->suffix) - r->prefix_len;
        char *name = strndup(path + r->prefix_len, len);
        r->models[i] = (model_row){.name = name,
                                   .path = path,
                                   .model = *model,
                                   .accuracy_verdict = verdicts[model->accuracy_verdict]};
        if (name == NULL) {
            return false;
        }
    }
    return true;
}

static void build_differences(report *r) {
    for (size_t i = 0; i < r->result->n_differences; ++i) {
        const imatrix_model_difference *difference = &r->result->differences[i];
        const model_row *model = &r->models[difference->model];
        const model_row *against = &r->models[difference->against];
        r->differences[i] = (difference_row){
            .name = model->name,
            .against = against->name,
            .path = model->path,
            .against_path = against->path,
            .difference = *difference,
            .kl_verdict = verdicts[difference->kl_verdict],
            .ratio_verdict = verdicts[difference->ratio_verdict],
        };
    }
}

// ---- for people --------------------------------------------------------------------------------

static void print_header(const report *r) {
    const imatrix_evaluation *first = &r->result->models[0].evaluation;
    printf("base   %s: %s, %.3g bits, perplexity %.3f ± %.3f\n", r->options->base_path,
           console_bytes(r->result->base_bytes), r->result->base_bits_per_weight,
           first->base_perplexity.value, first->base_perplexity.error);
    printf("files  %.*s*%s\n", (int)r->prefix_len, r->options->model_paths[0], r->suffix);
    printf("text   %s: %llu predictions scored\n\n", r->options->text_path,
           (unsigned long long)first->n_scored);
}

static void print_differences(const report *r) {
    printf("\nMean of the differences, file − versus, at the same positions, in %llu groups;\n"
           "measurable from two standard errors on:\n\n",
           (unsigned long long)r->result->n_groups);
    table_print(difference_columns, r->differences, r->result->n_differences,
                sizeof *r->differences);
}

static void print_tasks(const report *r) {
    printf("\nOf %llu tasks of %s the base solves %.1f ± %.1f %%:\n\n",
           (unsigned long long)r->result->n_tasks, r->options->tasks_path,
           100 * r->result->base_accuracy.value, 100 * r->result->base_accuracy.error);
    table_print(task_columns, r->models, r->result->n_models, sizeof *r->models);
}

static void print_text(const report *r) {
    print_header(r);
    table_print(model_columns, r->models, r->result->n_models, sizeof *r->models);
    printf("\n* on the Pareto front: no other file is as small and loses less\n");
    if (r->result->n_differences > 0) {
        print_differences(r);
    }
    if (r->result->n_tasks > 0) {
        print_tasks(r);
    }
}

// ---- for programs ------------------------------------------------------------------------------

static json_t *pack_estimate(imatrix_estimate estimate) {
    return json_pack("{s:f, s:f}", "value", estimate.value, "error", estimate.error);
}

// Adds the fields of `more`, which is released.
static void add_fields(json_t *object, json_t *more) {
    json_object_update(object, more);
    json_decref(more);
}

static json_t *pack_tasks(const model_row *row) {
    json_t *array = table_pack(task_columns, row, 1, sizeof *row);
    json_t *object = json_incref(json_array_get(array, 0));
    json_decref(array);
    return object;
}

static json_t *pack_models(const report *r) {
    json_t *array = json_array();
    for (size_t i = 0; i < r->result->n_models; ++i) {
        const model_row *row = &r->models[i];
        json_t *object =
            json_pack("{s:s, s:s, s:I, s:f, s:b}", "file", row->path, "name", row->name,
                      "file_bytes", (json_int_t)row->model.file_bytes, "bits_per_weight",
                      row->model.bits_per_weight, "on_front", row->model.on_front);
        add_fields(object, eval_report_pack(&row->model.evaluation));
        if (r->result->n_tasks > 0) {
            add_fields(object, pack_tasks(row));
        }
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *pack_base(const report *r) {
    const imatrix_comparison *result = r->result;
    return json_pack("{s:s, s:I, s:f, s:o}", "file", r->options->base_path, "file_bytes",
                     (json_int_t)result->base_bytes, "bits_per_weight",
                     result->base_bits_per_weight, "perplexity",
                     pack_estimate(result->models[0].evaluation.base_perplexity));
}

static void print_json(const report *r) {
    const imatrix_evaluation *first = &r->result->models[0].evaluation;
    json_t *root = json_pack(
        "{s:o, s:s, s:I, s:I, s:I, s:o, s:o}", "base", pack_base(r), "text", r->options->text_path,
        "n_ctx", (json_int_t)first->n_ctx, "n_scored", (json_int_t)first->n_scored, "n_groups",
        (json_int_t)r->result->n_groups, "candidates", pack_models(r), "differences",
        table_pack(difference_columns, r->differences, r->result->n_differences,
                   sizeof *r->differences));
    if (r->result->n_tasks > 0) {
        json_object_set_new(root, "tasks",
                            json_pack("{s:s, s:I, s:o}", "file", r->options->tasks_path, "n_tasks",
                                      (json_int_t)r->result->n_tasks, "base_accuracy",
                                      pack_estimate(r->result->base_accuracy)));
    }
    console_print_json(root);
}

// ---- all of it ---------------------------------------------------------------------------------

static void print_csv(const report *r) {
    table_print_csv(model_columns, r->models, r->result->n_models, sizeof *r->models);
}

int compare_report_print(const imatrix_compare_options *options, const imatrix_comparison *result,
                         compare_style style) {
    static void (*const printers[])(const report *) = {
        [COMPARE_TEXT] = print_text,
        [COMPARE_JSON] = print_json,
        [COMPARE_CSV] = print_csv,
    };
    report r = {
        .options = options,
        .result = result,
        .models = calloc(result->n_models, sizeof *r.models),
        .differences = calloc(result->n_differences + 1, sizeof *r.differences),
    };
    int exit_status = EXIT_SUCCESS;
    r.suffix = all_end_in(&r, ".gguf") ? ".gguf" : "";
    r.prefix_len = measure_prefix(&r);
    if (r.models == NULL || r.differences == NULL || !build_models(&r)) {
        exit_status = console_out_of_memory();
    } else {
        build_differences(&r);
        printers[style](&r);
    }
    for (size_t i = 0; r.models != NULL && i < result->n_models; ++i) {
        free(r.models[i].name);
    }
    free(r.models);
    free(r.differences);
    return exit_status;
}
