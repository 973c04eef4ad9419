// SPDX-License-Identifier: MIT
//
// Everything that rules ask is gathered before the first type is chosen, so that nothing depends on
// the order in which tensors are visited or on what is chosen for others. Where rules count layers,
// a tensor's place is its rank among the tensors of its role by layer and name.
//
// llama.cpp counts as it goes, and a tensor whose type the user sets is not counted: there an
// override moves the places of the tensors behind it. It also counts ffn_down of a pruned model out
// of the layers before pruning; here facts are those of a model that never had the others.

#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"
#include "formats/model_number.h"
#include "quant/plan/plan_internal.h"
#include "quant/plan/recipe_internal.h"

// Models that llama.cpp calls 70B: those with 80 layers (68 in Jais 2) whose heads share attn_v.
static const struct {
    const char *architecture;
    uint64_t n_layers;
    bool needs_grouped_heads;
} seventy_b_table[] = {
    {"llama", 80, true},  {"deci", 80, false},  {"olmo", 80, false},
    {"qwen2", 80, false}, {"jais2", 68, false},
};

// An item with what its place is counted by.
typedef struct placed_item {
    int layer;
    const char *name;
    size_t i;
} placed_item;

// ---- the model ---------------------------------------------------------------------------------

imx_status imx_plan_count_layers(uint64_t *n_layers, const imx_gguf *source, imx_error *err) {
    imx_str architecture;
    IMX_TRY(imx_gguf_get_str(source, "general.architecture", false, &architecture, err));
    *n_layers = imx_model_number(source, "block_count", 0, 0);
    return IMX_OK;
}

static bool is_seventy_b(imx_str architecture, uint64_t n_layers, bool shares_heads) {
    for (size_t i = 0; i < sizeof seventy_b_table / sizeof *seventy_b_table; ++i) {
        if (imx_str_equals(architecture, seventy_b_table[i].architecture) &&
            n_layers == seventy_b_table[i].n_layers &&
            (shares_heads || !seventy_b_table[i].needs_grouped_heads)) {
            return true;
        }
    }
    return false;
}

static void gather_model(imx_plan_facts *facts, const imx_plan *plan, const imx_gguf *source) {
    const imx_str architecture = imx_model_architecture(source);
    const uint64_t n_experts = imx_model_number(source, "expert_count", 0, 0);
    const uint64_t n_heads = imx_model_number(source, "attention.head_count", 0, 0);
    const uint64_t n_kv_heads = imx_model_number(source, "attention.head_count_kv", 0, n_heads);
    const bool is_falcon = imx_str_equals(architecture, "falcon");
    facts->has_experts = n_experts > 1;
    facts->model = (is_falcon ? IMX_FACT_FALCON : IMX_FACT_NOT_FALCON) |
                   (n_experts == 8 ? IMX_FACT_EIGHT_EXPERTS : IMX_FACT_NOT_EIGHT_EXPERTS) |
                   (plan->options.imatrix != NULL ? IMX_FACT_HAS_IMATRIX : IMX_FACT_NO_IMATRIX);
    if (n_kv_heads > 0 && n_heads / n_kv_heads >= 4) {
        facts->model |= IMX_FACT_GROUPED_HEADS;
    }
    if (is_seventy_b(architecture, plan->n_layers, n_heads != n_kv_heads)) {
        facts->model |= IMX_FACT_SEVENTY_B;
    }
}

// ---- roles and places --------------------------------------------------------------------------

static bool is_matrix(const imx_gguf_tensor *tensor) {
    return tensor->dims[1] > 1 || tensor->dims[2] > 1 || tensor->dims[3] > 1;
}

static void gather_roles(imx_plan_facts *facts, const imx_plan *plan) {
    facts->is_tied = true;
    for (size_t i = 0; i < plan->n_items; ++i) {
        const imx_plan_item *item = &plan->items[i];
        facts->roles[i] = is_matrix(item->source) ? imx_mix_role_of(item->name) : IMX_MIX_ROLE_KEPT;
        facts->is_tied = facts->is_tied && facts->roles[i] != IMX_MIX_ROLE_OUTPUT;
    }
}

static int compare_places(const void *left, const void *right) {
    const placed_item *a = left;
    const placed_item *b = right;
    return a->layer != b->layer ? (a->layer > b->layer) - (a->layer < b->layer)
                                : strcmp(a->name, b->name);
}

// The facts about place i of n.
static uint32_t place_facts(uint64_t i, uint64_t n) {
    const uint64_t eighth = n / 8;
    const bool more_bits = i < eighth || i >= 7 * n / 8 || (i - eighth) % 3 == 2;
    return (i < 2 ? IMX_FACT_FIRST_2 : 0u) | (i < 4 ? IMX_FACT_FIRST_4 : 0u) |
           (i < eighth ? IMX_FACT_FIRST_EIGHTH : 0u) |
           (i < n / 16 ? IMX_FACT_FIRST_SIXTEENTH : 0u) | (more_bits ? IMX_FACT_MORE_BITS : 0u);
}

// attn_v is counted out of all attn_v. ffn_down is counted out of the layers, and where experts may
// give a layer more than one, it is the layer itself that counts.
static void gather_places(imx_plan_facts *facts, const imx_plan *plan, placed_item *order) {
    uint64_t n_of_role[IMX_MIX_ROLE_COUNT] = {0};
    uint64_t n_before[IMX_MIX_ROLE_COUNT] = {0};
    for (size_t i = 0; i < plan->n_items; ++i) {
        order[i] = (placed_item){imx_layer_of(plan->items[i].name), plan->items[i].name, i};
        ++n_of_role[facts->roles[i]];
    }
    qsort(order, plan->n_items, sizeof *order, compare_places);
    for (size_t k = 0; k < plan->n_items; ++k) {
        const size_t i = order[k].i;
        const uint64_t rank = n_before[facts->roles[i]]++;
        if (facts->roles[i] == IMX_MIX_ROLE_ATTN_V) {
            facts->places[i] = place_facts(rank, n_of_role[IMX_MIX_ROLE_ATTN_V]);
        } else if (facts->roles[i] == IMX_MIX_ROLE_FFN_DOWN) {
            const bool by_layer = facts->has_experts && order[k].layer >= 0;
            facts->places[i] =
                place_facts(by_layer ? (uint64_t)order[k].layer : rank, plan->n_layers);
        }
    }
}

// ---- all of it ---------------------------------------------------------------------------------

imx_status imx_plan_facts_gather(imx_plan_facts *facts, const imx_plan *plan,
                                 const imx_gguf *source, imx_error *err) {
    *facts = (imx_plan_facts){0};
    IMX_TRY(imx_alloc_zeroed(&facts->roles, plan->n_items, sizeof *facts->roles, err));
    IMX_TRY(imx_alloc_zeroed(&facts->places, plan->n_items, sizeof *facts->places, err));
    placed_item *order;
    IMX_TRY(imx_alloc_zeroed(&order, plan->n_items, sizeof *order, err));
    gather_model(facts, plan, source);
    gather_roles(facts, plan);
    gather_places(facts, plan, order);
    free(order);
    return IMX_OK;
}

void imx_plan_facts_free(imx_plan_facts *facts) {
    free(facts->roles);
    free(facts->places);
}

uint32_t imx_plan_facts_of(const imx_plan_facts *facts, const imx_plan *plan, size_t i) {
    const imx_gguf_tensor *tensor = plan->items[i].source;
    const uint32_t default_type = imx_recipe_default_type(plan->options.recipe);
    return facts->model | facts->places[i] |
           (imx_gguf_tensor_mats(tensor) == 1 ? IMX_FACT_ONE_MATRIX : 0u) |
           (imx_type_row_bytes(default_type, tensor->dims[0]) == 0 ? IMX_FACT_ROW_UNFIT : 0u);
}
