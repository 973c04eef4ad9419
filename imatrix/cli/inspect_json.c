// SPDX-License-Identifier: MIT

#include "imatrix/cli/console.h"
#include "imatrix/cli/inspect_report.h"

static json_t *json_count(uint64_t n) {
    return json_integer((json_int_t)n);
}

// null for what the model does not say.
static json_t *json_text(const char *text) {
    return text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *json_range(imatrix_range range) {
    return range.min == range.max
               ? json_count(range.min)
               : json_pack("[I, I]", (json_int_t)range.min, (json_int_t)range.max);
}

static json_t *json_types(const imatrix_inspection *model) {
    json_t *types = json_array();
    for (size_t i = 0; i < model->n_types; ++i) {
        const imatrix_type_total *type = &model->types[i];
        json_array_append_new(types, json_pack("{s:s, s:b, s:I, s:I, s:I}", "type", type->type,
                                               "is_quantized", type->is_quantized, "n_tensors",
                                               (json_int_t)type->n_tensors, "n_weights",
                                               (json_int_t)type->n_weights, "size_bytes",
                                               (json_int_t)type->size_bytes));
    }
    return types;
}

static json_t *json_size(const imatrix_output_size *size, bool has_fit) {
    const json_int_t file_bytes = (json_int_t)size->file_bytes;
    if (file_bytes == 0) {
        return json_pack("{s:s, s:n}", "type", size->recipe.name, "file_bytes");
    }
    json_t *object = json_pack(
        "{s:s, s:I, s:f, s:I, s:I, s:I, s:b}", "type", size->recipe.name, "file_bytes", file_bytes,
        "bits_per_weight", size->bits_per_weight, "memory_bytes", (json_int_t)size->memory_bytes,
        "n_fallbacks", (json_int_t)size->n_fallbacks, "n_lacking_statistics",
        (json_int_t)size->n_lacking_statistics, "requantizes", size->requantizes);
    if (has_fit) {
        json_object_set_new(object, "fits", json_boolean(size->fits));
    }
    return object;
}

static json_t *json_sizes(const inspect_report *report) {
    json_t *sizes = json_array();
    for (size_t i = 0; i < report->model->n_sizes; ++i) {
        json_array_append_new(sizes,
                              json_size(&report->model->sizes[i], report->options->fit_bytes > 0));
    }
    return sizes;
}

static json_t *json_verdict(const char *error) {
    return json_pack("{s:b, s:o}", "is_possible", error[0] == '\0', "error", json_text(error));
}

static json_t *json_memory(const imatrix_inspection *model) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "n_ctx", (json_int_t)model->n_ctx,
                     "cache_bytes", (json_int_t)model->cache_bytes, "compute_bytes",
                     (json_int_t)model->compute_bytes, "n_cache_layers",
                     (json_int_t)model->n_cache_layers, "n_window_layers",
                     (json_int_t)model->n_window_layers, "window", (json_int_t)model->window,
                     "n_state_layers", (json_int_t)model->n_state_layers);
}

static json_t *json_vocabulary(const imatrix_inspection *model) {
    return json_pack("{s:o, s:o, s:I, s:b, s:o, s:o}", "model", json_text(model->tokenizer), "pre",
                     json_text(model->pre_tokenizer), "n_vocab", (json_int_t)model->n_vocab,
                     "has_chat_template", model->has_chat_template, "chat_template",
                     json_text(model->chat_template), "support",
                     json_verdict(model->tokenizer_error));
}

static void set_numbers(json_t *root, const imatrix_inspection *model) {
    const struct {
        const char *key;
        uint64_t value;
    } rows[] = {
        {"n_files", model->n_files},
        {"file_bytes", model->file_bytes},
        {"n_tensors", model->n_tensors},
        {"n_weights", model->n_weights},
        {"n_active_weights", model->n_active_weights},
        {"n_layers", model->n_layers},
        {"n_embd", model->n_embd},
        {"key_length", model->key_length},
        {"value_length", model->value_length},
        {"n_experts", model->n_experts},
        {"n_experts_used", model->n_experts_used},
        {"n_experts_shared", model->n_experts_shared},
        {"n_ctx_train", model->n_ctx_train},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        json_object_set_new(root, rows[i].key, json_count(rows[i].value));
    }
    json_object_set_new(root, "n_ff", json_range(model->n_ff));
    json_object_set_new(root, "n_heads", json_range(model->n_heads));
    json_object_set_new(root, "n_kv_heads", json_range(model->n_kv_heads));
}

void inspect_report_json(const inspect_report *report) {
    const imatrix_inspection *model = report->model;
    json_t *root =
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:b}", "model", report->options->model_path, "name",
                  json_text(model->name), "architecture", json_text(model->architecture),
                  "file_type", json_text(model->file_type), "imatrix",
                  json_text(model->imatrix_name), "is_quantized", model->is_quantized);
    json_object_set_new(root, "missing", json_text(model->missing));
    set_numbers(root, model);
    json_object_set_new(root, "tensor_types", json_types(model));
    json_object_set_new(root, "tokenizer", json_vocabulary(model));
    json_object_set_new(root, "collect", json_verdict(model->collect_error));
    json_object_set_new(root, "quantize", json_verdict(model->quantize_error));
    json_object_set_new(root, "memory", json_memory(model));
    json_object_set_new(root, "types", json_sizes(report));
    if (report->options->fit_bytes > 0) {
        json_object_set_new(root, "fit_bytes", json_count(report->options->fit_bytes));
        json_object_set_new(root, "best",
                            json_text(model->best != NULL ? model->best->recipe.name : ""));
    }
    console_print_json(root);
}
