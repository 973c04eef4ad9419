// SPDX-License-Identifier: MIT
//
// Plans as most tests want them. Include <cmocka.h> first.

#ifndef IMX_TEST_PLAN_FIXTURE_H
#define IMX_TEST_PLAN_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "quant/plan/plan.h"

static inline imx_plan_options options_of(const char *recipe) {
    imx_plan_options options;
    imx_plan_options_init(&options);
    options.recipe = imx_recipe_find(recipe);
    return options;
}

static inline imx_status plan_by_recipe(imx_plan **out, const imx_gguf *source,
                                        const imx_recipe *recipe, const imx_imatrix *imatrix,
                                        imx_error *err) {
    imx_plan_options options;
    imx_plan_options_init(&options);
    options.recipe = recipe;
    options.imatrix = imatrix;
    return imx_plan_new(out, source, &options, err);
}

static inline imx_plan *plan_with(const imx_gguf *source, const imx_plan_options *options) {
    imx_plan *plan;
    imx_error err = {IMX_OK, ""};
    if (imx_plan_new(&plan, source, options, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
    return plan;
}

static inline void assert_refused(const imx_gguf *source, const imx_plan_options *options,
                                  imx_status status, const char *words) {
    imx_plan *plan;
    imx_error err = {IMX_OK, ""};
    assert_int_equal(imx_plan_new(&plan, source, options, &err), status);
    assert_null(plan);
    if (strstr(err.message, words) == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, words);
    }
}

// The item of a tensor, by its name in the source; NULL when it is left out.
static inline const imx_plan_item *find_item(const imx_plan *plan, const char *name) {
    for (size_t i = 0; i < plan->n_items; ++i) {
        if (strcmp(plan->items[i].source->name, name) == 0) {
            return &plan->items[i];
        }
    }
    return NULL;
}

static inline void assert_type(const imx_plan *plan, const char *name, const char *type) {
    const imx_plan_item *item = find_item(plan, name);
    assert_non_null(item);
    assert_string_equal(imx_type_name(item->type), type);
}

// Adds an entry whose matrices have all seen `count` tokens.
static inline imx_imatrix_entry *add_statistics(imx_imatrix *imatrix, const char *name,
                                                uint64_t n_cols, uint64_t n_mats, double count) {
    imx_imatrix_entry *entry;
    if (imx_imatrix_add(imatrix, name, n_cols, n_mats, false, &entry, NULL) != IMX_OK) {
        return NULL;
    }
    for (uint64_t mat = 0; mat < n_mats; ++mat) {
        entry->counts[mat] = count;
    }
    return entry;
}

// An imatrix with entries of 256 columns for dense weights.
static inline imx_imatrix *imatrix_with_all(const char *const *names, size_t n) {
    imx_imatrix *imatrix;
    assert_int_equal(imx_imatrix_new(&imatrix, NULL), IMX_OK);
    for (size_t i = 0; i < n; ++i) {
        assert_non_null(add_statistics(imatrix, names[i], 256, 1, 100.0));
    }
    return imatrix;
}

#endif
