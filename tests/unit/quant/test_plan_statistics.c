// SPDX-License-Identifier: MIT
//
// Which statistics are used, and what becomes of tensors without.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "formats/imatrix_covariance.h"
#include "model_fixture.h"
#include "plan_fixture.h"

static void which_statistics_are_used(void **state) {
    (void)state;
    static const char *const names[] = {"blk.0.attn_q.weight", "blk.0.ffn_up.weight",
                                        "blk.1.attn_q.weight"};
    static const char *const parts[] = {"blk.1.", "ffn"};
    model_fixture *model = model_open_llama();
    imx_imatrix *imatrix = imatrix_with_all(names, 3);
    for (int excludes = 0; excludes < 2; ++excludes) {
        imx_plan_options options = options_of("Q4_K_S");
        options.imatrix = imatrix;
        *(excludes ? &options.exclude_weights : &options.include_weights) = parts;
        *(excludes ? &options.n_excluded : &options.n_included) = 2;
        imx_plan *plan = plan_with(&model->gguf, &options);
        for (size_t i = 0; i < 3; ++i) {
            const imx_plan_item *item = find_item(plan, names[i]);
            assert_int_equal(item->statistics != NULL, (i > 0) != excludes);
            assert_false(item->lacks_statistics);
        }
        assert_int_equal(find_item(plan, "blk.1.attn_v.weight")->lacks_statistics, !excludes);
        assert_int_equal(find_item(plan, "blk.2.attn_v.weight")->lacks_statistics, excludes);
        imx_plan_free(plan);
        *(excludes ? &options.include_weights : &options.exclude_weights) = parts;
        *(excludes ? &options.n_included : &options.n_excluded) = 1;
        assert_refused(&model->gguf, &options, IMX_ERR_ARGUMENT, "exclude each other");
    }
    imx_imatrix_free(imatrix);
    model_close(model);
}

static bool feeds_back(const model_fixture *model, imx_imatrix *imatrix, const char *recipe,
                       bool ignore) {
    imx_plan_options options = options_of(recipe);
    options.imatrix = imatrix;
    options.ignore_products = ignore;
    imx_plan *plan = plan_with(&model->gguf, &options);
    const bool result = find_item(plan, "blk.0.attn_q.weight")->feeds_back;
    assert_false(find_item(plan, "blk.0.ffn_up.weight")->feeds_back); // has no products
    imx_plan_free(plan);
    return result;
}

static void products_are_used_where_types_can(void **state) {
    (void)state;
    static const char *const names[] = {"blk.0.attn_q.weight", "blk.0.ffn_up.weight"};
    model_fixture *model = model_open_llama();
    imx_imatrix *imatrix = imatrix_with_all(names, 2);
    imx_imatrix_entry *entry = imx_imatrix_find(imatrix, names[0]);
    entry->counts[0] = 512.0;
    assert_false(feeds_back(model, imatrix, "Q4_K_S", false));
    assert_int_equal(imx_imatrix_add_covariance(imatrix, entry, NULL), IMX_OK);
    assert_true(feeds_back(model, imatrix, "Q4_K_S", false));
    assert_true(feeds_back(model, imatrix, "Q8_0", false));
    assert_false(feeds_back(model, imatrix, "Q4_K_S", true));
    assert_false(feeds_back(model, imatrix, "TQ2_0", false));
    assert_false(feeds_back(model, imatrix, "F16", false));
    entry->counts[0] = 511.0;
    assert_false(feeds_back(model, imatrix, "Q4_K_S", false));
    imx_imatrix_free(imatrix);
    model_close(model);
}

static void missing_statistics(void **state) {
    (void)state;
    static const char *const names[] = {"blk.0.attn_q.weight"};
    static const imx_type_override overrides[] = {{"attn_v", IMX_TYPE_Q6_K}};
    model_fixture *model = model_open("llama", (model_numbers){1, 8, 8, 0});
    imx_imatrix *imatrix = imatrix_with_all(names, 1);
    model_add(model, "token_embd.weight", IMX_TYPE_F32, 256, 8, 1);
    model_add_layer(model, 0, "attn_q.weight", 256);
    model_add_layer(model, 0, "attn_k.weight", 256);
    model_add_layer(model, 0, "attn_v.weight", 256);
    assert_non_null(
        add_statistics(imatrix, "blk.0.attn_k.weight", 256, 1, 0.0)); // has seen nothing
    imx_plan_options options = options_of("Q2_K_S");
    options.imatrix = imatrix;
    options.overrides = overrides;
    options.n_overrides = 1;
    imx_plan *plan = plan_with(&model->gguf, &options);
    assert_type(plan, "blk.0.attn_k.weight", "Q2_K");
    assert_true(find_item(plan, "blk.0.attn_k.weight")->lacks_statistics);
    assert_null(find_item(plan, "blk.0.attn_k.weight")->statistics);
    assert_int_equal(plan->n_unguided, 1); // attn_v is Q6_K
    imx_plan_free(plan);

    options.missing = IMX_MISSING_TYPE;
    options.missing_type = IMX_TYPE_Q8_0;
    plan = plan_with(&model->gguf, &options);
    assert_type(plan, "token_embd.weight", "Q6_K"); // never has statistics
    assert_type(plan, "blk.0.attn_q.weight", "Q2_K");
    assert_type(plan, "blk.0.attn_k.weight", "Q8_0");
    assert_type(plan, "blk.0.attn_v.weight", "Q6_K"); // the user knows better
    assert_true(find_item(plan, "blk.0.attn_k.weight")->lacks_statistics);
    assert_int_equal(plan->n_unguided, 0);
    imx_plan_free(plan);
    options.missing_type = IMX_TYPE_IQ1_S;
    assert_refused(&model->gguf, &options, IMX_ERR_ARGUMENT, "IQ1_S");

    options.missing = IMX_MISSING_FAIL;
    assert_refused(&model->gguf, &options, IMX_ERR_MISMATCH, "blk.0.attn_k.weight");
    options.imatrix = NULL;
    plan = plan_with(&model->gguf, &options); // nothing is missing where nothing was given
    assert_int_equal(plan->n_unguided, 2);
    imx_plan_free(plan);
    imx_imatrix_free(imatrix);
    model_close(model);
}

static void starved_experts_are_counted(void **state) {
    (void)state;
    model_fixture *model = model_open("llama", (model_numbers){1, 8, 8, 4});
    model_add(model, "blk.0.ffn_up_exps.weight", IMX_TYPE_F32, 256, 8, 4);
    model_add(model, "blk.0.attn_q.weight", IMX_TYPE_F32, 256, 8, 1);
    imx_imatrix *imatrix;
    assert_int_equal(imx_imatrix_new(&imatrix, NULL), IMX_OK);
    add_statistics(imatrix, "blk.0.attn_q.weight", 256, 1, 1.0); // no expert
    imx_imatrix_entry *entry = add_statistics(imatrix, "blk.0.ffn_up_exps.weight", 256, 4, 64.0);
    entry->counts[1] = 63.0;
    entry->counts[2] = 0.0;
    imx_plan_options options = options_of("Q4_K_S");
    options.imatrix = imatrix;
    options.prior_tokens = 64;
    imx_plan *plan = plan_with(&model->gguf, &options);
    assert_int_equal(plan->items[0].n_starved, 2);
    assert_int_equal(plan->items[0].prior_tokens, 64);
    assert_int_equal(plan->items[1].n_starved, 0);
    imx_plan_free(plan);
    imx_imatrix_free(imatrix);
    model_close(model);
}

// Announced entries count as what they will be.
static void statistics_may_follow(void **state) {
    (void)state;
    model_fixture *model = model_open("llama", (model_numbers){1, 8, 8, 4});
    model_add(model, "blk.0.ffn_up_exps.weight", IMX_TYPE_F32, 256, 8, 4);
    model_add(model, "blk.0.attn_q.weight", IMX_TYPE_F32, 256, 8, 1);
    imx_imatrix *imatrix;
    assert_int_equal(imx_imatrix_new(&imatrix, NULL), IMX_OK);
    add_statistics(imatrix, "blk.0.attn_q.weight", 256, 1, 0.0);
    add_statistics(imatrix, "blk.0.ffn_up_exps.weight", 256, 4, 0.0);
    imx_plan_options options = options_of("Q2_K_S");
    options.imatrix = imatrix;
    options.prior_tokens = 64;
    options.missing = IMX_MISSING_FAIL;
    assert_refused(&model->gguf, &options, IMX_ERR_MISMATCH, "blk.0.ffn_up_exps.weight");
    options.statistics_follow = true;
    imx_plan *plan = plan_with(&model->gguf, &options);
    for (size_t i = 0; i < 2; ++i) {
        assert_ptr_equal(plan->items[i].statistics, imx_imatrix_find(imatrix, plan->items[i].name));
        assert_false(plan->items[i].lacks_statistics);
        assert_int_equal(plan->items[i].prior_tokens, 64);
        assert_int_equal(plan->items[i].n_starved, 0);
    }
    assert_int_equal(plan->n_unguided, 0);
    imx_plan_free(plan);
    add_statistics(imatrix, "blk.0.attn_k.weight", 255, 1, 0.0); // shapes are looked at
    model_add(model, "blk.0.attn_k.weight", IMX_TYPE_F32, 256, 8, 1);
    assert_refused(&model->gguf, &options, IMX_ERR_MISMATCH, "blk.0.attn_k.weight");
    imx_imatrix_free(imatrix);
    model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_statistics_are_used),
        cmocka_unit_test(products_are_used_where_types_can),
        cmocka_unit_test(missing_statistics),
        cmocka_unit_test(starved_experts_are_counted),
        cmocka_unit_test(statistics_may_follow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
