// SPDX-License-Identifier: MIT
//
// Models that have come to harm. Metadata that makes no sense is refused by the name of the key or
// of the tensor that it does not fit; what opens is run to its logits, in memory that the file's
// size vouches for; and a weight that is no number shows in them.
//
// The cases are what tests/fuzz/fuzz_model.c looks for at random.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "calib/forward/trace.h"
#include "calib/forward/walk.h"
#include "calib/model/model.h"
#include "calib/model/model_internal.h"
#include "golden_models.h"

enum { MAX_PATH = 64, MAX_SIZES = 256, MAX_LAYERS = 8, N_TOKENS = 5 };

static const golden_model *find_model(const char *name) {
    for (size_t i = 0; i < GOLDEN_N_MODELS; ++i) {
        if (strcmp(golden_models[i].name, name) == 0) {
            return &golden_models[i];
        }
    }
    fail_msg("no golden model '%s'", name);
    return NULL;
}

// Writes the model with other sizes and with more keys; either may be NULL.
static void write_model(const golden_model *model, const char *sizes, const char *keys,
                        char path[MAX_PATH]) {
    char all_sizes[MAX_SIZES];
    golden_model changed = *model;
    snprintf(all_sizes, sizeof all_sizes, "%s %s", sizes != NULL ? sizes : "", model->sizes);
    changed.sizes = all_sizes;
    snprintf(path, MAX_PATH, "/tmp/imatrix-test-damage-XXXXXX");
    const int descriptor = mkstemp(path);
    FILE *file = descriptor >= 0 ? fdopen(descriptor, "wb") : NULL;
    assert_non_null(file);
    assert_int_equal(golden_write(&changed, keys, file, NULL), IMX_OK);
    assert_int_equal(fclose(file), 0);
}

static const int32_t tokens[N_TOKENS] = {1, 2, 3, 5, 8};

static imx_trace run(const imx_model *model) {
    imx_trace trace;
    imx_error err;
    if (imx_trace_run(&trace, model, tokens, N_TOKENS, 1, NULL, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
    return trace;
}

static size_t count_finite(const imx_trace *trace) {
    size_t n = 0;
    for (size_t i = 0; i < trace->n_tokens * trace->n_vocab; ++i) {
        n += isfinite(trace->logits[i]) != 0;
    }
    return n;
}

// ---------------------------------------------------------------------------------------------
// Metadata

typedef struct damage {
    const char *model;
    const char *sizes; // in front of its own; NULL: as they are
    const char *keys;  // on top of its own
    const char *named; // in the message
} damage;

// Numbers beyond f32 and NaN are spelled so that the writer takes them for floats.
static const damage refused[] = {
    // Counts and lengths that are none, or none of this model.
    {"llama", NULL, "embedding_length=0", "llama.embedding_length"},
    {"llama", NULL, "embedding_length=4294967295", "llama.embedding_length"},
    {"llama", NULL, "embedding_length=8.5", "llama.embedding_length"},
    {"llama", NULL, "embedding_length=NAN.0", "llama.embedding_length"},
    {"llama", NULL, "block_count=0", "llama.block_count"},
    {"llama", NULL, "block_count=4294967295", "llama.block_count"},
    {"llama", NULL, "block_count=16384", "'blk.2.attn_"},
    {"llama", NULL, "block_count=1", "'blk.1.attn_"},
    {"llama", NULL, "feed_forward_length=0", "llama.feed_forward_length"},
    {"llama", NULL, "feed_forward_length=4294967295", "llama.feed_forward_length"},
    {"llama", NULL, "attention.head_count=0", "llama.attention.head_count"},
    {"llama", NULL, "attention.head_count=4294967295", "llama.attention.head_count"},
    {"llama", NULL, "attention.head_count=-4.0", "llama.attention.head_count"},
    {"llama", NULL, "attention.head_count=four", "llama.attention.head_count"},
    {"llama", NULL, "attention.head_count=[4,4,4]", "llama.attention.head_count"},
    {"llama", NULL, "attention.head_count=[4,2]", "llama.attention.head_count"},
    {"llama", NULL, "attention.head_count_kv=3", "llama.attention.head_count_kv"},
    {"llama", NULL, "attention.head_count_kv=8", "llama.attention.head_count_kv"},
    {"llama", NULL, "attention.head_count_kv=0", "'blk.0.attn_k.weight'"},
    {"llama", NULL, "attention.key_length=4294967295", "llama.attention.key_length"},
    {"llama", NULL, "attention.value_length=4294967295", "llama.attention.value_length"},
    {"llama", NULL, "rope.dimension_count=7", "llama.rope.dimension_count"},
    {"llama", NULL, "rope.dimension_count=18", "llama.rope.dimension_count"},
    {"llama", "D7 R7", "rope.dimension_count=R", "llama.rope.dimension_count"},
    {"gpt2", NULL, "context_length=0", "'position_embd.weight'"},
    {"gemma2-27b", NULL, "attention.head_count=0", "gemma2.attention.head_count"},
    {"glm4-extra-layer", NULL, "nextn_predict_layers=3", "glm4.nextn_predict_layers"},
    {"glm4-extra-layer", NULL, "nextn_predict_layers=4294967295", "glm4.nextn_predict_layers"},
    {"exaone4-32b", NULL, "attention.sliding_window=0", "exaone4.attention.sliding_window"},
    {"gemma2", NULL, "attention.sliding_window_pattern=two", "attention.sliding_window_pattern"},
    {"gemma2", NULL, "attention.key_length_swa=8", "sliding window"},
    {"glm4-vision", NULL, "rope.dimension_sections=[1,2,1]", "rope.dimension_sections"},
    {"glm4-vision", NULL, "rope.dimension_sections=-1.0", "rope.dimension_sections"},
    {"deepseek2-v2", NULL, "attention.q_lora_rank=0", "'blk.0.attn_q_a.weight'"},
    {"deepseek2-v2", NULL, "attention.kv_lora_rank=0", "'blk.0.attn_kv_a_mqa.weight'"},
    {"deepseek2-v2", NULL, "attention.kv_lora_rank=4294967295", "deepseek2.attention.kv_lora_rank"},

    // Experts.
    {"llama-experts", NULL, "expert_count=4294967295", "llama.expert_count"},
    {"llama-experts", NULL, "expert_used_count=0", "llama.expert_used_count"},
    {"llama-experts", NULL, "expert_used_count=9", "llama.expert_used_count"},
    {"llama-experts", NULL, "expert_count=0 expert_used_count=0", "'blk.0.ffn_gate_inp.weight'"},
    {"deepseek2-v3", NULL, "expert_group_count=5", "deepseek2.expert_group_count"},
    {"deepseek2-v3", NULL, "expert_group_count=4294967295", "deepseek2.expert_group_count"},
    {"deepseek2-v3", NULL, "expert_group_used_count=0", "deepseek2.expert_group_count"},
    {"deepseek2-v3", NULL, "expert_group_used_count=5", "deepseek2.expert_group_count"},
    {"deepseek2-v3", NULL, "expert_group_used_count=1", "deepseek2.expert_group_count"},
    {"deepseek2-v3", NULL, "expert_gating_func=4294967295", "expert_gating_func"},
    // 16 · (2²⁸ + 1) is 16 in 32 bits.
    {"deepseek2-v3", NULL, "expert_shared_count=268435457", "expert_shared_feed_forward_length"},

    // Factors.
    {"llama", NULL, "attention.layer_norm_rms_epsilon=NAN.0", "layer_norm_rms_epsilon"},
    {"llama", NULL, "attention.layer_norm_rms_epsilon=-1.0", "layer_norm_rms_epsilon"},
    {"llama", NULL, "attention.layer_norm_rms_epsilon=1.0", "layer_norm_rms_epsilon"},
    {"llama", NULL, "rope.freq_base=NAN.0", "llama.rope.freq_base"},
    {"llama", NULL, "rope.freq_base=-10000.0", "llama.rope.freq_base"},
    {"llama", NULL, "rope.freq_base=INF.0", "llama.rope.freq_base"},
    {"llama-linear", NULL, "rope.scaling.factor=NAN.0", "llama.rope.scaling.factor"},
    {"llama-linear", NULL, "rope.scaling.factor=-4.0", "llama.rope.scaling.factor"},
    {"llama-yarn", NULL, "rope.scaling.attn_factor=-1.0", "llama.rope.scaling.attn_factor"},
    {"llama-yarn", NULL, "context_length=0 rope.scaling.original_context_length=0",
     "llama.rope.scaling.original_context_length"},
    {"mistral3", NULL, "rope.scaling.yarn_beta_fast=NAN.0", "yarn_beta_fast"},
    {"hunyuan-dense-alpha", "D2 R2", "", "hunyuan-dense.rope.freq_base"},
    {"hunyuan-dense-alpha", NULL, "rope.scaling.alpha=NAN.0", "rope.scaling.alpha"},
    {"deepseek2-temperature", NULL, "attention.temperature_length=0", "temperature_length"},
    {"deepseek2-v3", NULL, "expert_weights_scale=-1.0", "expert_weights_scale"},
    {"gemma2", NULL, "attn_logit_softcapping=NAN.0", "attn_logit_softcapping"},
    {"gemma2", NULL, "final_logit_softcapping=-30.0", "final_logit_softcapping"},
    {"granite", NULL, "attention.scale=INF.0", "granite.attention.scale"},
    {"granite", NULL, "residual_scale=NAN.0", "granite.residual_scale"},
    {"granite", NULL, "logit_scale=INF.0", "granite.logit_scale"},
    {"mpt", NULL, "attention.clamp_kqv=NAN.0", "mpt.attention.clamp_kqv"},
    {"mpt", NULL, "attention.max_alibi_bias=-8.0", "mpt.attention.max_alibi_bias"},
};

static void test_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; ++i) {
        const damage *d = &refused[i];
        char path[MAX_PATH];
        imx_model *model;
        imx_error err = {0};
        write_model(find_model(d->model), d->sizes, d->keys, path);
        const imx_status status = imx_model_open(&model, path, &err);
        unlink(path);
        if (status == IMX_OK || strstr(err.message, d->named) == NULL) {
            fail_msg("%s with '%s': %s", d->model, d->keys,
                     status == IMX_OK ? "opened" : err.message);
        }
        assert_null(model);
    }
}

// What is odd but says what is to be computed.
static const damage odd[] = {
    {"llama", "E1 H1 G1 D2 R2 F1 V9 L1", "", NULL},
    {"llama", NULL, "attention.head_count=[4,4]", NULL},
    {"llama", NULL, "vocab_size=4294967295 context_length=0", NULL},
    {"llama-yarn", NULL, "rope.freq_base=1.0", NULL}, // all pairs turn alike: YaRN divides by ln 1
    {"llama-yarn", "D2 R2", "", NULL},
    {"llama-experts", "X1 U1", "", NULL},
    {"gemma2", NULL, "attention.sliding_window=4294967295", NULL},
    {"gemma2", NULL, "attention.sliding_window=1", NULL},
    {"gemma2", NULL, "attention.sliding_window_pattern=4294967295", NULL},
    {"gemma2", NULL, "attn_logit_softcapping=0.0 final_logit_softcapping=0.0", NULL},
    {"deepseek2-v3-old", NULL, "attention.temperature_length=4294967295", NULL},
    {"mpt", "H7 G7 E56", "", NULL}, // slopes for a number of heads that is no power of two
    // Widths of networks that the file does not have.
    {"qwen3moe", NULL, "feed_forward_length=16777216", NULL},
    {"qwen3moe", NULL, "expert_shared_feed_forward_length=16777216", NULL},
    {"deepseek2-temperature", NULL, "expert_feed_forward_length=16777216", NULL},
};

static uint64_t memory_of(const imx_model *model) {
    size_t starts[] = {0, N_TOKENS};
    int32_t ids[N_TOKENS];
    memcpy(ids, tokens, sizeof ids);
    const imx_corpus corpus = {ids, N_TOKENS, N_TOKENS, 1, starts};
    return imx_walk_measure(model, &corpus, IMX_PRECISION_EXACT, 1).layer_bytes;
}

static void test_odd_models_run(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; ++i) {
        char path[MAX_PATH];
        imx_model *model;
        imx_error err = {0};
        write_model(find_model(odd[i].model), odd[i].sizes, odd[i].keys, path);
        if (imx_model_open(&model, path, &err) != IMX_OK) {
            fail_msg("%s with '%s': %s", odd[i].model, odd[i].keys, err.message);
        }
        unlink(path);
        assert_true(memory_of(model) < 4 << 20);
        imx_trace trace = run(model);
        assert_int_equal(count_finite(&trace), trace.n_tokens * trace.n_vocab);
        imx_trace_free(&trace);
        imx_model_close(model);
    }
}

// ---------------------------------------------------------------------------------------------
// Weights

// Whether the model has the tensor for a role of its own: not only passes over it, as it does with
// scales that llama.cpp does not read and with layers behind the last one. Of the divisors for long
// and for short contexts only one counts.
static bool is_bound(const imx_model *model, const char *name) {
    const imx_binding *bindings = model->bindings[0];
    for (size_t i = 0; i < (size_t)model->hparams.n_layers * IMX_N_ROLES; ++i) {
        const imx_gguf_tensor *const parts[] = {bindings[i].weight, bindings[i].bias,
                                                bindings[i].scale};
        for (size_t j = 0; j < sizeof parts / sizeof *parts; ++j) {
            if (parts[j] != NULL && strcmp(parts[j]->name, name) == 0) {
                return strstr(name, "rope_factors") == NULL;
            }
        }
    }
    return false;
}

// Makes all of tensor `i` NaN and returns its name, the caller's to free(); NULL behind the last.
static char *poison(const char *path, size_t i) {
    static const float value = NAN;
    imx_gguf *gguf;
    char *name = NULL;
    assert_int_equal(imx_gguf_open(&gguf, path, NULL), IMX_OK);
    if (i < gguf->n_tensors) {
        const imx_gguf_tensor *tensor = &gguf->tensors[i];
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        assert_int_equal(fseek(file, (long)(gguf->data_offset + tensor->offset), SEEK_SET), 0);
        for (uint64_t n = 0; n < tensor->size_bytes; n += sizeof value) {
            fwrite(&value, sizeof value, 1, file);
        }
        assert_int_equal(fclose(file), 0);
        name = strdup(tensor->name);
    }
    imx_gguf_close(gguf);
    return name;
}

// Runs a model of which a tensor is NaN.
static void check_poisoned(const char *path, const char *name) {
    imx_model *model;
    imx_error err;
    assert_int_equal(imx_model_open(&model, path, &err), IMX_OK);
    imx_trace trace = run(model);
    if (count_finite(&trace) == trace.n_tokens * trace.n_vocab && is_bound(model, name)) {
        fail_msg("%s: '%s' is NaN, and all logits are finite", model->arch->name, name);
    }
    imx_trace_free(&trace);
    imx_model_close(model);
}

// Poisons one tensor after the other, each in a fresh file.
static void check_poisons(const golden_model *golden) {
    char path[MAX_PATH];
    bool is_over = false;
    for (size_t i = 0; !is_over; ++i) {
        write_model(golden, NULL, NULL, path);
        char *name = poison(path, i);
        is_over = name == NULL;
        if (!is_over) {
            check_poisoned(path, name);
        }
        unlink(path);
        free(name);
    }
}

static void test_nan_shows(void **state) {
    const char *last_arch = "";
    (void)state;
    for (size_t i = 0; i < GOLDEN_N_MODELS; ++i) {
        const golden_model *golden = &golden_models[i];
        if (strcmp(golden->arch, last_arch) != 0 && golden_size(golden, 'L') <= MAX_LAYERS) {
            check_poisons(golden);
            last_arch = golden->arch;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_odd_models_run),
        cmocka_unit_test(test_nan_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
