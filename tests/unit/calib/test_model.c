// SPDX-License-Identifier: MIT
//
// A model that cannot be computed as its file says is refused, and the message names the reason.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "calib/model/model.h"
#include "calib/model/model_internal.h"
#include "tiny_model.h"

static void check_refused(const tiny_model *spec, imx_status wanted, const char *named) {
    imx_model *model = NULL;
    imx_error err = {0};
    assert_int_equal(tiny_try_open(spec, &model, &err), wanted);
    assert_null(model);
    assert_int_equal(err.status, wanted);
    if (strstr(err.message, named) == NULL) {
        fail_msg("'%s' does not name %s", err.message, named);
    }
}

static imx_hparams check_accepted(const tiny_model *spec) {
    imx_model *model = tiny_open(spec);
    const imx_hparams hparams = model->hparams;
    imx_model_close(model);
    return hparams;
}

static void test_accessors(void **state) {
    (void)state;
    tiny_model spec = tiny_default;
    imx_model *model = tiny_open(&spec);
    assert_int_equal(imx_model_n_layers(model), spec.n_layers);
    assert_int_equal(imx_model_n_embd(model), spec.n_embd);
    assert_int_equal(imx_model_n_vocab(model), spec.n_vocab);
    assert_false(imx_model_has_tied_head(model));
    imx_model_close(model);
    spec.has_output = false;
    model = tiny_open(&spec);
    assert_true(imx_model_has_tied_head(model));
    imx_model_close(model);
}

static void test_defaults(void **state) {
    (void)state;
    const imx_hparams hparams = check_accepted(&tiny_default);
    assert_int_equal(hparams.head_dim_k, 6);
    assert_int_equal(hparams.head_dim_v, 6);
    assert_int_equal(hparams.n_rot, 6);
    assert_true(hparams.rope_base == 10000.0f);
    assert_true(hparams.rope_factor == 1.0f);
}

static void test_tensors(void **state) {
    (void)state;
    tiny_model spec = tiny_default;
    spec.left_out = "blk.1.ffn_up.weight";
    check_refused(&spec, IMX_ERR_FORMAT, "'blk.1.ffn_up.weight' is missing");
    spec.left_out = "token_embd.weight";
    check_refused(&spec, IMX_ERR_FORMAT, "'token_embd.weight'");
    spec = tiny_default;
    spec.widened = "blk.0.attn_k.weight";
    check_refused(&spec, IMX_ERR_FORMAT,
                  "'blk.0.attn_k.weight' has the shape [24, 13] where the "
                  "metadata asks for [24, 12]");
    spec.widened = "blk.1.ffn_down.bias";
    check_refused(&spec, IMX_ERR_FORMAT, "'blk.1.ffn_down.bias' has the shape [24, 2]");
    spec = tiny_default;
    spec.added = "blk.0.attn_q_norm.weight";
    check_refused(&spec, IMX_ERR_UNSUPPORTED, "'blk.0.attn_q_norm.weight' has no place");
}

// The message says what kind of model it is, what works, and what can be run.
static void test_architectures_that_cannot_be_run(void **state) {
    (void)state;
    static const struct {
        const char *arch;
        const char *kind;
    } cases[] = {
        {"mamba2", "'mamba2' is a recurrent model and cannot be run"},
        {"falcon-h1", "'falcon-h1' is a model with recurrent layers"},
        {"modern-bert", "'modern-bert' is an encoder and"},
        {"t5", "'t5' is an encoder with a decoder"},
        {"llada", "'llada' is a diffusion model"},
        {"lama", "'lama' is not known to this version and cannot be run"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        tiny_model spec = tiny_default;
        spec.arch = cases[i].arch;
        check_refused(&spec, IMX_ERR_UNSUPPORTED, cases[i].kind);
        check_refused(&spec, IMX_ERR_UNSUPPORTED, "`imatrix quantize` works");
        for (size_t j = 0; j < imx_n_archs; ++j) {
            check_refused(&spec, IMX_ERR_UNSUPPORTED, imx_archs[j].name);
        }
    }
}

// Their order is the one in which they are listed.
static void test_architectures_are_in_order(void **state) {
    (void)state;
    for (size_t i = 1; i < imx_n_archs; ++i) {
        assert_true(strcmp(imx_archs[i - 1].name, imx_archs[i].name) < 0);
    }
}

// Divisors for long contexts and for short ones come together.
static void test_divisors(void **state) {
    (void)state;
    tiny_model spec = tiny_default;
    spec.has_divisors = true;
    imx_model_close(tiny_open(&spec));
    spec.left_out = "rope_factors_short.weight";
    check_refused(&spec, IMX_ERR_FORMAT, "'rope_factors_short.weight' is missing");
    spec.left_out = "rope_factors_long.weight";
    check_refused(&spec, IMX_ERR_FORMAT, "'rope_factors_long.weight' is missing");
}

// A second head, for classes, is no part of what a token model computes.
static void test_classifier_is_passed_over(void **state) {
    (void)state;
    tiny_model spec = tiny_default;
    spec.added = "cls.output.weight";
    imx_model_close(tiny_open(&spec));
}

static imx_status add_spiral(imx_gguf_builder *builder, imx_error *err) {
    return imx_gguf_set_str(builder, "llama.rope.scaling.type", "spiral", err);
}

static imx_status add_longrope(imx_gguf_builder *builder, imx_error *err) {
    return imx_gguf_set_str(builder, "llama.rope.scaling.type", "longrope", err);
}

static imx_status add_experts(imx_gguf_builder *builder, imx_error *err) {
    return imx_gguf_set_u32(builder, "llama.expert_count", 8, err);
}

static imx_status add_window(imx_gguf_builder *builder, imx_error *err) {
    return imx_gguf_set_u32(builder, "llama.attention.sliding_window", 4096, err);
}

static imx_status add_unknown(imx_gguf_builder *builder, imx_error *err) {
    return imx_gguf_set_f32(builder, "llama.attention.wobble", 0.5f, err);
}

static imx_status add_two_way(imx_gguf_builder *builder, imx_error *err) {
    return imx_gguf_set_bool(builder, "llama.attention.causal", false, err);
}

static imx_status add_heads_by_layer(imx_gguf_builder *builder, imx_error *err) {
    static const uint32_t heads[] = {2, 4};
    return imx_gguf_set_array(builder, "llama.attention.head_count_kv", IMX_GGUF_U32, heads, 2,
                              err);
}

static imx_status add_odd_heads(imx_gguf_builder *builder, imx_error *err) {
    return imx_gguf_set_u32(builder, "llama.attention.head_count_kv", 3, err);
}

static void test_metadata_that_is_refused(void **state) {
    (void)state;
    static const struct {
        imx_status (*add_keys)(imx_gguf_builder *builder, imx_error *err);
        imx_status status;
        const char *named;
    } cases[] = {
        {add_spiral, IMX_ERR_UNSUPPORTED, "llama.rope.scaling.type is 'spiral'"},
        {add_longrope, IMX_ERR_FORMAT, "'rope_factors_long.weight' is missing"},
        {add_experts, IMX_ERR_FORMAT, "the number of experts used"},
        {add_window, IMX_ERR_UNSUPPORTED, "llama.attention.sliding_window"},
        {add_unknown, IMX_ERR_UNSUPPORTED, "llama.attention.wobble"},
        {add_two_way, IMX_ERR_UNSUPPORTED, "llama.attention.causal"},
        {add_heads_by_layer, IMX_ERR_UNSUPPORTED, "llama.attention.head_count_kv"},
        {add_odd_heads, IMX_ERR_FORMAT, "the number of key heads"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        tiny_model spec = tiny_default;
        spec.add_keys = cases[i].add_keys;
        check_refused(&spec, cases[i].status, cases[i].named);
    }
}

// What llama.cpp's own writer puts into a Llama that uses none of it.
static imx_status add_neutral(imx_gguf_builder *builder, imx_error *err) {
    static const float clamps[] = {0, 0, 0};
    IMX_TRY(imx_gguf_set_f32(builder, "llama.logit_scale", 0, err));
    IMX_TRY(imx_gguf_set_f32(builder, "llama.residual_scale", 1, err));
    IMX_TRY(imx_gguf_set_f32(builder, "llama.final_logit_softcapping", 30, err));
    IMX_TRY(imx_gguf_set_u32(builder, "llama.expert_count", 0, err));
    IMX_TRY(imx_gguf_set_f32(builder, "llama.expert_group_scale", 0.05f, err));
    IMX_TRY(imx_gguf_set_bool(builder, "llama.attention.causal", true, err));
    IMX_TRY(imx_gguf_set_array(builder, "llama.swiglu_clamp_exp", IMX_GGUF_F32, clamps, 3, err));
    IMX_TRY(imx_gguf_set_str(builder, "llama.rope.scaling.type", "linear", err));
    IMX_TRY(imx_gguf_set_f32(builder, "llama.rope.scaling.factor", 0, err));
    IMX_TRY(imx_gguf_set_f32(builder, "llama.rope.scaling.yarn_beta_fast", 32, err));
    IMX_TRY(imx_gguf_set_u32(builder, "llama.attention.key_length_swa", 6, err));
    return imx_gguf_set_u32(builder, "llama.context_length", 4096, err);
}

static imx_status add_linear(imx_gguf_builder *builder, imx_error *err) {
    IMX_TRY(imx_gguf_set_f32(builder, "llama.rope.scale_linear", 2, err));
    return imx_gguf_set_f32(builder, "llama.rope.scaling.factor", 4, err);
}

static imx_status add_no_scaling(imx_gguf_builder *builder, imx_error *err) {
    IMX_TRY(imx_gguf_set_str(builder, "llama.rope.scaling.type", "none", err));
    return imx_gguf_set_f32(builder, "llama.rope.scaling.factor", 4, err);
}

static void test_metadata_that_is_accepted(void **state) {
    (void)state;
    tiny_model spec = tiny_default;
    spec.add_keys = add_neutral;
    assert_true(check_accepted(&spec).rope_factor == 1);
    spec.add_keys = add_linear;
    assert_true(check_accepted(&spec).rope_factor == 4);
    spec.add_keys = add_no_scaling;
    assert_true(check_accepted(&spec).rope_factor == 1);
}

static void test_missing_file(void **state) {
    (void)state;
    imx_model *model;
    imx_error err;
    assert_int_equal(imx_model_open(&model, "/nonexistent/model.gguf", &err), IMX_ERR_IO);
    assert_null(model);
    imx_model_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accessors),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_architectures_that_cannot_be_run),
        cmocka_unit_test(test_architectures_are_in_order),
        cmocka_unit_test(test_divisors),
        cmocka_unit_test(test_classifier_is_passed_over),
        cmocka_unit_test(test_metadata_that_is_refused),
        cmocka_unit_test(test_metadata_that_is_accepted),
        cmocka_unit_test(test_missing_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
