// SPDX-License-Identifier: MIT

#include "imatrix/text_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "calib/system_memory.h"
#include "calib/tokenizer/tokenizer.h"
#include "formats/memory.h"
#include "formats/path_parts.h"
#include "imatrix/facade.h"

// ---- opening -----------------------------------------------------------------------------------

imatrix_run_options imx_run_options_by_default(void) {
    return (imatrix_run_options){
        .n_ctx = 512,
        .precision = (imatrix_precision)imx_precision_by_default(),
        .checkpoint_seconds = 600,
    };
}

static imx_status check_options(const imatrix_run_options *options, imx_error *err) {
    if (options->model_path == NULL || options->n_texts == 0) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "a model and a text are needed");
    }
    if (options->precision != IMATRIX_PRECISION_EXACT &&
        options->precision != IMATRIX_PRECISION_FAST) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "precision %d is unknown", (int)options->precision);
    }
    return IMX_OK;
}

static imx_status read_texts(imx_text_run *run, imx_error *err) {
    const imatrix_run_options *options = run->options;
    const imx_gguf *gguf = imx_model_gguf(run->model);
    const imx_corpus_options corpus_options = {
        .n_ctx = options->n_ctx,
        .from_chunk = options->from_chunk,
        .max_chunks = options->max_chunks,
        .sample = options->sample,
        .seed = options->seed,
        .drop_tail = options->drop_tail,
        .parse_special = options->parse_special,
        .by_document = options->by_document,
    };
    imx_tokenizer *tokenizer;
    IMX_TRY(imx_tokenizer_open(&tokenizer, gguf, err));
    const imx_status status =
        imx_corpus_read(&run->corpus, &run->shares, options->texts, options->n_texts, tokenizer,
                        gguf, &corpus_options, err);
    imx_tokenizer_close(tokenizer);
    return status;
}

imx_status imx_text_run_open(imx_text_run *run, const imatrix_run_options *options,
                             imx_error *err) {
    *run = (imx_text_run){
        .options = options,
        .progress = imx_adapt_progress(&options->progress),
    };
    IMX_TRY(check_options(options, err));
    IMX_TRY(imx_model_open(&run->model, options->model_path, err));
    return read_texts(run, err);
}

void imx_text_run_close(imx_text_run *run) {
    if (run->options != NULL) {
        imx_text_shares_free(run->shares, run->options->n_texts);
    }
    imx_corpus_free(run->corpus);
    imx_model_close(run->model);
}

// ---- memory ------------------------------------------------------------------------------------

// A model that cannot stay in memory is kept out of the page cache too, where it would only drive
// out what others have there.
imx_status imx_text_run_plan(imx_collect_plan *plan, const imx_text_run *run,
                             imx_collect_demand *demand, imx_error *err) {
    const imatrix_run_options *options = run->options;
    demand->model = run->model;
    demand->corpus = run->corpus;
    demand->precision = (imx_precision)options->precision;
    demand->n_threads = options->n_threads;
    demand->process_output = options->process_output;
    demand->resident_bytes += imx_memory_resident();
    demand->limit_bytes =
        options->memory_bytes > 0 ? options->memory_bytes : imx_memory_available() / 4 * 3;
    if (imx_model_file_bytes(run->model) > demand->limit_bytes) {
        imx_model_drop_used_weights(run->model);
    }
    return imx_collect_plan_make(plan, demand, err);
}

// ---- what is told ------------------------------------------------------------------------------

imatrix_run_start imx_text_run_describe(const imx_text_run *run, const imx_collect_plan *plan,
                                        const imx_walk_place *start) {
    const uint32_t n_layers = imx_model_n_layers(run->model);
    return (imatrix_run_start){
        .n_tokens = run->corpus->n_tokens,
        .n_chunks = run->corpus->n_chunks,
        .n_layers = n_layers,
        .n_layers_done = start->layer < n_layers ? start->layer : n_layers,
        .resumes = start->layer > 0 || start->chunk > 0,
        .memory_bytes = plan->memory_bytes,
        .scratch_bytes = plan->scratch_bytes,
    };
}

void imx_text_run_start(const imx_text_run *run, const imx_collect_plan *plan,
                        const imx_walk_place *start) {
    const imatrix_run_start published = imx_text_run_describe(run, plan, start);
    if (run->options->on_start != NULL) {
        run->options->on_start(run->options->on_start_context, &published);
    }
}

void imx_text_run_publish_shares(const imx_text_run *run) {
    for (size_t i = 0; run->options->shares != NULL && i < run->options->n_texts; ++i) {
        const imx_text_share *share = &run->shares[i];
        imatrix_text_share *out = &run->options->shares[i];
        *out = (imatrix_text_share){
            .weight = share->weight,
            .n_tokens = share->n_tokens,
            .n_chunks = share->n_chunks,
        };
        snprintf(out->name, sizeof out->name, "%s", imx_base_name(share->path));
        memcpy(out->hash, share->hash, sizeof out->hash);
    }
}

// ---- what is written down ----------------------------------------------------------------------

static imx_status set_string(char **field, const char *value, imx_error *err) {
    *field = strdup(value);
    return *field != NULL ? IMX_OK : imx_fail_memory(err, strlen(value) + 1);
}

static imx_status record_texts(const imx_text_run *run, imx_imatrix *imatrix, imx_error *err) {
    const size_t n_texts = run->options->n_texts;
    for (size_t i = 0; i < n_texts; ++i) {
        const imx_text_share *share = &run->shares[i];
        imx_imatrix_source source = {
            .weight = share->weight,
            .n_tokens = share->n_tokens,
            .n_chunks = share->n_chunks,
        };
        memcpy(source.hash, share->hash, sizeof source.hash);
        IMX_TRY(imx_imatrix_add_source(imatrix, imx_base_name(share->path), &source, err));
    }
    return n_texts == 1 ? set_string(&imatrix->origin.text_hash, run->shares[0].hash, err) : IMX_OK;
}

imx_status imx_text_run_record(const imx_text_run *run, imx_imatrix *imatrix, imx_error *err) {
    const imatrix_run_options *options = run->options;
    imx_imatrix_origin *origin = &imatrix->origin;
    IMX_TRY(record_texts(run, imatrix, err));
    IMX_TRY(set_string(&origin->program, IMX_PROGRAM, err));
    IMX_TRY(set_string(&origin->model_name, imx_base_name(options->model_path), err));
    IMX_TRY(set_string(&origin->precision,
                       options->precision == IMATRIX_PRECISION_FAST ? "fast" : "exact", err));
    origin->has_options = true;
    origin->parse_special = options->parse_special;
    origin->process_output = options->process_output;
    return IMX_OK;
}

imx_status imx_name_beside(char **path, const char *out_path, const char *suffix, imx_error *err) {
    const size_t size = strlen(out_path) + strlen(suffix) + 1;
    struct stat info;
    if (stat(out_path, &info) == 0 && !S_ISREG(info.st_mode)) {
        return IMX_OK;
    }
    IMX_TRY(imx_alloc_zeroed(path, size, 1, err));
    snprintf(*path, size, "%s%s", out_path, suffix);
    return IMX_OK;
}
