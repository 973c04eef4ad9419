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
#include "imatrix/cli/quantize_report.h"
#include "imatrix/imatrix.h"

typedef struct quantize_args {
    imatrix_quantize_options options;
    const char *out_path; // NULL until chosen
    char *default_path;   // owned; what out_path points to when the user named none
    int effort;
    int weighting;
    int covariance;
    string_list tensor_types;
    string_list include_weights;
    string_list exclude_weights;
    string_list key_overrides;
    number_list prune_layers;
    bool dry_run;
    bool verbose;
    bool json;
} quantize_args;

static const char *const effort_names[] = {"default", "best", NULL};
static const char *const weighting_names[] = {"auto", "plain", "sqrt", NULL};
static const char *const covariance_names[] = {"auto", "off", NULL};

#define FIELD(name) offsetof(quantize_args, name)

// clang-format off
static const option_row rows[] = {
    {OPTION_STRING, "imatrix", 0, FIELD(options.imatrix_path), "FILE", "statistics of `imatrix collect` or llama-imatrix, any format"},
    {OPTION_CHOICE, "effort", 0, FIELD(effort), "{default,best}", "best: search many times longer for the last per cent", .choices = effort_names},
    {OPTION_CHOICE, "weighting", 0, FIELD(weighting), "{auto,plain,sqrt}", "how much large weights count beyond their importance:\nby type [auto], not at all, or as llama.cpp does", .choices = weighting_names},
    {OPTION_CHOICE, "covariance", 0, FIELD(covariance), "{auto,off}", "let errors pay for each other where the imatrix was collected\nwith --covariance [auto], or weigh them column by column", .choices = covariance_names},

    {OPTION_STRINGS, "tensor-type", 0, FIELD(tensor_types), "REGEX=TYPE", "type of the tensors whose name matches; repeatable,\nthe first match wins"},
    {OPTION_STRING, "tensor-type-file", 0, FIELD(options.tensor_type_file), "FILE", "more of these, separated by white space"},
    {OPTION_STRING, "output-tensor-type", 0, FIELD(options.output_type), "TYPE", "type of the output head"},
    {OPTION_STRING, "token-embedding-type", 0, FIELD(options.embedding_type), "TYPE", "type of the token embedding"},
    {OPTION_TRUE, "leave-output-tensor", 0, FIELD(options.leave_output), NULL, "keep output.weight as it is"},
    {OPTION_TRUE, "pure", 0, FIELD(options.pure), NULL, "one type for all tensors, no mix"},
    {OPTION_TRUE, "allow-requantize", 0, FIELD(options.allow_requantize), NULL, "also tensors that are quantized already"},

    {OPTION_STRINGS, "include-weights", 0, FIELD(include_weights), "NAME", "use the imatrix only for tensors with this in their name;\nrepeatable"},
    {OPTION_STRINGS, "exclude-weights", 0, FIELD(exclude_weights), "NAME", "do not use it for these; repeatable"},
    {OPTION_STRING, "missing", 0, FIELD(options.missing), "WHAT", "tensors without statistics: neutral [default], fail, or the\ntype they get"},
    {OPTION_U32, "prior-tokens", 0, FIELD(options.prior_tokens), "N", "experts that saw few tokens lean on the mean of all as if it\nhad been seen so often; 0: not at all [16]", 0, UINT32_MAX},

    {OPTION_STRINGS, "override-kv", 0, FIELD(key_overrides), "KEY=TYPE:VALUE", "set a key of the new model; TYPE is int, float, bool, str,\nor exactly u8..u64, i8..i64, f32, f64; repeatable"},
    {OPTION_NUMBERS, "prune-layers", 0, FIELD(prune_layers), "L0,L1,...", "leave these layers out", 0, UINT32_MAX},
    {OPTION_TRUE, "hide-imatrix", 0, FIELD(options.hide_imatrix), NULL, "do not write which imatrix was used"},
    {OPTION_TRUE, "keep-split", 0, FIELD(options.keep_split), NULL, "write shards as the source has them"},
    {OPTION_SIZE, "split-max-size", 0, FIELD(options.split_max_bytes), "N{M,G}", "write shards of at most so much tensor data"},
    {OPTION_TRUE, "resume", 0, FIELD(options.resume), NULL, "go on from what an interrupted run has left"},

    {OPTION_TRUE, "dry-run", 0, FIELD(dry_run), NULL, "print the plan and what it needs, write nothing"},
    {OPTION_TRUE, "verbose", 'v', FIELD(verbose), NULL, "print every tensor with its error"},
    {OPTION_INT, "threads", 't', FIELD(options.n_threads), "N", "threads [all processors]", 1, 4096},
    {OPTION_TRUE, "json", 0, FIELD(json), NULL, "print the result as JSON"},
    {OPTION_END},
};
// clang-format on

static const char *const examples[] = {
    "imatrix quantize --imatrix model.imatrix model-f16.gguf model-Q4_K_M.gguf Q4_K_M",
    "imatrix quantize --imatrix model.imatrix --tensor-type 'ffn_down=Q6_K' model-f16.gguf Q4_K_S",
    "imatrix quantize --dry-run model-f16.gguf Q2_K",
    NULL,
};

static void print_recipes(void) {
    imatrix_recipe_info info;
    printf("\nTypes, by name or number:\n");
    for (size_t i = 0; imatrix_recipe_at(i, &info); ++i) {
        printf("  %2u  %-9s %s\n", info.file_type, info.name, info.summary);
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

static int quantize(const quantize_args *args, imatrix_quantizer *quantizer,
                    console_progress *display) {
    imatrix_error error;
    const double started = console_seconds();
    quantize_report_warnings(quantizer);
    if (!args->dry_run) {
        const imatrix_status status = imatrix_quantizer_run(quantizer, args->out_path, &error);
        console_progress_end(display);
        if (status != IMATRIX_OK) {
            return console_error(&error);
        }
    }
    const double seconds = console_seconds() - started;
    const quantize_report report = {
        .quantizer = quantizer,
        .options = &args->options,
        .out_path = args->out_path,
        .seconds = args->dry_run ? NAN : seconds,
    };
    if (args->json) {
        quantize_report_json(&report);
        return EXIT_SUCCESS;
    }
    if (args->verbose || args->dry_run) {
        quantize_report_tensors(quantizer);
    }
    quantize_report_totals(&report);
    return EXIT_SUCCESS;
}

// Points the options to what the table's rows have gathered.
static void complete_options(quantize_args *args) {
    imatrix_quantize_options *options = &args->options;
    options->effort = (imatrix_effort)args->effort;
    options->weighting = (imatrix_weighting)args->weighting;
    options->ignore_covariance = args->covariance == 1;
    options->tensor_types = args->tensor_types.items;
    options->n_tensor_types = args->tensor_types.n;
    options->include_weights = args->include_weights.items;
    options->n_included = args->include_weights.n;
    options->exclude_weights = args->exclude_weights.items;
    options->n_excluded = args->exclude_weights.n;
    options->key_overrides = args->key_overrides.items;
    options->n_key_overrides = args->key_overrides.n;
    options->prune_layers = args->prune_layers.items;
    options->n_pruned = args->prune_layers.n;
}

static void free_args(quantize_args *args) {
    free(args->default_path);
    free(args->tensor_types.items);
    free(args->include_weights.items);
    free(args->exclude_weights.items);
    free(args->key_overrides.items);
    free(args->prune_layers.items);
}

static int open_and_quantize(quantize_args *args) {
    console_progress display;
    imatrix_quantizer *quantizer;
    imatrix_error error;
    complete_options(args);
    args->options.progress = console_progress_start(&display, false);
    if (imatrix_quantizer_open(&quantizer, &args->options, &error) != IMATRIX_OK) {
        return console_error(&error);
    }
    const int exit_status = quantize(args, quantizer, &display);
    imatrix_quantizer_close(quantizer);
    return exit_status;
}

static int run_quantize(const cli_command *command, int argc, char **argv) {
    quantize_args args = {.dry_run = false};
    int exit_status;
    imatrix_quantize_options_init(&args.options);
    const int n_positional = parse_options(command, argc, argv, &args, &exit_status);
    if (n_positional >= 0) {
        exit_status = read_positionals(command, n_positional, argv + 1, &args);
        if (exit_status == EXIT_SUCCESS) {
            exit_status = open_and_quantize(&args);
        }
    }
    free_args(&args);
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
