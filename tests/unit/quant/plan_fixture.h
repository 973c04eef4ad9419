// SPDX-License-Identifier: MIT
//
// A plan by recipe alone, as most tests want it.

#ifndef IMX_TEST_PLAN_FIXTURE_H
#define IMX_TEST_PLAN_FIXTURE_H

#include "quant/plan.h"

static inline imx_status plan_by_recipe(imx_plan **out, const imx_gguf *source,
                                        const imx_recipe *recipe, const imx_imatrix *imatrix,
                                        imx_error *err) {
    imx_plan_options options;
    imx_plan_options_init(&options);
    options.recipe = recipe;
    options.imatrix = imatrix;
    return imx_plan_new(out, source, &options, err);
}

#endif
