// SPDX-License-Identifier: MIT
//
// What a run needs, and how it begins and ends; passage.c is what lies between.

#include "quant/pipeline/pipeline.h"

#include "formats/imatrix_covariance.h"
#include "quant/pipeline/encode_stage.h"
#include "quant/pipeline/output_files.h"
#include "quant/pipeline/passage.h"
#include "quant/pipeline/read_stage.h"
#include "quant/pipeline/write_stage.h"

// ---- needs -------------------------------------------------------------------------------------

// Floats of the products that an entry does not share with one before it.
static uint64_t n_own_products(const imx_imatrix *imatrix, size_t i) {
    const imx_imatrix_entry *entry = &imatrix->entries[i];
    size_t first = 0;
    while (imatrix->entries[first].in_cov != entry->in_cov) {
        ++first;
    }
    return entry->in_cov != NULL && first == i ? entry->n_mats * imx_covariance_len(entry->n_cols)
                                               : 0;
}

static uint64_t imatrix_memory(const imx_imatrix *imatrix) {
    uint64_t n_products = 0;
    uint64_t n_sums = 0;
    for (size_t i = 0; imatrix != NULL && i < imatrix->n_entries; ++i) {
        const imx_imatrix_entry *entry = &imatrix->entries[i];
        const uint64_t n_kinds = 1u + (entry->in_sum != NULL) + (entry->in_max != NULL);
        n_sums += n_kinds * entry->n_cols * entry->n_mats;
        n_products += n_own_products(imatrix, i);
    }
    return n_sums * sizeof(double) + n_products * sizeof(float);
}

imx_status imx_pipeline_measure(imx_pipeline_needs *needs, const imx_plan *plan,
                                const imx_gguf *source, imx_gguf_builder *builder,
                                const imx_pipeline_options *options, imx_error *err) {
    imx_encode_stage *stage;
    IMX_TRY(imx_output_files_measure(&needs->disk_bytes, plan, builder, err));
    IMX_TRY(imx_encode_stage_open(&stage, plan, source, options, err));
    needs->memory_bytes = imatrix_memory(plan->options.imatrix) + imx_read_stage_memory(source) +
                          imx_encode_stage_memory(stage) +
                          imx_write_stage_memory(imx_encode_stage_run_bytes(stage));
    imx_encode_stage_close(stage);
    return IMX_OK;
}

// ---- the run -----------------------------------------------------------------------------------

imx_status imx_pipeline_run(const imx_plan *plan, const imx_gguf *source, imx_gguf_builder *builder,
                            const char *path, const imx_pipeline_options *options,
                            imx_tensor_loss *losses, size_t *n_kept, imx_error *err) {
    imx_output_files *files;
    char source_hash[33];
    IMX_TRY(imx_output_files_open(&files, plan, source, builder, path, IMX_OUTPUT_IN_ORDER,
                                  options->resume, err));
    if (n_kept != NULL) {
        *n_kept = imx_output_files_n_kept(files);
    }
    const imx_status status =
        imx_pass_items(plan, source, files, NULL, options, losses, source_hash, err);
    if (status == IMX_OK) {
        return imx_output_files_commit(files, source_hash, err);
    }
    if (status == IMX_ERR_FORMAT) { // bad weights, which the next run would meet again
        imx_output_files_discard(files);
    } else {
        imx_output_files_close(files);
    }
    return status;
}
