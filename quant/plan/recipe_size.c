// SPDX-License-Identifier: MIT
//
// The size is that of the header a run would write and of the tensors in its plan. No formula over
// the types would do: rows that do not fit, layers with more bits and the keys that tell of the
// imatrix all count.

#include "quant/plan/recipe_size.h"

#include "quant/pipeline/output_files.h"
#include "quant/plan/model_keys.h"
#include "quant/plan/plan.h"

static const char some_hash[] = "00000000000000000000000000000000"; // as long as any

static imx_status measure_files(imx_recipe_size *size, const imx_plan *plan, const imx_gguf *source,
                                const char *imatrix_name, imx_error *err) {
    const imx_key_options keys = {.imatrix_name = imatrix_name, .imatrix_hash = some_hash};
    imx_gguf_builder *builder = NULL;
    imx_status status;
    IMX_TRY_GOTO(done, imx_gguf_builder_new(&builder, err));
    IMX_TRY_GOTO(done, imx_model_keys_set(builder, source, plan, &keys, err));
    IMX_TRY_GOTO(done, imx_output_files_measure(&size->file_bytes, plan, builder, err));
done:
    imx_gguf_builder_free(builder);
    return status;
}

static void count_items(imx_recipe_size *size, const imx_plan *plan) {
    for (size_t i = 0; i < plan->n_items; ++i) {
        size->n_fallbacks += plan->items[i].is_fallback;
        size->n_lacking += plan->items[i].lacks_statistics;
    }
    if (plan->n_weights > 0) {
        size->bits_per_weight = 8.0 * (double)plan->size_bytes / (double)plan->n_weights;
    }
}

imx_status imx_recipe_size_measure(imx_recipe_size *size, const imx_recipe *recipe,
                                   const imx_gguf *source, const imx_imatrix *imatrix,
                                   const char *imatrix_name, imx_error *err) {
    imx_plan_options options;
    imx_plan *plan;
    *size = (imx_recipe_size){0};
    imx_plan_options_init(&options);
    options.recipe = recipe;
    options.imatrix = imatrix;
    imx_status status = imx_plan_new(&plan, source, &options, err);
    if (status == IMX_ERR_ARGUMENT) {
        options.allow_requantize = true;
        size->requantizes = true;
        status = imx_plan_new(&plan, source, &options, err);
    }
    if (status == IMX_OK) {
        count_items(size, plan);
        status = measure_files(size, plan, source, imatrix_name, err);
        imx_plan_free(plan);
    }
    return status;
}
