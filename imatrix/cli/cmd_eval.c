// SPDX-License-Identifier: MIT
//
// imatrix eval: what was lost.

#include <stdio.h>
#include <stdlib.h>

#include "imatrix/cli/commands.h"
#include "imatrix/cli/console.h"
#include "imatrix/imatrix.h"

typedef struct eval_args {
    imatrix_evaluate_options options;
    bool json;
} eval_args;

#define FIELD(name) offsetof(eval_args, name)

// clang-format off
static const option_row rows[] = {
    {OPTION_STRING, "model", 'm', FIELD(options.model_path), "FILE", "model in GGUF, of any type"},
    {OPTION_STRING, "file", 'f', FIELD(options.text_path), "FILE", "text; another one than the model was calibrated on"},
    {OPTION_STRING, "base", 0, FIELD(options.base_path), "FILE", "the model it was made from: adds KL divergence and agreement"},
    {OPTION_U32, "ctx-size", 'c', FIELD(options.n_ctx), "N", "tokens in a chunk; the second half of each is scored [512]", 4, 1 << 20},
    {OPTION_U64, "chunks", 0, FIELD(options.max_chunks), "N", "run at most N chunks, -1 = all [all]", 1, UINT32_MAX},
    {OPTION_TRUE, "parse-special", 0, FIELD(options.parse_special), NULL, "special tokens written in the text become their ids"},
    {OPTION_INT, "threads", 't', FIELD(options.n_threads), "N", "threads [all processors]", 1, 4096},
    {OPTION_TRUE, "json", 0, FIELD(json), NULL, "print the result as JSON"},
    {OPTION_END},
};
// clang-format on

static const char *const examples[] = {
    "imatrix eval -m model-Q4_K_M.gguf --base model-f16.gguf -f held-out.txt",
    "imatrix eval -m model-f16.gguf -f wiki.test.raw --chunks 50 --json",
    NULL,
};

static void print_result(const imatrix_evaluation *r) {
    printf("Perplexity            %12.4f +/- %.4f\n", r->perplexity.value, r->perplexity.error);
    if (r->has_base) {
        printf("Base perplexity       %12.4f +/- %.4f\n", r->base_perplexity.value,
               r->base_perplexity.error);
        printf("Perplexity ratio      %12.6f +/- %.6f\n", r->perplexity_ratio.value,
               r->perplexity_ratio.error);
        printf("ln(perplexity ratio)  %12.6f +/- %.6f\n", r->ln_ratio.value, r->ln_ratio.error);
        printf("KL divergence, mean   %12.6f +/- %.6f nats\n", r->kl_mean.value, r->kl_mean.error);
        printf("KL divergence, median %12.6f\n", r->kl_median);
        printf("KL divergence, 99 %%   %12.6f\n", r->kl_p99);
        printf("KL divergence, max    %12.6f\n", r->kl_max);
        printf("Same top token        %12.3f +/- %.3f %%\n", 100.0 * r->top1.value,
               100.0 * r->top1.error);
    }
    printf("Scored                %12llu of %llu tokens\n", (unsigned long long)r->n_scored,
           (unsigned long long)r->n_tokens);
}

static void set_estimate(json_t *root, const char *key, imatrix_estimate estimate) {
    json_object_set_new(root, key,
                        json_pack("{s:f, s:f}", "value", estimate.value, "error", estimate.error));
}

static void print_json(const eval_args *args, const imatrix_evaluation *r) {
    json_t *root =
        json_pack("{s:s, s:s, s:I, s:I, s:I}", "model", args->options.model_path, "text",
                  args->options.text_path, "n_ctx", (json_int_t)args->options.n_ctx, "n_tokens",
                  (json_int_t)r->n_tokens, "n_scored", (json_int_t)r->n_scored);
    set_estimate(root, "perplexity", r->perplexity);
    if (r->has_base) {
        json_object_set_new(root, "base", json_string(args->options.base_path));
        set_estimate(root, "base_perplexity", r->base_perplexity);
        set_estimate(root, "perplexity_ratio", r->perplexity_ratio);
        set_estimate(root, "ln_ratio", r->ln_ratio);
        set_estimate(root, "kl_mean", r->kl_mean);
        json_object_set_new(root, "kl_median", json_real(r->kl_median));
        json_object_set_new(root, "kl_p99", json_real(r->kl_p99));
        json_object_set_new(root, "kl_max", json_real(r->kl_max));
        set_estimate(root, "top1", r->top1);
    }
    console_print_json(root);
}

static int run_eval(const cli_command *command, int argc, char **argv) {
    eval_args args = {.json = false};
    int exit_status;
    imatrix_evaluate_options_init(&args.options);
    if (parse_options_only(command, argc, argv, &args, &exit_status) < 0) {
        return exit_status;
    }
    if (args.options.model_path == NULL || args.options.text_path == NULL) {
        return usage_error(command, "a model (-m) and a text (-f) are needed");
    }

    console_progress display;
    imatrix_evaluation result;
    imatrix_error error;
    args.options.progress = console_progress_start(&display, false);
    const imatrix_status status = imatrix_evaluate(&args.options, &result, &error);
    console_progress_end(&display);
    if (status != IMATRIX_OK) {
        return console_error(&error);
    }
    if (args.json) {
        print_json(&args, &result);
    } else {
        print_result(&result);
    }
    return EXIT_SUCCESS;
}

const cli_command eval_command = {
    .name = "eval",
    .summary = "measure perplexity and, against a base model, what quantization has lost",
    .usage = "-m MODEL.gguf -f TEXT [--base BASE.gguf] [OPTIONS]",
    .examples = examples,
    .options = rows,
    .run = run_eval,
};
