// SPDX-License-Identifier: MIT

#include "quant/model_keys.h"

enum { QUANTIZATION_VERSION = 2 }; // of the block layouts, as llama.cpp counts them

// The keys llama-quantize writes, with the imatrix's base name instead of a path.
static imx_status set_imatrix_keys(imx_gguf_builder *builder, const imx_key_options *options,
                                   imx_error *err) {
    const imx_imatrix *imatrix = options->imatrix;
    IMX_TRY(imx_gguf_set_str(builder, "quantize.imatrix.file", options->imatrix_name, err));
    if (imatrix->n_datasets > 0) {
        IMX_TRY(imx_gguf_set_str(builder, "quantize.imatrix.dataset", imatrix->datasets[0], err));
    }
    IMX_TRY(imx_gguf_set_u32(builder, "quantize.imatrix.entries_count",
                             (uint32_t)imatrix->n_entries, err));
    if (imatrix->chunk_count > 0) {
        IMX_TRY(
            imx_gguf_set_u32(builder, "quantize.imatrix.chunks_count", imatrix->chunk_count, err));
    }
    return IMX_OK;
}

imx_status imx_model_keys_set(imx_gguf_builder *builder, const imx_gguf *source,
                              const imx_plan *plan, const imx_key_options *options,
                              imx_error *err) {
    for (size_t i = 0; i < source->n_kvs; ++i) {
        IMX_TRY(imx_gguf_copy_kv(builder, &source->kvs[i], err));
    }
    IMX_TRY(imx_gguf_set_u32(builder, "general.quantization_version", QUANTIZATION_VERSION, err));
    IMX_TRY(
        imx_gguf_set_u32(builder, "general.file_type", imx_recipe_file_type(plan->recipe), err));
    return options->imatrix != NULL ? set_imatrix_keys(builder, options, err) : IMX_OK;
}
