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
#include "imatrix/calibration.h"
#include "imatrix/embedding_entry.h"
#include "imatrix/facade.h"
#include "imatrix/quantizer.h"
#include "quant/plan/model_keys.h"
#include "quant/plan/recipe.h"

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

imx_pipeline_options imx_quantizer_pipeline_options(const imatrix_quantizer *q,
                                                    const imx_progress *progress) {
    return (imx_pipeline_options){
        .n_threads = q->n_threads,
        .progress = progress,
        .encode = q->settings.encode,
        .resume = q->resume,
    };
}

imx_status imx_quantizer_set_keys(imx_gguf_builder **builder, const imatrix_quantizer *q,
                                  imx_error *err) {
    IMX_TRY(imx_gguf_builder_new(builder, err));
    const imx_status status =
        imx_model_keys_set(*builder, q->source, q->plan, &q->settings.keys, err);
    if (status != IMX_OK) {
        imx_gguf_builder_free(*builder);
        *builder = NULL;
    }
    return status;
}

// Runs the pipeline, or with `out_path` NULL only learns what that would need.
static imx_status run(imatrix_quantizer *q, const char *out_path, imx_error *err) {
    const imx_progress progress = imx_adapt_progress(&q->progress);
    const imx_pipeline_options options = imx_quantizer_pipeline_options(q, &progress);
    imx_gguf_builder *builder;
    IMX_TRY(imx_quantizer_set_keys(&builder, q, err));
    const imx_status status =
        out_path == NULL
            ? imx_pipeline_measure(&q->needs, q->plan, q->source, builder, &options, err)
            : imx_pipeline_run(q->plan, q->source, builder, out_path, &options, q->losses,
                               &q->n_kept, err);
    q->has_run = status == IMX_OK && out_path != NULL;
    imx_gguf_builder_free(builder);
    return status;
}

// Where importance comes from, if anywhere.
static imx_status open_statistics(imatrix_quantizer *q, const imatrix_quantize_options *options,
                                  imx_error *err) {
    if (options->imatrix_path != NULL && options->calibration != NULL) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "an imatrix and a calibration exclude each other; give one of them");
    }
    if (options->calibration != NULL) {
        q->calibration = options->calibration;
        return imx_calibration_guide(options->calibration, q->source, &q->settings, err);
    }
    if (options->imatrix_path != NULL) {
        IMX_TRY(open_imatrix(q, options->imatrix_path, err));
        if (!options->ignore_covariance) {
            IMX_TRY(imx_add_embedding_entry(q->imatrix, q->source, q->n_threads, err));
        }
        q->settings.plan.imatrix = q->imatrix;
        q->settings.keys.imatrix_name = q->imatrix_name;
        q->settings.keys.imatrix_hash = q->imatrix_hash;
    }
    return IMX_OK;
}

static imx_status open_quantizer(imatrix_quantizer *q, const imatrix_quantize_options *options,
                                 imx_error *err) {
    IMX_TRY(imx_quantize_settings_init(&q->settings, options, err));
    q->n_threads = options->n_threads;
    q->resume = options->resume;
    q->progress = options->progress;
    IMX_TRY(imx_gguf_open_model(&q->source, options->model_path, err));
    IMX_TRY(open_statistics(q, options, err));
    IMX_TRY(imx_plan_new(&q->plan, q->source, &q->settings.plan, err));
    IMX_TRY(imx_alloc_zeroed(&q->losses, q->plan->n_items, sizeof *q->losses, err));
    IMX_TRY(imx_alloc_zeroed(&q->outcomes, q->plan->n_items, sizeof *q->outcomes, err));
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
    free(quantizer->outcomes);
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
        imx_calibration_outcome_count(&quantizer->outcomes[i], totals->n_reached);
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
        .calibrated = imx_calibration_outcome_publish(&quantizer->outcomes[i]),
    };
    memcpy(plan->dims, item->source->dims, sizeof plan->dims);
}

imatrix_status imatrix_quantizer_run(imatrix_quantizer *quantizer, const char *out_path,
                                     imatrix_error *error) {
    imx_error err = {0};
    imx_status status;
    if (quantizer->calibration == NULL) {
        status = run(quantizer, out_path, &err);
    } else {
        status = imx_fail(&err, IMX_ERR_ARGUMENT,
                          "%s: the quantizer has a calibration, which runs it", out_path);
    }
    return imx_publish_error(status, &err, error);
}
