// SPDX-License-Identifier: MIT
//
// Types that users ask for beyond a recipe.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model_fixture.h"
#include "plan_fixture.h"

static bool is_one_of(const char *name, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; ++i) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void overrides_change_nothing_else(void **state) {
    (void)state;
    static const imx_type_override override = {"blk\\.([0-2]\\.attn_v|(1|7)\\.ffn_down)",
                                               IMX_TYPE_Q8_0};
    static const char *const named[] = {"blk.0.attn_v.weight", "blk.1.attn_v.weight",
                                        "blk.2.attn_v.weight", "blk.1.ffn_down.weight",
                                        "blk.7.ffn_down.weight"};
    static const char *const recipes[] = {"Q4_K_M", "Q3_K_M", "Q5_K_M", "Q4_K_S", "F16"};
    model_fixture *model = model_open_llama();
    for (size_t r = 0; r < sizeof recipes / sizeof *recipes; ++r) {
        imx_plan_options options = options_of(recipes[r]);
        imx_plan *before = plan_with(&model->gguf, &options);
        options.overrides = &override;
        options.n_overrides = 1;
        imx_plan *after = plan_with(&model->gguf, &options);
        for (size_t i = 0; i < before->n_items; ++i) {
            const bool is_named = is_one_of(after->items[i].name, named, 5);
            assert_int_equal(after->items[i].type,
                             is_named ? IMX_TYPE_Q8_0 : before->items[i].type);
        }
        imx_plan_free(before);
        imx_plan_free(after);
    }
    model_close(model);
}

static void the_first_pattern_wins(void **state) {
    (void)state;
    static const imx_type_override overrides[] = {
        {"blk\\.3\\.ffn", IMX_TYPE_Q8_0},
        {"\\.ffn_\\w+\\.weight$", IMX_TYPE_Q5_1},
        {"^blk\\.\\D", IMX_TYPE_Q4_0}, // lower-cased, \D would be \d
        {"blk", IMX_TYPE_Q6_K},
    };
    model_fixture *model = model_open_llama();
    model_add(model, "blk.Q.weight", IMX_TYPE_F32, 256, 8, 1);
    imx_plan_options options = options_of("Q4_K_S");
    options.overrides = overrides;
    options.n_overrides = 4;
    imx_plan *plan = plan_with(&model->gguf, &options);
    assert_type(plan, "blk.3.ffn_up.weight", "Q8_0");
    assert_type(plan, "blk.4.ffn_up.weight", "Q5_1");
    assert_type(plan, "blk.Q.weight", "Q4_0");
    assert_type(plan, "blk.4.attn_q.weight", "Q6_K");
    assert_type(plan, "blk.4.attn_norm.weight", "F32"); // no recipe quantizes it
    imx_plan_free(plan);
    model_close(model);
}

static void types_that_do_not_fit_fall_back(void **state) {
    (void)state;
    static const imx_type_override overrides[] = {{"attn_q", IMX_TYPE_Q6_K}};
    model_fixture *model = model_open("llama", (model_numbers){1, 8, 8, 0});
    model_add_layer(model, 0, "attn_q.weight", 96);
    imx_plan_options options = options_of("F16");
    options.overrides = overrides;
    options.n_overrides = 1;
    imx_plan *plan = plan_with(&model->gguf, &options);
    assert_type(plan, "blk.0.attn_q.weight", "Q8_0");
    assert_true(plan->items[0].is_fallback);
    imx_plan_free(plan);
    model_close(model);
}

static void patterns_that_cannot_be_meant(void **state) {
    (void)state;
    static const struct {
        imx_type_override override;
        const char *words;
    } rows[] = {
        {{"attn_(q", IMX_TYPE_Q8_0}, "attn_(q"},
        {{"ATTN_Q", IMX_TYPE_Q8_0}, "'ATTN_Q' names no tensor"},
        {{"norm", IMX_TYPE_Q8_0}, "'norm' names only tensors that keep their type"},
        {{"attn_q", IMX_TYPE_IQ2_XS}, "cannot write the type IQ2_XS"},
        {{"attn_q", IMX_TYPE_I32}, "cannot write the type I32"},
        {{"^(a|aa)+$", IMX_TYPE_Q8_0}, "PCRE2 gave up"},
    };
    model_fixture *model = model_open_llama();
    model_add(model, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", IMX_TYPE_F32, 256, 1, 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        imx_plan_options options = options_of("Q4_K_M");
        options.overrides = &rows[i].override;
        options.n_overrides = 1;
        assert_refused(&model->gguf, &options, IMX_ERR_ARGUMENT, rows[i].words);
    }
    model_close(model);
}

static void embedding_and_head(void **state) {
    (void)state;
    static const struct {
        const char *recipe;
        bool is_tied;
        uint32_t embedding_type;
        uint32_t output_type;
        const char *embedding;
        const char *head;
    } rows[] = {
        {"Q4_K_M", false, IMX_TYPE_Q8_0, IMX_TYPE_BY_RECIPE, "Q8_0", "Q6_K"},
        {"Q4_K_M", false, IMX_TYPE_BY_RECIPE, IMX_TYPE_Q5_0, "Q4_K", "Q5_0"},
        {"Q4_K_M", true, IMX_TYPE_BY_RECIPE, IMX_TYPE_Q5_0, "Q5_0", NULL},
        {"Q4_K_M", true, IMX_TYPE_Q8_0, IMX_TYPE_BY_RECIPE, "Q8_0", NULL},
        {"Q4_K_M", true, IMX_TYPE_Q8_0, IMX_TYPE_Q5_0, "Q8_0", NULL},
        {"F32", true, IMX_TYPE_BY_RECIPE, IMX_TYPE_Q5_0, "Q5_0", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        model_fixture *model = model_open("llama", (model_numbers){1, 8, 8, 0});
        imx_plan_options options = options_of(rows[i].recipe);
        options.embedding_type = rows[i].embedding_type;
        options.output_type = rows[i].output_type;
        model_add(model, "token_embd.weight", IMX_TYPE_F16, 256, 8, 1);
        if (!rows[i].is_tied) {
            model_add(model, "output.weight", IMX_TYPE_F16, 256, 8, 1);
        }
        imx_plan *plan = plan_with(&model->gguf, &options);
        assert_type(plan, "token_embd.weight", rows[i].embedding);
        if (!rows[i].is_tied) {
            assert_type(plan, "output.weight", rows[i].head);
        }
        imx_plan_free(plan);
        model_close(model);
    }
}

static void pure_and_left_out(void **state) {
    (void)state;
    model_fixture *model = model_open_llama();
    imx_plan_options options = options_of("Q4_K_M");
    options.pure = true;
    options.leave_output = true;
    options.embedding_type = IMX_TYPE_Q8_0;
    imx_plan *plan = plan_with(&model->gguf, &options);
    for (size_t i = 1; i + 1 < plan->n_items; ++i) {
        const bool is_norm = strstr(plan->items[i].name, "norm") != NULL;
        assert_int_equal(plan->items[i].type, is_norm ? IMX_TYPE_F32 : IMX_TYPE_Q4_K);
    }
    assert_type(plan, "token_embd.weight", "Q8_0");
    assert_type(plan, "output.weight", "F16");
    imx_plan_free(plan);
    options.output_type = IMX_TYPE_Q8_0;
    assert_refused(&model->gguf, &options, IMX_ERR_ARGUMENT, "exclude each other");
    model_close(model);
}

static void copies_with_exceptions(void **state) {
    (void)state;
    static const imx_type_override overrides[] = {{"ffn_up", IMX_TYPE_Q8_0}};
    static const char *const names[] = {"blk.0.attn_q.weight"};
    model_fixture *model = model_open("llama", (model_numbers){1, 8, 8, 0});
    imx_imatrix *imatrix = imatrix_with_all(names, 1);
    model_add(model, "token_embd.weight", IMX_TYPE_F16, 256, 8, 1);
    model_add(model, "blk.0.attn_q.weight", IMX_TYPE_BF16, 256, 8, 1);
    model_add(model, "blk.0.attn_v.weight", IMX_TYPE_Q4_K, 256, 8, 1);
    model_add(model, "blk.0.ffn_up.weight", IMX_TYPE_F16, 256, 8, 1);
    imx_plan_options options = options_of("COPY");
    options.imatrix = imatrix;
    options.missing = IMX_MISSING_TYPE;
    options.missing_type = IMX_TYPE_Q6_K;
    options.overrides = overrides;
    options.n_overrides = 1;
    imx_plan *plan = plan_with(&model->gguf, &options);
    for (size_t i = 0; i < 3; ++i) {
        assert_true(plan->items[i].is_copied);
        assert_null(plan->items[i].statistics);
        assert_false(plan->items[i].lacks_statistics);
    }
    assert_type(plan, "blk.0.attn_v.weight", "Q4_K");
    assert_type(plan, "blk.0.ffn_up.weight", "Q8_0");
    imx_plan_free(plan);
    imx_imatrix_free(imatrix);
    model_close(model);
}

static void quantized_sources_when_allowed(void **state) {
    (void)state;
    model_fixture *model = model_open("llama", (model_numbers){1, 8, 8, 0});
    model_add(model, "blk.0.attn_q.weight", IMX_TYPE_Q8_0, 256, 8, 1);
    model_add(model, "blk.0.ffn_up.weight", IMX_TYPE_Q4_K, 256, 8, 1);
    imx_plan_options options = options_of("Q4_K_S");
    assert_refused(&model->gguf, &options, IMX_ERR_ARGUMENT, "allow requantizing");
    options.allow_requantize = true;
    imx_plan *plan = plan_with(&model->gguf, &options);
    assert_type(plan, "blk.0.attn_q.weight", "Q4_K");
    assert_false(plan->items[0].is_copied);
    assert_true(plan->items[1].is_copied);
    imx_plan_free(plan);
    model_add(model, "blk.0.ffn_down.weight", IMX_TYPE_IQ1_M, 256, 8, 1);
    assert_refused(&model->gguf, &options, IMX_ERR_UNSUPPORTED, "IQ1_M");
    model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overrides_change_nothing_else),
        cmocka_unit_test(the_first_pattern_wins),
        cmocka_unit_test(types_that_do_not_fit_fall_back),
        cmocka_unit_test(patterns_that_cannot_be_meant),
        cmocka_unit_test(embedding_and_head),
        cmocka_unit_test(pure_and_left_out),
        cmocka_unit_test(copies_with_exceptions),
        cmocka_unit_test(quantized_sources_when_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
