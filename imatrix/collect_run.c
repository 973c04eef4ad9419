// SPDX-License-Identifier: MIT
//
// The hash of the model goes into the file in any case. Taken first, it also tells whether a
// checkpoint is of this model; a sample of the weights would be quicker and could be wrong.

#include "imatrix/collect_run.h"

#include <stdlib.h>

#include "calib/statistics/checkpoint.h"
#include "imatrix/facade.h"

static void forward_start(void *context, const imx_walk_place *start) {
    const imx_collect_run *run = context;
    imx_text_run_start(run->text, &run->plan, start);
}

static imx_status plan_memory(imx_collect_run *run, const imatrix_collect_options *options,
                              imx_error *err) {
    imx_collect_demand demand = {
        .perplexity = options->perplexity,
        .covariance = options->covariance,
        .may_use_scratch = run->checkpoint_path != NULL,
    };
    return imx_text_run_plan(&run->plan, run->text, &demand, err);
}

imx_status imx_collect_run_open(imx_collect_run *run, const imatrix_collect_options *options,
                                const imx_text_run *text, imx_error *err) {
    *run = (imx_collect_run){.listener = {forward_start, run}, .text = text};
    IMX_TRY(imx_name_beside(&run->checkpoint_path, options->out_path, ".partial", err));
    IMX_TRY(plan_memory(run, options, err));
    imx_hash_model(imx_model_gguf(text->model), run->model_hash);
    run->options = (imx_collect_options){
        .n_threads = options->run.n_threads,
        .process_output = options->run.process_output,
        .perplexity = options->perplexity,
        .all_experts = options->all_experts,
        .covariance = options->covariance,
        .precision = (imx_precision)options->run.precision,
        .scratch_beside = run->plan.scratch_bytes > 0 ? run->checkpoint_path : NULL,
        .read_ahead = run->plan.read_ahead,
        .checkpoint_path = run->checkpoint_path,
        .checkpoint_seconds = (double)options->run.checkpoint_seconds,
        .restart = options->restart,
        .model_hash = run->model_hash,
        .listener = &run->listener,
        .progress = &text->progress,
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
