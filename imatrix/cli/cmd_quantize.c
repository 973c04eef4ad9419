// SPDX-License-Identifier: MIT
//
// imatrix quantize: a smaller model.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "imatrix/cli/commands.h"
#include "imatrix/cli/console.h"
#include "imatrix/cli/quantize_report.h"
#include "imatrix/cli/quantize_targets.h"
#include "imatrix/cli/run_options.h"
#include "imatrix/cli/signals.h"
#include "imatrix/imatrix.h"

typedef struct quantize_args {
    imatrix_quantize_options options;
    run_args run;        // of the text to calibrate with, if there is one
    int inputs;          // index into input_names, an imatrix_inputs
    const char *types;   // several, separated by commas; or NULL
    const char *out_dir; // for these; or NULL
    quantize_targets targets;
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
static const char *const input_names[] = {"original", "quantized", NULL};

#define FIELD(name) offsetof(quantize_args, name)

// clang-format off
static const option_row rows[] = {
    {OPTION_STRING, "imatrix", 0, FIELD(options.imatrix_path), "FILE", "statistics of `imatrix collect` or llama-imatrix, any format"},
    {OPTION_STRINGS, "calibrate", 0, FIELD(run.texts), "TEXT[:W]", "instead, run a text through the model and let all errors of a row\npay for each other; TEXT is what collect takes as -f; repeatable"},
    {OPTION_STRING, "types", 0, FIELD(types), "TYPE,...", "several types, with --calibrate from one run of the text"},
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

    {OPTION_STRING, "output-dir", 'o', FIELD(out_dir), "DIR", "where the files go, made if it is not there [beside IN.gguf]", .needs = "types"},

    {OPTION_CHOICE, "inputs", 0, FIELD(inputs), "{original,quantized}", "what a layer is calibrated with: what the original layers before\nit yield, or the quantized ones, for one type at a time [original]", .choices = input_names, .needs = "calibrate"},
    RUN_ROWS("calibrate"),
    {OPTION_END},
};
// clang-format on

static const char *const examples[] = {
    "imatrix quantize --imatrix model.imatrix model-f16.gguf model-Q4_K_M.gguf Q4_K_M",
    "imatrix quantize --imatrix model.imatrix --tensor-type 'ffn_down=Q6_K' model-f16.gguf Q4_K_S",
    "imatrix quantize --calibrate my-domain.txt model-f16.gguf Q4_K_M",
    "imatrix quantize --calibrate my-domain.txt --types Q2_K,Q3_K_M,Q4_K_M -o out model-f16.gguf",
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

// IN [OUT] TYPE [THREADS], as llama-quantize takes them. OUT may be missing, so a known type in
// second place is the type unless another one follows it. With --types only IN.
static int read_positionals(const cli_command *command, int n, char **words, quantize_args *args) {
    imatrix_recipe_info recipe;
    args->options.model_path = words[0];
    if (args->types != NULL) {
        return n == 1
                   ? quantize_targets_add_types(&args->targets, command, words[0], args->out_dir,
                                                args->types)
                   : usage_error(command, "with --types needs IN.gguf alone, got %d arguments", n);
    }
    if (n > 2 && is_number(words[n - 1]) && imatrix_recipe_find(words[n - 2], &recipe)) {
        const int n_threads = atoi(words[n - 1]);
        args->options.n_threads = n_threads > 0 ? n_threads : args->options.n_threads;
        --n;
    }
    if (n != 2 && n != 3) {
        return usage_error(command, "needs IN.gguf [OUT.gguf] TYPE, got %d arguments", n);
    }
    return quantize_targets_add(&args->targets, command, words[0], words[n - 1],
                                n == 3 ? words[1] : NULL);
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
    quantize_targets_free(&args->targets);
    run_args_free(&args->run);
    free(args->tensor_types.items);
    free(args->include_weights.items);
    free(args->exclude_weights.items);
    free(args->key_overrides.items);
    free(args->prune_layers.items);
}

// ---- writing it --------------------------------------------------------------------------------

// Files that are written together.
typedef struct batch {
    quantize_args *args;
    const quantize_target *targets; // (n)
    size_t n;
    imatrix_calibration *calibration; // NULL: there is one file
    imatrix_quantizer **quantizers;   // (n)
    const char **paths;               // (n)
    double seconds;                   // NAN when nothing was run
    json_t *reports;                  // an array, or NULL: reports are text
} batch;

static imatrix_status open_quantizers(batch *b, imatrix_error *error) {
    imatrix_quantize_options options = b->args->options;
    imatrix_status status = IMATRIX_OK;
    options.calibration = b->calibration;
    for (size_t i = 0; i < b->n && status == IMATRIX_OK; ++i) {
        options.recipe = b->targets[i].recipe;
        b->paths[i] = b->targets[i].path;
        status = imatrix_quantizer_open(&b->quantizers[i], &options, error);
    }
    return status;
}

// Writes the files, or with --dry-run learns what that would need.
static imatrix_status carry_out(batch *b, imatrix_error *error) {
    const double started = console_seconds();
    imatrix_status status = IMATRIX_OK;
    b->seconds = NAN;
    if (b->args->dry_run) {
        imatrix_run_start start;
        if (b->calibration != NULL) {
            status =
                imatrix_calibration_measure(b->calibration, b->quantizers, b->n, &start, error);
        }
        return status;
    }
    if (b->args->out_dir != NULL) {
        mkdir(b->args->out_dir, 0777); // or else opening the files says what is wrong
    }
    status = b->calibration != NULL
                 ? imatrix_calibration_run(b->calibration, b->quantizers, b->paths, b->n, error)
                 : imatrix_quantizer_run(b->quantizers[0], b->paths[0], error);
    b->seconds = console_seconds() - started;
    return status;
}

static void report_file(const batch *b, size_t i) {
    const quantize_report report = {
        .quantizer = b->quantizers[i],
        .options = &b->args->options,
        .recipe = b->targets[i].recipe,
        .run = b->calibration != NULL ? &b->args->run : NULL,
        .out_path = b->paths[i],
        .seconds = b->seconds,
    };
    if (b->reports != NULL) {
        json_array_append_new(b->reports, quantize_report_pack(&report));
        return;
    }
    if (b->args->verbose || b->args->dry_run) {
        quantize_report_tensors(b->quantizers[i]);
    }
    quantize_report_totals(&report);
}

static imatrix_status run_opened(batch *b, imatrix_error *error) {
    imatrix_status status = open_quantizers(b, error);
    for (size_t i = 0; i < b->n && status == IMATRIX_OK; ++i) {
        quantize_report_warnings(b->quantizers[i]);
    }
    return status == IMATRIX_OK ? carry_out(b, error) : status;
}

static int run_batch(batch *b, console_progress *display) {
    imatrix_error error;
    b->quantizers = calloc(b->n, sizeof *b->quantizers);
    b->paths = calloc(b->n, sizeof *b->paths);
    int exit_status = EXIT_SUCCESS;
    if (b->quantizers == NULL || b->paths == NULL) {
        exit_status = console_out_of_memory();
    } else if (run_opened(b, &error) != IMATRIX_OK) {
        console_progress_end(display);
        exit_status = console_error(&error);
    } else {
        console_progress_end(display);
        for (size_t i = 0; i < b->n; ++i) {
            report_file(b, i);
        }
    }
    for (size_t i = 0; b->quantizers != NULL && i < b->n; ++i) {
        imatrix_quantizer_close(b->quantizers[i]);
    }
    free(b->quantizers);
    free(b->paths);
    return exit_status;
}

// All files from one run of the text.
static int run_calibrated(batch *b, console_progress *display) {
    quantize_args *args = b->args;
    imatrix_calibration_options options;
    imatrix_error error;
    imatrix_calibration_options_init(&options);
    options.run = args->run.options;
    options.run.model_path = args->options.model_path;
    options.run.n_threads = args->options.n_threads;
    options.run.progress = args->options.progress;
    options.inputs = (imatrix_inputs)args->inputs;
    if (imatrix_calibration_open(&b->calibration, &options, &error) != IMATRIX_OK) {
        return console_error(&error);
    }
    b->n = args->targets.n;
    const int exit_status = run_batch(b, display);
    imatrix_calibration_close(b->calibration);
    if (exit_status != EXIT_SUCCESS) {
        signals_die_as_asked();
    }
    return exit_status;
}

// One file after the other.
static int run_each(batch *b, console_progress *display) {
    int exit_status = EXIT_SUCCESS;
    b->n = 1;
    for (size_t i = 0; i < b->args->targets.n && exit_status == EXIT_SUCCESS; ++i) {
        b->targets = &b->args->targets.items[i];
        exit_status = run_batch(b, display);
    }
    return exit_status;
}

static int quantize(const cli_command *command, quantize_args *args) {
    console_progress display;
    const bool is_calibrated = args->run.texts.n > 0;
    if (is_calibrated && args->options.imatrix_path != NULL) {
        return usage_error(command, "--calibrate and --imatrix exclude each other");
    }
    if (!run_args_complete(&args->run)) {
        return console_out_of_memory();
    }
    complete_options(args);
    args->options.progress = console_progress_start(&display, args->run.json_progress);
    batch b = {
        .args = args,
        .targets = args->targets.items,
        .reports = args->json ? json_array() : NULL,
    };
    const int exit_status = (is_calibrated ? run_calibrated : run_each)(&b, &display);
    if (exit_status == EXIT_SUCCESS && b.reports != NULL) {
        json_t *only = args->targets.n == 1 ? json_array_get(b.reports, 0) : b.reports;
        console_print_json(json_incref(only));
    }
    json_decref(b.reports);
    return exit_status;
}

static int run_quantize(const cli_command *command, int argc, char **argv) {
    quantize_args args = {.dry_run = false};
    imatrix_calibration_options calibration;
    int exit_status;
    imatrix_quantize_options_init(&args.options);
    imatrix_calibration_options_init(&calibration);
    run_args_init(&args.run, &calibration.run);
    args.inputs = (int)calibration.inputs;
    const int n_positional = parse_options(command, argc, argv, &args, &exit_status);
    if (n_positional >= 0) {
        exit_status = read_positionals(command, n_positional, argv + 1, &args);
        if (exit_status == EXIT_SUCCESS) {
            exit_status = quantize(command, &args);
        }
    }
    free_args(&args);
    return exit_status;
}

const cli_command quantize_command = {
    .name = "quantize",
    .summary = "write a smaller model, its errors weighted by the statistics",
    .usage = "[OPTIONS] IN.gguf [OUT.gguf] TYPE [THREADS]\n"
             "       imatrix quantize [OPTIONS] --types TYPE,... [-o DIR] IN.gguf",
    .examples = examples,
    .options = rows,
    .more_help = print_recipes,
    .run = run_quantize,
};
