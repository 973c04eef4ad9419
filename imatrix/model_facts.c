// SPDX-License-Identifier: MIT

#include "imatrix/model_facts.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calib/text/chat_template.h"
#include "calib/tokenizer/tokenizer.h"
#include "calib/tokenizer/unicode_bytes.h"
#include "formats/memory.h"
#include "formats/model_number.h"
#include "quant/plan/recipe.h"

#define FIELD(name) offsetof(imatrix_inspection, name)

// ---- what the model says of itself -------------------------------------------------------------

typedef struct text_row {
    const char *key;
    size_t offset;
    size_t size;
} text_row;

#define TEXT(key, field)                                                                           \
    { key, FIELD(field), sizeof(((imatrix_inspection *)0)->field) }

static const text_row text_table[] = {
    TEXT("general.name", name),
    TEXT("general.architecture", architecture),
    TEXT("quantize.imatrix.file", imatrix_name),
    TEXT("tokenizer.ggml.model", tokenizer),
    TEXT("tokenizer.ggml.pre", pre_tokenizer),
};

// Numbers under the architecture's name; a range takes those of all layers.
static const struct {
    const char *suffix;
    size_t offset;
    bool is_range;
} number_table[] = {
    {"block_count", FIELD(n_layers), false},
    {"embedding_length", FIELD(n_embd), false},
    {"feed_forward_length", FIELD(n_ff), true},
    {"attention.head_count", FIELD(n_heads), true},
    {"attention.head_count_kv", FIELD(n_kv_heads), true},
    {"attention.key_length", FIELD(key_length), false},
    {"attention.value_length", FIELD(value_length), false},
    {"expert_count", FIELD(n_experts), false},
    {"expert_used_count", FIELD(n_experts_used), false},
    {"expert_shared_count", FIELD(n_experts_shared), false},
    {"context_length", FIELD(n_ctx_train), false},
};

// Copies what a terminal can show. A character that does not fit whole is left out.
static imx_status copy_text(char *out, size_t size, imx_str text, imx_error *err) {
    imx_clean_text clean = {0};
    const imx_status status = imx_clean_utf8(&clean, text.data, text.len, err);
    for (size_t n = 0; status == IMX_OK && n < clean.len;) {
        const size_t len = imx_utf8_len((uint8_t)clean.subject[n]);
        if (n + len >= size) {
            break;
        }
        memcpy(out + n, clean.subject + n, len);
        if ((uint8_t)out[n] < ' ' || out[n] == '\x7f') {
            out[n] = '?';
        }
        n += len;
    }
    free(clean.memory);
    return status;
}

// A text of another type counts as absent.
static imx_str find_text(const imx_gguf *gguf, const char *key) {
    imx_str text = {"", 0};
    return imx_gguf_get_str(gguf, key, false, &text, NULL) == IMX_OK ? text : (imx_str){"", 0};
}

static imatrix_range range_of(const imx_gguf_kv *kv) {
    imatrix_range range = {UINT64_MAX, 0};
    for (uint64_t i = 0; i < kv->n_elems; ++i) {
        const int64_t value = imx_gguf_elem_i64(kv, i);
        const uint64_t n = value > 0 ? (uint64_t)value : 0;
        range.min = n < range.min ? n : range.min;
        range.max = n > range.max ? n : range.max;
    }
    return range.min <= range.max ? range : (imatrix_range){0, 0};
}

static void read_numbers(imatrix_inspection *out, const imx_gguf *gguf) {
    for (size_t i = 0; i < sizeof number_table / sizeof *number_table; ++i) {
        char *field = (char *)out + number_table[i].offset;
        const char *suffix = number_table[i].suffix;
        const imx_gguf_kv *kv = imx_model_key(gguf, suffix);
        if (!number_table[i].is_range) {
            const uint64_t value = imx_model_number(gguf, suffix, 0, 0);
            memcpy(field, &value, sizeof value);
        } else if (kv != NULL && imx_gguf_scalar_bytes(kv->elem_type) > 0) {
            const imatrix_range range = range_of(kv);
            memcpy(field, &range, sizeof range);
        }
    }
}

// What follows from other numbers where the metadata leaves it out.
static void complete_numbers(imatrix_inspection *out) {
    const uint64_t head_len = out->n_heads.max > 0 ? out->n_embd / out->n_heads.max : 0;
    out->key_length = out->key_length > 0 ? out->key_length : head_len;
    out->value_length = out->value_length > 0 ? out->value_length : head_len;
    out->n_kv_heads = out->n_kv_heads.max > 0 ? out->n_kv_heads : out->n_heads;
}

// What programs that read models expect in one, and go without only at a loss.
static const struct {
    const char *key;
    bool is_of_architecture; // stands under its name
} expected_table[] = {
    {"general.architecture", false},  {"general.name", false},    {"block_count", true},
    {"context_length", true},         {"embedding_length", true}, {"tokenizer.ggml.model", false},
    {"tokenizer.ggml.tokens", false},
};

static void list_missing(imatrix_inspection *out, const imx_gguf *gguf) {
    size_t n = 0;
    for (size_t i = 0; i < sizeof expected_table / sizeof *expected_table; ++i) {
        const char *key = expected_table[i].key;
        const bool is_there = expected_table[i].is_of_architecture
                                  ? imx_model_key(gguf, key) != NULL
                                  : imx_gguf_find_kv(gguf, key) != NULL;
        if (!is_there) {
            n += (size_t)snprintf(out->missing + n, sizeof out->missing - n, "%s%s",
                                  n > 0 ? ", " : "", key);
        }
    }
    assert(n < sizeof out->missing);
}

static void name_file_type(imatrix_inspection *out, const imx_gguf *gguf) {
    const imx_gguf_kv *kv = imx_gguf_find_kv(gguf, "general.file_type");
    char number[16];
    uint32_t file_type = 0;
    if (kv == NULL ||
        imx_gguf_get_u32(gguf, "general.file_type", true, &file_type, NULL) != IMX_OK) {
        return;
    }
    snprintf(number, sizeof number, "%u", file_type);
    const imx_recipe *recipe = imx_recipe_find(number);
    snprintf(out->file_type, sizeof out->file_type, "%s%s", recipe != NULL ? "" : "file type ",
             recipe != NULL ? imx_recipe_name(recipe) : number);
}

static imx_status describe_model(imatrix_inspection *out, const imx_gguf *gguf, imx_error *err) {
    const imx_str kind = find_text(gguf, "general.type");
    if (imx_str_equals(kind, "imatrix")) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "%s: holds an imatrix, not a model; give the model that it belongs to, and "
                        "this file with --imatrix",
                        gguf->path);
    }
    for (size_t i = 0; i < sizeof text_table / sizeof *text_table; ++i) {
        const text_row *row = &text_table[i];
        IMX_TRY(copy_text((char *)out + row->offset, row->size, find_text(gguf, row->key), err));
    }
    read_numbers(out, gguf);
    complete_numbers(out);
    name_file_type(out, gguf);
    list_missing(out, gguf);
    return IMX_OK;
}

static void describe_vocabulary(imatrix_inspection *out, const imx_gguf *gguf) {
    const imx_str chat = find_text(gguf, "tokenizer.chat_template");
    const imx_chat_template *family = imx_chat_template_find(chat.data, chat.len);
    const imx_gguf_kv *tokens;
    imx_tokenizer *tokenizer = NULL;
    imx_error err = {IMX_OK, ""};
    out->has_chat_template = chat.len > 0;
    if (chat.len > 0 && family != NULL) {
        snprintf(out->chat_template, sizeof out->chat_template, "%s",
                 imx_chat_template_name(family));
    }
    if (imx_gguf_get_array(gguf, "tokenizer.ggml.tokens", false, IMX_GGUF_STRING, &tokens, NULL) ==
            IMX_OK &&
        tokens != NULL) {
        out->n_vocab = tokens->n_elems;
    }
    imx_tokenizer_open(&tokenizer, gguf, &err);
    memcpy(out->tokenizer_error, err.message, sizeof err.message);
    imx_tokenizer_close(tokenizer);
}

// ---- tensors -----------------------------------------------------------------------------------

static int compare_types(const void *left, const void *right) {
    const imatrix_type_total *a = left;
    const imatrix_type_total *b = right;
    return (a->size_bytes < b->size_bytes) - (a->size_bytes > b->size_bytes);
}

// Weights of a tensor that a token passes.
static uint64_t count_active(const imatrix_inspection *out, const imx_gguf_tensor *tensor,
                             uint64_t n_weights) {
    const bool is_chosen = strstr(tensor->name, "_exps.") != NULL &&
                           out->n_experts_used < out->n_experts && tensor->dims[2] > 1;
    return is_chosen ? n_weights / out->n_experts * out->n_experts_used : n_weights;
}

static imx_status count_tensors(imatrix_inspection *out, const imx_gguf *gguf, imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(&out->types, IMX_TYPE_COUNT, sizeof *out->types, err));
    out->n_tensors = gguf->n_tensors;
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        const imx_gguf_tensor *tensor = &gguf->tensors[i];
        const uint64_t n_weights = imx_gguf_tensor_cols(tensor) * imx_gguf_tensor_rows(tensor);
        imatrix_type_total *total = &out->types[tensor->type];
        total->type = imx_type_name(tensor->type);
        total->is_quantized = imx_type_traits_of(tensor->type)->is_quantized;
        ++total->n_tensors;
        total->n_weights += n_weights;
        total->size_bytes += tensor->size_bytes;
        out->n_weights += n_weights;
        out->n_active_weights += count_active(out, tensor, n_weights);
        out->is_quantized = out->is_quantized || total->is_quantized;
    }
    qsort(out->types, IMX_TYPE_COUNT, sizeof *out->types, compare_types);
    while (out->n_types < IMX_TYPE_COUNT && out->types[out->n_types].n_tensors > 0) {
        ++out->n_types;
    }
    return IMX_OK;
}

static void count_files(imatrix_inspection *out, const imx_gguf *gguf) {
    out->n_files = imx_gguf_n_files(gguf);
    for (size_t i = 0; i < out->n_files; ++i) {
        out->file_bytes += imx_gguf_file(gguf, i)->map.size_bytes;
    }
}

imx_status imx_model_facts_gather(imatrix_inspection *out, const imx_gguf *gguf, imx_error *err) {
    IMX_TRY(describe_model(out, gguf, err));
    describe_vocabulary(out, gguf);
    count_files(out, gguf);
    return count_tensors(out, gguf, err);
}
