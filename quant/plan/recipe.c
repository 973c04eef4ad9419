// SPDX-License-Identifier: MIT

#include "quant/plan/recipe.h"

#include <stdlib.h>
#include <strings.h>

#include "quant/plan/recipe_internal.h"

static bool is_number(const char *text, uint32_t number) {
    char *end;
    const unsigned long value = strtoul(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && value == number;
}

const imx_recipe *imx_recipe_find(const char *name_or_number) {
    for (size_t i = 0; i < IMX_RECIPE_COUNT; ++i) {
        const imx_recipe *recipe = &imx_recipe_table[i];
        if (strcasecmp(name_or_number, recipe->name) == 0 ||
            (recipe->alias != NULL && strcasecmp(name_or_number, recipe->alias) == 0) ||
            is_number(name_or_number, recipe->file_type)) {
            return recipe;
        }
    }
    return NULL;
}

const imx_recipe *imx_recipe_at(size_t i) {
    return i < IMX_RECIPE_COUNT ? &imx_recipe_table[i] : NULL;
}

const char *imx_recipe_name(const imx_recipe *recipe) {
    return recipe->name;
}

const char *imx_recipe_summary(const imx_recipe *recipe) {
    return recipe->summary;
}

uint32_t imx_recipe_file_type(const imx_recipe *recipe) {
    return recipe->file_type;
}

uint32_t imx_recipe_default_type(const imx_recipe *recipe) {
    return recipe->default_type;
}

bool imx_recipe_is_copy(const imx_recipe *recipe) {
    return recipe->is_copy;
}

static const imx_rule *first_rule(const imx_recipe *recipe, imx_mix_role role, uint32_t facts) {
    const uint32_t bit = 1u << (recipe - imx_recipe_table);
    for (size_t i = 0; i < imx_rule_count; ++i) {
        const imx_rule *rule = &imx_rule_table[i];
        if ((rule->recipes & bit) != 0 && (rule->role == IMX_ANY_ROLE || rule->role == (int)role) &&
            (facts & rule->facts) == rule->facts) {
            return rule;
        }
    }
    return NULL;
}

const imx_rule *imx_recipe_rule(const imx_recipe *recipe, imx_mix_role role, uint32_t facts) {
    const imx_rule *rule = NULL;
    for (; recipe != NULL && rule == NULL; recipe = recipe->base) {
        rule = first_rule(recipe, role, facts);
    }
    return rule;
}
