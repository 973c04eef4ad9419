// SPDX-License-Identifier: MIT
//
// A model that computes something else than its file says is worse than one that does not load. So
// every key under the architecture's name must be one that means something to it, one that only
// describes, or one that is off. Off means zero, false or empty, unless the table of neutral values
// below says otherwise: files written by llama.cpp's own writer carry every key it knows.

#include "calib/hparams.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

enum {
    MAX_KEY = 160,
    MAX_SIZE = 1 << 24,
    MAX_LAYERS = 1 << 14,
    MAX_EXPERTS = 1 << 12,
    MAX_EXPERTS_USED = 1 << 8
};

// One metadata key "ARCH.suffix" and the field it fills. A later row overrides an earlier one of
// the same field.
typedef struct key_row {
    const char *suffix;
    unsigned group; // of imx_key_group
    bool is_required;
    bool is_float; // the field is a float, else a uint32_t
    size_t offset; // of the field in imx_hparams
} key_row;

enum { OPTIONAL, REQUIRED };

#define U32(field) false, offsetof(imx_hparams, field)
#define F32(field) true, offsetof(imx_hparams, field)

// clang-format off
static const key_row keys[] = {
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
    {"rope.freq_base_swa",                IMX_KEYS_WINDOW, OPTIONAL, F32(rope_base_window)},
    {"rope.scale_linear",                 IMX_KEYS_ROPE, OPTIONAL, F32(rope_factor)},
    {"rope.scaling.factor",               IMX_KEYS_ROPE, OPTIONAL, F32(rope_factor)},
    {"rope.scaling.original_context_length", IMX_KEYS_ROPE, OPTIONAL, U32(n_original_context)},
    {"rope.scaling.attn_factor",          IMX_KEYS_YARN | IMX_KEYS_LONGROPE, OPTIONAL, F32(rope_attention_factor)},
    {"rope.scaling.yarn_log_multiplier",  IMX_KEYS_YARN, OPTIONAL, F32(yarn_log_multiplier)},
    {"rope.scaling.yarn_ext_factor",      IMX_KEYS_YARN, OPTIONAL, F32(yarn_ext_factor)},
    {"rope.scaling.yarn_attn_factor",     IMX_KEYS_YARN, OPTIONAL, F32(yarn_attention_factor)},
    {"rope.scaling.yarn_beta_fast",       IMX_KEYS_YARN, OPTIONAL, F32(yarn_beta_fast)},
    {"rope.scaling.yarn_beta_slow",       IMX_KEYS_YARN, OPTIONAL, F32(yarn_beta_slow)},
    {"expert_count",                      IMX_KEYS_EXPERTS, OPTIONAL, U32(n_experts)},
    {"expert_used_count",                 IMX_KEYS_EXPERTS, OPTIONAL, U32(n_experts_used)},
    {"expert_feed_forward_length",        IMX_KEYS_EXPERTS, OPTIONAL, U32(n_ff_expert)},
    {"expert_shared_feed_forward_length", IMX_KEYS_EXPERTS, OPTIONAL, U32(n_ff_shared)},
    {"expert_shared_count",               IMX_KEYS_EXPERTS, OPTIONAL, U32(n_shared_experts)},
    {"leading_dense_block_count",         IMX_KEYS_EXPERTS, OPTIONAL, U32(n_dense_layers)},
    {"expert_gating_func",                IMX_KEYS_EXPERTS, OPTIONAL, U32(gating)},
    {"expert_weights_norm",               IMX_KEYS_EXPERTS, OPTIONAL, U32(normalises_gates)},
    {"expert_weights_scale",              IMX_KEYS_EXPERTS, OPTIONAL, F32(gate_scale)},
    {"expert_group_count",                IMX_KEYS_GROUPS, OPTIONAL, U32(n_expert_groups)},
    {"expert_group_used_count",           IMX_KEYS_GROUPS, OPTIONAL, U32(n_expert_groups_used)},
    {"embedding_scale",                   IMX_KEYS_SCALES, OPTIONAL, F32(embedding_scale)},
    {"residual_scale",                    IMX_KEYS_SCALES, OPTIONAL, F32(residual_scale)},
    {"logit_scale",                       IMX_KEYS_LOGIT_SCALE, OPTIONAL, F32(logit_scale)},
    {"final_logit_softcapping",           IMX_KEYS_LOGIT_SOFTCAP, OPTIONAL, F32(logit_softcap)},
    {"use_parallel_residual",             IMX_KEYS_PARALLEL, OPTIONAL, U32(is_parallel)},
    {"nextn_predict_layers",              IMX_KEYS_EXTRA_LAYERS, OPTIONAL, U32(n_extra_layers)},
};

// clang-format on

// Keys that describe the model or matter only beside another key that is refused. fnmatch patterns.
static const char *const inert_keys[] = {
    "vocab_size",
    "tensor_data_layout",
    "rope.scaling.type",                // checked by itself
    "attention.sliding_window_pattern", // beside attention.sliding_window
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    "rope.scaling.yarn_*", // beside rope.scaling.type = yarn
    "*_swa",               // beside attention.sliding_window
    "expert_[!c]*",        // beside expert_count
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
    {"final_logit_softcapping", {0, 30}},
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
};

static size_t larger_of(size_t a, size_t b) {
    return a > b ? a : b;
}

size_t imx_hparams_dim(const imx_hparams *hparams, imx_dim dim) {
    const imx_hparams *hp = hparams;
    const size_t q = (size_t)hp->n_heads * hp->head_dim_k;
    const size_t k = (size_t)hp->n_kv_heads * hp->head_dim_k;
    const size_t v = (size_t)hp->n_kv_heads * hp->head_dim_v;
    const size_t unrotated = hp->head_dim_k - hp->n_rot;
    const size_t widest = larger_of(hp->n_ff, larger_of(hp->n_ff_expert, hp->n_ff_shared));
    const size_t sizes[] = {
        [IMX_DIM_ONE] = 1,
        [IMX_DIM_EMBD] = hp->n_embd,
        [IMX_DIM_HEADS] = hp->n_heads,
        [IMX_DIM_KV_HEADS] = hp->n_kv_heads,
        [IMX_DIM_HEAD_K] = hp->head_dim_k,
        [IMX_DIM_HEAD_V] = hp->head_dim_v,
        [IMX_DIM_Q] = q,
        [IMX_DIM_K] = k,
        [IMX_DIM_V] = v,
        [IMX_DIM_QKV] = q + k + v,
        [IMX_DIM_MIX] = (size_t)hp->n_heads * hp->head_dim_v,
        [IMX_DIM_Q_RANK] = hp->q_rank,
        [IMX_DIM_LATENT] = hp->latent,
        [IMX_DIM_LATENT_AND_ROT] = (size_t)hp->latent + hp->n_rot,
        [IMX_DIM_UNROTATED] = unrotated,
        [IMX_DIM_KV_B] = hp->n_heads * (unrotated + hp->head_dim_v),
        [IMX_DIM_ABSORBED] = hp->n_heads * ((size_t)hp->latent + hp->n_rot),
        [IMX_DIM_MIX_LATENT] = (size_t)hp->n_heads * hp->latent,
        [IMX_DIM_FF] = hp->n_ff,
        [IMX_DIM_FF_TWICE] = 2 * (size_t)hp->n_ff,
        [IMX_DIM_EXPERTS] = hp->n_experts,
        [IMX_DIM_FF_EXPERT] = hp->n_ff_expert,
        [IMX_DIM_FF_EXPERT_TWICE] = 2 * (size_t)hp->n_ff_expert,
        [IMX_DIM_FF_SHARED] = hp->n_ff_shared,
        [IMX_DIM_FF_WIDEST] = widest,
        [IMX_DIM_FF_WIDEST_TWICE] = 2 * widest,
        [IMX_DIM_VOCAB] = hp->n_vocab,
        [IMX_DIM_POSITIONS] = hp->n_context,
        [IMX_DIM_PAIRS] = hp->n_rot / 2,
    };
    return sizes[dim];
}

bool imx_hparams_is_windowed(const imx_hparams *hparams, uint32_t layer) {
    const uint32_t period = hparams->window_period;
    const uint32_t full = hparams->full_is_first ? 0 : period - 1;
    return hparams->window > 0 && (period == 0 || layer % period != full);
}

bool imx_hparams_is_rotated(const imx_hparams *hparams, uint32_t layer) {
    const uint32_t period = hparams->unrotated_period;
    if (hparams->rotates_in_window && hparams->window > 0) {
        return imx_hparams_is_windowed(hparams, layer);
    }
    return period == 0 || layer % period != period - 1;
}

// Whether rows of the table mean something to an architecture that knows `groups`.
static bool is_meant(const key_row *row, unsigned groups) {
    return row->group == IMX_KEYS_BASE || (row->group & groups) != 0;
}

static bool is_meant_key(const char *suffix, unsigned groups) {
    for (size_t i = 0; i < COUNT_OF(keys); ++i) {
        if (is_meant(&keys[i], groups) && strcmp(keys[i].suffix, suffix) == 0) {
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

static bool is_neutral(const imx_gguf_kv *kv, const char *suffix) {
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

static imx_status refuse_key(const imx_gguf *gguf, const char *key, const char *suffix,
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

static imx_status refuse_unknown_keys(const imx_hparams_rules *rules, const imx_gguf *gguf,
                                      imx_error *err) {
    const size_t prefix_len = strlen(rules->arch_name) + 1;
    for (size_t i = 0; i < gguf->n_kvs; ++i) {
        const imx_gguf_kv *kv = &gguf->kvs[i];
        char key[MAX_KEY];
        snprintf(key, sizeof key, "%.*s", (int)(kv->key.len < MAX_KEY ? kv->key.len : MAX_KEY),
                 kv->key.data);
        const char *suffix = key + prefix_len;
        if (kv->key.len <= prefix_len || strncmp(key, rules->arch_name, prefix_len - 1) != 0 ||
            key[prefix_len - 1] != '.') {
            continue;
        }
        if (!is_meant_key(suffix, rules->groups) && !is_inert(suffix) && !is_neutral(kv, suffix)) {
            return refuse_key(gguf, key, suffix, err);
        }
    }
    return IMX_OK;
}

// A number, or as many equal ones as there are layers.
static imx_status read_number(const imx_gguf *gguf, const imx_gguf_kv *kv, const char *key,
                              double *value, imx_error *err) {
    if (kv->elem_type == IMX_GGUF_STRING || kv->n_elems == 0) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: the key '%s' is not a number", gguf->path, key);
    }
    *value = imx_gguf_elem_f64(kv, 0);
    for (uint64_t i = 1; i < kv->n_elems; ++i) {
        if (imx_gguf_elem_f64(kv, i) != *value) {
            return imx_fail(err, IMX_ERR_UNSUPPORTED,
                            "%s: %s differs from layer to layer, which this version cannot compute",
                            gguf->path, key);
        }
    }
    return IMX_OK;
}

static imx_status read_row(imx_hparams *hparams, const char *arch_name, const key_row *row,
                           const imx_gguf *gguf, imx_error *err) {
    char *field = (char *)hparams + row->offset;
    char key[MAX_KEY];
    double value;
    snprintf(key, sizeof key, "%s.%s", arch_name, row->suffix);
    const imx_gguf_kv *kv = imx_gguf_find_kv(gguf, key);
    if (kv == NULL) {
        return row->is_required
                   ? imx_fail(err, IMX_ERR_FORMAT, "%s: the key '%s' is missing", gguf->path, key)
                   : IMX_OK;
    }
    IMX_TRY(read_number(gguf, kv, key, &value, err));
    if (row->is_float) {
        *(float *)(void *)field = (float)value;
    } else if (value >= 0 && value <= UINT32_MAX && value == floor(value)) {
        *(uint32_t *)(void *)field = (uint32_t)value;
    } else {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: the key '%s' is out of range", gguf->path, key);
    }
    return IMX_OK;
}

// What rope.scaling.type may say, and the keys that an architecture must know for it.
static const struct scaling_row {
    const char *name;
    unsigned group;
    imx_rope_scaling scaling;
} scalings[] = {
    {"none", IMX_KEYS_BASE, IMX_ROPE_SCALING_LINEAR},
    {"linear", IMX_KEYS_BASE, IMX_ROPE_SCALING_LINEAR},
    {"yarn", IMX_KEYS_YARN, IMX_ROPE_SCALING_YARN},
    {"longrope", IMX_KEYS_LONGROPE, IMX_ROPE_SCALING_LONGROPE},
};

// A factor of 0 means that none is recorded.
static imx_status read_rope_scaling(imx_hparams *hparams, const imx_hparams_rules *rules,
                                    const imx_gguf *gguf, imx_error *err) {
    char key[MAX_KEY];
    imx_str type = {"linear", strlen("linear")};
    snprintf(key, sizeof key, "%s.rope.scaling.type", rules->arch_name);
    IMX_TRY(imx_gguf_get_str(gguf, key, false, &type, err));
    for (size_t i = 0; i < COUNT_OF(scalings); ++i) {
        const struct scaling_row *row = &scalings[i];
        if (strlen(row->name) == type.len && memcmp(row->name, type.data, type.len) == 0 &&
            (row->group == IMX_KEYS_BASE || (row->group & rules->groups) != 0)) {
            hparams->rope_scaling = row->scaling;
            hparams->rope_factor = i == 0 || hparams->rope_factor == 0 ? 1 : hparams->rope_factor;
            return IMX_OK;
        }
    }
    return imx_fail(err, IMX_ERR_UNSUPPORTED,
                    "%s: %s is '%.*s', which this version does not know for %s models", gguf->path,
                    key, (int)(type.len < 40 ? type.len : 40), type.data, rules->arch_name);
}

static bool follows_period(const imx_hparams *hparams, const imx_gguf_kv *is_windowed) {
    for (uint32_t layer = 0; layer < hparams->n_layers; ++layer) {
        const bool wanted = layer < is_windowed->n_elems && imx_gguf_elem_i64(is_windowed, layer);
        if (imx_hparams_is_windowed(hparams, layer) != wanted) {
            return false;
        }
    }
    return true;
}

// The period itself, or of every layer whether it is windowed, from which a period is found.
static imx_status read_window_pattern(imx_hparams *hparams, const imx_hparams_rules *rules,
                                      const imx_gguf *gguf, imx_error *err) {
    char key[MAX_KEY];
    snprintf(key, sizeof key, "%s.attention.sliding_window_pattern", rules->arch_name);
    const imx_gguf_kv *kv = imx_gguf_find_kv(gguf, key);
    if (kv == NULL || hparams->window == 0 || kv->type != IMX_GGUF_ARRAY) {
        return imx_gguf_get_u32(gguf, key, false, &hparams->window_period, err);
    }
    if (kv->elem_type == IMX_GGUF_STRING || kv->elem_type == IMX_GGUF_F32) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: the key '%s' is not a list of truth values",
                        gguf->path, key);
    }
    for (hparams->window_period = 0; hparams->window_period <= hparams->n_layers;
         ++hparams->window_period) {
        for (hparams->full_is_first = 0; hparams->full_is_first < 2; ++hparams->full_is_first) {
            if (follows_period(hparams, kv)) {
                return IMX_OK;
            }
        }
    }
    return imx_fail(err, IMX_ERR_UNSUPPORTED,
                    "%s: %s has no period, which this version cannot compute", gguf->path, key);
}

// The vocabulary is as large as the embedding; keys and token lists may say otherwise.
static imx_status read_n_vocab(imx_hparams *hparams, const imx_gguf *gguf, imx_error *err) {
    const imx_gguf_tensor *embedding = imx_gguf_find_tensor(gguf, "token_embd.weight");
    if (embedding == NULL || imx_gguf_tensor_rows(embedding) > MAX_SIZE) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: tensor 'token_embd.weight' is missing or too "
                        "large; the file does not hold a whole model",
                        gguf->path);
    }
    hparams->n_vocab = (uint32_t)imx_gguf_tensor_rows(embedding);
    return IMX_OK;
}

static uint32_t first_set(uint32_t a, uint32_t b) {
    return a > 0 ? a : b;
}

static void fill_in(imx_hparams *hp) {
    const uint32_t head_dim = hp->n_heads > 0 ? hp->n_embd / hp->n_heads : 0;
    hp->n_kv_heads = first_set(hp->n_kv_heads, hp->n_heads);
    hp->head_dim_k = first_set(hp->head_dim_k, head_dim);
    hp->head_dim_v = first_set(hp->head_dim_v, head_dim);
    hp->n_rot = first_set(hp->n_rot, hp->head_dim_k);
    hp->rope_base = hp->rope_base > 0 ? hp->rope_base : 10000.0f;
    hp->rope_base_window = hp->rope_base_window > 0 ? hp->rope_base_window : hp->rope_base;
    hp->n_original_context = first_set(hp->n_original_context, hp->n_context);
    hp->n_ff_expert = first_set(hp->n_ff_expert, hp->n_ff);
    hp->n_ff_shared = first_set(hp->n_ff_shared, hp->n_ff_expert * hp->n_shared_experts);
}

static imx_status check_hparams(const imx_hparams *hp, const imx_gguf *gguf, imx_error *err) {
    const struct {
        bool holds;
        const char *what;
    } rules[] = {
        {hp->n_embd >= 1 && hp->n_embd <= MAX_SIZE, "the embedding length"},
        {hp->n_layers >= 1 && hp->n_layers <= MAX_LAYERS, "the number of layers"},
        {hp->n_extra_layers < hp->n_layers, "the number of extra layers"},
        {hp->n_ff <= MAX_SIZE && (hp->n_ff > 0 || hp->n_experts > 0), "the feed-forward length"},
        {hp->n_experts <= MAX_EXPERTS, "the number of experts"},
        {hp->n_experts_used <= hp->n_experts && hp->n_experts_used <= MAX_EXPERTS_USED,
         "the number of experts used"},
        {hp->n_experts == 0 || hp->n_experts_used > 0, "the number of experts used"},
        {hp->n_ff_expert <= MAX_SIZE, "the feed-forward length of experts"},
        {hp->n_ff_shared <= MAX_SIZE, "the feed-forward length of shared experts"},
        {hp->gating <= IMX_GATING_SOFTMAX_CHOSEN, "the gating function of the experts"},
        {hp->n_expert_groups <= 1 ||
             (hp->n_experts % hp->n_expert_groups == 0 &&
              hp->n_expert_groups_used <= hp->n_expert_groups &&
              hp->n_experts_used <=
                  hp->n_expert_groups_used * (hp->n_experts / hp->n_expert_groups)),
         "the number of groups of experts"},
        {hp->q_rank <= MAX_SIZE && hp->latent <= MAX_SIZE, "the rank of the latent attention"},
        {hp->n_heads >= 1 && hp->n_heads <= MAX_SIZE, "the number of heads"},
        {hp->n_kv_heads >= 1 && hp->n_heads % hp->n_kv_heads == 0, "the number of key heads"},
        {hp->head_dim_k >= 1 && hp->head_dim_k <= MAX_SIZE, "the length of keys"},
        {hp->head_dim_v >= 1 && hp->head_dim_v <= MAX_SIZE, "the length of values"},
        {hp->n_rot <= hp->head_dim_k && hp->n_rot % 2 == 0, "the number of rotated values"},
        {hp->norm_eps >= 0 && hp->norm_eps < 1, "the epsilon of the norms"},
        {hp->rope_base > 0 && hp->rope_base < 1e30f, "the base of the rotation"},
        {hp->rope_factor > 0 && hp->rope_factor < 1e30f, "the scaling factor of positions"},
    };
    for (size_t i = 0; i < COUNT_OF(rules); ++i) {
        if (!rules[i].holds) {
            return imx_fail(err, IMX_ERR_FORMAT,
                            "%s: %s in the metadata makes no sense; the file is damaged",
                            gguf->path, rules[i].what);
        }
    }
    return IMX_OK;
}

imx_status imx_hparams_read(imx_hparams *hparams, const imx_hparams_rules *rules,
                            const imx_gguf *gguf, imx_error *err) {
    *hparams = *rules->defaults;
    IMX_TRY(refuse_unknown_keys(rules, gguf, err));
    for (size_t i = 0; i < COUNT_OF(keys); ++i) {
        if (is_meant(&keys[i], rules->groups)) {
            IMX_TRY(read_row(hparams, rules->arch_name, &keys[i], gguf, err));
        }
    }
    IMX_TRY(read_rope_scaling(hparams, rules, gguf, err));
    IMX_TRY(read_n_vocab(hparams, gguf, err));
    if ((rules->groups & IMX_KEYS_WINDOW) != 0) {
        IMX_TRY(read_window_pattern(hparams, rules, gguf, err));
    }
    fill_in(hparams);
    if (rules->finish != NULL) {
        rules->finish(hparams);
    }
    IMX_TRY(check_hparams(hparams, gguf, err));
    hparams->n_layers -= hparams->n_extra_layers;
    return IMX_OK;
}
