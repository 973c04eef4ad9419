// SPDX-License-Identifier: MIT
//
// How a text is run through a model: what `collect` and `quantize --calibrate` share of options and
// messages.

#ifndef IMX_CLI_RUN_OPTIONS_H
#define IMX_CLI_RUN_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>

#include "imatrix/cli/options.h"
#include "imatrix/imatrix.h"

typedef struct run_args {
    imatrix_run_options options;
    string_list texts;
    imatrix_text_share *shares; // (texts.n)
    int precision;              // index into precision_names, an imatrix_precision
    bool json_progress;
} run_args;

static const char *const precision_names[] = {"exact", "fast", NULL};

// clang-format off
#define CALIBRATION_TEXT_HELP "calibration text: a file, JSONL, a directory, or - for\nstandard input; of its chunks only the share W; repeatable"

// Their rows, for run_args called `run` in the struct that FIELD knows. NEEDS: the option that they
// are of use with, or NULL.
#define RUN_ROWS(NEEDS) \
    {OPTION_U32, "ctx-size", 'c', FIELD(run.options.n_ctx), "N", "tokens in a chunk [512]", 2, 1 << 20, .needs = NEEDS}, \
    {OPTION_U64, "chunks", 0, FIELD(run.options.max_chunks), "N", "run at most N chunks, -1 = all [all]", 1, UINT32_MAX, .needs = NEEDS}, \
    {OPTION_U64, "from-chunk", 0, FIELD(run.options.from_chunk), "N", "leave out the first N chunks [0]", 0, UINT32_MAX, .needs = NEEDS}, \
    {OPTION_U64, "chunk", 0, FIELD(run.options.from_chunk), "N", NULL, 0, UINT32_MAX, .needs = NEEDS}, \
    {OPTION_U64, "sample", 0, FIELD(run.options.sample), "N", "of these chunks, N chosen at random [all]", 1, UINT32_MAX, .needs = NEEDS}, \
    {OPTION_U64, "seed", 0, FIELD(run.options.seed), "S", "what --sample and W choose by: the same S, the same chunks [0]", 0, UINT64_MAX, .needs = NEEDS}, \
    {OPTION_TRUE, "by-document", 0, FIELD(run.options.by_document), NULL, "no chunk spans two documents (files, lines of JSONL);\notherwise those of a text are packed", .needs = NEEDS}, \
    {OPTION_TRUE, "drop-tail", 0, FIELD(run.options.drop_tail), NULL, "leave out chunks shorter than the context, as llama-imatrix does", .needs = NEEDS}, \
    {OPTION_TRUE, "parse-special", 0, FIELD(run.options.parse_special), NULL, "special tokens written in the text (<|im_start|>) become their ids", .needs = NEEDS}, \
    {OPTION_TRUE, "process-output", 0, FIELD(run.options.process_output), NULL, "the input of the output head counts too", .needs = NEEDS}, \
    {OPTION_CHOICE, "precision", 0, FIELD(run.precision), "{exact,fast}", "exact: products as in f32; fast: of factors rounded to bf16, several\ntimes as fast on a processor that multiplies these [fast there, else exact]", .choices = precision_names, .needs = NEEDS}, \
    {OPTION_SIZE, "memory", 0, FIELD(run.options.memory_bytes), "SIZE", "memory to stay within, such as 2G [three quarters of what is\nfree]; where it is short a file beside the output serves", .needs = NEEDS}, \
    {OPTION_U32, "checkpoint-interval", 0, FIELD(run.options.checkpoint_seconds), "S", "seconds between checkpoints beside the output, from which an\ninterrupted run goes on; 0: after every layer [600]", 0, UINT32_MAX, .needs = NEEDS}, \
    {OPTION_TRUE, "json-progress", 0, FIELD(run.json_progress), NULL, "progress as one JSON object a line", .needs = NEEDS}
// clang-format on

// Takes the defaults of `options` over.
void run_args_init(run_args *args, const imatrix_run_options *options);

// Points args->options to what the rows have gathered, and to run_args that print on stderr how the
// run starts. False when out of memory.
bool run_args_complete(run_args *args);
void run_args_free(run_args *args);

// The texts as JSON, with what each has given.
json_t *run_args_pack_shares(const run_args *args);

#endif
