// SPDX-License-Identifier: MIT

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "formats/tensor_type.h"
#include "quant/encode/encoder.h"
#include "quant/plan/recipe_internal.h"

static void names_numbers_and_aliases(void **state) {
    (void)state;
    static const struct {
        const char *asked;
        const char *name;
    } rows[] = {
        {"Q4_K_M", "Q4_K_M"}, {"q4_k_m", "Q4_K_M"}, {"15", "Q4_K_M"},       {"Q4_K", "Q4_K_M"},
        {"q3_k", "Q3_K_M"},   {"Q5_K", "Q5_K_M"},   {"21", "Q2_K_S"},       {"0", "F32"},
        {"1", "F16"},         {"32", "BF16"},       {"bf16", "BF16"},       {"7", "Q8_0"},
        {"25", "IQ4_NL"},     {"30", "IQ4_XS"},     {"36", "TQ1_0"},        {"37", "TQ2_0"},
        {"38", "MXFP4_MOE"},  {"copy", "COPY"},     {"q3_k_xl", "Q3_K_XL"}, {"13", "Q3_K_L"},
        {"10", "Q2_K"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        const imx_recipe *recipe = imx_recipe_find(rows[i].asked);
        assert_non_null(recipe);
        assert_string_equal(imx_recipe_name(recipe), rows[i].name);
    }
    static const char *const unknown[] = {"", "Q4_K_X", "99", "-1", " 15", "15 ", "0x1", "IQ3_S"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; ++i) {
        assert_null(imx_recipe_find(unknown[i]));
    }
}

static void every_recipe_is_complete(void **state) {
    (void)state;
    size_t n = 0;
    for (const imx_recipe *recipe; (recipe = imx_recipe_at(n)) != NULL; ++n) {
        char number[16];
        snprintf(number, sizeof number, "%u", imx_recipe_file_type(recipe));
        const imx_recipe *owner = imx_recipe_find(number);
        assert_non_null(owner);
        if (recipe->base != NULL) {
            assert_ptr_equal(owner, recipe->base);
            assert_int_equal(imx_recipe_default_type(recipe), imx_recipe_default_type(owner));
        } else if (!imx_recipe_is_copy(recipe)) {
            assert_ptr_equal(owner, recipe);
        }
        assert_ptr_equal(imx_recipe_find(imx_recipe_name(recipe)), recipe);
        assert_true(imx_recipe_summary(recipe)[0] != '\0');
        assert_non_null(imx_encoder_of(imx_recipe_default_type(recipe)));
    }
    assert_int_equal(n, IMX_RECIPE_COUNT);
}

static bool has(uint32_t facts, uint32_t fact) {
    return (facts & fact) != 0;
}

// Whether some tensor can have exactly these facts.
static bool can_be(uint32_t facts) {
    return has(facts, IMX_FACT_FALCON) != has(facts, IMX_FACT_NOT_FALCON) &&
           has(facts, IMX_FACT_EIGHT_EXPERTS) != has(facts, IMX_FACT_NOT_EIGHT_EXPERTS) &&
           has(facts, IMX_FACT_HAS_IMATRIX) != has(facts, IMX_FACT_NO_IMATRIX) &&
           (has(facts, IMX_FACT_FIRST_4) || !has(facts, IMX_FACT_FIRST_2)) &&
           (has(facts, IMX_FACT_FIRST_EIGHTH) || !has(facts, IMX_FACT_FIRST_SIXTEENTH)) &&
           (has(facts, IMX_FACT_MORE_BITS) || !has(facts, IMX_FACT_FIRST_EIGHTH)) &&
           !(has(facts, IMX_FACT_SEVENTY_B) && has(facts, IMX_FACT_FALCON));
}

static void every_rule_can_fire(void **state) {
    (void)state;
    bool fired[64] = {false};
    assert_true(imx_rule_count <= 64);
    for (uint32_t facts = 0; facts < 2 * IMX_FACT_MORE_BITS; ++facts) {
        if (!can_be(facts)) {
            continue;
        }
        for (size_t i = 0; i < IMX_RECIPE_COUNT; ++i) {
            for (imx_mix_role role = IMX_MIX_ROLE_KEPT; role < IMX_MIX_ROLE_COUNT; ++role) {
                const imx_rule *rule = imx_recipe_rule(imx_recipe_at(i), role, facts);
                if (rule != NULL) {
                    fired[rule - imx_rule_table] = true;
                }
            }
        }
    }
    for (size_t i = 0; i < imx_rule_count; ++i) {
        if (!fired[i]) {
            fail_msg("rule %zu never fires", i);
        }
    }
}

static uint32_t type_of(const char *recipe_name, imx_mix_role role, uint32_t facts) {
    const imx_recipe *recipe = imx_recipe_find(recipe_name);
    const imx_rule *rule = imx_recipe_rule(recipe, role, facts);
    return rule != NULL ? rule->type : imx_recipe_default_type(recipe);
}

static void large_mixes_differ_at_the_ends_only(void **state) {
    (void)state;
    static const char *const names[] = {"Q2_K_L", "Q3_K_XL", "Q4_K_L", "Q5_K_L", "Q6_K_L"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        const imx_recipe *base = imx_recipe_find(names[i])->base;
        for (uint32_t facts = 0; facts < 2 * IMX_FACT_MORE_BITS; facts += 7) {
            for (imx_mix_role role = IMX_MIX_ROLE_KEPT; role < IMX_MIX_ROLE_COUNT; ++role) {
                const bool is_end = role == IMX_MIX_ROLE_OUTPUT || role == IMX_MIX_ROLE_TOKEN_EMBD;
                const uint32_t expected =
                    is_end ? IMX_TYPE_Q8_0 : type_of(imx_recipe_name(base), role, facts);
                assert_int_equal(type_of(names[i], role, facts), expected);
            }
        }
    }
}

static void roles_of_names(void **state) {
    (void)state;
    static const struct {
        const char *name;
        imx_mix_role role;
    } rows[] = {
        {"output.weight", IMX_MIX_ROLE_OUTPUT},
        {"token_embd.weight", IMX_MIX_ROLE_TOKEN_EMBD},
        {"per_layer_token_embd.weight", IMX_MIX_ROLE_TOKEN_EMBD},
        {"blk.0.attn_v.weight", IMX_MIX_ROLE_ATTN_V},
        {"blk.0.attn_qkv.weight", IMX_MIX_ROLE_ATTN_V},
        {"blk.0.attn_kv_b.weight", IMX_MIX_ROLE_ATTN_V},
        {"blk.0.attn_v_b.weight", IMX_MIX_ROLE_OTHER},
        {"blk.0.attn_k.weight", IMX_MIX_ROLE_ATTN_K},
        {"blk.0.attn_q.weight", IMX_MIX_ROLE_OTHER},
        {"blk.0.attn_output.weight", IMX_MIX_ROLE_ATTN_OUTPUT},
        {"blk.0.ffn_down.weight", IMX_MIX_ROLE_FFN_DOWN},
        {"blk.0.ffn_down_exps.weight", IMX_MIX_ROLE_FFN_DOWN},
        {"blk.0.ffn_down.bias", IMX_MIX_ROLE_KEPT},
        {"blk.0.attn_norm.weight", IMX_MIX_ROLE_KEPT},
        {"blk.0.ffn_gate_inp.weight", IMX_MIX_ROLE_KEPT},
        {"position_embd.weight", IMX_MIX_ROLE_KEPT},
        {"v.position_embd.weight", IMX_MIX_ROLE_KEPT},
        {"blk.0.time_mix_w1.weight", IMX_MIX_ROLE_KEPT},
        {"rope_freqs", IMX_MIX_ROLE_KEPT},
        {"", IMX_MIX_ROLE_KEPT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        assert_int_equal(imx_mix_role_of(rows[i].name), rows[i].role);
    }
    assert_int_equal(imx_layer_of("blk.17.ffn_up.weight"), 17);
    assert_int_equal(imx_layer_of("blk.x.ffn_up.weight"), -1);
    assert_int_equal(imx_layer_of("blk.-3.ffn_up.weight"), -1);
    assert_int_equal(imx_layer_of("output.weight"), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_numbers_and_aliases),
        cmocka_unit_test(every_recipe_is_complete),
        cmocka_unit_test(every_rule_can_fire),
        cmocka_unit_test(large_mixes_differ_at_the_ends_only),
        cmocka_unit_test(roles_of_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
