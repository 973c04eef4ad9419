// SPDX-License-Identifier: MIT
//
// imatrix collect: calibration.

#include <stdio.h>
#include <stdlib.h>

#include "imatrix/cli/commands.h"
#include "imatrix/cli/console.h"
#include "imatrix/cli/format_names.h"
#include "imatrix/cli/run_options.h"
#include "imatrix/cli/signals.h"
#include "imatrix/imatrix.h"

typedef struct collect_args {
    imatrix_collect_options options;
    run_args run;
    int format; // index into format_names, an imatrix_format
    bool json;
} collect_args;

#define FIELD(name) offsetof(collect_args, name)

// clang-format off
static const option_row rows[] = {
    {OPTION_STRING, "model", 'm', FIELD(run.options.model_path), "FILE", "model in GGUF, full precision for honest statistics"},
    {OPTION_STRINGS, "file", 'f', FIELD(run.texts), "TEXT[:W]", CALIBRATION_TEXT_HELP},
    {OPTION_STRING, "output", 'o', FIELD(options.out_path), "FILE", "where the statistics go [imatrix.gguf.zst]"},
    {OPTION_STRING, "output-file", 0, FIELD(options.out_path), "FILE", NULL},
    {OPTION_CHOICE, "output-format", 0, FIELD(format), FORMAT_METAVAR, "zst: compressed GGUF [default]; gguf: as llama-imatrix writes it;\ndat: the legacy format", .choices = format_names},
    {OPTION_U32, "digits", 0, FIELD(options.digits), "N", "round the sums to N decimal digits, for a smaller zst file [all]", 1, 7},
    {OPTION_TRUE, "all-experts", 0, FIELD(options.all_experts), NULL, "statistics of every expert from all tokens, not only from those\nthat the router sends it"},
    {OPTION_TRUE, "covariance", 0, FIELD(options.covariance), NULL, "products of columns too, 256 at a time, for quantize to make good\nan error in one column in others"},
    {OPTION_TRUE, "ppl", 0, FIELD(options.perplexity), NULL, "compute the perplexity of the text on the way"},
    {OPTION_FALSE, "no-ppl", 0, FIELD(options.perplexity), NULL, "do not [default]"},
    RUN_ROWS(NULL),
    {OPTION_TRUE, "restart", 0, FIELD(options.restart), NULL, "begin anew where there is a checkpoint"},
    {OPTION_INT, "threads", 't', FIELD(run.options.n_threads), "N", "threads [all processors]", 1, 4096},
    {OPTION_TRUE, "json", 0, FIELD(json), NULL, "print the result as JSON"},
    {OPTION_END},
};
// clang-format on

static const char *const examples[] = {
    "imatrix collect -m model-f16.gguf -f my-domain.txt -o model.imatrix",
    "imatrix collect -m model-bf16.gguf -f chat.txt --parse-special -c 2048 --output-format gguf",
    "imatrix collect -m model-bf16.gguf -f chats.jsonl -f wiki/:0.25 --by-document --sample 500",
    NULL,
};

// What each of several texts has given.
static void print_shares(const collect_args *args) {
    for (size_t i = 0; args->run.texts.n > 1 && i < args->run.texts.n; ++i) {
        const imatrix_text_share *share = &args->run.shares[i];
        printf("  %s: %llu tokens in %llu chunks", share->name, (unsigned long long)share->n_tokens,
               (unsigned long long)share->n_chunks);
        printf(share->weight < 1 ? ", weight %g\n" : "\n", share->weight);
    }
}

static void print_left_out(const imatrix_collect_result *result) {
    if (result->n_left_out == 0) {
        return;
    }
    printf("Left out from where they were no longer finite: %llu chunks,",
           (unsigned long long)result->n_left_out);
    for (uint64_t i = 0; i < result->n_left_out && i < IMATRIX_N_NAMED_CHUNKS; ++i) {
        printf(" %llu", (unsigned long long)result->left_out[i]);
    }
    if (result->n_left_out > IMATRIX_N_NAMED_CHUNKS) {
        printf(" ...");
    }
    printf("\n");
}

static void print_starved(const imatrix_collect_result *result) {
    if (result->n_starved_experts == 0) {
        return;
    }
    printf("%llu of %llu experts saw fewer than %d tokens (more text or --all-experts helps):",
           (unsigned long long)result->n_starved_experts, (unsigned long long)result->n_experts,
           IMATRIX_FEW_TOKENS);
    for (uint64_t i = 0; i < result->n_starved_experts && i < IMATRIX_N_NAMED_EXPERTS; ++i) {
        const imatrix_expert *expert = &result->starved[i];
        printf("%s %llu.%llu (%llu)", i > 0 ? "," : " layer.expert",
               (unsigned long long)expert->layer, (unsigned long long)expert->expert,
               (unsigned long long)expert->n_tokens);
    }
    printf(result->n_starved_experts > IMATRIX_N_NAMED_EXPERTS ? " ...\n" : "\n");
}

static void print_result(const collect_args *args, const imatrix_collect_result *result,
                         double seconds) {
    printf("%s: statistics of %llu weights from %llu tokens in %llu chunks, %s, %.1f s\n",
           args->options.out_path, (unsigned long long)result->n_entries,
           (unsigned long long)result->n_tokens, (unsigned long long)result->n_chunks,
           console_bytes(result->out_bytes), seconds);
    print_shares(args);
    print_left_out(result);
    print_starved(result);
    if (args->options.perplexity) {
        printf("Perplexity of the text: %.4f +/- %.4f\n", result->perplexity,
               result->perplexity_error);
    }
}

// The first of the chunks, whose numbers the result holds.
static json_t *pack_left_out(const imatrix_collect_result *result) {
    json_t *chunks = json_array();
    for (uint64_t i = 0; i < result->n_left_out && i < IMATRIX_N_NAMED_CHUNKS; ++i) {
        json_array_append_new(chunks, json_integer((json_int_t)result->left_out[i]));
    }
    return json_pack("{s:I, s:o}", "n_chunks", (json_int_t)result->n_left_out, "chunks", chunks);
}

static json_t *pack_experts(const imatrix_collect_result *result) {
    json_t *fewest = json_array();
    for (uint64_t i = 0; i < result->n_starved_experts && i < IMATRIX_N_NAMED_EXPERTS; ++i) {
        const imatrix_expert *expert = &result->starved[i];
        json_array_append_new(fewest,
                              json_pack("{s:I, s:I, s:I}", "layer", (json_int_t)expert->layer,
                                        "expert", (json_int_t)expert->expert, "n_tokens",
                                        (json_int_t)expert->n_tokens));
    }
    return json_pack("{s:I, s:I, s:i, s:o}", "n_experts", (json_int_t)result->n_experts,
                     "n_starved", (json_int_t)result->n_starved_experts, "few_tokens",
                     IMATRIX_FEW_TOKENS, "starved", fewest);
}

static void print_json(const collect_args *args, const imatrix_collect_result *result,
                       double seconds) {
    json_t *root =
        json_pack("{s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:f}", "model", args->run.options.model_path,
                  "texts", run_args_pack_shares(&args->run), "output", args->options.out_path,
                  "n_tokens", (json_int_t)result->n_tokens, "n_chunks",
                  (json_int_t)result->n_chunks, "n_entries", (json_int_t)result->n_entries,
                  "out_bytes", (json_int_t)result->out_bytes, "seconds", seconds);
    if (result->n_left_out > 0) {
        json_object_set_new(root, "left_out", pack_left_out(result));
    }
    if (result->n_experts > 0) {
        json_object_set_new(root, "experts", pack_experts(result));
    }
    if (args->options.perplexity) {
        json_object_set_new(root, "perplexity", json_real(result->perplexity));
        json_object_set_new(root, "perplexity_error", json_real(result->perplexity_error));
    }
    console_print_json(root);
}

static int collect(const cli_command *command, collect_args *args) {
    console_progress display;
    imatrix_collect_result result;
    imatrix_error error;
    const double started = console_seconds();
    if (args->run.options.model_path == NULL || args->run.texts.n == 0) {
        return usage_error(command, "a model (-m) and a text (-f) are needed");
    }
    if (!run_args_complete(&args->run)) {
        return console_out_of_memory();
    }
    args->options.format = (imatrix_format)args->format;
    args->options.run = args->run.options;
    args->options.run.progress = console_progress_start(&display, args->run.json_progress);
    const imatrix_status status = imatrix_collect(&args->options, &result, &error);
    console_progress_end(&display);
    if (status != IMATRIX_OK) {
        const int exit_status = console_error(&error);
        signals_die_as_asked();
        return exit_status;
    }
    (args->json ? print_json : print_result)(args, &result, console_seconds() - started);
    return EXIT_SUCCESS;
}

static int run_collect(const cli_command *command, int argc, char **argv) {
    collect_args args = {.format = IMATRIX_FORMAT_ZST};
    int exit_status;
    imatrix_collect_options_init(&args.options);
    run_args_init(&args.run, &args.options.run);
    args.options.out_path = "imatrix.gguf.zst";
    if (parse_options_only(command, argc, argv, &args, &exit_status) == 0) {
        exit_status = collect(command, &args);
    }
    run_args_free(&args.run);
    return exit_status;
}

const cli_command collect_command = {
    .name = "collect",
    .summary = "run a text through a model and write the statistics of every weight's input",
    .usage = "-m MODEL.gguf -f TEXT [-f TEXT:W ...] [-o OUT] [OPTIONS]",
    .examples = examples,
    .options = rows,
    .run = run_collect,
};
