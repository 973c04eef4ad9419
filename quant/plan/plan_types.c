// SPDX-License-Identifier: MIT
//
// The type of a tensor, from the most particular voice to the most general: the options for
// embedding and head, the patterns, the missing policy, the rules of the recipe, its default type.
// What was chosen must then fit the row.

#include <stdlib.h>

#include "formats/memory.h"
#include "quant/encode/encoder.h"
#include "quant/plan/plan_internal.h"
#include "quant/plan/recipe_internal.h"

// What a type becomes when rows are not a multiple of its block.
static const struct {
    uint32_t type;
    uint32_t fallback;
} fallback_table[] = {
    {IMX_TYPE_Q2_K, IMX_TYPE_Q4_0},  {IMX_TYPE_Q3_K, IMX_TYPE_Q4_0},
    {IMX_TYPE_Q4_K, IMX_TYPE_Q5_0},  {IMX_TYPE_Q5_K, IMX_TYPE_Q5_1},
    {IMX_TYPE_Q6_K, IMX_TYPE_Q8_0},  {IMX_TYPE_IQ4_XS, IMX_TYPE_IQ4_NL},
    {IMX_TYPE_TQ1_0, IMX_TYPE_Q4_0}, {IMX_TYPE_TQ2_0, IMX_TYPE_Q4_0},
};

// ---- the options -------------------------------------------------------------------------------

static imx_status check_writable(uint32_t type, const char *what, imx_error *err) {
    if (type == IMX_TYPE_BY_RECIPE || imx_encoder_of(type) != NULL) {
        return IMX_OK;
    }
    return imx_fail(err, IMX_ERR_ARGUMENT, "%s: this version cannot write the type %s", what,
                    imx_type_name(type));
}

imx_status imx_type_chooser_open(imx_type_chooser *chooser, const imx_plan *plan,
                                 const imx_plan_facts *facts, imx_error *err) {
    const imx_plan_options *options = &plan->options;
    *chooser = (imx_type_chooser){.plan = plan, .facts = facts};
    IMX_TRY(check_writable(options->output_type, "output type", err));
    IMX_TRY(check_writable(options->embedding_type, "embedding type", err));
    if (options->missing == IMX_MISSING_TYPE) {
        IMX_TRY(check_writable(options->missing_type, "type without statistics", err));
    }
    IMX_TRY(
        imx_alloc_zeroed(&chooser->patterns, options->n_overrides, sizeof *chooser->patterns, err));
    for (size_t k = 0; k < options->n_overrides; ++k) {
        const imx_type_override *row = &options->overrides[k];
        IMX_TRY(check_writable(row->type, row->pattern, err));
        IMX_TRY(imx_tensor_pattern_new(&chooser->patterns[k].pattern, row->pattern, err));
    }
    return IMX_OK;
}

void imx_type_chooser_close(imx_type_chooser *chooser) {
    if (chooser->patterns != NULL) {
        for (size_t k = 0; k < chooser->plan->options.n_overrides; ++k) {
            imx_tensor_pattern_free(chooser->patterns[k].pattern);
        }
        free(chooser->patterns);
    }
}

// ---- the user's choice -------------------------------------------------------------------------

// *type becomes that of the first pattern that names the item, if one does. All of them are tried,
// to learn which are used.
static imx_status match_patterns(imx_type_chooser *chooser, const imx_plan_item *item, bool is_kept,
                                 uint32_t *type, imx_error *err) {
    const imx_plan_options *options = &chooser->plan->options;
    for (size_t k = 0; k < options->n_overrides; ++k) {
        imx_type_pattern *pattern = &chooser->patterns[k];
        bool found;
        IMX_TRY(imx_tensor_pattern_search(pattern->pattern, item->name, &found, err));
        if (found && is_kept) {
            pattern->kept_name = item->name;
        } else if (found) {
            pattern->is_used = true;
            *type = *type == IMX_TYPE_BY_RECIPE ? options->overrides[k].type : *type;
        }
    }
    return IMX_OK;
}

imx_status imx_check_patterns_used(const imx_type_chooser *chooser, imx_error *err) {
    const imx_plan_options *options = &chooser->plan->options;
    for (size_t k = 0; k < options->n_overrides; ++k) {
        const imx_type_pattern *pattern = &chooser->patterns[k];
        if (pattern->is_used) {
            continue;
        }
        if (pattern->kept_name != NULL) {
            return imx_fail(
                err, IMX_ERR_ARGUMENT,
                "tensor pattern '%s' names only tensors that keep their type, such as %s",
                options->overrides[k].pattern, pattern->kept_name);
        }
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "tensor pattern '%s' names no tensor of this model; case matters, and a "
                        "dry run lists the names",
                        options->overrides[k].pattern);
    }
    return IMX_OK;
}

// The type that the options for embedding and head ask for.
static uint32_t end_type(const imx_type_chooser *chooser, imx_mix_role role) {
    const imx_plan_options *options = &chooser->plan->options;
    const bool is_embedding = role == IMX_MIX_ROLE_TOKEN_EMBD;
    if (is_embedding && options->embedding_type != IMX_TYPE_BY_RECIPE) {
        return options->embedding_type;
    }
    const bool is_head = role == IMX_MIX_ROLE_OUTPUT || (is_embedding && chooser->facts->is_tied);
    return is_head ? options->output_type : IMX_TYPE_BY_RECIPE;
}

// ---- the recipe's choice -----------------------------------------------------------------------

static uint32_t recipe_type(const imx_type_chooser *chooser, size_t i) {
    const imx_plan *plan = chooser->plan;
    const imx_plan_facts *facts = chooser->facts;
    const imx_recipe *recipe = plan->options.recipe;
    if (imx_recipe_is_copy(recipe)) {
        return plan->items[i].source->type;
    }
    const imx_mix_role role = facts->roles[i];
    const bool is_tied_head = role == IMX_MIX_ROLE_TOKEN_EMBD && facts->is_tied;
    const imx_rule *rule = plan->options.pure
                               ? NULL
                               : imx_recipe_rule(recipe, is_tied_head ? IMX_MIX_ROLE_OUTPUT : role,
                                                 imx_plan_facts_of(facts, plan, i));
    return rule != NULL ? rule->type : imx_recipe_default_type(recipe);
}

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

imx_status imx_choose_type(imx_type_chooser *chooser, size_t i, imx_plan_item *item,
                           imx_error *err) {
    const imx_plan_options *options = &chooser->plan->options;
    const imx_mix_role role = chooser->facts->roles[i];
    const bool is_kept =
        role == IMX_MIX_ROLE_KEPT || (role == IMX_MIX_ROLE_OUTPUT && options->leave_output);
    uint32_t type = end_type(chooser, role);
    IMX_TRY(match_patterns(chooser, item, is_kept, &type, err));
    if (is_kept) {
        item->type = item->source->type;
        item->lacks_statistics = false;
        return IMX_OK;
    }
    const bool is_by_recipe = type == IMX_TYPE_BY_RECIPE;
    type = is_by_recipe ? recipe_type(chooser, i) : type;
    item->lacks_statistics = item->lacks_statistics && type != item->source->type &&
                             imx_type_traits_of(type)->is_quantized;
    if (item->lacks_statistics && is_by_recipe && options->missing == IMX_MISSING_TYPE) {
        type = options->missing_type;
    }
    item->type = fit_to_row(type, item->source->dims[0]);
    item->is_fallback = item->type != type;
    return IMX_OK;
}
