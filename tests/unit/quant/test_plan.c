// SPDX-License-Identifier: MIT

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model_fixture.h"
#include "plan_fixture.h"
#include "quant/plan/plan.h"

static const model_numbers small = {8, 8, 8, 0};

static imx_plan *plan_of(const model_fixture *model, const char *recipe,
                         const imx_imatrix *imatrix) {
    imx_plan *plan;
    imx_error err = {IMX_OK, ""};
    assert_int_equal(plan_by_recipe(&plan, &model->gguf, imx_recipe_find(recipe), imatrix, &err),
                     IMX_OK);
    return plan;
}

// The type that `recipe` gives a tensor, by name.
static const char *type_of(const model_fixture *model, const char *recipe,
                           const imx_imatrix *imatrix, const char *name) {
    imx_plan *plan = plan_of(model, recipe, imatrix);
    const char *type = imx_type_traits_of(find_item(plan, name)->type)->name;
    imx_plan_free(plan);
    return type;
}

static imx_imatrix *imatrix_with(const char *name, uint64_t n_cols, uint64_t n_mats) {
    imx_imatrix *imatrix;
    assert_int_equal(imx_imatrix_new(&imatrix, NULL), IMX_OK);
    assert_non_null(add_statistics(imatrix, name, n_cols, n_mats, 100.0));
    return imatrix;
}

static void offsets_and_sizes(void **state) {
    (void)state;
    model_fixture *model = model_open("llama", small);
    model_add(model, "output_norm.weight", IMX_TYPE_F32, 257, 1, 1);
    model_add(model, "token_embd.weight", IMX_TYPE_F16, 256, 10, 1);
    model_add(model, "output.weight", IMX_TYPE_F16, 256, 10, 1);
    imx_plan *plan = plan_of(model, "Q4_K_S", NULL);
    assert_int_equal(plan->n_weights, 257 + 2560 + 2560);
    assert_int_equal(plan->items[0].size_bytes, 1028);
    assert_true(plan->items[0].is_copied);
    assert_int_equal(plan->items[1].offset, 1056);
    assert_int_equal(plan->items[1].type, IMX_TYPE_Q4_K);
    assert_int_equal(plan->items[1].size_bytes, 1440);
    assert_int_equal(plan->items[2].offset, 1056 + 1440);
    assert_int_equal(plan->items[2].type, IMX_TYPE_Q6_K);
    assert_int_equal(plan->size_bytes, 1056 + 1440 + 2112);
    imx_plan_free(plan);
    model_close(model);
}

static void what_is_kept_and_what_is_converted(void **state) {
    (void)state;
    model_fixture *model = model_open("llama", small);
    model_add(model, "blk.0.ffn_up.weight", IMX_TYPE_F32, 256, 1, 1); // one row is a vector
    model_add(model, "blk.0.ffn_gate_inp.weight", IMX_TYPE_F32, 256, 8, 1);
    model_add(model, "blk.0.ffn_up.bias", IMX_TYPE_F32, 256, 8, 1);
    model_add(model, "blk.0.attn_q.weight", IMX_TYPE_F32, 256, 8, 1);
    model_add(model, "blk.0.attn_k.weight", IMX_TYPE_F16, 256, 8, 1);
    imx_plan *plan = plan_of(model, "F16", NULL);
    for (size_t i = 0; i < 3; ++i) {
        assert_true(plan->items[i].is_copied);
        assert_int_equal(plan->items[i].type, IMX_TYPE_F32);
    }
    assert_int_equal(plan->items[3].type, IMX_TYPE_F16);
    assert_false(plan->items[3].is_copied);
    assert_true(plan->items[4].is_copied); // it is F16 already
    imx_plan_free(plan);
    assert_string_equal(type_of(model, "BF16", NULL, "blk.0.attn_k.weight"), "BF16");
    assert_string_equal(type_of(model, "F32", NULL, "blk.0.attn_k.weight"), "F32");
    model_close(model);
}

static void rows_that_do_not_fit(void **state) {
    (void)state;
    static const struct {
        const char *recipe;
        uint64_t n_cols;
        const char *type;
        bool is_fallback;
    } rows[] = {
        {"Q2_K_S", 96, "Q4_0", true}, {"Q3_K_S", 96, "Q4_0", true}, {"Q4_K_S", 96, "Q5_0", true},
        {"Q5_K_S", 96, "Q5_1", true}, {"Q6_K", 96, "Q8_0", true},   {"Q6_K", 512, "Q6_K", false},
        {"Q4_0", 96, "Q4_0", false},  {"Q4_0", 100, "F16", true},   {"Q8_0", 100, "F16", true},
        {"Q4_K_S", 100, "F16", true}, {"F16", 100, "F16", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        model_fixture *model = model_open("llama", small);
        model_add(model, "blk.5.attn_q.weight", IMX_TYPE_F32, rows[i].n_cols, 8, 1);
        imx_plan *plan = plan_of(model, rows[i].recipe, NULL);
        assert_string_equal(imx_type_name(plan->items[0].type), rows[i].type);
        assert_int_equal(plan->items[0].is_fallback, rows[i].is_fallback);
        imx_plan_free(plan);
        model_close(model);
    }
}

static void heads_tied_and_untied(void **state) {
    (void)state;
    model_fixture *model = model_open("llama", small);
    model_add(model, "token_embd.weight", IMX_TYPE_F32, 256, 8, 1);
    assert_string_equal(type_of(model, "Q4_K_M", NULL, "token_embd.weight"), "Q6_K");
    assert_string_equal(type_of(model, "Q8_0", NULL, "token_embd.weight"), "Q8_0");
    model_add(model, "output.weight", IMX_TYPE_F32, 256, 8, 1);
    assert_string_equal(type_of(model, "Q4_K_M", NULL, "token_embd.weight"), "Q4_K");
    assert_string_equal(type_of(model, "Q4_K_M", NULL, "output.weight"), "Q6_K");
    model_close(model);
}

static void layers_count_by_place_not_by_order(void **state) {
    (void)state;
    // Of 16 layers Q4_K_M lifts ffn_down of 0, 1, 4, 7, 10, 13, 14 and 15.
    static const char expected[] = "xx..x..x..x..xxx";
    model_fixture *model = model_open("llama", (model_numbers){16, 8, 8, 0});
    for (unsigned i = 0; i < 16; ++i) {
        model_add_layer(model, i * 7 % 16, "ffn_down.weight", 256);
    }
    imx_plan *plan = plan_of(model, "Q4_K_M", NULL);
    for (unsigned i = 0; i < 16; ++i) {
        const uint32_t type = expected[i * 7 % 16] == 'x' ? IMX_TYPE_Q6_K : IMX_TYPE_Q4_K;
        assert_int_equal(plan->items[i].type, type);
    }
    imx_plan_free(plan);
    model_close(model);
}

static void places_within_a_layer_are_by_name(void **state) {
    (void)state;
    model_fixture *model = model_open("llama", small);
    model_add_layer(model, 0, "attn_v.weight", 256);
    model_add_layer(model, 0, "attn_qkv.weight", 256);
    model_add_layer(model, 0, "attn_kv_b.weight", 256);
    imx_plan *plan = plan_of(model, "Q3_K_M", NULL); // the first two have more bits
    assert_int_equal(plan->items[0].type, IMX_TYPE_Q4_K);
    assert_int_equal(plan->items[1].type, IMX_TYPE_Q5_K);
    assert_int_equal(plan->items[2].type, IMX_TYPE_Q5_K);
    imx_plan_free(plan);
    model_close(model);
}

static void experts_are_placed_by_layer(void **state) {
    (void)state;
    model_fixture *model = model_open("llama", (model_numbers){16, 8, 8, 4});
    for (unsigned i = 0; i < 16; ++i) {
        model_add_layer(model, i, "ffn_down_exps.weight", 256);
        model_add_layer(model, i, "ffn_down_shexp.weight", 256);
    }
    imx_plan *plan = plan_of(model, "Q4_K_S", NULL); // the first eighth of the layers
    for (unsigned i = 0; i < 32; ++i) {
        assert_int_equal(plan->items[i].type, i < 4 ? IMX_TYPE_Q5_K : IMX_TYPE_Q4_K);
    }
    imx_plan_free(plan);
    model_close(model);
}

static void facts_about_models(void **state) {
    (void)state;
    static const struct {
        const char *architecture;
        model_numbers numbers;
        const char *tensor;
        const char *recipe;
        const char *type;
    } rows[] = {
        {"llama", {32, 32, 32, 0}, "attn_v.weight", "Q2_K", "Q3_K"},
        {"llama", {32, 32, 8, 0}, "attn_v.weight", "Q2_K", "Q4_K"},
        {"llama", {32, 32, 16, 0}, "attn_v.weight", "Q2_K", "Q3_K"},
        {"llama", {80, 64, 8, 0}, "attn_v.weight", "Q2_K", "Q5_K"},
        {"llama", {80, 64, 64, 0}, "attn_v.weight", "Q3_K_S", "Q3_K"},
        {"qwen2", {80, 64, 64, 0}, "attn_v.weight", "Q3_K_S", "Q5_K"},
        {"llama", {32, 32, 8, 8}, "attn_v.weight", "Q4_0", "Q8_0"},
        {"llama", {32, 32, 8, 8}, "attn_k.weight", "Q4_0", "Q8_0"},
        {"llama", {32, 32, 8, 8}, "attn_output.weight", "Q3_K_S", "Q5_K"},
        {"llama", {32, 32, 8, 8}, "attn_output.weight", "Q3_K_L", "Q3_K"},
        {"llama", {32, 32, 8, 0}, "attn_output.weight", "Q3_K_L", "Q5_K"},
        {"falcon", {32, 32, 8, 0}, "attn_output.weight", "Q3_K_L", "Q4_K"},
        {"falcon", {32, 32, 8, 0}, "attn_output.weight", "Q2_K", "Q2_K"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        char name[64];
        snprintf(name, sizeof name, "blk.0.%s", rows[i].tensor);
        model_fixture *model = model_open(rows[i].architecture, rows[i].numbers);
        model_add_layer(model, 0, rows[i].tensor, 256);
        assert_string_equal(type_of(model, rows[i].recipe, NULL, name), rows[i].type);
        model_close(model);
    }
}

static void an_imatrix_changes_the_first_ffn_down(void **state) {
    (void)state;
    model_fixture *model = model_open("llama", (model_numbers){8, 8, 8, 0});
    model_add_layer(model, 0, "ffn_down.weight", 256);
    imx_imatrix *imatrix = imatrix_with("unrelated", 1, 1);
    assert_string_equal(type_of(model, "Q4_0", NULL, "blk.0.ffn_down.weight"), "Q4_0");
    assert_string_equal(type_of(model, "Q4_0", imatrix, "blk.0.ffn_down.weight"), "Q4_1");
    assert_string_equal(type_of(model, "Q5_0", imatrix, "blk.0.ffn_down.weight"), "Q5_1");
    imx_imatrix_free(imatrix);
    model_close(model);
}

static void statistics_by_shape(void **state) {
    (void)state;
    static const struct {
        uint64_t n_mats; // of the tensor
        uint64_t entry_cols;
        uint64_t entry_mats;
        bool fits;
    } rows[] = {
        {1, 256, 1, true},  {4, 256, 4, true},  {4, 1024, 1, true}, // one count for all
        {1, 512, 1, false}, {4, 256, 1, false}, {4, 256, 2, false},
        {4, 512, 4, false}, {1, 256, 2, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        const char *name = "blk.0.ffn_up_exps.weight";
        model_fixture *model = model_open("llama", small);
        model_add(model, name, IMX_TYPE_F32, 256, 8, rows[i].n_mats);
        imx_imatrix *imatrix = imatrix_with(name, rows[i].entry_cols, rows[i].entry_mats);
        imx_plan *plan;
        imx_error err = {IMX_OK, ""};
        const imx_status status =
            plan_by_recipe(&plan, &model->gguf, imx_recipe_find("Q4_K_S"), imatrix, &err);
        if (rows[i].fits) {
            assert_int_equal(status, IMX_OK);
            assert_ptr_equal(plan->items[0].statistics, imx_imatrix_find(imatrix, name));
            assert_false(plan->items[0].lacks_statistics);
        } else {
            assert_int_equal(status, IMX_ERR_MISMATCH);
            assert_null(plan);
            assert_non_null(strstr(err.message, name));
        }
        imx_plan_free(plan);
        imx_imatrix_free(imatrix);
        model_close(model);
    }
}

static void which_tensors_lack_statistics(void **state) {
    (void)state;
    model_fixture *model = model_open("llama", small);
    model_add(model, "token_embd.weight", IMX_TYPE_F32, 256, 8, 1);
    model_add(model, "output.weight", IMX_TYPE_F32, 256, 8, 1);
    model_add(model, "blk.0.attn_norm.weight", IMX_TYPE_F32, 256, 1, 1);
    model_add(model, "blk.0.attn_q.weight", IMX_TYPE_F32, 256, 8, 1);
    model_add(model, "blk.0.attn_k.weight", IMX_TYPE_F32, 256, 8, 1);
    imx_imatrix *imatrix = imatrix_with("blk.0.attn_q.weight", 256, 1);
    imx_plan *plan = plan_of(model, "Q4_K_S", imatrix);
    for (size_t i = 0; i < plan->n_items; ++i) {
        assert_int_equal(plan->items[i].lacks_statistics, i == 4);
    }
    imx_plan_free(plan);
    plan = plan_of(model, "F16", imatrix); // nothing is lost there
    assert_false(plan->items[4].lacks_statistics);
    imx_plan_free(plan);
    plan = plan_of(model, "Q4_K_S", NULL);
    assert_false(plan->items[4].lacks_statistics);
    imx_plan_free(plan);
    imx_imatrix_free(imatrix);
    model_close(model);
}

static void tied_embeddings_use_the_heads_statistics(void **state) {
    (void)state;
    model_fixture *model = model_open("llama", small);
    model_add(model, "token_embd.weight", IMX_TYPE_F32, 256, 8, 1);
    imx_imatrix *fits = imatrix_with("output.weight", 256, 1);
    imx_imatrix *other = imatrix_with("output.weight", 512, 1);
    imx_plan *plan = plan_of(model, "Q4_K_S", fits);
    assert_ptr_equal(plan->items[0].statistics, imx_imatrix_find(fits, "output.weight"));
    imx_plan_free(plan);
    plan = plan_of(model, "Q4_K_S", other);
    assert_null(plan->items[0].statistics);
    imx_plan_free(plan);
    imx_imatrix_free(fits);
    imx_imatrix_free(other);
    model_close(model);
}

static void quantized_sources(void **state) {
    (void)state;
    model_fixture *model = model_open("llama", small);
    model_add(model, "blk.0.attn_q.weight", IMX_TYPE_Q4_K, 256, 8, 1);
    imx_plan *plan = plan_of(model, "Q4_K_S", NULL);
    assert_true(plan->items[0].is_copied);
    imx_plan_free(plan);
    imx_error err;
    assert_int_equal(plan_by_recipe(&plan, &model->gguf, imx_recipe_find("Q6_K"), NULL, &err),
                     IMX_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "blk.0.attn_q.weight"));
    assert_non_null(strstr(err.message, "F16"));
    model_close(model);
}

static void sources_that_cannot_be_decoded(void **state) {
    (void)state;
    model_fixture *model = model_open("llama", small);
    model_add(model, "blk.0.attn_q.weight", IMX_TYPE_F64, 256, 8, 1);
    imx_plan *plan;
    imx_error err;
    assert_int_equal(plan_by_recipe(&plan, &model->gguf, imx_recipe_find("Q6_K"), NULL, &err),
                     IMX_ERR_UNSUPPORTED);
    model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_and_sizes),
        cmocka_unit_test(what_is_kept_and_what_is_converted),
        cmocka_unit_test(rows_that_do_not_fit),
        cmocka_unit_test(heads_tied_and_untied),
        cmocka_unit_test(layers_count_by_place_not_by_order),
        cmocka_unit_test(places_within_a_layer_are_by_name),
        cmocka_unit_test(experts_are_placed_by_layer),
        cmocka_unit_test(facts_about_models),
        cmocka_unit_test(an_imatrix_changes_the_first_ffn_down),
        cmocka_unit_test(statistics_by_shape),
        cmocka_unit_test(which_tensors_lack_statistics),
        cmocka_unit_test(tied_embeddings_use_the_heads_statistics),
        cmocka_unit_test(quantized_sources),
        cmocka_unit_test(sources_that_cannot_be_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
