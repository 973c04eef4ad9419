// SPDX-License-Identifier: MIT
//
// imatrix_quantizer: a source model, an optional imatrix and a plan, carried out on demand.

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "formats/gguf.h"
#include "formats/imatrix_file.h"
#include "formats/memory.h"
#include "imatrix/facade.h"
#include "quant/model_keys.h"
#include "quant/pipeline.h"
#include "quant/plan.h"
#include "quant/recipe.h"

struct imatrix_quantizer {
    imx_gguf *source;
    imx_imatrix *imatrix; // NULL without one
    imx_plan *plan;
    imx_tensor_loss *losses; // (plan->n_items)
    bool has_run;
    char *imatrix_name; // base name of the imatrix file, or NULL
    int n_threads;
    imatrix_progress progress;
};

static bool publish_recipe(const imx_recipe *recipe, imatrix_recipe_info *info) {
    if (recipe == NULL) {
        return false;
    }
    info->name = imx_recipe_name(recipe);
    info->summary = imx_recipe_summary(recipe);
    info->file_type = imx_recipe_file_type(recipe);
    return true;
}

bool imatrix_recipe_at(size_t i, imatrix_recipe_info *info) {
    return publish_recipe(imx_recipe_at(i), info);
}

bool imatrix_recipe_find(const char *name_or_number, imatrix_recipe_info *info) {
    return publish_recipe(imx_recipe_find(name_or_number), info);
}

void imatrix_quantize_options_init(imatrix_quantize_options *options) {
    *options = (imatrix_quantize_options){.struct_size = sizeof *options};
}

static imx_status check_options(const imatrix_quantize_options *options, imx_error *err) {
    if (options->struct_size != sizeof *options) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "imatrix_quantize_options was not initialised by this version's _init");
    }
    if (options->model_path == NULL || options->recipe == NULL) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "a model and a type are needed");
    }
    return IMX_OK;
}

// A shard would give a model without most of its tensors.
static imx_status refuse_shard(const imx_gguf *source, imx_error *err) {
    uint32_t n_shards = 1;
    IMX_TRY(imx_gguf_get_u32(source, "split.count", false, &n_shards, err));
    if (n_shards > 1) {
        return imx_fail(
            err, IMX_ERR_UNSUPPORTED,
            "%s: is one of %u shards, which this version does not read; join them first "
            "with llama-gguf-split --merge",
            source->path, n_shards);
    }
    return IMX_OK;
}

static imx_status open_quantizer(imatrix_quantizer *q, const imatrix_quantize_options *options,
                                 imx_error *err) {
    IMX_TRY(check_options(options, err));
    const imx_recipe *recipe = imx_recipe_find(options->recipe);
    if (recipe == NULL) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "'%s' is not a quantization type; `imatrix quantize --help` lists them",
                        options->recipe);
    }
    q->n_threads = options->n_threads;
    q->progress = options->progress;
    IMX_TRY(imx_gguf_open(&q->source, options->model_path, err));
    IMX_TRY(refuse_shard(q->source, err));
    if (options->imatrix_path != NULL) {
        q->imatrix_name = strdup(imx_base_name(options->imatrix_path));
        if (q->imatrix_name == NULL) {
            return imx_fail_memory(err, strlen(options->imatrix_path));
        }
        IMX_TRY(imx_imatrix_read(&q->imatrix, options->imatrix_path, NULL, err));
    }
    imx_plan_options plan_options;
    imx_plan_options_init(&plan_options);
    plan_options.recipe = recipe;
    plan_options.imatrix = q->imatrix;
    IMX_TRY(imx_plan_new(&q->plan, q->source, &plan_options, err));
    return imx_alloc_zeroed(&q->losses, q->plan->n_items, sizeof *q->losses, err);
}

imatrix_status imatrix_quantizer_open(imatrix_quantizer **out,
                                      const imatrix_quantize_options *options,
                                      imatrix_error *error) {
    imx_error err = {0};
    imatrix_quantizer *q;
    *out = NULL;
    imx_status status = imx_alloc_zeroed(&q, 1, sizeof *q, &err);
    if (status == IMX_OK) {
        status = open_quantizer(q, options, &err);
        if (status == IMX_OK) {
            *out = q;
        } else {
            imatrix_quantizer_close(q);
        }
    }
    return imx_publish_error(status, &err, error);
}

void imatrix_quantizer_close(imatrix_quantizer *quantizer) {
    if (quantizer == NULL) {
        return;
    }
    free(quantizer->losses);
    free(quantizer->imatrix_name);
    imx_plan_free(quantizer->plan);
    imx_imatrix_free(quantizer->imatrix);
    imx_gguf_close(quantizer->source);
    free(quantizer);
}

void imatrix_quantizer_totals(const imatrix_quantizer *quantizer, imatrix_plan_totals *totals) {
    const imx_plan *plan = quantizer->plan;
    *totals = (imatrix_plan_totals){
        .n_tensors = plan->n_items,
        .n_weights = plan->n_weights,
        .size_bytes = plan->size_bytes,
        .n_imatrix_entries = quantizer->imatrix != NULL ? quantizer->imatrix->n_entries : 0,
    };
    for (size_t i = 0; i < plan->n_items; ++i) {
        totals->source_bytes += plan->items[i].source->size_bytes;
        totals->n_with_statistics += plan->items[i].statistics != NULL;
        totals->n_lacking_statistics += plan->items[i].lacks_statistics;
    }
    totals->bits_per_weight =
        plan->n_weights > 0 ? 8.0 * (double)plan->size_bytes / (double)plan->n_weights : 0.0;
}

static double error_ratio(double error, double power) {
    return power > 0.0 ? error / power : 0.0;
}

void imatrix_quantizer_tensor(const imatrix_quantizer *quantizer, size_t i,
                              imatrix_tensor_plan *plan) {
    const imx_plan_item *item = &quantizer->plan->items[i];
    const imx_tensor_loss *loss = &quantizer->losses[i];
    const bool has_loss = quantizer->has_run && !item->is_copied;
    *plan = (imatrix_tensor_plan){
        .name = item->source->name,
        .n_dims = item->source->n_dims,
        .source_type = imx_type_name(item->source->type),
        .type = imx_type_name(item->type),
        .source_bytes = item->source->size_bytes,
        .size_bytes = item->size_bytes,
        .is_copied = item->is_copied,
        .is_fallback = item->is_fallback,
        .has_statistics = item->statistics != NULL,
        .lacks_statistics = item->lacks_statistics,
        .weighted_error =
            has_loss ? error_ratio(loss->weighted_error, loss->weighted_power) : (double)NAN,
        .relative_error =
            has_loss ? error_ratio(loss->squared_error, loss->squared_power) : (double)NAN,
    };
    memcpy(plan->dims, item->source->dims, sizeof plan->dims);
}

// Writing over the mapped source would destroy it before it is read.
static imx_status refuse_same_file(const imatrix_quantizer *q, const char *out_path,
                                   imx_error *err) {
    struct stat source;
    struct stat target;
    if (stat(q->source->path, &source) == 0 && stat(out_path, &target) == 0 &&
        source.st_dev == target.st_dev && source.st_ino == target.st_ino) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "%s: is the source model; choose another name for the output", out_path);
    }
    return IMX_OK;
}

static imx_status run(imatrix_quantizer *q, const char *out_path, imx_error *err) {
    const imx_progress progress = imx_adapt_progress(&q->progress);
    const imx_pipeline_options options = {.n_threads = q->n_threads, .progress = &progress};
    imx_gguf_builder *builder = NULL;
    imx_status status = refuse_same_file(q, out_path, err);
    if (status != IMX_OK) {
        return status;
    }
    IMX_TRY_GOTO(done, imx_gguf_builder_new(&builder, err));
    const imx_key_options keys = {.imatrix = q->imatrix, .imatrix_name = q->imatrix_name};
    IMX_TRY_GOTO(done, imx_model_keys_set(builder, q->source, q->plan, &keys, err));
    IMX_TRY_GOTO(done,
                 imx_pipeline_run(q->plan, q->source, builder, out_path, &options, q->losses, err));
    q->has_run = true;
done:
    imx_gguf_builder_free(builder);
    return status;
}

imatrix_status imatrix_quantizer_run(imatrix_quantizer *quantizer, const char *out_path,
                                     imatrix_error *error) {
    imx_error err = {0};
    return imx_publish_error(run(quantizer, out_path, &err), &err, error);
}
