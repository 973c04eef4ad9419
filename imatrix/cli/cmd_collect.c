// SPDX-License-Identifier: MIT
//
// imatrix collect: calibration.

#include <stdio.h>
#include <stdlib.h>

#include "imatrix/cli/commands.h"
#include "imatrix/cli/console.h"
#include "imatrix/cli/format_names.h"
#include "imatrix/cli/signals.h"
#include "imatrix/imatrix.h"

typedef struct collect_args {
    imatrix_collect_options options;
    string_list texts;
    imatrix_text_share *shares; // (texts.n)
    int format;                 // index into format_names, an imatrix_format
    int precision;              // index into precision_names, an imatrix_precision
    bool json;
    bool json_progress;
} collect_args;

static const char *const precision_names[] = {"exact", "fast", NULL};

#define FIELD(name) offsetof(collect_args, name)

// clang-format off
static const option_row rows[] = {
    {OPTION_STRING, "model", 'm', FIELD(options.model_path), "FILE", "model in GGUF, full precision for honest statistics"},
    {OPTION_STRINGS, "file", 'f', FIELD(texts), "TEXT[:W]", "calibration text: a file, JSONL, a directory, or - for\nstandard input; of its chunks only the share W; repeatable"},
    {OPTION_STRING, "output", 'o', FIELD(options.out_path), "FILE", "where the statistics go [imatrix.gguf.zst]"},
    {OPTION_STRING, "output-file", 0, FIELD(options.out_path), "FILE", NULL},
    {OPTION_CHOICE, "output-format", 0, FIELD(format), FORMAT_METAVAR, "zst: compressed GGUF [default]; gguf: as llama-imatrix writes it;\ndat: the legacy format", .choices = format_names},
    {OPTION_U32, "digits", 0, FIELD(options.digits), "N", "round the sums to N decimal digits, for a smaller zst file [all]", 1, 7},
    {OPTION_U32, "ctx-size", 'c', FIELD(options.n_ctx), "N", "tokens in a chunk [512]", 2, 1 << 20},
    {OPTION_U64, "chunks", 0, FIELD(options.max_chunks), "N", "run at most N chunks, -1 = all [all]", 1, UINT32_MAX},
    {OPTION_U64, "from-chunk", 0, FIELD(options.from_chunk), "N", "leave out the first N chunks [0]", 0, UINT32_MAX},
    {OPTION_U64, "chunk", 0, FIELD(options.from_chunk), "N", NULL, 0, UINT32_MAX},
    {OPTION_U64, "sample", 0, FIELD(options.sample), "N", "of these chunks, N chosen at random [all]", 1, UINT32_MAX},
    {OPTION_U64, "seed", 0, FIELD(options.seed), "S", "what --sample and W choose by: the same S, the same chunks [0]", 0, UINT64_MAX},
    {OPTION_TRUE, "by-document", 0, FIELD(options.by_document), NULL, "no chunk spans two documents (files, lines of JSONL);\notherwise those of a text are packed"},
    {OPTION_TRUE, "drop-tail", 0, FIELD(options.drop_tail), NULL, "leave out chunks shorter than the context, as llama-imatrix does"},
    {OPTION_TRUE, "process-output", 0, FIELD(options.process_output), NULL, "statistics of the output head too"},
    {OPTION_TRUE, "all-experts", 0, FIELD(options.all_experts), NULL, "statistics of every expert from all tokens, not only from those\nthat the router sends it"},
    {OPTION_TRUE, "covariance", 0, FIELD(options.covariance), NULL, "products of columns too, 256 at a time, for quantize to make good\nan error in one column in others"},
    {OPTION_TRUE, "ppl", 0, FIELD(options.perplexity), NULL, "compute the perplexity of the text on the way"},
    {OPTION_FALSE, "no-ppl", 0, FIELD(options.perplexity), NULL, "do not [default]"},
    {OPTION_CHOICE, "precision", 0, FIELD(precision), "{exact,fast}", "exact: products as in f32; fast: of factors rounded to bf16, several\ntimes as fast on a processor that multiplies these [fast there, else exact]", .choices = precision_names},
    {OPTION_TRUE, "parse-special", 0, FIELD(options.parse_special), NULL, "special tokens written in the text (<|im_start|>) become their ids"},
    {OPTION_INT, "threads", 't', FIELD(options.n_threads), "N", "threads [all processors]", 1, 4096},
    {OPTION_SIZE, "memory", 0, FIELD(options.memory_bytes), "SIZE", "memory to stay within, such as 2G [three quarters of what is\nfree]; where it is short a file beside the output serves"},
    {OPTION_U32, "checkpoint-interval", 0, FIELD(options.checkpoint_seconds), "S", "seconds between checkpoints in OUT.partial, from which the same\ncommand goes on; 0: after every layer [600]", 0, UINT32_MAX},
    {OPTION_TRUE, "restart", 0, FIELD(options.restart), NULL, "begin anew where there is a checkpoint"},
    {OPTION_TRUE, "json", 0, FIELD(json), NULL, "print the result as JSON"},
    {OPTION_TRUE, "json-progress", 0, FIELD(json_progress), NULL, "progress as one JSON object a line"},
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
    for (size_t i = 0; args->texts.n > 1 && i < args->texts.n; ++i) {
        const imatrix_text_share *share = &args->shares[i];
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

static json_t *pack_shares(const collect_args *args) {
    json_t *texts = json_array();
    for (size_t i = 0; i < args->texts.n; ++i) {
        json_array_append_new(texts, console_pack_share(&args->shares[i]));
    }
    return texts;
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
        json_pack("{s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:f}", "model", args->options.model_path,
                  "texts", pack_shares(args), "output", args->options.out_path, "n_tokens",
                  (json_int_t)result->n_tokens, "n_chunks", (json_int_t)result->n_chunks,
                  "n_entries", (json_int_t)result->n_entries, "out_bytes",
                  (json_int_t)result->out_bytes, "seconds", seconds);
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

// Points the options to what the table's rows have gathered.
static bool complete_options(collect_args *args) {
    imatrix_collect_options *options = &args->options;
    args->shares = calloc(args->texts.n, sizeof *args->shares);
    options->format = (imatrix_format)args->format;
    options->precision = (imatrix_precision)args->precision;
    options->texts = args->texts.items;
    options->n_texts = args->texts.n;
    options->shares = args->shares;
    return args->shares != NULL;
}

static void print_start(const imatrix_collect_start *start) {
    fprintf(stderr, "%llu tokens in %llu chunks, %llu layers; takes up to %s of memory",
            (unsigned long long)start->n_tokens, (unsigned long long)start->n_chunks,
            (unsigned long long)start->n_layers, console_bytes(start->memory_bytes));
    if (start->scratch_bytes > 0) {
        fprintf(stderr, " and %s of disk", console_bytes(start->scratch_bytes));
    }
    fputc('\n', stderr);
    if (start->resumes) {
        fprintf(stderr, "resuming after layer %llu of %llu\n",
                (unsigned long long)start->n_layers_done, (unsigned long long)start->n_layers);
    }
}

static void print_json_start(const imatrix_collect_start *start) {
    console_print_json_line(
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:b, s:I, s:I}", "phase", "start", "n_tokens",
                  (json_int_t)start->n_tokens, "n_chunks", (json_int_t)start->n_chunks, "n_layers",
                  (json_int_t)start->n_layers, "n_layers_done", (json_int_t)start->n_layers_done,
                  "resumes", start->resumes, "memory_bytes", (json_int_t)start->memory_bytes,
                  "scratch_bytes", (json_int_t)start->scratch_bytes));
}

// From here on there is work to lose, and it can be kept.
static void begin(void *context, const imatrix_collect_start *start) {
    const collect_args *args = context;
    (args->json_progress ? print_json_start : print_start)(start);
    signals_ask_first();
}

static int collect(const cli_command *command, collect_args *args) {
    console_progress display;
    imatrix_collect_result result;
    imatrix_error error;
    const double started = console_seconds();
    if (args->options.model_path == NULL || args->texts.n == 0) {
        return usage_error(command, "a model (-m) and a text (-f) are needed");
    }
    if (!complete_options(args)) {
        return console_out_of_memory();
    }
    args->options.progress = console_progress_start(&display, args->json_progress);
    args->options.on_start = begin;
    args->options.on_start_context = args;
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
    args.precision = (int)args.options.precision;
    args.options.out_path = "imatrix.gguf.zst";
    if (parse_options_only(command, argc, argv, &args, &exit_status) == 0) {
        exit_status = collect(command, &args);
    }
    free(args.texts.items);
    free(args.shares);
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
