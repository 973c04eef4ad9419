// SPDX-License-Identifier: MIT
//
// imatrix show: what is in an imatrix.

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "imatrix/cli/commands.h"
#include "imatrix/cli/console.h"
#include "imatrix/cli/format_names.h"
#include "imatrix/cli/table.h"
#include "imatrix/imatrix.h"

typedef struct show_args {
    const char *sort;
    bool json;
} show_args;

#define FIELD(name)  offsetof(show_args, name)
#define WEIGHT(name) offsetof(imatrix_weight_statistics, name)
#define LAYER(name)  offsetof(imatrix_layer_statistics, name)

// clang-format off
static const option_row rows[] = {
    {OPTION_STRING, "sort", 0, FIELD(sort), "COLUMN", "weights by this column, largest first [layer]"},
    {OPTION_TRUE, "json", 0, FIELD(json), NULL, "print everything as JSON"},
    {OPTION_END},
};

static const table_column weight_columns[] = {
    {COLUMN_NAME,  "name",        "weight",    22, WEIGHT(name), NULL},
    {COLUMN_I32,   "layer",       NULL,         0, WEIGHT(layer), NULL},
    {COLUMN_U64,   "n_cols",      NULL,         0, WEIGHT(n_cols), "inputs of a matrix (JSON only)"},
    {COLUMN_U64,   "n_mats",      NULL,         0, WEIGHT(n_mats), "matrices: experts (JSON only)"},
    {COLUMN_U64,   "n_values",    NULL,         0, WEIGHT(n_values), "columns of all matrices that saw something (JSON only)"},
    {COLUMN_REAL,  "sum",         "sum",        9, WEIGHT(sum), "of a, the mean squared inputs of all columns"},
    {COLUMN_REAL,  "min",         "min",        9, WEIGHT(min), "smallest a"},
    {COLUMN_REAL,  "max",         "max",        9, WEIGHT(max), "largest a"},
    {COLUMN_REAL,  "mean",        "mean",       9, WEIGHT(mean), "of a"},
    {COLUMN_REAL,  "sigma",       "sigma",      9, WEIGHT(sigma), "standard deviation of a"},
    {COLUMN_SHARE, "active",      "active",     7, WEIGHT(active), "share of columns with a above 0.00001, per cent"},
    {COLUMN_REAL,  "entropy",     NULL,         0, WEIGHT(entropy), "of a / sum, bits (JSON only)"},
    {COLUMN_SHARE, "evenness",    "even",       6, WEIGHT(evenness), "entropy / log2(columns), per cent: 100 when all are alike"},
    {COLUMN_SHARE, "above_sigma", "z>1",        6, WEIGHT(above_sigma), "share of columns beyond mean + sigma, per cent"},
    {COLUMN_FIXED, "cosine",      "cosine",     8, WEIGHT(cosine), "with the same weight one layer below: 1 when alike"},
    {COLUMN_SHARE, "top_share",   "top 1%",     7, WEIGHT(top_share), "share of the sum in the largest hundredth of the columns"},
    {COLUMN_REAL,  "rows",        NULL,         0, WEIGHT(rows), "tokens that were multiplied with it, all experts together"},
    {COLUMN_REAL,  "rows_min",    NULL,         0, WEIGHT(rows_min), "of the expert that saw fewest"},
    {COLUMN_REAL,  "rows_median", NULL,         0, WEIGHT(rows_median), NULL},
    {COLUMN_REAL,  "rows_max",    NULL,         0, WEIGHT(rows_max), NULL},
    {COLUMN_U64,   "n_unseen",    NULL,         0, WEIGHT(n_unseen), "experts that saw nothing"},
    {COLUMN_END},
};

static const table_column expert_columns[] = {
    {COLUMN_NAME,  "name",        "tokens by matrix", 22, WEIGHT(name), NULL},
    {COLUMN_U64,   "n_mats",      "matrices",  9, WEIGHT(n_mats), NULL},
    {COLUMN_COUNT, "rows",        "all",      11, WEIGHT(rows), NULL},
    {COLUMN_COUNT, "rows_min",    "fewest",   11, WEIGHT(rows_min), NULL},
    {COLUMN_COUNT, "rows_median", "median",   11, WEIGHT(rows_median), NULL},
    {COLUMN_COUNT, "rows_max",    "most",     11, WEIGHT(rows_max), NULL},
    {COLUMN_U64,   "n_unseen",    "unseen",    9, WEIGHT(n_unseen), NULL},
    {COLUMN_END},
};

static const table_column layer_columns[] = {
    {COLUMN_I32,   "layer",       "layer",     5, LAYER(layer), NULL},
    {COLUMN_U64,   "n_weights",   "weights",   9, LAYER(n_weights), NULL},
    {COLUMN_REAL,  "sum",         "sum",      10, LAYER(sum), NULL},
    {COLUMN_SHARE, "above_sigma", "z>1",       7, LAYER(above_sigma), NULL},
    {COLUMN_FIXED, "cosine",      "cosine",    8, LAYER(cosine), NULL},
    {COLUMN_SHARE, "top_share",   "top 1%",    8, LAYER(top_share), NULL},
    {COLUMN_END},
};
// clang-format on

static const char *const examples[] = {
    "imatrix show model.imatrix",
    "imatrix show model.imatrix --sort top_share",
    "imatrix show imatrix.dat --json | jq '.layers[].cosine'",
    NULL,
};

// All there is to show.
typedef struct content {
    const char *path;
    const imatrix_file *file;
    imatrix_file_info info;
    imatrix_weight_statistics *weights; // (info.n_entries)
    imatrix_layer_statistics *layers;   // (n_layers)
    size_t n_layers;
} content;

// ---- for people --------------------------------------------------------------------------------

static void print_texts(const content *c) {
    imatrix_text_share text;
    for (size_t i = 0; i < c->info.n_texts; ++i) {
        imatrix_file_text(c->file, i, &text);
        printf("  text %s", text.name);
        if (text.hash[0] != '\0') {
            printf(": %llu tokens in %llu chunks, weight %g, hash %s",
                   (unsigned long long)text.n_tokens, (unsigned long long)text.n_chunks,
                   text.weight, text.hash);
        }
        printf("\n");
    }
}

static void print_chunks(const imatrix_file_info *info) {
    printf("  %llu chunks", (unsigned long long)info->n_chunks);
    if (info->chunk_size > 1) {
        printf(" of %u tokens", info->chunk_size);
    }
    if (info->n_tokens > 0) {
        printf(", %llu tokens in all", (unsigned long long)info->n_tokens);
    }
    if (info->n_left_out > 0) {
        printf("; left out where they were no longer finite: %llu",
               (unsigned long long)info->n_left_out);
    }
    printf("\n");
}

static void print_origin(const content *c) {
    const imatrix_file_info *info = &c->info;
    printf("%s: %s, statistics of %llu weights in %zu layers\n", c->path,
           format_names[info->format], (unsigned long long)info->n_entries, c->n_layers);
    if (info->program != NULL) {
        printf("  written by %s\n", info->program);
    }
    if (info->model_name != NULL) {
        printf("  model %s", info->model_name);
        printf(info->model_hash != NULL ? ", hash %s\n" : "\n", info->model_hash);
    }
    print_chunks(info);
    print_texts(c);
    if (info->digits > 0) {
        printf("  rounded to %u digits\n", info->digits);
    }
    if (info->precision != NULL) {
        printf("  products %s\n", info->precision);
    }
    if (info->n_with_products > 0) {
        printf("  products of columns for %llu weights\n",
               (unsigned long long)info->n_with_products);
    }
    if (info->all_experts) {
        printf("  experts saw all tokens, not only those the router sent them\n");
    }
}

// What dense weights have seen, on one line, since nearly always it is the same for all.
static void print_dense_coverage(const content *c) {
    double fewest = INFINITY;
    double most = -INFINITY;
    for (uint64_t i = 0; i < c->info.n_entries; ++i) {
        const imatrix_weight_statistics *weight = &c->weights[i];
        if (weight->n_mats == 1) {
            fewest = fmin(fewest, weight->rows);
            most = fmax(most, weight->rows);
        }
    }
    if (fewest <= most) {
        printf("\nEvery dense weight has seen %.0f", fewest);
        if (fewest < most) {
            printf(" to %.0f", most);
        }
        printf(c->info.chunk_size > 1 ? " tokens.\n"
                                      : " chunks: the file does not count tokens.\n");
    }
}

static void print_experts(const content *c) {
    imatrix_weight_statistics *sparse = calloc(c->info.n_entries, sizeof *sparse);
    size_t n = 0;
    for (uint64_t i = 0; sparse != NULL && i < c->info.n_entries; ++i) {
        if (c->weights[i].n_mats > 1) {
            sparse[n++] = c->weights[i];
        }
    }
    if (n > 0) {
        printf("\n");
        table_print(expert_columns, sparse, n, sizeof *sparse);
    }
    free(sparse);
}

static void print_content(const content *c) {
    print_origin(c);
    printf("\n");
    table_print(weight_columns, c->weights, c->info.n_entries, sizeof *c->weights);
    print_dense_coverage(c);
    print_experts(c);
    if (c->n_layers > 0) {
        printf("\n");
        table_print(layer_columns, c->layers, c->n_layers, sizeof *c->layers);
    }
}

// ---- for programs ------------------------------------------------------------------------------

static json_t *pack_texts(const content *c) {
    imatrix_text_share text;
    json_t *texts = json_array();
    for (size_t i = 0; i < c->info.n_texts; ++i) {
        imatrix_file_text(c->file, i, &text);
        json_array_append_new(texts, console_pack_share(&text));
    }
    return texts;
}

static void print_json(const content *c) {
    const imatrix_file_info *info = &c->info;
    console_print_json(json_pack(
        "{s:s, s:s, s:s?, s:s?, s:s?, s:s?, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:o, s:o}",
        "file", c->path, "format", format_names[info->format], "program", info->program, "model",
        info->model_name, "model_hash", info->model_hash, "precision", info->precision, "n_chunks",
        (json_int_t)info->n_chunks, "chunk_size", (json_int_t)info->chunk_size, "n_tokens",
        (json_int_t)info->n_tokens, "n_left_out", (json_int_t)info->n_left_out, "digits",
        (json_int_t)info->digits, "n_with_products", (json_int_t)info->n_with_products,
        "all_experts", info->all_experts, "texts", pack_texts(c), "weights",
        table_pack(weight_columns, c->weights, info->n_entries, sizeof *c->weights), "layers",
        table_pack(layer_columns, c->layers, c->n_layers, sizeof *c->layers)));
}

// ---- the command -------------------------------------------------------------------------------

static int show_file(const show_args *args, content *c) {
    imatrix_error error;
    imatrix_file_get_info(c->file, &c->info);
    c->weights = calloc(c->info.n_entries, sizeof *c->weights);
    c->layers = calloc(c->info.n_entries, sizeof *c->layers);
    if (c->weights == NULL || c->layers == NULL) {
        return console_out_of_memory();
    }
    if (imatrix_file_statistics(c->file, c->weights, c->layers, &c->n_layers, &error) !=
        IMATRIX_OK) {
        return console_error(&error);
    }
    if (args->sort != NULL && !table_sort(weight_columns, args->sort, c->weights, c->info.n_entries,
                                          sizeof *c->weights)) {
        return console_out_of_memory();
    }
    (args->json ? print_json : print_content)(c);
    return EXIT_SUCCESS;
}

static int open_and_show(const show_args *args, const char *path) {
    imatrix_error error;
    imatrix_file *file;
    if (imatrix_file_open(&file, path, &error) != IMATRIX_OK) {
        return console_error(&error);
    }
    content c = {.path = path, .file = file};
    const int exit_status = show_file(args, &c);
    free(c.weights);
    free(c.layers);
    imatrix_file_close(file);
    return exit_status;
}

static int run_show(const cli_command *command, int argc, char **argv) {
    show_args args = {0};
    int exit_status;
    const int n = parse_options(command, argc, argv, &args, &exit_status);
    if (n < 0) {
        return exit_status;
    }
    if (n != 1) {
        return usage_error(command, "needs one FILE, got %d", n);
    }
    if (args.sort != NULL && !table_has_number(weight_columns, args.sort)) {
        return usage_error(command, "there is no column '%s' to sort by", args.sort);
    }
    return open_and_show(&args, argv[1]);
}

static void print_weight_columns(void) {
    printf("\nColumns:\n");
    table_explain(weight_columns);
}

const cli_command show_command = {
    .name = "show",
    .summary =
        "print the statistics in an imatrix by weight and by layer, and where they come from",
    .usage = "FILE [--sort COLUMN] [--json]",
    .examples = examples,
    .options = rows,
    .more_help = print_weight_columns,
    .run = run_show,
};
