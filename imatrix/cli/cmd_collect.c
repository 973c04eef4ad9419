// SPDX-License-Identifier: MIT
//
// imatrix collect: calibration.

#include <stdio.h>
#include <stdlib.h>

#include "imatrix/cli/commands.h"
#include "imatrix/cli/console.h"
#include "imatrix/imatrix.h"

typedef struct collect_args {
    imatrix_collect_options options;
    int format; // index into format_names, an imatrix_format
    bool json;
} collect_args;

static const char *const format_names[] = {"zst", "gguf", "dat", NULL};

#define FIELD(name) offsetof(collect_args, name)

// clang-format off
static const option_row rows[] = {
    {OPTION_STRING, "model", 'm', FIELD(options.model_path), "FILE", "model in GGUF, full precision for honest statistics"},
    {OPTION_STRING, "file", 'f', FIELD(options.text_path), "FILE", "calibration text"},
    {OPTION_STRING, "output", 'o', FIELD(options.out_path), "FILE", "where the statistics go [imatrix.gguf.zst]"},
    {OPTION_STRING, "output-file", 0, FIELD(options.out_path), "FILE", NULL},
    {OPTION_CHOICE, "output-format", 0, FIELD(format), "{zst,gguf,dat}", "zst: compressed GGUF [default]; gguf: as llama-imatrix writes it;\ndat: the legacy format", .choices = format_names},
    {OPTION_U32, "ctx-size", 'c', FIELD(options.n_ctx), "N", "tokens in a chunk [512]", 2, 1 << 20},
    {OPTION_U64, "chunks", 0, FIELD(options.max_chunks), "N", "run at most N chunks, -1 = all [all]", 1, UINT32_MAX},
    {OPTION_U64, "from-chunk", 0, FIELD(options.from_chunk), "N", "leave out the first N chunks [0]", 0, UINT32_MAX},
    {OPTION_U64, "chunk", 0, FIELD(options.from_chunk), "N", NULL, 0, UINT32_MAX},
    {OPTION_TRUE, "drop-tail", 0, FIELD(options.drop_tail), NULL, "leave out a last chunk shorter than the context, as llama-imatrix does"},
    {OPTION_TRUE, "process-output", 0, FIELD(options.process_output), NULL, "statistics of the output head too"},
    {OPTION_TRUE, "ppl", 0, FIELD(options.perplexity), NULL, "compute the perplexity of the text on the way"},
    {OPTION_FALSE, "no-ppl", 0, FIELD(options.perplexity), NULL, "do not [default]"},
    {OPTION_TRUE, "parse-special", 0, FIELD(options.parse_special), NULL, "special tokens written in the text (<|im_start|>) become their ids"},
    {OPTION_INT, "threads", 't', FIELD(options.n_threads), "N", "threads [all processors]", 1, 4096},
    {OPTION_TRUE, "json", 0, FIELD(json), NULL, "print the result as JSON"},
    {OPTION_END},
};
// clang-format on

static const char *const examples[] = {
    "imatrix collect -m model-f16.gguf -f my-domain.txt -o model.imatrix",
    "imatrix collect -m model-bf16.gguf -f chat.txt --parse-special -c 2048 --output-format gguf",
    NULL,
};

static void print_result(const collect_args *args, const imatrix_collect_result *result,
                         double seconds) {
    printf("%s: statistics of %llu weights from %llu tokens in %llu chunks, %s, %.1f s\n",
           args->options.out_path, (unsigned long long)result->n_entries,
           (unsigned long long)result->n_tokens, (unsigned long long)result->n_chunks,
           console_bytes(result->out_bytes), seconds);
    if (args->options.perplexity) {
        printf("Perplexity of the text: %.4f +/- %.4f\n", result->perplexity,
               result->perplexity_error);
    }
}

static void print_json(const collect_args *args, const imatrix_collect_result *result,
                       double seconds) {
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:f}", "model", args->options.model_path,
                  "text", args->options.text_path, "output", args->options.out_path, "n_tokens",
                  (json_int_t)result->n_tokens, "n_chunks", (json_int_t)result->n_chunks,
                  "n_entries", (json_int_t)result->n_entries, "out_bytes",
                  (json_int_t)result->out_bytes, "seconds", seconds);
    if (args->options.perplexity) {
        json_object_set_new(root, "perplexity", json_real(result->perplexity));
        json_object_set_new(root, "perplexity_error", json_real(result->perplexity_error));
    }
    console_print_json(root);
}

static int run_collect(const cli_command *command, int argc, char **argv) {
    collect_args args = {.format = IMATRIX_FORMAT_ZST};
    int exit_status;
    imatrix_collect_options_init(&args.options);
    args.options.out_path = "imatrix.gguf.zst";
    if (parse_options_only(command, argc, argv, &args, &exit_status) < 0) {
        return exit_status;
    }
    if (args.options.model_path == NULL || args.options.text_path == NULL) {
        return usage_error(command, "a model (-m) and a text (-f) are needed");
    }
    args.options.format = (imatrix_format)args.format;

    console_progress display;
    imatrix_collect_result result;
    imatrix_error error;
    const double started = console_seconds();
    args.options.progress = console_progress_start(&display);
    const imatrix_status status = imatrix_collect(&args.options, &result, &error);
    console_progress_end(&display);
    if (status != IMATRIX_OK) {
        return console_error(&error);
    }
    (args.json ? print_json : print_result)(&args, &result, console_seconds() - started);
    return EXIT_SUCCESS;
}

const cli_command collect_command = {
    .name = "collect",
    .summary = "run a text through a model and write the statistics of every weight's input",
    .usage = "-m MODEL.gguf -f TEXT [-o OUT] [OPTIONS]",
    .examples = examples,
    .options = rows,
    .run = run_collect,
};
