// SPDX-License-Identifier: MIT
//
// The hash of the model goes into the file in any case. Taken first, it also tells whether a
// checkpoint is of this model; a sample of the weights would be quicker and could be wrong.

#include "imatrix/collect_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "calib/statistics/checkpoint.h"
#include "calib/system_memory.h"
#include "formats/memory.h"
#include "imatrix/facade.h"

static void forward_start(void *context, const imx_walk_place *start) {
    const imx_collect_run *run = context;
    const uint32_t n_layers = imx_model_n_layers(run->model);
    const imatrix_collect_start published = {
        .n_tokens = run->corpus->n_tokens,
        .n_chunks = run->corpus->n_chunks,
        .n_layers = n_layers,
        .n_layers_done = start->layer < n_layers ? start->layer : n_layers,
        .resumes = start->layer > 0 || start->chunk > 0,
        .memory_bytes = run->plan.memory_bytes,
        .scratch_bytes = run->plan.scratch_bytes,
    };
    run->public_options->on_start(run->public_options->on_start_context, &published);
}

// "OUT.partial"; *path stays NULL for a device or a pipe.
static imx_status name_checkpoint(char **path, const char *out_path, imx_error *err) {
    static const char suffix[] = ".partial";
    const size_t len = strlen(out_path);
    struct stat info;
    if (stat(out_path, &info) == 0 && !S_ISREG(info.st_mode)) {
        return IMX_OK;
    }
    IMX_TRY(imx_alloc_zeroed(path, len + sizeof suffix, 1, err));
    snprintf(*path, len + sizeof suffix, "%s%s", out_path, suffix);
    return IMX_OK;
}

// A model that cannot stay in memory is kept out of the page cache too, where it would only drive
// out what others have there.
static imx_status plan_memory(imx_collect_run *run, imx_model *model, imx_error *err) {
    const imatrix_collect_options *options = run->public_options;
    const uint64_t limit =
        options->memory_bytes > 0 ? options->memory_bytes : imx_memory_available() / 4 * 3;
    const imx_collect_demand demand = {
        .model = model,
        .corpus = run->corpus,
        .n_threads = options->n_threads,
        .process_output = options->process_output,
        .perplexity = options->perplexity,
        .covariance = options->covariance,
        .may_use_scratch = run->checkpoint_path != NULL,
        .resident_bytes = imx_memory_resident(),
        .precision = (imx_precision)options->precision,
        .limit_bytes = limit,
    };
    if (imx_model_file_bytes(model) > limit) {
        imx_model_drop_used_weights(model);
    }
    return imx_collect_plan_make(&run->plan, &demand, err);
}

imx_status imx_collect_run_open(imx_collect_run *run, const imatrix_collect_options *options,
                                imx_model *model, const imx_corpus *corpus, imx_error *err) {
    *run = (imx_collect_run){
        .progress = imx_adapt_progress(&options->progress),
        .listener = {forward_start, run},
        .public_options = options,
        .model = model,
        .corpus = corpus,
    };
    IMX_TRY(name_checkpoint(&run->checkpoint_path, options->out_path, err));
    IMX_TRY(plan_memory(run, model, err));
    imx_hash_model(imx_model_gguf(model), run->model_hash);
    run->options = (imx_collect_options){
        .n_threads = options->n_threads,
        .process_output = options->process_output,
        .perplexity = options->perplexity,
        .all_experts = options->all_experts,
        .covariance = options->covariance,
        .precision = (imx_precision)options->precision,
        .scratch_beside = run->plan.scratch_bytes > 0 ? run->checkpoint_path : NULL,
        .read_ahead = run->plan.read_ahead,
        .checkpoint_path = run->checkpoint_path,
        .checkpoint_seconds = (double)options->checkpoint_seconds,
        .restart = options->restart,
        .model_hash = run->model_hash,
        .listener = options->on_start != NULL ? &run->listener : NULL,
        .progress = &run->progress,
    };
    return IMX_OK;
}

void imx_collect_run_finish(const imx_collect_run *run) {
    if (run->checkpoint_path != NULL) {
        imx_checkpoint_remove(run->checkpoint_path);
    }
}

void imx_collect_run_close(imx_collect_run *run) {
    free(run->checkpoint_path);
}
