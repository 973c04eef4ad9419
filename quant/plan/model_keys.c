// SPDX-License-Identifier: MIT
//
// Keys pass through byte for byte, known or not, but for what the source says about its shards and
// about how it was quantized itself.
//
// Pruned layers leave the keys as well. No list says which keys those are; an array of the
// architecture with as many numbers as there are layers is taken to have one for each. Counts of
// layers are block_count and leading_dense_block_count; a DeepSeek model that loses a dense layer
// and keeps the latter does not load.

#include "quant/plan/model_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"
#include "formats/path_parts.h"
#include "quant/plan/layer_pruning.h"

enum { QUANTIZATION_VERSION = 2 }; // of the block layouts, as llama.cpp counts them

static const char no_hash[] = "00000000000000000000000000000000";

static const char *const effort_names[IMX_EFFORT_COUNT] = {
    [IMX_EFFORT_DEFAULT] = "default",
    [IMX_EFFORT_BEST] = "best",
};

static const char *const weighting_names[IMX_WEIGHTING_COUNT] = {
    [IMX_WEIGHTING_AUTO] = "auto",
    [IMX_WEIGHTING_PLAIN] = "plain",
    [IMX_WEIGHTING_SQRT] = "sqrt",
};

static const char *const inputs_names[IMX_INPUTS_COUNT] = {
    [IMX_INPUTS_ORIGINAL] = "original",
    [IMX_INPUTS_QUANTIZED] = "quantized",
};

// ---- keys of the source ------------------------------------------------------------------------

static bool starts_with(imx_str key, const char *prefix) {
    const size_t len = strlen(prefix);
    return key.len >= len && memcmp(key.data, prefix, len) == 0;
}

// What an earlier run and the shards of the source say about themselves.
static bool is_dropped(imx_str key, const imx_plan *plan, const imx_key_options *options) {
    const bool has_other_imatrix = plan->options.imatrix != NULL || options->hide_imatrix;
    return starts_with(key, "split.") || starts_with(key, "imatrix.quantize.") ||
           (has_other_imatrix && starts_with(key, "quantize.imatrix."));
}

static imx_status copy_keys(imx_gguf_builder *builder, const imx_gguf *source, const imx_plan *plan,
                            const imx_key_options *options, imx_error *err) {
    for (size_t i = 0; i < source->n_kvs; ++i) {
        if (!is_dropped(source->kvs[i].key, plan, options)) {
            IMX_TRY(imx_gguf_copy_kv(builder, &source->kvs[i], err));
        }
    }
    return IMX_OK;
}

// ---- pruned layers -----------------------------------------------------------------------------

// A number per layer: an array of the architecture as long as it has layers.
static bool is_per_layer(const imx_gguf_kv *kv, const char *prefix, uint64_t n_layers) {
    return kv->type == IMX_GGUF_ARRAY && kv->n_elems == n_layers &&
           imx_gguf_scalar_bytes(kv->elem_type) > 0 && starts_with(kv->key, prefix);
}

static imx_status prune_array(imx_gguf_builder *builder, const imx_gguf_kv *kv,
                              const imx_plan_options *options, imx_error *err) {
    const size_t elem_bytes = imx_gguf_scalar_bytes(kv->elem_type);
    const uint32_t elem_type = (uint32_t)kv->elem_type;
    const uint64_t n_elems = kv->n_elems - options->n_pruned;
    uint8_t *raw;
    IMX_TRY(imx_alloc_zeroed(&raw, (size_t)kv->raw_bytes, 1, err));
    memcpy(raw, &elem_type, sizeof elem_type);
    memcpy(raw + sizeof elem_type, &n_elems, sizeof n_elems);
    uint8_t *end = raw + sizeof elem_type + sizeof n_elems;
    for (uint64_t layer = 0; layer < kv->n_elems; ++layer) {
        if (!imx_layer_is_pruned(options->pruned_layers, options->n_pruned, layer)) {
            memcpy(end, kv->elems + layer * elem_bytes, elem_bytes);
            end += elem_bytes;
        }
    }
    imx_gguf_kv pruned = *kv;
    pruned.raw = raw;
    pruned.raw_bytes = (uint64_t)(end - raw);
    const imx_status status = imx_gguf_copy_kv(builder, &pruned, err);
    free(raw);
    return status;
}

// Lowers the count of first layers at "PREFIXsuffix", if there is one, by those of them that go.
static imx_status prune_count(imx_gguf_builder *builder, const imx_gguf *source, const char *prefix,
                              const char *suffix, const imx_plan_options *options, imx_error *err) {
    char key[256];
    uint32_t count = 0;
    snprintf(key, sizeof key, "%s%s", prefix, suffix);
    if (imx_gguf_find_kv(source, key) == NULL) {
        return IMX_OK;
    }
    IMX_TRY(imx_gguf_get_u32(source, key, true, &count, err));
    count -= (uint32_t)imx_n_pruned_before(options->pruned_layers, options->n_pruned, count);
    return imx_gguf_set_u32(builder, key, count, err);
}

static imx_status prune_keys(imx_gguf_builder *builder, const imx_gguf *source,
                             const imx_plan *plan, imx_error *err) {
    const imx_plan_options *options = &plan->options;
    imx_str architecture = {"", 0};
    char prefix[128];
    IMX_TRY(imx_gguf_get_str(source, "general.architecture", false, &architecture, err));
    snprintf(prefix, sizeof prefix, "%.*s.", (int)architecture.len, architecture.data);
    IMX_TRY(prune_count(builder, source, prefix, "block_count", options, err));
    IMX_TRY(prune_count(builder, source, prefix, "leading_dense_block_count", options, err));
    for (size_t i = 0; i < source->n_kvs; ++i) {
        if (is_per_layer(&source->kvs[i], prefix, plan->n_layers + options->n_pruned)) {
            IMX_TRY(prune_array(builder, &source->kvs[i], options, err));
        }
    }
    return IMX_OK;
}

// ---- where the model came from -----------------------------------------------------------------

static uint32_t count_entries(const imx_plan_options *options) {
    uint32_t n = 0;
    for (size_t i = 0; i < options->imatrix->n_entries; ++i) {
        n += imx_plan_uses_statistics(options, options->imatrix->entries[i].name);
    }
    return n;
}

static imx_status set_optional_str(imx_gguf_builder *builder, const char *key, const char *value,
                                   imx_error *err) {
    return value != NULL ? imx_gguf_set_str(builder, key, value, err) : IMX_OK;
}

// llama-quantize's keys, with base names instead of paths, and the hash.
static imx_status set_imatrix_keys(imx_gguf_builder *builder, const imx_plan_options *plan_options,
                                   const imx_key_options *options, imx_error *err) {
    const imx_imatrix *imatrix = plan_options->imatrix;
    const imx_calibration_keys *calibration = options->calibration;
    const char *dataset = imatrix->n_datasets > 0 ? imx_base_name(imatrix->datasets[0]) : NULL;
    uint32_t n_chunks = imatrix->chunk_count;
    if (calibration != NULL) {
        dataset = calibration->n_texts > 0 ? calibration->texts[0] : NULL;
        n_chunks = calibration->n_chunks;
    }
    IMX_TRY(imx_gguf_set_u32(builder, "quantize.imatrix.entries_count", count_entries(plan_options),
                             err));
    if (options->hide_imatrix) {
        return IMX_OK;
    }
    IMX_TRY(set_optional_str(builder, "quantize.imatrix.file", options->imatrix_name, err));
    IMX_TRY(set_optional_str(builder, "quantize.imatrix.dataset", dataset, err));
    if (n_chunks > 0) {
        IMX_TRY(imx_gguf_set_u32(builder, "quantize.imatrix.chunks_count", n_chunks, err));
    }
    return set_optional_str(builder, "imatrix.quantize.imatrix_hash", options->imatrix_hash, err);
}

#define CALIBRATION "imatrix.quantize.calibration."

static imx_status set_calibration_keys(imx_gguf_builder *builder, const imx_key_options *options,
                                       imx_error *err) {
    const imx_calibration_keys *keys = options->calibration;
    IMX_TRY(imx_gguf_set_str(builder, CALIBRATION "inputs", inputs_names[keys->inputs], err));
    IMX_TRY(imx_gguf_set_bool(builder, CALIBRATION "process_output", keys->process_output, err));
    if (options->hide_imatrix) {
        return IMX_OK;
    }
    IMX_TRY(imx_gguf_set_str_array(builder, CALIBRATION "texts", keys->texts, keys->n_texts, err));
    IMX_TRY(imx_gguf_set_str_array(builder, CALIBRATION "text_hashes", keys->text_hashes,
                                   keys->n_texts, err));
    return imx_gguf_set_u64(builder, CALIBRATION "n_tokens", keys->n_tokens, err);
}

static bool feeds_back(const imx_plan *plan) {
    size_t i = 0;
    while (i < plan->n_items && !plan->items[i].feeds_back) {
        ++i;
    }
    return i < plan->n_items;
}

// How the statistics were used.
static imx_status set_statistics_keys(imx_gguf_builder *builder, const imx_plan *plan,
                                      imx_error *err) {
    const imx_plan_options *options = &plan->options;
    if (feeds_back(plan)) {
        IMX_TRY(imx_gguf_set_bool(builder, "imatrix.quantize.covariance", true, err));
    }
    IMX_TRY(imx_gguf_set_u32(builder, "imatrix.quantize.prior_tokens", options->prior_tokens, err));
    if (options->n_included > 0) {
        IMX_TRY(imx_gguf_set_str_array(builder, "imatrix.quantize.include_weights",
                                       options->include_weights, options->n_included, err));
    }
    return options->n_excluded == 0
               ? IMX_OK
               : imx_gguf_set_str_array(builder, "imatrix.quantize.exclude_weights",
                                        options->exclude_weights, options->n_excluded, err);
}

// "REGEX=TYPE" for every override.
static imx_status set_tensor_types(imx_gguf_builder *builder, const imx_plan_options *options,
                                   imx_error *err) {
    size_t n_bytes = 0;
    for (size_t i = 0; i < options->n_overrides; ++i) {
        n_bytes += strlen(options->overrides[i].pattern) + 1 +
                   strlen(imx_type_name(options->overrides[i].type)) + 1;
    }
    char *text;
    const char **rows = NULL;
    IMX_TRY(imx_alloc_zeroed(&text, n_bytes, 1, err));
    imx_status status = imx_alloc_zeroed(&rows, options->n_overrides, sizeof *rows, err);
    if (status == IMX_OK) {
        char *end = text;
        for (size_t i = 0; i < options->n_overrides; ++i) {
            const imx_type_override *row = &options->overrides[i];
            rows[i] = end;
            end += sprintf(end, "%s=%s", row->pattern, imx_type_name(row->type)) + 1;
        }
        status = imx_gguf_set_str_array(builder, "imatrix.quantize.tensor_types", rows,
                                        options->n_overrides, err);
    }
    free(rows);
    free(text);
    return status;
}

static imx_status set_origin(imx_gguf_builder *builder, const imx_plan *plan,
                             const imx_key_options *options, imx_error *err) {
    const imx_plan_options *plan_options = &plan->options;
    const struct {
        const char *key;
        const char *value;
    } rows[] = {
        {"imatrix.quantize.version", IMX_VERSION},
        {"imatrix.quantize.recipe", imx_recipe_name(plan_options->recipe)},
        {"imatrix.quantize.effort", effort_names[options->encode.effort]},
        {"imatrix.quantize.weighting", weighting_names[options->encode.weighting]},
        {IMX_KEY_SOURCE_HASH, no_hash},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        IMX_TRY(imx_gguf_set_str(builder, rows[i].key, rows[i].value, err));
    }
    if (plan_options->imatrix != NULL) {
        IMX_TRY(set_imatrix_keys(builder, plan_options, options, err));
        IMX_TRY(set_statistics_keys(builder, plan, err));
    }
    if (options->calibration != NULL) {
        IMX_TRY(set_calibration_keys(builder, options, err));
    }
    return plan_options->n_overrides > 0 ? set_tensor_types(builder, plan_options, err) : IMX_OK;
}

imx_status imx_model_keys_set(imx_gguf_builder *builder, const imx_gguf *source,
                              const imx_plan *plan, const imx_key_options *options,
                              imx_error *err) {
    const imx_plan_options *plan_options = &plan->options;
    IMX_TRY(copy_keys(builder, source, plan, options, err));
    if (plan_options->n_pruned > 0) {
        IMX_TRY(prune_keys(builder, source, plan, err));
    }
    IMX_TRY(imx_gguf_set_u32(builder, "general.quantization_version", QUANTIZATION_VERSION, err));
    if (!imx_recipe_is_copy(plan_options->recipe)) {
        IMX_TRY(imx_gguf_set_u32(builder, "general.file_type",
                                 imx_recipe_file_type(plan_options->recipe), err));
    }
    IMX_TRY(set_origin(builder, plan, options, err));
    for (size_t i = 0; i < options->n_overrides; ++i) {
        IMX_TRY(imx_key_override_set(builder, source, &options->overrides[i], err));
    }
    return IMX_OK;
}
