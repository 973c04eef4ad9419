// SPDX-License-Identifier: MIT
//
// A plan is made in steps, each for all tensors before the next begins:
//
//     which tensors, and their names    pruned layers leave, those behind move up
//     facts                             what rules ask, plan_facts.c
//     statistics and types              plan_statistics.c, plan_types.c
//     offsets and shards
//
// so that no tensor's type depends on the order of the file or on what is decided for another.

#include "quant/plan/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"
#include "quant/encode/encoder.h"
#include "quant/plan/item_importance.h"
#include "quant/plan/layer_pruning.h"
#include "quant/plan/plan_internal.h"

enum { MAX_SHARDS = UINT16_MAX }; // split.count is an u16

// ---- which tensors -----------------------------------------------------------------------------

void imx_plan_options_init(imx_plan_options *options) {
    *options = (imx_plan_options){
        .output_type = IMX_TYPE_BY_RECIPE,
        .embedding_type = IMX_TYPE_BY_RECIPE,
    };
}

static imx_status check_options(const imx_plan_options *options, imx_error *err) {
    static const char message[] = "%s and %s exclude each other; give one of them";
    if (options->n_included > 0 && options->n_excluded > 0) {
        return imx_fail(err, IMX_ERR_ARGUMENT, message, "weights to include", "weights to exclude");
    }
    if (options->keep_split && options->split_max_bytes > 0) {
        return imx_fail(err, IMX_ERR_ARGUMENT, message, "keeping the shards", "a size for shards");
    }
    if (options->leave_output && options->output_type != IMX_TYPE_BY_RECIPE) {
        return imx_fail(err, IMX_ERR_ARGUMENT, message, "leaving the output tensor",
                        "a type for it");
    }
    return IMX_OK;
}

// Writes the name that a tensor has in the new model to `text`; returns the byte behind it.
static char *write_name(char *text, const char *name, const imx_plan_options *options) {
    const int layer = imx_layer_of(name);
    if (layer < 0) {
        return stpcpy(text, name) + 1;
    }
    const uint64_t n_before =
        imx_n_pruned_before(options->pruned_layers, options->n_pruned, (uint64_t)layer);
    const char *suffix = strchr(name + strlen("blk."), '.');
    return text + sprintf(text, "blk.%" PRIu64 "%s", (uint64_t)layer - n_before, suffix) + 1;
}

static imx_status name_items(imx_plan *plan, imx_error *err) {
    size_t n_bytes = 0;
    for (size_t i = 0; i < plan->n_items; ++i) {
        plan->items[i].name = plan->items[i].source->name;
        n_bytes += strlen(plan->items[i].name) + 1;
    }
    if (plan->options.n_pruned == 0) {
        return IMX_OK;
    }
    IMX_TRY(imx_alloc_zeroed(&plan->names, n_bytes, 1, err)); // numbers never get longer
    char *text = plan->names;
    for (size_t i = 0; i < plan->n_items; ++i) {
        plan->items[i].name = text;
        text = write_name(text, plan->items[i].source->name, &plan->options);
    }
    return IMX_OK;
}

static imx_status list_items(imx_plan *plan, const imx_gguf *source, imx_error *err) {
    const imx_plan_options *options = &plan->options;
    IMX_TRY(imx_plan_count_layers(&plan->n_layers, source, err));
    IMX_TRY(imx_check_pruning(options->pruned_layers, options->n_pruned, plan->n_layers, err));
    plan->n_layers -= options->n_pruned;
    IMX_TRY(imx_alloc_zeroed(&plan->items, source->n_tensors, sizeof *plan->items, err));
    for (size_t i = 0; i < source->n_tensors; ++i) {
        const int layer = imx_layer_of(source->tensors[i].name);
        const bool is_pruned =
            layer >= 0 &&
            imx_layer_is_pruned(options->pruned_layers, options->n_pruned, (uint64_t)layer);
        if (!is_pruned) {
            plan->items[plan->n_items++].source = &source->tensors[i];
        }
    }
    return name_items(plan, err);
}

// ---- statistics and types ----------------------------------------------------------------------

static imx_status check_source(const imx_plan_item *item, bool allow_requantize, const char *path,
                               imx_error *err) {
    const imx_gguf_tensor *tensor = item->source;
    const imx_type_traits *traits = imx_type_traits_of(tensor->type);
    if (traits->is_quantized && !allow_requantize) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "%s: tensor %s is already quantized (%s); quantizing it again would lose "
                        "quality: start from an F16, BF16 or F32 model, or allow requantizing",
                        path, tensor->name, traits->name);
    }
    if (traits->decode == NULL) {
        return imx_fail(err, IMX_ERR_UNSUPPORTED,
                        "%s: tensor %s has type %s, which cannot be quantized: convert it to F16, "
                        "BF16 or F32 first",
                        path, tensor->name, traits->name);
    }
    return IMX_OK;
}

static imx_status check_statistics(const imx_plan_item *item, imx_missing missing, imx_error *err) {
    if (!item->lacks_statistics || missing != IMX_MISSING_FAIL) {
        return IMX_OK;
    }
    return imx_fail(err, IMX_ERR_MISMATCH,
                    "the imatrix has no data for tensor %s; collect it again with a text that "
                    "reaches this tensor, exclude the tensor, or choose what such tensors get",
                    item->source->name);
}

// What is copied needs neither.
static void drop_statistics(imx_plan_item *item) {
    item->statistics = NULL;
    item->n_starved = 0;
    item->lacks_statistics = false;
}

static imx_status plan_item(imx_plan *plan, size_t i, const imx_plan_facts *facts,
                            imx_type_chooser *chooser, const char *path, imx_error *err) {
    const imx_plan_options *options = &plan->options;
    imx_plan_item *item = &plan->items[i];
    if (facts->roles[i] != IMX_MIX_ROLE_KEPT) {
        IMX_TRY(imx_plan_find_statistics(item, options, facts->roles[i], facts->is_tied, err));
    }
    IMX_TRY(imx_choose_type(chooser, i, item, err));
    const uint64_t n_cols = imx_gguf_tensor_cols(item->source);
    const uint64_t n_rows = imx_gguf_tensor_rows(item->source);
    item->size_bytes = imx_type_row_bytes(item->type, n_cols) * n_rows;
    plan->n_weights += n_cols * n_rows;
    item->is_copied = item->type == item->source->type;
    if (item->is_copied) {
        drop_statistics(item);
        return IMX_OK;
    }
    plan->n_unguided += item->type == IMX_TYPE_Q2_K && item->statistics == NULL &&
                        imx_layer_of(item->source->name) >= 0;
    IMX_TRY(check_source(item, options->allow_requantize, path, err));
    item->feeds_back = !options->ignore_products && item->statistics != NULL &&
                       imx_encoder_of(item->type)->runs != NULL &&
                       imx_has_products(item->statistics, item->source);
    return check_statistics(item, options->missing, err);
}

static imx_status plan_items(imx_plan *plan, const imx_gguf *source, imx_error *err) {
    imx_plan_facts facts = {0};
    imx_type_chooser chooser = {0};
    imx_status status;
    IMX_TRY_GOTO(done, imx_plan_facts_gather(&facts, plan, source, err));
    IMX_TRY_GOTO(done, imx_type_chooser_open(&chooser, plan, &facts, err));
    for (size_t i = 0; i < plan->n_items; ++i) {
        IMX_TRY_GOTO(done, plan_item(plan, i, &facts, &chooser, source->path, err));
    }
    status = imx_check_patterns_used(&chooser, err);
done:
    imx_type_chooser_close(&chooser);
    imx_plan_facts_free(&facts);
    return status;
}

// ---- offsets and shards ------------------------------------------------------------------------

// Whether item i, of `size_bytes` with padding, starts a file of its own behind `shard`.
static bool starts_shard(const imx_plan *plan, const imx_plan_shard *shard, size_t i,
                         uint64_t size_bytes) {
    const imx_plan_options *options = &plan->options;
    if (shard->n_items == 0) {
        return false;
    }
    if (options->keep_split) {
        return plan->items[i].source->shard != plan->items[i - 1].source->shard;
    }
    return options->split_max_bytes > 0 &&
           shard->size_bytes + size_bytes > options->split_max_bytes;
}

static imx_status place_items(imx_plan *plan, uint64_t alignment, imx_error *err) {
    size_t capacity = 1;
    plan->n_shards = 1;
    IMX_TRY(imx_alloc_zeroed(&plan->shards, capacity, sizeof *plan->shards, err));
    for (size_t i = 0; i < plan->n_items; ++i) {
        const uint64_t size_bytes = imx_align_up(plan->items[i].size_bytes, alignment);
        if (starts_shard(plan, &plan->shards[plan->n_shards - 1], i, size_bytes)) {
            IMX_TRY(
                imx_grow(&plan->shards, &capacity, plan->n_shards + 1, sizeof *plan->shards, err));
            plan->shards[plan->n_shards++] = (imx_plan_shard){.first_item = i};
        }
        imx_plan_shard *shard = &plan->shards[plan->n_shards - 1];
        plan->items[i].offset = shard->size_bytes;
        shard->size_bytes += size_bytes;
        ++shard->n_items;
        plan->size_bytes += size_bytes;
    }
    if (plan->n_shards > MAX_SHARDS) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "the model would lie in %zu files, and no more than %d can be counted; "
                        "allow larger ones",
                        plan->n_shards, MAX_SHARDS);
    }
    return IMX_OK;
}

// ---- the plan ----------------------------------------------------------------------------------

imx_status imx_plan_new(imx_plan **out, const imx_gguf *source, const imx_plan_options *options,
                        imx_error *err) {
    imx_plan *plan;
    imx_status status;
    *out = NULL;
    IMX_TRY(check_options(options, err));
    IMX_TRY(imx_alloc_zeroed(&plan, 1, sizeof *plan, err));
    plan->options = *options;
    IMX_TRY_GOTO(fail, list_items(plan, source, err));
    IMX_TRY_GOTO(fail, plan_items(plan, source, err));
    IMX_TRY_GOTO(fail, place_items(plan, source->alignment, err));
    *out = plan;
    return IMX_OK;
fail:
    imx_plan_free(plan);
    return status;
}

void imx_plan_free(imx_plan *plan) {
    if (plan != NULL) {
        free(plan->items);
        free(plan->shards);
        free(plan->names);
        free(plan);
    }
}
