// SPDX-License-Identifier: MIT
//
// imatrix quantize: a smaller model.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "imatrix/cli/commands.h"
#include "imatrix/cli/console.h"
#include "imatrix/imatrix.h"

typedef struct quantize_args {
    imatrix_quantize_options options;
    const char *out_path; // NULL until chosen
    char *default_path;   // owned; what out_path points to when the user named none
    bool dry_run;
    bool verbose;
    bool json;
} quantize_args;

enum { MAX_TYPES = 64 };

// Tensors and bytes of one type.
typedef struct type_total {
    const char *type;
    uint64_t n_tensors;
    uint64_t size_bytes;
} type_total;

#define FIELD(name) offsetof(quantize_args, name)

// clang-format off
static const option_row rows[] = {
    {OPTION_STRING, "imatrix", 0, FIELD(options.imatrix_path), "FILE", "statistics of `imatrix collect` or llama-imatrix, any format"},
    {OPTION_TRUE, "dry-run", 0, FIELD(dry_run), NULL, "print the plan and the sizes, write nothing"},
    {OPTION_TRUE, "verbose", 'v', FIELD(verbose), NULL, "print every tensor with its error"},
    {OPTION_INT, "threads", 't', FIELD(options.n_threads), "N", "threads [all processors]", 1, 4096},
    {OPTION_TRUE, "json", 0, FIELD(json), NULL, "print the result as JSON"},
    {OPTION_END},
};
// clang-format on

static const char *const examples[] = {
    "imatrix quantize --imatrix model.imatrix model-f16.gguf model-Q4_K_M.gguf Q4_K_M",
    "imatrix quantize --dry-run model-f16.gguf Q2_K",
    NULL,
};

static void print_recipes(void) {
    imatrix_recipe_info info;
    printf("\nTypes, by name or number:\n");
    for (size_t i = 0; imatrix_recipe_at(i, &info); ++i) {
        printf("  %2u  %-8s %s\n", info.file_type, info.name, info.summary);
    }
}

static bool is_number(const char *word) {
    return word[0] != '\0' && word[strspn(word, "0123456789")] == '\0';
}

// "dir/model-f16.gguf" and Q4_K_M make "dir/model-Q4_K_M.gguf".
static char *make_default_path(const char *model_path, const char *recipe) {
    static const char *const endings[] = {".gguf", "-f16",  "-bf16", "-f32",
                                          ".f16",  ".bf16", ".f32"};
    size_t stem = strlen(model_path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; ++i) {
        const size_t n = strlen(endings[i]);
        if (stem > n && strncasecmp(model_path + stem - n, endings[i], n) == 0) {
            stem -= n;
        }
    }
    const size_t size = stem + strlen(recipe) + sizeof "-.gguf";
    char *path = malloc(size);
    if (path != NULL) {
        snprintf(path, size, "%.*s-%s.gguf", (int)stem, model_path, recipe);
    }
    return path;
}

// IN [OUT] TYPE [THREADS], as llama-quantize takes them. OUT may be missing, so a known type in
// second place is the type unless another one follows it.
static int read_positionals(const cli_command *command, int n, char **words, quantize_args *args) {
    imatrix_recipe_info recipe;
    if (n > 2 && is_number(words[n - 1]) && imatrix_recipe_find(words[n - 2], &recipe)) {
        const int n_threads = atoi(words[n - 1]);
        args->options.n_threads = n_threads > 0 ? n_threads : args->options.n_threads;
        --n;
    }
    if (n != 2 && n != 3) {
        return usage_error(command, "needs IN.gguf [OUT.gguf] TYPE, got %d arguments", n);
    }
    if (!imatrix_recipe_find(words[n - 1], &recipe)) {
        return usage_error(command, "unknown type '%s'", words[n - 1]);
    }
    args->options.model_path = words[0];
    args->options.recipe = recipe.name;
    if (n == 2) {
        args->default_path = make_default_path(words[0], recipe.name);
    }
    args->out_path = n == 3 ? words[1] : args->default_path;
    return EXIT_SUCCESS;
}

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

static void print_tensor(const imatrix_tensor_plan *tensor) {
    char dims[96];
    char error[32] = "";
    const char *note = tensor->is_fallback        ? "row length fits no better type"
                       : tensor->lacks_statistics ? "no statistics"
                       : tensor->has_statistics   ? "imatrix"
                                                  : "";
    format_dims(tensor, dims, sizeof dims);
    if (!isnan(tensor->weighted_error)) {
        snprintf(error, sizeof error, "%.3e", tensor->weighted_error);
    }
    printf("%-36s %-18s %5s -> %-5s %11s  %-9s  %s\n", tensor->name, dims, tensor->source_type,
           tensor->type, console_bytes(tensor->size_bytes), error, note);
}

static void print_tensors(const imatrix_quantizer *quantizer) {
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

static void print_totals(const quantize_args *args, const imatrix_quantizer *quantizer,
                         double seconds) {
    imatrix_plan_totals totals;
    type_total by_type[MAX_TYPES];
    const size_t n_types = sum_by_type(quantizer, by_type);
    imatrix_quantizer_totals(quantizer, &totals);
    printf("%-8s %8s %14s\n", "type", "tensors", "size");
    for (size_t i = 0; i < n_types; ++i) {
        printf("%-8s %8llu %14s\n", by_type[i].type, (unsigned long long)by_type[i].n_tensors,
               console_bytes(by_type[i].size_bytes));
    }
    printf("%-8s %8llu %14s  %.3f bits per weight, from %s\n", "total",
           (unsigned long long)totals.n_tensors, console_bytes(totals.size_bytes),
           totals.bits_per_weight, console_bytes(totals.source_bytes));
    if (args->options.imatrix_path != NULL) {
        printf("imatrix: %llu entries, used for %llu tensors\n",
               (unsigned long long)totals.n_imatrix_entries,
               (unsigned long long)totals.n_with_statistics);
    }
    if (!args->dry_run) {
        printf("%s written in %.1f s\n", args->out_path, seconds);
    }
}

static json_t *tensor_to_json(const imatrix_tensor_plan *tensor) {
    json_t *dims = json_array();
    for (uint32_t i = 0; i < tensor->n_dims; ++i) {
        json_array_append_new(dims, json_integer((json_int_t)tensor->dims[i]));
    }
    json_t *object =
        json_pack("{s:s, s:o, s:s, s:s, s:I, s:b, s:b, s:b}", "name", tensor->name, "shape", dims,
                  "source_type", tensor->source_type, "type", tensor->type, "size_bytes",
                  (json_int_t)tensor->size_bytes, "has_statistics", tensor->has_statistics,
                  "lacks_statistics", tensor->lacks_statistics, "is_fallback", tensor->is_fallback);
    if (!isnan(tensor->weighted_error)) {
        json_object_set_new(object, "weighted_error", json_real(tensor->weighted_error));
        json_object_set_new(object, "relative_error", json_real(tensor->relative_error));
    }
    return object;
}

static void print_json(const quantize_args *args, const imatrix_quantizer *quantizer,
                       double seconds) {
    imatrix_plan_totals totals;
    imatrix_tensor_plan tensor;
    json_t *tensors = json_array();
    imatrix_quantizer_totals(quantizer, &totals);
    for (size_t i = 0; i < totals.n_tensors; ++i) {
        imatrix_quantizer_tensor(quantizer, i, &tensor);
        json_array_append_new(tensors, tensor_to_json(&tensor));
    }
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:f, s:I, s:I, s:f, s:o}", "model",
                  args->options.model_path, "output", args->out_path, "type", args->options.recipe,
                  "n_weights", (json_int_t)totals.n_weights, "size_bytes",
                  (json_int_t)totals.size_bytes, "bits_per_weight", totals.bits_per_weight,
                  "n_with_statistics", (json_int_t)totals.n_with_statistics, "n_lacking_statistics",
                  (json_int_t)totals.n_lacking_statistics, "seconds", seconds, "tensors", tensors);
    console_print_json(root);
}

// Names what the imatrix does not cover before hours are spent on it.
static void warn_of_missing(const imatrix_quantizer *quantizer) {
    imatrix_plan_totals totals;
    imatrix_tensor_plan tensor;
    imatrix_quantizer_totals(quantizer, &totals);
    if (totals.n_lacking_statistics == 0) {
        return;
    }
    fprintf(stderr,
            "imatrix: warning: the imatrix has no statistics for %llu tensors, which are "
            "quantized without:\n",
            (unsigned long long)totals.n_lacking_statistics);
    for (size_t i = 0; i < totals.n_tensors; ++i) {
        imatrix_quantizer_tensor(quantizer, i, &tensor);
        if (tensor.lacks_statistics) {
            fprintf(stderr, "  %s\n", tensor.name);
        }
    }
}

static int quantize(const quantize_args *args, imatrix_quantizer *quantizer,
                    console_progress *display) {
    imatrix_error error;
    const double started = console_seconds();
    warn_of_missing(quantizer);
    if (!args->dry_run) {
        const imatrix_status status = imatrix_quantizer_run(quantizer, args->out_path, &error);
        console_progress_end(display);
        if (status != IMATRIX_OK) {
            return console_error(&error);
        }
    }
    const double seconds = console_seconds() - started;
    if (args->json) {
        print_json(args, quantizer, seconds);
        return EXIT_SUCCESS;
    }
    if (args->verbose || args->dry_run) {
        print_tensors(quantizer);
    }
    print_totals(args, quantizer, seconds);
    return EXIT_SUCCESS;
}

static int run_quantize(const cli_command *command, int argc, char **argv) {
    quantize_args args = {.dry_run = false};
    int exit_status;
    imatrix_quantize_options_init(&args.options);
    const int n_positional = parse_options(command, argc, argv, &args, &exit_status);
    if (n_positional < 0) {
        return exit_status;
    }
    exit_status = read_positionals(command, n_positional, argv + 1, &args);
    if (exit_status != EXIT_SUCCESS) {
        return exit_status;
    }

    console_progress display;
    imatrix_quantizer *quantizer;
    imatrix_error error;
    args.options.progress = console_progress_start(&display);
    if (imatrix_quantizer_open(&quantizer, &args.options, &error) == IMATRIX_OK) {
        exit_status = quantize(&args, quantizer, &display);
    } else {
        exit_status = console_error(&error);
    }
    imatrix_quantizer_close(quantizer);
    free(args.default_path);
    return exit_status;
}

const cli_command quantize_command = {
    .name = "quantize",
    .summary = "write a smaller model, its errors weighted by the statistics",
    .usage = "[OPTIONS] IN.gguf [OUT.gguf] TYPE [THREADS]",
    .examples = examples,
    .options = rows,
    .more_help = print_recipes,
    .run = run_quantize,
};
