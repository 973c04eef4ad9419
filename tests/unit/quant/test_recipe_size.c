// SPDX-License-Identifier: MIT
//
// Sizes of files before they are written, and the order of the recipes by loss. That the sizes are
// those of real files is checked in tests/cli/test_inspect.sh.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model_fixture.h"
#include "quant/plan/loss_order.h"
#include "quant/plan/recipe_size.h"

static imx_recipe_size measure(const model_fixture *model, const char *recipe,
                               const imx_imatrix *imatrix, const char *imatrix_name) {
    imx_recipe_size size;
    imx_error err = {IMX_OK, ""};
    if (imx_recipe_size_measure(&size, imx_recipe_find(recipe), &model->gguf, imatrix, imatrix_name,
                                &err) != IMX_OK) {
        fail_msg("%s: %s", recipe, err.message);
    }
    return size;
}

// Two matrices of 256 × 8 and keys: the data of Q8_0 is 272 bytes a row.
static void test_data_and_header(void **state) {
    (void)state;
    model_fixture *model = model_open("llama", (model_numbers){1, 8, 8, 0});
    model_add_layer(model, 0, "attn_q.weight", 256);
    model_add_layer(model, 0, "attn_k.weight", 256);
    const imx_recipe_size q8 = measure(model, "Q8_0", NULL, NULL);
    const imx_recipe_size f16 = measure(model, "F16", NULL, NULL);
    assert_true(q8.bits_per_weight == 8.5);
    assert_true(f16.bits_per_weight == 16.0);
    assert_int_equal(f16.file_bytes - q8.file_bytes, 2 * 8 * (512 - 272));
    assert_true(q8.file_bytes > 2 * 8 * 272);
    assert_false(q8.requantizes);
    model_close(model);
}

// With an imatrix its name is in the file, a letter a byte, up to the padding to 32.
static void test_imatrix_counts(void **state) {
    (void)state;
    model_fixture *model = model_open_llama();
    imx_imatrix *imatrix;
    assert_int_equal(imx_imatrix_new(&imatrix, NULL), IMX_OK);
    const imx_recipe_size without = measure(model, "Q8_0", NULL, NULL);
    const imx_recipe_size with = measure(model, "Q8_0", imatrix, "a");
    const imx_recipe_size longer =
        measure(model, "Q8_0", imatrix, "abcdefghijklmnopqrstuvwxyzabcdefg");
    assert_int_equal(without.n_lacking, 0);
    assert_int_equal(with.n_lacking, 64); // all layers' matrices; embedding and head are exempt
    assert_true(with.file_bytes > without.file_bytes);
    assert_int_equal(longer.file_bytes, with.file_bytes + 32);
    imx_imatrix_free(imatrix);
    model_close(model);
}

static void test_rows_that_do_not_fit(void **state) {
    (void)state;
    model_fixture *model = model_open("llama", (model_numbers){1, 8, 8, 0});
    model_add_layer(model, 0, "attn_q.weight", 256);
    model_add_layer(model, 0, "attn_k.weight", 96);
    model_add_layer(model, 0, "ffn_up.weight", 100);
    assert_int_equal(measure(model, "Q6_K", NULL, NULL).n_fallbacks, 2);
    assert_int_equal(measure(model, "Q8_0", NULL, NULL).n_fallbacks, 1);
    assert_int_equal(measure(model, "F16", NULL, NULL).n_fallbacks, 0);
    model_close(model);
}

static void test_quantized_sources(void **state) {
    (void)state;
    model_fixture *model = model_open("llama", (model_numbers){1, 8, 8, 0});
    model_add(model, "blk.0.attn_q.weight", IMX_TYPE_Q8_0, 256, 8, 1);
    assert_true(measure(model, "Q6_K", NULL, NULL).requantizes);
    assert_false(measure(model, "Q8_0", NULL, NULL).requantizes);
    assert_false(measure(model, "COPY", NULL, NULL).requantizes);
    model_close(model);
}

static void test_sources_that_cannot_be_read(void **state) {
    (void)state;
    model_fixture *model = model_open("llama", (model_numbers){1, 8, 8, 0});
    imx_recipe_size size;
    imx_error err = {IMX_OK, ""};
    model_add(model, "blk.0.attn_q.weight", IMX_TYPE_I32, 256, 8, 1);
    assert_int_equal(
        imx_recipe_size_measure(&size, imx_recipe_find("Q8_0"), &model->gguf, NULL, NULL, &err),
        IMX_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "I32"));
    assert_true(measure(model, "COPY", NULL, NULL).file_bytes > 256 * 8 * 4);
    model_close(model);
}

// ---- the order ---------------------------------------------------------------------------------

static size_t rank_of(const char *name) {
    return imx_recipe_loss_rank(imx_recipe_find(name));
}

// A new recipe needs a place, from a measurement (docs/quality.md), or a reason to have none.
static void test_every_recipe_has_a_place(void **state) {
    (void)state;
    const imx_recipe *recipe;
    for (size_t i = 0; (recipe = imx_recipe_at(i)) != NULL; ++i) {
        const size_t rank = imx_recipe_loss_rank(recipe);
        const bool is_ternary = strncmp(imx_recipe_name(recipe), "TQ", 2) == 0;
        if ((rank == IMX_NO_LOSS_RANK) != is_ternary) {
            fail_msg("%s has the rank %zu", imx_recipe_name(recipe), rank);
        }
        for (size_t k = 0; k < i && rank != IMX_NO_LOSS_RANK; ++k) {
            assert_true(imx_recipe_loss_rank(imx_recipe_at(k)) != rank);
        }
    }
}

static void test_loss_is_not_size(void **state) {
    (void)state;
    assert_true(rank_of("COPY") < rank_of("Q8_0"));
    assert_true(rank_of("Q5_K_M") < rank_of("Q5_1"));
    assert_true(rank_of("Q4_K_M") < rank_of("Q4_1"));
    assert_true(rank_of("IQ4_XS") < rank_of("Q4_0"));
    assert_true(rank_of("Q3_K_S") < rank_of("Q2_K_L"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_and_header),
        cmocka_unit_test(test_imatrix_counts),
        cmocka_unit_test(test_rows_that_do_not_fit),
        cmocka_unit_test(test_quantized_sources),
        cmocka_unit_test(test_sources_that_cannot_be_read),
        cmocka_unit_test(test_every_recipe_has_a_place),
        cmocka_unit_test(test_loss_is_not_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
