// SPDX-License-Identifier: MIT
//
// imatrix diff: how far two imatrices are apart.

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imatrix/cli/commands.h"
#include "imatrix/cli/console.h"
#include "imatrix/cli/table.h"
#include "imatrix/imatrix.h"

typedef struct diff_args {
    const char *sort;
    bool json;
} diff_args;

#define FIELD(name)      offsetof(diff_args, name)
#define DIFFERENCE(name) offsetof(imatrix_weight_difference, name)

// clang-format off
static const option_row rows[] = {
    {OPTION_STRING, "sort", 0, FIELD(sort), "COLUMN", "by this column, largest first [name]"},
    {OPTION_TRUE, "json", 0, FIELD(json), NULL, "print everything as JSON"},
    {OPTION_END},
};

static const table_column columns[] = {
    {COLUMN_NAME,  "name",             "weight",     30, DIFFERENCE(name), NULL},
    {COLUMN_EXACT, "cosine",           "cosine",     11, DIFFERENCE(cosine), "of both importances: 1 when they are proportional"},
    {COLUMN_EXACT, "rank_correlation", "rank",       11, DIFFERENCE(rank_correlation), "Spearman's correlation: 1 when the columns are in the same order"},
    {COLUMN_EXACT, "sum_ratio",        "B / A",      12, DIFFERENCE(sum_ratio), "sum of the mean squares in B over that in A"},
    {COLUMN_END},
};
// clang-format on

static const char *const examples[] = {
    "imatrix diff wiki.imatrix code.imatrix",
    "imatrix diff full.imatrix rounded.imatrix --json | jq .least.cosine",
    NULL,
};

// Of the weights whose value is a number; NAN without any.
typedef struct summary {
    double mean;
    double least;
    size_t n;
} summary;

typedef struct comparison {
    const char *paths[2];
    imatrix_weight_difference *weights; // (n); the comparable ones come first
    size_t n;
    size_t n_comparable;
    summary cosine, rank;
} comparison;

// ---- what is compared --------------------------------------------------------------------------

static void add_to_summary(summary *s, double value) {
    if (!isnan(value)) {
        const double before = s->n > 0 ? s->mean : 0.0;
        s->mean = before + (value - before) / (double)++s->n;
        s->least = fmin(s->least, value);
    }
}

static int compare_comparable(const void *a, const void *b) {
    const imatrix_weight_difference *x = a;
    const imatrix_weight_difference *y = b;
    return x->comparable != y->comparable ? (int)y->comparable - (int)x->comparable
                                          : strcmp(x->name, y->name);
}

static void summarize(comparison *c) {
    qsort(c->weights, c->n, sizeof *c->weights, compare_comparable);
    while (c->n_comparable < c->n && c->weights[c->n_comparable].comparable) {
        const imatrix_weight_difference *weight = &c->weights[c->n_comparable++];
        add_to_summary(&c->cosine, weight->cosine);
        add_to_summary(&c->rank, weight->rank_correlation);
    }
}

// Why a weight cannot be compared.
typedef enum odd_kind { ONLY_IN_A, ONLY_IN_B, OTHER_SHAPE, N_ODD_KINDS } odd_kind;

static const struct {
    const char *key;
    const char *title;
} odd_kinds[N_ODD_KINDS] = {
    [ONLY_IN_A] = {"only_in_a", "only in A"},
    [ONLY_IN_B] = {"only_in_b", "only in B"},
    [OTHER_SHAPE] = {"other_shape", "of another shape in B"},
};

static odd_kind odd_kind_of(const imatrix_weight_difference *weight) {
    return !weight->in_b ? ONLY_IN_A : !weight->in_a ? ONLY_IN_B : OTHER_SHAPE;
}

// ---- for people --------------------------------------------------------------------------------

static void print_odd(const comparison *c, odd_kind kind) {
    size_t n = 0;
    for (size_t i = c->n_comparable; i < c->n; ++i) {
        if (odd_kind_of(&c->weights[i]) == kind) {
            if (n++ == 0) {
                printf("\n%s:\n", odd_kinds[kind].title);
            }
            printf("  %s\n", c->weights[i].name);
        }
    }
}

static void print_comparison(const comparison *c) {
    printf("A: %s\nB: %s\n\n", c->paths[0], c->paths[1]);
    table_print(columns, c->weights, c->n_comparable, sizeof *c->weights);
    for (int kind = 0; kind < N_ODD_KINDS; ++kind) {
        print_odd(c, (odd_kind)kind);
    }
    printf("\n%zu weights in both, %zu not comparable", c->n_comparable, c->n - c->n_comparable);
    if (c->cosine.n > 0) {
        printf("; cosine %.6f in the mean, at least %.6f", c->cosine.mean, c->cosine.least);
    }
    printf("\n");
}

// ---- for programs ------------------------------------------------------------------------------

static json_t *pack_odd(const comparison *c, odd_kind kind) {
    json_t *names = json_array();
    for (size_t i = c->n_comparable; i < c->n; ++i) {
        if (odd_kind_of(&c->weights[i]) == kind) {
            json_array_append_new(names, json_string(c->weights[i].name));
        }
    }
    return names;
}

static void print_json(const comparison *c) {
    json_t *root = json_pack("{s:s, s:s, s:{s:o, s:o}, s:{s:o, s:o}, s:o}", "a", c->paths[0], "b",
                             c->paths[1], "mean", "cosine", table_pack_number(c->cosine.mean),
                             "rank_correlation", table_pack_number(c->rank.mean), "least", "cosine",
                             table_pack_number(c->cosine.least), "rank_correlation",
                             table_pack_number(c->rank.least), "weights",
                             table_pack(columns, c->weights, c->n_comparable, sizeof *c->weights));
    for (int kind = 0; kind < N_ODD_KINDS; ++kind) {
        json_object_set_new(root, odd_kinds[kind].key, pack_odd(c, (odd_kind)kind));
    }
    console_print_json(root);
}

// ---- the command -------------------------------------------------------------------------------

static int diff_files(const diff_args *args, const imatrix_file *a, const imatrix_file *b,
                      comparison *c) {
    imatrix_error error;
    if (imatrix_file_compare(a, b, &c->weights, &c->n, &error) != IMATRIX_OK) {
        return console_error(&error);
    }
    summarize(c);
    if (args->sort != NULL &&
        !table_sort(columns, args->sort, c->weights, c->n_comparable, sizeof *c->weights)) {
        return console_out_of_memory();
    }
    (args->json ? print_json : print_comparison)(c);
    return EXIT_SUCCESS;
}

static int open_and_compare(const diff_args *args, char **paths) {
    comparison c = {
        .paths = {paths[0], paths[1]},
        .cosine = {NAN, NAN, 0},
        .rank = {NAN, NAN, 0},
    };
    imatrix_error error;
    imatrix_file *a = NULL;
    imatrix_file *b = NULL;
    int exit_status;
    if (imatrix_file_open(&a, paths[0], &error) == IMATRIX_OK &&
        imatrix_file_open(&b, paths[1], &error) == IMATRIX_OK) {
        exit_status = diff_files(args, a, b, &c);
    } else {
        exit_status = console_error(&error);
    }
    free(c.weights);
    imatrix_file_close(b);
    imatrix_file_close(a);
    return exit_status;
}

static int run_diff(const cli_command *command, int argc, char **argv) {
    diff_args args = {0};
    int exit_status;
    const int n = parse_options(command, argc, argv, &args, &exit_status);
    if (n < 0) {
        return exit_status;
    }
    if (n != 2) {
        return usage_error(command, "needs two files, got %d", n);
    }
    if (args.sort != NULL && !table_has_number(columns, args.sort)) {
        return usage_error(command, "there is no column '%s' to sort by", args.sort);
    }
    return open_and_compare(&args, argv + 1);
}

static void print_difference_columns(void) {
    printf("\nColumns:\n");
    table_explain(columns);
}

const cli_command diff_command = {
    .name = "diff",
    .summary = "tell how far two imatrices are apart, weight by weight",
    .usage = "A B [--sort COLUMN] [--json]",
    .examples = examples,
    .options = rows,
    .more_help = print_difference_columns,
    .run = run_diff,
};
