// SPDX-License-Identifier: MIT
//
// A model that computes something else than its file says is worse than one that does not load. So
// every key under the architecture's name must be one that means something to it, one that only
// describes, or one that is off. Off means zero, false or empty, unless the table of neutral values
// below says otherwise: files written by llama.cpp's own writer carry every key it knows.

#include "calib/model/hparam_table.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

enum { OPTIONAL, REQUIRED };

#define U32(field) false, offsetof(imx_hparams, field)
#define F32(field) true, offsetof(imx_hparams, field)

// clang-format off
const imx_hparam_row imx_hparam_rows[] = {
    {"embedding_length",                  IMX_KEYS_BASE, REQUIRED, U32(n_embd)},
    {"block_count",                       IMX_KEYS_BASE, REQUIRED, U32(n_layers)},
    {"context_length",                    IMX_KEYS_BASE, OPTIONAL, U32(n_context)},
    {"feed_forward_length",               IMX_KEYS_BASE, OPTIONAL, U32(n_ff)},
    {"attention.head_count",              IMX_KEYS_BASE, REQUIRED, U32(n_heads)},
    {"attention.head_count_kv",           IMX_KEYS_BASE, OPTIONAL, U32(n_kv_heads)},
    {"attention.key_length",              IMX_KEYS_BASE, OPTIONAL, U32(head_dim_k)},
    {"attention.value_length",            IMX_KEYS_BASE, OPTIONAL, U32(head_dim_v)},
    {"attention.layer_norm_rms_epsilon",  IMX_KEYS_RMS_NORM, REQUIRED, F32(norm_eps)},
    {"attention.layer_norm_epsilon",      IMX_KEYS_LAYER_NORM, REQUIRED, F32(norm_eps)},
    {"attention.scale",                   IMX_KEYS_ATTENTION_SCALE, OPTIONAL, F32(attention_scale)},
    {"attn_logit_softcapping",            IMX_KEYS_ATTENTION_SOFTCAP, OPTIONAL, F32(attention_softcap)},
    {"attention.clamp_kqv",               IMX_KEYS_CLAMP, OPTIONAL, F32(clamp_qkv)},
    {"attention.max_alibi_bias",          IMX_KEYS_ALIBI, OPTIONAL, F32(alibi_max)},
    {"attention.temperature_scale",       IMX_KEYS_TEMPERATURE, OPTIONAL, F32(temperature_scale)},
    {"attention.temperature_length",      IMX_KEYS_TEMPERATURE, OPTIONAL, U32(temperature_length)},
    {"attention.sliding_window",          IMX_KEYS_WINDOW, OPTIONAL, U32(window)},
    {"attention.q_lora_rank",             IMX_KEYS_LATENT, OPTIONAL, U32(q_rank)},
    {"attention.kv_lora_rank",            IMX_KEYS_LATENT, OPTIONAL, U32(latent)},
    {"attention.key_length_mla",          IMX_KEYS_LATENT, OPTIONAL, U32(head_dim_k_latent)},
    {"attention.value_length_mla",        IMX_KEYS_LATENT, OPTIONAL, U32(head_dim_v_latent)},
    {"rope.dimension_count",              IMX_KEYS_ROPE, OPTIONAL, U32(n_rot)},
    {"rope.freq_base",                    IMX_KEYS_ROPE, OPTIONAL, F32(rope_base)},
    {"attention.key_length_swa",          IMX_KEYS_WINDOW, OPTIONAL, U32(head_dim_k_window)},
    {"attention.value_length_swa",        IMX_KEYS_WINDOW, OPTIONAL, U32(head_dim_v_window)},
    {"rope.dimension_count_swa",          IMX_KEYS_WINDOW, OPTIONAL, U32(n_rot_window)},
    {"rope.freq_base_swa",                IMX_KEYS_WINDOW_BASE, OPTIONAL, F32(rope_base_window)},
    {"rope.scale_linear",                 IMX_KEYS_ROPE, OPTIONAL, F32(rope_factor)},
    {"rope.scaling.factor",               IMX_KEYS_ROPE, OPTIONAL, F32(rope_factor)},
    {"rope.scaling.original_context_length", IMX_KEYS_ROPE, OPTIONAL, U32(n_original_context)},
    {"rope.scaling.attn_factor",          IMX_KEYS_YARN | IMX_KEYS_LONGROPE, OPTIONAL, F32(rope_attention_factor)},
    {"rope.scaling.alpha",                IMX_KEYS_ROPE_ALPHA, OPTIONAL, F32(rope_alpha)},
    {"rope.scaling.yarn_beta_fast",       IMX_KEYS_YARN_BETAS, OPTIONAL, F32(yarn_beta_fast)},
    {"rope.scaling.yarn_beta_slow",       IMX_KEYS_YARN_BETAS, OPTIONAL, F32(yarn_beta_slow)},
    {"rope.scaling.yarn_log_multiplier",  IMX_KEYS_YARN_MULTIPLIER, OPTIONAL, F32(yarn_log_multiplier)},
    {"rope.scaling.finetuned",            IMX_KEYS_ROPE_SWITCH, OPTIONAL, U32(rope_is_trained)},
    {"expert_count",                      IMX_KEYS_EXPERTS, OPTIONAL, U32(n_experts)},
    {"expert_used_count",                 IMX_KEYS_EXPERTS, OPTIONAL, U32(n_experts_used)},
    {"expert_feed_forward_length",        IMX_KEYS_EXPERTS, OPTIONAL, U32(n_ff_expert)},
    {"expert_shared_feed_forward_length", IMX_KEYS_EXPERTS, OPTIONAL, U32(n_ff_shared)},
    {"expert_shared_count",               IMX_KEYS_EXPERTS, OPTIONAL, U32(n_shared_experts)},
    {"leading_dense_block_count",         IMX_KEYS_EXPERTS, OPTIONAL, U32(n_dense_layers)},
    {"expert_gating_func",                IMX_KEYS_GATING, OPTIONAL, U32(gating)},
    {"expert_weights_norm",               IMX_KEYS_GATING, OPTIONAL, U32(normalises_gates)},
    {"expert_weights_scale",              IMX_KEYS_GATE_SCALE, OPTIONAL, F32(gate_scale)},
    {"expert_group_count",                IMX_KEYS_EXPERTS, OPTIONAL, U32(n_expert_groups)},
    {"expert_group_used_count",           IMX_KEYS_EXPERTS, OPTIONAL, U32(n_expert_groups_used)},
    {"embedding_scale",                   IMX_KEYS_SCALES, OPTIONAL, F32(embedding_scale)},
    {"residual_scale",                    IMX_KEYS_SCALES, OPTIONAL, F32(residual_scale)},
    {"logit_scale",                       IMX_KEYS_LOGIT_SCALE, OPTIONAL, F32(logit_scale)},
    {"final_logit_softcapping",           IMX_KEYS_LOGIT_SOFTCAP, OPTIONAL, F32(logit_softcap)},
    {"use_parallel_residual",             IMX_KEYS_PARALLEL, REQUIRED, U32(is_parallel)},
    {"nextn_predict_layers",              IMX_KEYS_EXTRA_LAYERS, OPTIONAL, U32(n_extra_layers)},
};

// clang-format on

const size_t imx_n_hparam_rows = COUNT_OF(imx_hparam_rows);

// Keys that describe the model or matter only beside another key that is refused. fnmatch patterns.
static const char *const inert_keys[] = {
    "vocab_size",
    "tensor_data_layout",
    "attention.layer_norm_*epsilon",    // of the norm that the architecture does not have
    "rope.scaling.type",                // checked by itself
    "rope.dimension_sections",          // likewise
    "attention.sliding_window_pattern", // beside attention.sliding_window
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    "rope.scaling.yarn_*", // llama.cpp reads them of few architectures, and so do those rows
    "*_swa",               // beside attention.sliding_window
    "expert_[!cg]*",       // beside expert_count
    "expert_group_*",      //
};

// Keys whose values without effect are not just zero.
static const struct neutral_row {
    const char *suffix;
    double values[2]; // either is fine
} neutral_keys[] = {
    {"attention.causal", {1, 1}},
    {"attn_logit_softcapping", {0, 50}}, // the writer's default where a model has none
    {"decoder_start_token_id", {0, -1}},
    {"deepstack_mapping", {0, -1}},
    {"embedding_scale", {0, 1}},
    {"expert_count", {0, 1}}, // where all models of the family are dense
    {"expert_gating_func", {IMX_GATING_DEFAULT, IMX_GATING_SOFTMAX}},
    {"final_logit_softcapping", {0, 30}},
    {"interleave_moe_layer_step", {0, 1}}, // every layer
    {"logit_scale", {0, 1}},
    {"pooling_type", {0, UINT32_MAX}},
    {"residual_scale", {0, 1}},
    {"rope.scaling.attn_factor", {0, 1}},
    {"router_logit_softcapping", {0, 30}},
    {"token_shift_count", {0, 2}},
};

// What a user calls the things that keys ask for.
static const struct meaning_row {
    const char *suffix;
    const char *meaning;
} meanings[] = {
    {"attention.sliding_window", "attention in a sliding window"},
    {"attention.causal", "attention to later tokens"},
    {"expert_count", "a mixture of experts"},
    {"rope.dimension_sections", "rotation by places in images"},
    {"expert_gating_func", "other gates of experts than a softmax"},
};

static bool is_ignored(const imx_hparams_rules *rules, const char *suffix) {
    for (size_t i = 0; rules->ignored[i] != NULL; ++i) {
        if (fnmatch(rules->ignored[i], suffix, 0) == 0) {
            return true;
        }
    }
    return false;
}

bool imx_hparam_is_read(const imx_hparam_row *row, const imx_hparams_rules *rules) {
    return (row->group == IMX_KEYS_BASE || (row->group & rules->groups) != 0) &&
           !is_ignored(rules, row->suffix);
}

static bool is_read_key(const char *suffix, const imx_hparams_rules *rules) {
    for (size_t i = 0; i < imx_n_hparam_rows; ++i) {
        if (imx_hparam_is_read(&imx_hparam_rows[i], rules) &&
            strcmp(imx_hparam_rows[i].suffix, suffix) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_inert(const char *suffix) {
    for (size_t i = 0; i < COUNT_OF(inert_keys); ++i) {
        if (fnmatch(inert_keys[i], suffix, 0) == 0) {
            return true;
        }
    }
    return false;
}

bool imx_hparam_is_neutral(const imx_gguf_kv *kv, const char *suffix) {
    static const double zero[2] = {0, 0};
    const double *neutral = zero;
    for (size_t i = 0; i < COUNT_OF(neutral_keys); ++i) {
        if (strcmp(neutral_keys[i].suffix, suffix) == 0) {
            neutral = neutral_keys[i].values;
        }
    }
    if (kv->elem_type == IMX_GGUF_STRING) {
        const uint8_t *cursor = kv->elems;
        return kv->n_elems == 0 || (kv->n_elems == 1 && imx_gguf_next_str(&cursor).len == 0);
    }
    for (uint64_t i = 0; i < kv->n_elems; ++i) {
        const double value = imx_gguf_elem_f64(kv, i);
        if (value != neutral[0] && value != neutral[1]) {
            return false;
        }
    }
    return true;
}

imx_status imx_hparam_refuse(const imx_gguf *gguf, const char *key, const char *suffix,
                             imx_error *err) {
    for (size_t i = 0; i < COUNT_OF(meanings); ++i) {
        if (strcmp(meanings[i].suffix, suffix) == 0) {
            return imx_fail(err, IMX_ERR_UNSUPPORTED,
                            "%s: %s asks for %s, which this version cannot compute", gguf->path,
                            key, meanings[i].meaning);
        }
    }
    return imx_fail(err, IMX_ERR_UNSUPPORTED,
                    "%s: %s is set, and this version does not know what it does to the model",
                    gguf->path, key);
}

imx_status imx_hparam_refuse_unknown(const imx_hparams_rules *rules, const imx_gguf *gguf,
                                     imx_error *err) {
    const size_t prefix_len = strlen(rules->arch_name) + 1;
    for (size_t i = 0; i < gguf->n_kvs; ++i) {
        const imx_gguf_kv *kv = &gguf->kvs[i];
        char key[IMX_MAX_HPARAM_KEY];
        snprintf(key, sizeof key, "%.*s",
                 (int)(kv->key.len < sizeof key ? kv->key.len : sizeof key), kv->key.data);
        const char *suffix = key + prefix_len;
        if (kv->key.len <= prefix_len || strncmp(key, rules->arch_name, prefix_len - 1) != 0 ||
            key[prefix_len - 1] != '.') {
            continue;
        }
        if (!is_read_key(suffix, rules) && !is_ignored(rules, suffix) && !is_inert(suffix) &&
            !imx_hparam_is_neutral(kv, suffix)) {
            return imx_hparam_refuse(gguf, key, suffix, err);
        }
    }
    return IMX_OK;
}
