// SPDX-License-Identifier: MIT

#include "imatrix/cli/run_options.h"

#include <stdio.h>
#include <stdlib.h>

#include "imatrix/cli/console.h"
#include "imatrix/cli/signals.h"

static void print_start(const imatrix_run_start *start) {
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

static void print_json_start(const imatrix_run_start *start) {
    console_print_json_line(
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:b, s:I, s:I}", "phase", "start", "n_tokens",
                  (json_int_t)start->n_tokens, "n_chunks", (json_int_t)start->n_chunks, "n_layers",
                  (json_int_t)start->n_layers, "n_layers_done", (json_int_t)start->n_layers_done,
                  "resumes", start->resumes, "memory_bytes", (json_int_t)start->memory_bytes,
                  "scratch_bytes", (json_int_t)start->scratch_bytes));
}

// From here on there is work to lose, and it can be kept.
static void begin(void *context, const imatrix_run_start *start) {
    const run_args *args = context;
    (args->json_progress ? print_json_start : print_start)(start);
    signals_ask_first();
}

void run_args_init(run_args *args, const imatrix_run_options *options) {
    *args = (run_args){.options = *options, .precision = (int)options->precision};
}

bool run_args_complete(run_args *args) {
    imatrix_run_options *options = &args->options;
    args->shares = calloc(args->texts.n, sizeof *args->shares);
    options->texts = args->texts.items;
    options->n_texts = args->texts.n;
    options->shares = args->shares;
    options->precision = (imatrix_precision)args->precision;
    options->on_start = begin;
    options->on_start_context = args;
    return args->shares != NULL || args->texts.n == 0;
}

void run_args_free(run_args *args) {
    free(args->texts.items);
    free(args->shares);
}

json_t *run_args_pack_shares(const run_args *args) {
    json_t *texts = json_array();
    for (size_t i = 0; i < args->texts.n; ++i) {
        json_array_append_new(texts, console_pack_share(&args->shares[i]));
    }
    return texts;
}
