// SPDX-License-Identifier: MIT
//
// Types are chosen from facts that are all gathered before the first choice: nothing depends on the
// order in which tensors are visited. Where rules count layers, a tensor's place is its rank among
// the tensors of its role by layer and name, not a running counter.

#include "quant/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"
#include "quant/recipe_internal.h"
#include "quant/tensor_role.h"

// What rules ask about the model as a whole.
typedef struct model_facts {
    uint32_t facts;      // the imx_fact bits that all tensors share
    imx_mix_role *roles; // (n_tensors), owned
    bool has_experts;
    bool is_tied; // the embedding is also the output head
    uint64_t n_layers;
    uint64_t n_attn_v;
} model_facts;

// Models that llama.cpp calls 70B: those with 80 layers (68 in Jais 2) whose heads share attn_v.
static const struct {
    const char *architecture;
    uint64_t n_layers;
    bool needs_grouped_heads;
} seventy_b_table[] = {
    {"llama", 80, true},  {"deci", 80, false},  {"olmo", 80, false},
    {"qwen2", 80, false}, {"jais2", 68, false},
};

// What a type becomes when rows are not a multiple of its block.
static const struct {
    uint32_t type;
    uint32_t fallback;
} fallback_table[] = {
    {IMX_TYPE_Q2_K, IMX_TYPE_Q4_0}, {IMX_TYPE_Q3_K, IMX_TYPE_Q4_0}, {IMX_TYPE_Q4_K, IMX_TYPE_Q5_0},
    {IMX_TYPE_Q5_K, IMX_TYPE_Q5_1}, {IMX_TYPE_Q6_K, IMX_TYPE_Q8_0},
};

// ---- facts -------------------------------------------------------------------------------------

// The number at "ARCHITECTURE.suffix", or its first element where layers differ.
static uint64_t model_number(const imx_gguf *source, imx_str architecture, const char *suffix,
                             uint64_t when_absent) {
    char key[256];
    snprintf(key, sizeof key, "%.*s.%s", (int)architecture.len, architecture.data, suffix);
    const imx_gguf_kv *kv = imx_gguf_find_kv(source, key);
    if (kv == NULL || kv->n_elems == 0 || kv->elem_type == IMX_GGUF_STRING ||
        kv->elem_type == IMX_GGUF_ARRAY) {
        return when_absent;
    }
    const int64_t value = imx_gguf_elem_i64(kv, 0);
    return value > 0 ? (uint64_t)value : 0;
}

static bool str_equals(imx_str str, const char *text) {
    return str.len == strlen(text) && memcmp(str.data, text, str.len) == 0;
}

static bool is_seventy_b(imx_str architecture, uint64_t n_layers, bool shares_heads) {
    for (size_t i = 0; i < sizeof seventy_b_table / sizeof *seventy_b_table; ++i) {
        if (str_equals(architecture, seventy_b_table[i].architecture) &&
            n_layers == seventy_b_table[i].n_layers &&
            (shares_heads || !seventy_b_table[i].needs_grouped_heads)) {
            return true;
        }
    }
    return false;
}

static bool is_matrix(const imx_gguf_tensor *tensor) {
    return tensor->dims[1] > 1 || tensor->dims[2] > 1 || tensor->dims[3] > 1;
}

static imx_status gather_roles(model_facts *model, const imx_gguf *source, imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(&model->roles, source->n_tensors, sizeof *model->roles, err));
    model->is_tied = true;
    for (size_t i = 0; i < source->n_tensors; ++i) {
        const imx_gguf_tensor *tensor = &source->tensors[i];
        const imx_mix_role role =
            is_matrix(tensor) ? imx_mix_role_of(tensor->name) : IMX_MIX_ROLE_KEPT;
        model->roles[i] = role;
        model->n_attn_v += role == IMX_MIX_ROLE_ATTN_V;
        model->is_tied = model->is_tied && role != IMX_MIX_ROLE_OUTPUT;
    }
    return IMX_OK;
}

static imx_status gather_facts(model_facts *model, const imx_gguf *source, bool has_imatrix,
                               imx_error *err) {
    imx_str architecture = {"", 0};
    IMX_TRY(imx_gguf_get_str(source, "general.architecture", false, &architecture, err));
    const uint64_t n_experts = model_number(source, architecture, "expert_count", 0);
    const uint64_t n_heads = model_number(source, architecture, "attention.head_count", 0);
    const uint64_t n_kv_heads =
        model_number(source, architecture, "attention.head_count_kv", n_heads);
    model->n_layers = model_number(source, architecture, "block_count", 0);
    model->has_experts = n_experts > 1;

    const bool is_falcon = str_equals(architecture, "falcon");
    model->facts = (is_falcon ? IMX_FACT_FALCON : IMX_FACT_NOT_FALCON) |
                   (n_experts == 8 ? IMX_FACT_EIGHT_EXPERTS : IMX_FACT_NOT_EIGHT_EXPERTS) |
                   (has_imatrix ? IMX_FACT_HAS_IMATRIX : 0);
    if (n_kv_heads > 0 && n_heads / n_kv_heads >= 4) {
        model->facts |= IMX_FACT_GROUPED_HEADS;
    }
    if (is_seventy_b(architecture, model->n_layers, n_heads != n_kv_heads)) {
        model->facts |= IMX_FACT_SEVENTY_B;
    }
    return gather_roles(model, source, err);
}

// How many tensors of the same role come before tensor i by layer, then by name.
static uint64_t rank_in_role(const model_facts *model, const imx_gguf *source, size_t i) {
    const char *name = source->tensors[i].name;
    const int layer = imx_layer_of(name);
    uint64_t rank = 0;
    for (size_t k = 0; k < source->n_tensors; ++k) {
        if (model->roles[k] == model->roles[i]) {
            const char *other = source->tensors[k].name;
            const int other_layer = imx_layer_of(other);
            rank += other_layer < layer || (other_layer == layer && strcmp(other, name) < 0);
        }
    }
    return rank;
}

// The facts about place i of n.
static uint32_t place_facts(uint64_t i, uint64_t n) {
    const uint64_t eighth = n / 8;
    const bool more_bits = i < eighth || i >= 7 * n / 8 || (i - eighth) % 3 == 2;
    return (i < 2 ? IMX_FACT_FIRST_2 : 0u) | (i < 4 ? IMX_FACT_FIRST_4 : 0u) |
           (i < eighth ? IMX_FACT_FIRST_EIGHTH : 0u) |
           (i < n / 16 ? IMX_FACT_FIRST_SIXTEENTH : 0u) | (more_bits ? IMX_FACT_MORE_BITS : 0u);
}

static uint32_t tensor_facts(const model_facts *model, const imx_gguf *source, size_t i,
                             const imx_recipe *recipe) {
    uint32_t facts = model->facts;
    if (imx_type_row_bytes(recipe->default_type, source->tensors[i].dims[0]) == 0) {
        facts |= IMX_FACT_ROW_UNFIT;
    }
    if (model->roles[i] == IMX_MIX_ROLE_ATTN_V) {
        facts |= place_facts(rank_in_role(model, source, i), model->n_attn_v);
    } else if (model->roles[i] == IMX_MIX_ROLE_FFN_DOWN) {
        const int layer = imx_layer_of(source->tensors[i].name);
        facts |= place_facts(model->has_experts && layer >= 0 ? (uint64_t)layer
                                                              : rank_in_role(model, source, i),
                             model->n_layers);
    }
    return facts;
}

// ---- types -------------------------------------------------------------------------------------

static uint32_t fit_to_row(uint32_t type, uint64_t n_cols) {
    if (imx_type_row_bytes(type, n_cols) > 0) {
        return type;
    }
    for (size_t i = 0; i < sizeof fallback_table / sizeof *fallback_table; ++i) {
        if (fallback_table[i].type == type &&
            imx_type_row_bytes(fallback_table[i].fallback, n_cols) > 0) {
            return fallback_table[i].fallback;
        }
    }
    return IMX_TYPE_F16;
}

static void choose_type(imx_plan_item *item, const model_facts *model, const imx_gguf *source,
                        size_t i, const imx_recipe *recipe) {
    const imx_mix_role role = model->roles[i];
    if (role == IMX_MIX_ROLE_KEPT) {
        item->type = item->source->type;
        return;
    }
    const bool is_head = role == IMX_MIX_ROLE_TOKEN_EMBD && model->is_tied;
    const imx_rule *rule = imx_recipe_rule(recipe, is_head ? IMX_MIX_ROLE_OUTPUT : role,
                                           tensor_facts(model, source, i, recipe));
    const uint32_t type = rule != NULL ? rule->type : recipe->default_type;
    item->type = fit_to_row(type, item->source->dims[0]);
    item->is_fallback = item->type != type;
}

static imx_status check_source(const imx_plan_item *item, const char *path, imx_error *err) {
    const imx_gguf_tensor *tensor = item->source;
    const imx_type_traits *traits = imx_type_traits_of(tensor->type);
    if (traits->is_quantized) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "%s: tensor %s is already quantized (%s); quantizing it again would lose "
                        "quality: start from an F16, BF16 or F32 model",
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

// ---- statistics --------------------------------------------------------------------------------

// One row of statistics for each matrix, or one count for all of them together.
static bool statistics_fit(const imx_imatrix_entry *entry, const imx_gguf_tensor *tensor) {
    const uint64_t n_cols = imx_gguf_tensor_cols(tensor);
    const uint64_t n_mats = imx_gguf_tensor_mats(tensor);
    return (entry->n_mats == n_mats && entry->n_cols == n_cols) ||
           (entry->n_mats == 1 && entry->n_cols == n_cols * n_mats);
}

static imx_status find_statistics(imx_plan_item *item, const model_facts *model, imx_mix_role role,
                                  const imx_imatrix *imatrix, imx_error *err) {
    const imx_gguf_tensor *tensor = item->source;
    const imx_imatrix_entry *entry = imx_imatrix_find(imatrix, tensor->name);
    if (entry == NULL && role == IMX_MIX_ROLE_TOKEN_EMBD && model->is_tied) {
        entry = imx_imatrix_find(imatrix, "output.weight");
    }
    if (entry != NULL && !statistics_fit(entry, tensor)) {
        if (role != IMX_MIX_ROLE_TOKEN_EMBD) {
            return imx_fail(err, IMX_ERR_MISMATCH,
                            "tensor %s has %" PRIu64 " columns in %" PRIu64
                            " matrices, but its imatrix entry has %" PRIu64 " in %" PRIu64
                            ": is the imatrix of another model?",
                            tensor->name, imx_gguf_tensor_cols(tensor),
                            imx_gguf_tensor_mats(tensor), entry->n_cols, entry->n_mats);
        }
        entry = NULL;
    }
    item->statistics = entry;
    item->lacks_statistics = entry == NULL && imx_layer_of(tensor->name) >= 0 &&
                             imx_type_traits_of(item->type)->is_quantized;
    return IMX_OK;
}

// ---- the plan ----------------------------------------------------------------------------------

static imx_status plan_item(imx_plan_item *item, const model_facts *model, const imx_gguf *source,
                            size_t i, const imx_recipe *recipe, const imx_imatrix *imatrix,
                            imx_error *err) {
    item->source = &source->tensors[i];
    item->name = item->source->name;
    choose_type(item, model, source, i, recipe);
    item->is_copied = item->type == item->source->type;
    item->size_bytes = imx_type_row_bytes(item->type, imx_gguf_tensor_cols(item->source)) *
                       imx_gguf_tensor_rows(item->source);
    if (item->is_copied) {
        return IMX_OK;
    }
    IMX_TRY(check_source(item, source->path, err));
    if (imatrix == NULL) {
        return IMX_OK;
    }
    return find_statistics(item, model, model->roles[i], imatrix, err);
}

static imx_status plan_items(imx_plan *plan, const model_facts *model, const imx_gguf *source,
                             const imx_imatrix *imatrix, imx_error *err) {
    for (size_t i = 0; i < plan->n_items; ++i) {
        imx_plan_item *item = &plan->items[i];
        IMX_TRY(plan_item(item, model, source, i, plan->recipe, imatrix, err));
        item->offset = plan->size_bytes;
        plan->size_bytes += imx_align_up(item->size_bytes, source->alignment);
        plan->n_weights += imx_gguf_tensor_cols(item->source) * imx_gguf_tensor_rows(item->source);
    }
    return IMX_OK;
}

void imx_plan_options_init(imx_plan_options *options) {
    *options = (imx_plan_options){
        .output_type = IMX_TYPE_BY_RECIPE,
        .embedding_type = IMX_TYPE_BY_RECIPE,
    };
}

imx_status imx_plan_new(imx_plan **out, const imx_gguf *source, const imx_plan_options *options,
                        imx_error *err) {
    const imx_recipe *recipe = options->recipe;
    const imx_imatrix *imatrix = options->imatrix;
    *out = NULL;
    imx_plan *plan = NULL;
    model_facts model = {0};
    imx_status status;
    IMX_TRY_GOTO(done, imx_alloc_zeroed(&plan, 1, sizeof *plan, err));
    plan->recipe = recipe;
    plan->n_shards = 1;
    plan->n_items = source->n_tensors;
    IMX_TRY_GOTO(done, imx_alloc_zeroed(&plan->shards, 1, sizeof *plan->shards, err));
    IMX_TRY_GOTO(done, imx_alloc_zeroed(&plan->items, plan->n_items, sizeof *plan->items, err));
    IMX_TRY_GOTO(done, gather_facts(&model, source, imatrix != NULL, err));
    IMX_TRY_GOTO(done, plan_items(plan, &model, source, imatrix, err));
    plan->shards[0] = (imx_plan_shard){0, plan->n_items, plan->size_bytes};
    *out = plan;
    plan = NULL;
done:
    free(model.roles);
    imx_plan_free(plan);
    return status;
}

void imx_plan_free(imx_plan *plan) {
    if (plan != NULL) {
        free(plan->items);
        free(plan->shards);
        free(plan);
    }
}
