// SPDX-License-Identifier: MIT
//
// imatrix_quantizer: a source model, an optional imatrix and a plan, carried out on demand.

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "formats/file_hash.h"
#include "formats/gguf.h"
#include "formats/imatrix_file.h"
#include "formats/memory.h"
#include "imatrix/facade.h"
#include "imatrix/quantize_settings.h"
#include "quant/pipeline/pipeline.h"
#include "quant/plan/model_keys.h"
#include "quant/plan/plan.h"
#include "quant/plan/recipe.h"

struct imatrix_quantizer {
    imx_gguf *source;
    imx_imatrix *imatrix; // NULL without one
    imx_plan *plan;
    imx_tensor_loss *losses; // (plan->n_items)
    size_t n_kept;           // tensors that an interrupted run had finished
    bool has_run;
    char *imatrix_name; // base name of the imatrix file, or NULL
    char imatrix_hash[33];
    imx_quantize_settings settings;
    imx_pipeline_needs needs;
    int n_threads;
    bool resume;
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
    *options = (imatrix_quantize_options){.struct_size = sizeof *options, .prior_tokens = 16};
}

static imx_status open_imatrix(imatrix_quantizer *q, const char *path, imx_error *err) {
    imx_file_map file;
    q->imatrix_name = strdup(imx_base_name(path));
    if (q->imatrix_name == NULL) {
        return imx_fail_memory(err, strlen(path));
    }
    IMX_TRY(imx_file_map_open(&file, path, err));
    imx_hash_to_hex(XXH3_128bits(file.data, (size_t)file.size_bytes), q->imatrix_hash);
    imx_file_map_close(&file);
    return imx_imatrix_read(&q->imatrix, path, NULL, err);
}

// Runs the pipeline, or with `out_path` NULL only learns what that would need.
static imx_status run(imatrix_quantizer *q, const char *out_path, imx_error *err) {
    const imx_progress progress = imx_adapt_progress(&q->progress);
    const imx_pipeline_options options = {
        .n_threads = q->n_threads,
        .progress = &progress,
        .encode = q->settings.encode,
        .resume = q->resume,
    };
    imx_gguf_builder *builder = NULL;
    imx_status status;
    IMX_TRY_GOTO(done, imx_gguf_builder_new(&builder, err));
    IMX_TRY_GOTO(done, imx_model_keys_set(builder, q->source, q->plan, &q->settings.keys, err));
    status = out_path == NULL
                 ? imx_pipeline_measure(&q->needs, q->plan, q->source, builder, &options, err)
                 : imx_pipeline_run(q->plan, q->source, builder, out_path, &options, q->losses,
                                    &q->n_kept, err);
    q->has_run = status == IMX_OK && out_path != NULL;
done:
    imx_gguf_builder_free(builder);
    return status;
}

static imx_status open_quantizer(imatrix_quantizer *q, const imatrix_quantize_options *options,
                                 imx_error *err) {
    IMX_TRY(imx_quantize_settings_init(&q->settings, options, err));
    q->n_threads = options->n_threads;
    q->resume = options->resume;
    q->progress = options->progress;
    IMX_TRY(imx_gguf_open_model(&q->source, options->model_path, err));
    if (options->imatrix_path != NULL) {
        IMX_TRY(open_imatrix(q, options->imatrix_path, err));
        q->settings.plan.imatrix = q->imatrix;
        q->settings.keys.imatrix_name = q->imatrix_name;
        q->settings.keys.imatrix_hash = q->imatrix_hash;
    }
    IMX_TRY(imx_plan_new(&q->plan, q->source, &q->settings.plan, err));
    IMX_TRY(imx_alloc_zeroed(&q->losses, q->plan->n_items, sizeof *q->losses, err));
    return run(q, NULL, err);
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
    imx_quantize_settings_free(&quantizer->settings);
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
        .n_kept = quantizer->n_kept,
        .disk_bytes = quantizer->needs.disk_bytes,
        .memory_bytes = quantizer->needs.memory_bytes,
        .n_imatrix_entries = quantizer->imatrix != NULL ? quantizer->imatrix->n_entries : 0,
        .n_shards = plan->n_shards,
        .n_unguided = plan->n_unguided,
    };
    for (size_t i = 0; i < plan->n_items; ++i) {
        totals->source_bytes += plan->items[i].source->size_bytes;
        totals->n_with_statistics += plan->items[i].statistics != NULL;
        totals->n_with_covariance += plan->items[i].feeds_back;
        totals->n_lacking_statistics += plan->items[i].lacks_statistics;
        totals->n_starved += plan->items[i].n_starved;
    }
    totals->bits_per_weight =
        plan->n_weights > 0 ? 8.0 * (double)plan->size_bytes / (double)plan->n_weights : 0.0;
}

static double error_ratio(double error, double power) {
    return power == 0.0 ? 0.0 : error / power;
}

void imatrix_quantizer_tensor(const imatrix_quantizer *quantizer, size_t i,
                              imatrix_tensor_plan *plan) {
    const imx_plan_item *item = &quantizer->plan->items[i];
    const imx_tensor_loss *loss = &quantizer->losses[i];
    const bool has_loss = quantizer->has_run && !item->is_copied;
    *plan = (imatrix_tensor_plan){
        .name = item->name,
        .n_dims = item->source->n_dims,
        .source_type = imx_type_name(item->source->type),
        .type = imx_type_name(item->type),
        .source_bytes = item->source->size_bytes,
        .size_bytes = item->size_bytes,
        .is_copied = item->is_copied,
        .is_fallback = item->is_fallback,
        .has_statistics = item->statistics != NULL,
        .has_covariance = item->feeds_back,
        .lacks_statistics = item->lacks_statistics,
        .n_starved = item->n_starved,
        .weighted_error =
            has_loss ? error_ratio(loss->weighted_error, loss->weighted_power) : (double)NAN,
        .relative_error =
            has_loss ? error_ratio(loss->squared_error, loss->squared_power) : (double)NAN,
    };
    memcpy(plan->dims, item->source->dims, sizeof plan->dims);
}

imatrix_status imatrix_quantizer_run(imatrix_quantizer *quantizer, const char *out_path,
                                     imatrix_error *error) {
    imx_error err = {0};
    return imx_publish_error(run(quantizer, out_path, &err), &err, error);
}
