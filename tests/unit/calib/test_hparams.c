// SPDX-License-Identifier: MIT
//
// What families make of their metadata: layers with windows and without rotation, and numbers that
// follow from others.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "calib/model/arch.h"
#include "calib/model/arch_finish.h"
#include "calib/model/hparams.h"
#include "tiny_model.h"

enum { MAX_KEYS = 4 };

// A file of an architecture and some of its keys.
typedef struct metadata {
    const char *arch;
    uint32_t n_layers;
    struct {
        const char *suffix;
        double value;
    } keys[MAX_KEYS];
    bool has_list; // of layers with windows: all of them
} metadata;

static const metadata *current;          // for add_keys
static const uint32_t *current_sections; // (4) of rotated pairs; NULL: none

static imx_status add_number(imx_gguf_builder *builder, const char *suffix, double value,
                             imx_error *err) {
    char key[128];
    snprintf(key, sizeof key, "%s.%s", current->arch, suffix);
    return value == floor(value) ? imx_gguf_set_u32(builder, key, (uint32_t)value, err)
                                 : imx_gguf_set_f32(builder, key, (float)value, err);
}

static imx_status add_keys(imx_gguf_builder *builder, imx_error *err) {
    static const uint8_t all_true[] = {1, 1, 1, 1, 1, 1, 1, 1};
    char key[128];
    snprintf(key, sizeof key, "%s.attention.sliding_window_pattern", current->arch);
    IMX_TRY(add_number(builder, "block_count", current->n_layers, err));
    IMX_TRY(add_number(builder, "attention.layer_norm_rms_epsilon", 0.5, err));
    IMX_TRY(add_number(builder, "attention.layer_norm_epsilon", 0.25, err));
    for (size_t i = 0; i < MAX_KEYS && current->keys[i].suffix != NULL; ++i) {
        IMX_TRY(add_number(builder, current->keys[i].suffix, current->keys[i].value, err));
    }
    if (current_sections != NULL) {
        snprintf(key, sizeof key, "%s.rope.dimension_sections", current->arch);
        return imx_gguf_set_array(builder, key, IMX_GGUF_U32, current_sections, 4, err);
    }
    return current->has_list
               ? imx_gguf_set_array(builder, key, IMX_GGUF_BOOL, all_true, current->n_layers, err)
               : IMX_OK;
}

static imx_status try_read(const metadata *data, imx_hparams *hparams, imx_error *err) {
    tiny_model spec = tiny_default;
    char path[64];
    imx_gguf *gguf;
    const imx_arch *arch;
    current = data;
    spec.arch = data->arch;
    spec.n_layers = 1;
    spec.add_keys = add_keys;
    assert_true(tiny_write(&spec, path));
    assert_int_equal(imx_gguf_open_model(&gguf, path, err), IMX_OK);
    assert_int_equal(imx_arch_find(&arch, gguf, err), IMX_OK);
    const imx_hparams_rules rules = {arch->name, arch->keys, &arch->defaults, arch->finish,
                                     arch->ignored_keys};
    const imx_status status = imx_hparams_read(hparams, &rules, gguf, err);
    imx_gguf_close(gguf);
    unlink(path);
    return status;
}

static imx_hparams read_hparams(const metadata *data) {
    imx_hparams hparams;
    imx_error err;
    if (try_read(data, &hparams, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
    return hparams;
}

#define WINDOW                                                                                     \
    { "attention.sliding_window", 8 }
#define PERIOD(n)                                                                                  \
    { "attention.sliding_window_pattern", n }

// A letter per layer: whether it has a window and whether it is rotated.
static const struct {
    metadata data;
    const char *windows;
    const char *rotation;
} patterns[] = {
    {{"llama", 3, {{NULL, 0}}, false}, "...", "rrr"},
    {{"gemma2", 5, {{NULL, 0}}, false}, "w.w.w", "rrrrr"},
    {{"gemma3", 8, {WINDOW}, false}, "wwwww.ww", "rrrrrrrr"},
    {{"gemma3", 8, {WINDOW}, true}, "wwwww.ww", "rrrrrrrr"},
    {{"gemma3", 5, {WINDOW, PERIOD(3)}, false}, "ww.ww", "rrrrr"},
    {{"gemma3", 3, {WINDOW, PERIOD(1)}, false}, "...", "rrr"},
    {{"gemma3", 3, {WINDOW, PERIOD(0)}, false}, "www", "rrr"},
    {{"gemma3", 3, {PERIOD(3)}, false}, "...", "rrr"},
    {{"cohere2", 5, {WINDOW}, false}, "www.w", "rrr.r"},
    {{"olmo2", 5, {WINDOW}, true}, "www.w", "rrrrr"},
    {{"olmo2", 5, {{NULL, 0}}, false}, ".....", "rrrrr"},
    {{"exaone4", 5, {WINDOW}, true}, ".....", "rrrrr"},
    {{"exaone4", 64, {{NULL, 0}}, false}, "www.www.", "rrr.rrr."},
    {{"smollm3", 8, {{NULL, 0}}, false}, "........", "rrr.rrr."},
    {{"phi3", 5, {WINDOW}, false}, ".....", "rrrrr"},
    {{"baichuan", 32, {{NULL, 0}}, false}, "...", "rrr"},
    {{"baichuan", 40, {{NULL, 0}}, false}, "...", "..."},
    {{"granite", 2, {{NULL, 0}}, false}, "..", "rr"},
    {{"granite", 2, {{"rope.scaling.finetuned", 0}}, false}, "..", ".."},
    {{"llama", 2, {{"rope.scaling.finetuned", 0}}, false}, "..", "rr"},
};

static void test_patterns_of_layers(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; ++i) {
        const imx_hparams hparams = read_hparams(&patterns[i].data);
        for (uint32_t layer = 0; patterns[i].windows[layer] != '\0'; ++layer) {
            const bool has_window = imx_hparams_is_windowed(&hparams, layer);
            const bool is_rotated = imx_hparams_is_rotated(&hparams, layer);
            if (has_window != (patterns[i].windows[layer] == 'w') ||
                is_rotated != (patterns[i].rotation[layer] == 'r')) {
                fail_msg("row %zu, %s: layer %u", i, patterns[i].data.arch, layer);
            }
        }
    }
}

// A number that a family computes, or takes from a key that means nothing to others.
static const struct {
    metadata data;
    size_t offset; // of the float in imx_hparams
    double wanted;
} numbers[] = {
#define FIELD(name) offsetof(imx_hparams, name)
    // The small model has an embedding of 24 values and 4 heads.
    {{"gemma", 2, {{NULL, 0}}, false}, FIELD(embedding_scale), 4.898979485566356},
    {{"gemma2", 46, {{"attention.key_length", 16}}, false}, FIELD(attention_scale), 0.408248290},
    {{"gemma2", 42, {{"attention.scale", 0.75}}, false}, FIELD(attention_scale), 0},
    {{"gemma2", 42, {{NULL, 0}}, false}, FIELD(attention_softcap), 50},
    {{"gemma2", 42, {{"attn_logit_softcapping", 5}}, false}, FIELD(attention_softcap), 5},
    {{"gemma2", 42, {{NULL, 0}}, false}, FIELD(logit_softcap), 30},
    {{"gemma3", 62, {{"attention.key_length", 16}}, false}, FIELD(attention_scale), 0.408248290},
    {{"gemma3", 34, {{"attention.key_length", 16}}, false}, FIELD(attention_scale), 0},
    {{"gemma3", 34, {{"rope.freq_base", 1e6}}, false}, FIELD(rope_base_window), 10000},
    {{"gemma3", 34, {{"rope.freq_base_swa", 500}}, false}, FIELD(rope_base_window), 500},
    {{"gemma2", 34, {{"rope.freq_base", 500}}, false}, FIELD(rope_base_window), 500},
    {{"cohere2", 4, {WINDOW, {"rope.freq_base_swa", 7}}, false}, FIELD(rope_base_window), 10000},
    {{"hunyuan-dense", 2, {{"rope.scaling.alpha", 1000}}, false}, FIELD(rope_base), 316227766.0},
    {{"hunyuan-dense", 2, {{"expert_count", 1}}, false}, FIELD(rope_base), 10000},
    {{"llama", 2, {{"rope.scaling.yarn_beta_fast", 7}}, false}, FIELD(yarn_beta_fast), 32},
    {{"mistral3", 2, {{"rope.scaling.yarn_beta_fast", 7}}, false}, FIELD(yarn_beta_fast), 7},
    {{"mistral3", 2, {{NULL, 0}}, false}, FIELD(yarn_beta_slow), 1},
    {{"exaone", 2, {{NULL, 0}}, false}, FIELD(norm_eps), 0.5},
    {{"cohere2", 2, {WINDOW}, false}, FIELD(norm_eps), 0.25},
    {{"baichuan", 32, {{NULL, 0}}, false}, FIELD(alibi_max), 0},
    {{"baichuan", 40, {{NULL, 0}}, false}, FIELD(alibi_max), 8},
    {{"bloom", 2, {{NULL, 0}}, false}, FIELD(alibi_max), 8},
    {{"mpt", 2, {{"attention.max_alibi_bias", 4}}, false}, FIELD(alibi_max), 4},
    {{"minicpm", 4, {{NULL, 0}}, false}, FIELD(embedding_scale), 12},
    {{"minicpm", 4, {{NULL, 0}}, false}, FIELD(residual_scale), 0.7},
    {{"minicpm", 4, {{"residual_scale", 0.25}}, false}, FIELD(residual_scale), 0.25},
    {{"minicpm", 4, {{NULL, 0}}, false}, FIELD(logit_scale), 256.0 / 24},
    {{"dots1", 2, {{"expert_weights_scale", 2.5}}, false}, FIELD(gate_scale), 2.5},
    {{"qwen3moe", 2, {{"expert_weights_scale", 2.5}}, false}, FIELD(gate_scale), 0},
};

static void test_numbers(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i) {
        const imx_hparams hparams = read_hparams(&numbers[i].data);
        float value;
        memcpy(&value, (const char *)&hparams + numbers[i].offset, sizeof value);
        if (!(fabs((double)value - numbers[i].wanted) <= 1e-6 * numbers[i].wanted)) {
            fail_msg("row %zu, %s: %g, not %g", i, numbers[i].data.arch, (double)value,
                     numbers[i].wanted);
        }
    }
}

#define EXPERTS                                                                                    \
    {"expert_count", 8}, {                                                                         \
        "expert_used_count", 4                                                                     \
    }

// The small model has networks of 40 inner values.
static const struct {
    metadata data;
    size_t offset; // of the uint32_t in imx_hparams
    uint32_t wanted;
} counts[] = {
    {{"qwen2moe", 2, {EXPERTS}, false}, FIELD(n_ff_expert), 10},
    {{"qwen2moe", 2, {EXPERTS, {"expert_feed_forward_length", 40}}, false}, FIELD(n_ff_expert), 40},
    {{"qwen2moe", 2, {EXPERTS}, false}, FIELD(n_ff_shared), 40},
    {{"olmoe", 2, {EXPERTS}, false}, FIELD(n_ff_expert), 40},
    {{"deepseek", 2, {EXPERTS, {"expert_shared_count", 2}}, false}, FIELD(n_ff_shared), 80},
    {{"glm4moe", 2, {EXPERTS}, false}, FIELD(gating), IMX_GATING_SIGMOID},
    {{"glm4moe", 2, {EXPERTS, {"expert_gating_func", 1}}, false}, FIELD(gating), 1},
    {{"gpt-oss", 2, {EXPERTS}, false}, FIELD(gating), IMX_GATING_SOFTMAX_CHOSEN},
    {{"deepseek2", 2, {EXPERTS, {"expert_gating_func", 2}}, false}, FIELD(gating), 2},
    {{"dots1", 2, {EXPERTS, {"expert_weights_norm", 1}}, false}, FIELD(normalises_gates), 1},
    {{"qwen2moe", 2, {EXPERTS, {"expert_weights_norm", 1}}, false}, FIELD(normalises_gates), 0},
    {{"qwen3moe", 2, {EXPERTS, {"expert_weights_norm", 0}}, false}, FIELD(normalises_gates), 1},
    {{"glm4moe", 3, {EXPERTS, {"nextn_predict_layers", 1}}, false}, FIELD(n_layers), 2},
};

static void test_experts(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; ++i) {
        const imx_hparams hparams = read_hparams(&counts[i].data);
        uint32_t value;
        memcpy(&value, (const char *)&hparams + counts[i].offset, sizeof value);
        if (value != counts[i].wanted) {
            fail_msg("row %zu, %s: %u, not %u", i, counts[i].data.arch, value, counts[i].wanted);
        }
    }
}

static void test_unknown_gating_is_refused(void **state) {
    (void)state;
    const metadata other = {"qwen3moe", 2, {EXPERTS, {"expert_gating_func", 2}}, false};
    const metadata beyond = {"glm4moe", 2, {EXPERTS, {"expert_gating_func", 4}}, false};
    imx_hparams hparams;
    imx_error err;
    assert_int_equal(try_read(&other, &hparams, &err), IMX_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "qwen3moe.expert_gating_func asks for other gates"));
    assert_int_equal(try_read(&beyond, &hparams, &err), IMX_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "gating"));
}

// What YaRN does to the scores, with λ from the key: m(λ)², and what it then leaves to rotation.
static void test_scale_of_latent_attention(void **state) {
    (void)state;
    const double growth = 0.1 * log(40);
    static const struct {
        imx_rope_scaling scaling;
        float key;
        double m_of; // the λ whose m is squared
        float left;
    } cases[] = {
        {IMX_ROPE_SCALING_YARN, 0.1f, 1, 1},
        {IMX_ROPE_SCALING_YARN, 0.0707f, 0.707, 1},
        {IMX_ROPE_SCALING_YARN, 0, 1, 0},
        {IMX_ROPE_SCALING_LINEAR, 0, 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        imx_hparams hparams = {
            .head_dim_k = 12,
            .head_dim_k_latent = 16,
            .head_dim_v_latent = 8,
            .rope_scaling = cases[i].scaling,
            .rope_factor = 40,
            .rope_attention_factor = 0.75f,
            .yarn_log_multiplier = cases[i].key,
        };
        const double m = 0.75 * (1 + cases[i].m_of * growth);
        assert_int_equal(imx_finish_deepseek2(&hparams, NULL, NULL), IMX_OK);
        assert_true(fabs((double)hparams.attention_scale - m * m / 4) < 1e-6);
        assert_true(hparams.yarn_log_multiplier == cases[i].left);
        assert_int_equal(hparams.head_dim_k, 16);
        assert_int_equal(hparams.head_dim_v, 8);
    }
}

static void test_temperature_counts_original_contexts(void **state) {
    (void)state;
    const metadata data = {
        "mistral3",
        2,
        {{"attention.temperature_scale", 0.5}, {"rope.scaling.original_context_length", 96}},
        false};
    assert_int_equal(read_hparams(&data).temperature_length, 96);
}

// StableLM's files have the key, and say the same by the norms they have.
static void test_what_is_parallel(void **state) {
    (void)state;
    const metadata phi = {"phi2", 2, {{NULL, 0}}, false};
    const metadata neox = {"gptneox", 2, {{"use_parallel_residual", 1}}, false};
    const metadata sequential = {"gptneox", 2, {{"use_parallel_residual", 0}}, false};
    const metadata stable = {"stablelm", 2, {{"use_parallel_residual", 1}}, false};
    assert_int_equal(read_hparams(&phi).is_parallel, 1);
    assert_int_equal(read_hparams(&neox).is_parallel, 1);
    assert_int_equal(read_hparams(&sequential).is_parallel, 0);
    assert_int_equal(read_hparams(&stable).is_parallel, 0);
}

// The small model rotates three pairs of a head.
static void test_sections_of_rotation(void **state) {
    (void)state;
    static const struct {
        const char *arch;
        uint32_t sections[4];
        imx_status status;
        uint32_t has_sections;
    } cases[] = {
        {"glm4", {1, 1, 1, 0}, IMX_OK, 1},
        {"glm4", {1, 1, 1, 1}, IMX_OK, 1},
        {"glm4", {3, 0, 0, 0}, IMX_OK, 0},
        {"glm4", {0, 0, 0, 0}, IMX_OK, 0},
        {"glm4", {1, 1, 0, 1}, IMX_ERR_UNSUPPORTED, 0},
        {"llama", {0, 0, 0, 0}, IMX_OK, 0},
        {"llama", {1, 1, 1, 0}, IMX_ERR_UNSUPPORTED, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        const metadata data = {cases[i].arch, 2, {{NULL, 0}}, false};
        imx_hparams hparams;
        imx_error err;
        current_sections = cases[i].sections;
        const imx_status status = try_read(&data, &hparams, &err);
        current_sections = NULL;
        assert_int_equal(status, cases[i].status);
        if (status == IMX_OK) {
            assert_int_equal(hparams.rope_has_sections, cases[i].has_sections);
        } else {
            assert_non_null(strstr(err.message, "rope.dimension_sections"));
        }
    }
}

static void test_metadata_that_is_refused(void **state) {
    (void)state;
    static const struct {
        metadata data;
        imx_status status;
        const char *named;
    } cases[] = {
        {{"gemma3", 2, {WINDOW, {"attention.key_length_swa", 3}}, false},
         IMX_ERR_UNSUPPORTED,
         "heads of another size"},
        {{"gemma2", 2, {{"rope.dimension_count_swa", 2}}, false},
         IMX_ERR_UNSUPPORTED,
         "heads of another size"},
        {{"cohere2", 4, {{NULL, 0}}, false}, IMX_ERR_FORMAT, "the sliding window"},
        {{"qwen3", 4, {{"expert_count", 2}}, false}, IMX_ERR_UNSUPPORTED, "a mixture of experts"},
        {{"qwen3", 4, {WINDOW}, false}, IMX_ERR_UNSUPPORTED, "qwen3.attention.sliding_window"},
        {{"baichuan", 24, {{NULL, 0}}, false}, IMX_ERR_UNSUPPORTED, "a Baichuan of 24 layers"},
        {{"gptneox", 2, {{NULL, 0}}, false}, IMX_ERR_FORMAT, "use_parallel_residual"},
        {{"phi2", 2, {{"use_parallel_residual", 1}}, false},
         IMX_ERR_UNSUPPORTED,
         "phi2.use_parallel_residual"},
        {{"nemotron", 2, {{"attention.clamp_kqv", 1}}, false},
         IMX_ERR_UNSUPPORTED,
         "nemotron.attention.clamp_kqv"},
        {{"qwen2", 4, {{"rope.scaling.alpha", 2}}, false},
         IMX_ERR_UNSUPPORTED,
         "qwen2.rope.scaling.alpha"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        imx_hparams hparams;
        imx_error err;
        assert_int_equal(try_read(&cases[i].data, &hparams, &err), cases[i].status);
        if (strstr(err.message, cases[i].named) == NULL) {
            fail_msg("'%s' does not name %s", err.message, cases[i].named);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns_of_layers),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_experts),
        cmocka_unit_test(test_unknown_gating_is_refused),
        cmocka_unit_test(test_scale_of_latent_attention),
        cmocka_unit_test(test_temperature_counts_original_contexts),
        cmocka_unit_test(test_what_is_parallel),
        cmocka_unit_test(test_sections_of_rotation),
        cmocka_unit_test(test_metadata_that_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
