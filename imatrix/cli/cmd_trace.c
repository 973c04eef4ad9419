// SPDX-License-Identifier: MIT
//
// imatrix trace: what a model makes of a few tokens, and whether that is right.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "imatrix/cli/commands.h"
#include "imatrix/cli/console.h"
#include "imatrix/cli/table.h"
#include "imatrix/imatrix.h"

typedef struct trace_args {
    imatrix_trace_options options;
    const char *tolerance;
    bool json;
} trace_args;

#define FIELD(name) offsetof(trace_args, name)

enum { N_SHOWN = 10 };

// clang-format off
static const option_row rows[] = {
    {OPTION_STRING, "model", 'm', FIELD(options.model_path), "FILE", "model in GGUF, of any type"},
    {OPTION_STRING, "file", 'f', FIELD(options.text_path), "FILE", "text, whose first tokens are run"},
    {OPTION_STRING, "tokens", 0, FIELD(options.tokens_path), "FILE", "or token numbers, between spaces or commas"},
    {OPTION_STRING, "against", 0, FIELD(options.against_path), "FILE", "or a trace: runs its tokens and compares"},
    {OPTION_STRING, "output", 'o', FIELD(options.out_path), "FILE", "write the trace: tokens, logits, input sums of every product"},
    {OPTION_STRING, "tolerance", 0, FIELD(tolerance), "X", "exit with 1 if the normalised mean square error of the logits is\nabove X, or a sum of squares is off by more than sqrt(X) [1e-6]"},
    {OPTION_U32, "ctx-size", 'c', FIELD(options.n_ctx), "N", "tokens to run at most, as one chunk [512]", 1, 1 << 20},
    {OPTION_TRUE, "parse-special", 0, FIELD(options.parse_special), NULL, "special tokens written in the text become their ids"},
    {OPTION_INT, "threads", 't', FIELD(options.n_threads), "N", "threads [all processors]", 1, 4096},
    {OPTION_TRUE, "json", 0, FIELD(json), NULL, "print the comparison as JSON"},
    {OPTION_END},
};

static const char *const state_names[] = {
    [IMATRIX_TRACE_SAME]    = "same",
    [IMATRIX_TRACE_COUNTS]  = "other counts",
    [IMATRIX_TRACE_SHAPE]   = "other shape",
    [IMATRIX_TRACE_MISSING] = "missing here",
    [IMATRIX_TRACE_EXTRA]   = "not in the reference",
};
// clang-format on

static const char *const examples[] = {
    "imatrix trace -m model-f16.gguf -f text.txt -c 64 -o trace.gguf",
    "imatrix trace -m model-f16.gguf --against reference.gguf",
    NULL,
};

// Wrong in kind before wrong in degree, then the worst first; NaN is worst of all.
static int compare_products(const void *a, const void *b) {
    const imatrix_trace_product *x = a, *y = b;
    if ((x->state == IMATRIX_TRACE_SAME) != (y->state == IMATRIX_TRACE_SAME)) {
        return x->state == IMATRIX_TRACE_SAME ? 1 : -1;
    }
    if (isnan(x->error) != isnan(y->error)) {
        return isnan(x->error) ? -1 : 1;
    }
    return (x->error < y->error) - (x->error > y->error);
}

static bool is_within(const imatrix_trace_result *result, double tolerance) {
    bool within = result->logits_error <= tolerance;
    for (size_t i = 0; i < result->n_products; ++i) {
        const imatrix_trace_product *product = &result->products[i];
        within =
            within && product->state == IMATRIX_TRACE_SAME && product->error <= sqrt(tolerance);
    }
    return within;
}

static void print_comparison(const imatrix_trace_result *result, double tolerance) {
    printf("Tokens                %12llu\n", (unsigned long long)result->n_tokens);
    printf("Error of the logits   %12.3g (normalised mean square; tolerance %g)\n",
           result->logits_error, tolerance);
    printf("Same top token        %12.3f %%\n", 100.0 * result->same_top);
    printf("\n%-36s %12s\n", "Worst products", "sums off by");
    for (size_t i = 0; i < result->n_products && i < N_SHOWN; ++i) {
        const imatrix_trace_product *product = &result->products[i];
        printf("%-36s %12.3g  %s\n", product->name, product->error,
               product->state == IMATRIX_TRACE_SAME ? "" : state_names[product->state]);
    }
    printf("%zu products, tolerance %.3g: %s\n", result->n_products, sqrt(tolerance),
           is_within(result, tolerance) ? "all is within" : "THIS IS NOT THE SAME MODEL");
}

static void print_json(const trace_args *args, const imatrix_trace_result *result,
                       double tolerance) {
    json_t *products = json_array();
    for (size_t i = 0; i < result->n_products; ++i) {
        const imatrix_trace_product *product = &result->products[i];
        json_array_append_new(products, json_pack("{s:s, s:s, s:o}", "name", product->name, "state",
                                                  state_names[product->state], "error",
                                                  table_pack_number(product->error)));
    }
    console_print_json(json_pack(
        "{s:s, s:s, s:I, s:o, s:f, s:f, s:b, s:o}", "model", args->options.model_path, "against",
        args->options.against_path, "n_tokens", (json_int_t)result->n_tokens, "logits_error",
        table_pack_number(result->logits_error), "same_top", result->same_top, "tolerance",
        tolerance, "within", is_within(result, tolerance), "products", products));
}

static int report(const trace_args *args, imatrix_trace_result *result, double tolerance) {
    if (!result->has_comparison) {
        fprintf(stderr, "imatrix: wrote the trace of %llu tokens to %s\n",
                (unsigned long long)result->n_tokens, args->options.out_path);
        return EXIT_SUCCESS;
    }
    qsort(result->products, result->n_products, sizeof *result->products, compare_products);
    if (args->json) {
        print_json(args, result, tolerance);
    } else {
        print_comparison(result, tolerance);
    }
    return is_within(result, tolerance) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int check_args(const cli_command *command, const trace_args *args, double *tolerance) {
    const imatrix_trace_options *options = &args->options;
    const int n_inputs = (options->text_path != NULL) + (options->tokens_path != NULL) +
                         (options->against_path != NULL);
    char *end = NULL;
    *tolerance = args->tolerance != NULL ? strtod(args->tolerance, &end) : 1e-6;
    if (end != NULL && (*end != '\0' || !(*tolerance >= 0))) {
        return usage_error(command, "--tolerance '%s' is not a number", args->tolerance);
    }
    if (options->model_path == NULL || n_inputs != 1) {
        return usage_error(command, "a model (-m) is needed, and one of -f, --tokens, --against");
    }
    if (options->against_path == NULL && options->out_path == NULL) {
        return usage_error(command, "a file for the trace (-o) is needed");
    }
    return EXIT_SUCCESS;
}

static int run_trace(const cli_command *command, int argc, char **argv) {
    trace_args args = {.json = false};
    console_progress display;
    imatrix_trace_result result;
    imatrix_error error;
    double tolerance;
    int exit_status;
    imatrix_trace_options_init(&args.options);
    if (parse_options_only(command, argc, argv, &args, &exit_status) < 0) {
        return exit_status;
    }
    exit_status = check_args(command, &args, &tolerance);
    if (exit_status != EXIT_SUCCESS) {
        return exit_status;
    }
    args.options.progress = console_progress_start(&display, false);
    const imatrix_status status = imatrix_trace(&args.options, &result, &error);
    console_progress_end(&display);
    exit_status = status != IMATRIX_OK ? console_error(&error) : report(&args, &result, tolerance);
    imatrix_trace_result_free(&result);
    return exit_status;
}

const cli_command trace_command = {
    .name = "trace",
    .summary = "run a few tokens and compare the forward pass with another program's",
    .usage = "-m MODEL.gguf {-f TEXT | --tokens FILE | --against REF.gguf} [-o OUT.gguf] [OPTIONS]",
    .examples = examples,
    .options = rows,
    .run = run_trace,
};
