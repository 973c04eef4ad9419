// SPDX-License-Identifier: MIT
//
// The same files as those of a pipeline, with the tensors that a walk brings left out of the
// passage and put in their places as they come. Padding needs no writing: the files begin as holes.

#include "quant/pipeline/calibrated_output.h"

#include <assert.h>
#include <stdlib.h>

#include "formats/memory.h"
#include "quant/pipeline/output_files.h"
#include "quant/pipeline/passage.h"

struct imx_calibrated_output {
    const imx_plan *plan;
    const imx_gguf *source;
    const bool *is_awaited; // (plan->n_items)
    imx_pipeline_options options;
    imx_output_files *files;
};

imx_status imx_calibrated_output_open(imx_calibrated_output **out, const imx_plan *plan,
                                      const imx_gguf *source, imx_gguf_builder *builder,
                                      const char *path, const bool *is_awaited,
                                      const imx_pipeline_options *options, imx_error *err) {
    imx_calibrated_output *output;
    *out = NULL;
    IMX_TRY(imx_alloc_zeroed(&output, 1, sizeof *output, err));
    *output = (imx_calibrated_output){
        .plan = plan,
        .source = source,
        .is_awaited = is_awaited,
        .options = *options,
    };
    const imx_status status = imx_output_files_open(&output->files, plan, source, builder, path,
                                                    IMX_OUTPUT_IN_ANY_ORDER, options->resume, err);
    if (status != IMX_OK) {
        free(output);
        return status;
    }
    *out = output;
    return IMX_OK;
}

imx_status imx_calibrated_output_tie(imx_calibrated_output *output, const char mark[33],
                                     imx_error *err) {
    return imx_output_files_tie(output->files, mark, output->options.resume, err);
}

imx_status imx_calibrated_output_write_rest(imx_calibrated_output *output, imx_tensor_loss *losses,
                                            imx_error *err) {
    return imx_pass_items(output->plan, output->source, output->files, output->is_awaited,
                          &output->options, losses, NULL, err);
}

imx_status imx_calibrated_output_put(imx_calibrated_output *output, size_t i, uint64_t offset,
                                     const void *data, size_t size_bytes, imx_error *err) {
    assert(i < output->plan->n_items && output->is_awaited[i] &&
           offset + size_bytes <= output->plan->items[i].size_bytes);
    return imx_output_files_write(output->files, i, offset, data, size_bytes, err);
}

imx_status imx_calibrated_output_sync(imx_calibrated_output *output, imx_error *err) {
    return imx_output_files_sync(output->files, err);
}

imx_status imx_calibrated_output_commit(imx_calibrated_output *output, const char source_hash[33],
                                        imx_error *err) {
    const imx_status status = imx_output_files_commit(output->files, source_hash, err);
    free(output);
    return status;
}

void imx_calibrated_output_close(imx_calibrated_output *output) {
    if (output != NULL) {
        imx_output_files_close(output->files);
        free(output);
    }
}

void imx_calibrated_output_discard(imx_calibrated_output *output) {
    if (output != NULL) {
        imx_output_files_discard(output->files);
        free(output);
    }
}
