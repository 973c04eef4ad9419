// SPDX-License-Identifier: MIT
//
// Numbers come from the file's keys, else from the architecture's defaults, else from other
// numbers.

#include "calib/model/hparams.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "calib/model/hparam_table.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

enum {
    MAX_SIZE = 1 << 24,
    MAX_LAYERS = 1 << 14,
    MAX_EXPERTS = 1 << 12,
    MAX_EXPERTS_USED = 1 << 8,
};

size_t imx_hparams_dim(const imx_hparams *hparams, imx_dim dim) {
    const imx_hparams *hp = hparams;
    const size_t q = (size_t)hp->n_heads * hp->head_dim_k;
    const size_t k = (size_t)hp->n_kv_heads * hp->head_dim_k;
    const size_t v = (size_t)hp->n_kv_heads * hp->head_dim_v;
    const size_t unrotated = hp->head_dim_k - hp->n_rot;
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
        [IMX_DIM_Q_UNROTATED] = hp->n_heads * unrotated,
        [IMX_DIM_KV_B] = hp->n_kv_heads * (unrotated + hp->head_dim_v),
        [IMX_DIM_FOLDED] = hp->n_heads * ((size_t)hp->latent + hp->n_rot),
        [IMX_DIM_MIX_LATENT] = (size_t)hp->n_heads * hp->latent,
        [IMX_DIM_FF] = hp->n_ff,
        [IMX_DIM_FF_TWICE] = 2 * (size_t)hp->n_ff,
        [IMX_DIM_EXPERTS] = hp->n_experts,
        [IMX_DIM_FF_EXPERT] = hp->n_ff_expert,
        [IMX_DIM_FF_EXPERT_TWICE] = 2 * (size_t)hp->n_ff_expert,
        [IMX_DIM_FF_SHARED] = hp->n_ff_shared,
        [IMX_DIM_VOCAB] = hp->n_vocab,
        [IMX_DIM_POSITIONS] = hp->n_context,
        [IMX_DIM_PAIRS] = hp->n_rot / 2,
    };
    return sizes[dim];
}

bool imx_hparams_is_windowed(const imx_hparams *hparams, uint32_t layer) {
    const uint32_t period = hparams->window_period;
    return hparams->window > 0 && (period == 0 || layer % period != period - 1);
}

bool imx_hparams_is_rotated(const imx_hparams *hparams, uint32_t layer) {
    const uint32_t period = hparams->unrotated_period;
    if (hparams->rotates_in_window) {
        return imx_hparams_is_windowed(hparams, layer);
    }
    return period == 0 || layer % period != period - 1;
}

// A number, or as many equal ones as there are layers.
static imx_status read_number(const imx_gguf *gguf, const imx_gguf_kv *kv, const char *key,
                              uint32_t n_layers, double *value, imx_error *err) {
    if (kv->elem_type == IMX_GGUF_STRING ||
        (kv->type == IMX_GGUF_ARRAY && kv->n_elems != n_layers) || kv->n_elems == 0) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: the key '%s' is neither a number nor one for every layer", gguf->path,
                        key);
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

// Counts, lengths and factors: none of them is negative.
static imx_status read_row(imx_hparams *hparams, const char *arch_name, const imx_hparam_row *row,
                           const imx_gguf *gguf, imx_error *err) {
    char *field = (char *)hparams + row->offset;
    char key[IMX_MAX_HPARAM_KEY];
    double value;
    snprintf(key, sizeof key, "%s.%s", arch_name, row->suffix);
    const imx_gguf_kv *kv = imx_gguf_find_kv(gguf, key);
    if (kv == NULL) {
        return row->is_required
                   ? imx_fail(err, IMX_ERR_FORMAT, "%s: the key '%s' is missing", gguf->path, key)
                   : IMX_OK;
    }
    IMX_TRY(read_number(gguf, kv, key, hparams->n_layers, &value, err));
    if (row->is_float && value >= 0 && value <= (double)FLT_MAX) {
        *(float *)(void *)field = (float)value;
    } else if (!row->is_float && value >= 0 && value <= UINT32_MAX && value == floor(value)) {
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
    char key[IMX_MAX_HPARAM_KEY];
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

// The period is read where it is a number. Of a list, one value for every layer, llama.cpp keeps
// the architecture's own period, whatever the list says; so do we.
static imx_status read_window_period(imx_hparams *hparams, const imx_hparams_rules *rules,
                                     const imx_gguf *gguf, imx_error *err) {
    char key[IMX_MAX_HPARAM_KEY];
    snprintf(key, sizeof key, "%s.attention.sliding_window_pattern", rules->arch_name);
    const imx_gguf_kv *kv = imx_gguf_find_kv(gguf, key);
    if ((rules->groups & IMX_KEYS_WINDOW) == 0 || (kv != NULL && kv->type == IMX_GGUF_ARRAY)) {
        return IMX_OK;
    }
    return imx_gguf_get_u32(gguf, key, false, &hparams->window_period, err);
}

static bool differs(uint32_t value, uint32_t wanted) {
    return value > 0 && value != wanted;
}

// Layers with a window could have heads of another size.
static imx_status check_windows(const imx_hparams *hp, const imx_gguf *gguf, imx_error *err) {
    if (hp->window > 0 &&
        (differs(hp->head_dim_k_window, hp->head_dim_k) ||
         differs(hp->head_dim_v_window, hp->head_dim_v) || differs(hp->n_rot_window, hp->n_rot))) {
        return imx_fail(err, IMX_ERR_UNSUPPORTED,
                        "%s: layers with a sliding window have heads of another size than the "
                        "others, which this version cannot compute",
                        gguf->path);
    }
    return IMX_OK;
}

// How many pairs turn with time, height and width of an image, and with nothing; text has one
// position for the first three, and a model of text alone no sections.
static imx_status read_rope_sections(imx_hparams *hparams, const imx_hparams_rules *rules,
                                     const imx_gguf *gguf, imx_error *err) {
    enum { N_SECTIONS = 4 };
    char key[IMX_MAX_HPARAM_KEY];
    double sections[N_SECTIONS];
    snprintf(key, sizeof key, "%s.rope.dimension_sections", rules->arch_name);
    const imx_gguf_kv *kv = imx_gguf_find_kv(gguf, key);
    if (kv == NULL || imx_hparam_is_neutral(kv, "rope.dimension_sections")) {
        return IMX_OK;
    }
    if ((rules->groups & IMX_KEYS_ROPE_SECTIONS) == 0) {
        return imx_hparam_refuse(gguf, key, "rope.dimension_sections", err);
    }
    bool are_counts = kv->n_elems == N_SECTIONS && kv->elem_type != IMX_GGUF_STRING;
    for (size_t i = 0; i < N_SECTIONS && are_counts; ++i) {
        sections[i] = imx_gguf_elem_f64(kv, i);
        are_counts = sections[i] >= 0;
    }
    if (!are_counts) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: the key '%s' is not a list of %d counts",
                        gguf->path, key, N_SECTIONS);
    }
    hparams->rope_has_sections = sections[0] > 0 && sections[1] > 0;
    if (hparams->rope_has_sections && sections[3] > 0 &&
        hparams->n_rot / 2 > sections[0] + sections[1] + sections[2]) {
        return imx_fail(err, IMX_ERR_UNSUPPORTED,
                        "%s: %s leaves a part of each head without a position, which this version "
                        "cannot compute",
                        gguf->path, key);
    }
    return IMX_OK;
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

// The product, or the largest number where that is more.
static uint32_t bounded_product(uint32_t a, uint32_t b) {
    const uint64_t product = (uint64_t)a * b;
    return product < UINT32_MAX ? (uint32_t)product : UINT32_MAX;
}

static void fill_in(imx_hparams *hp) {
    const uint32_t head_dim = hp->n_heads > 0 ? hp->n_embd / hp->n_heads : 0;
    hp->n_kv_heads = first_set(hp->n_kv_heads, hp->n_heads);
    hp->head_dim_k = first_set(hp->head_dim_k, head_dim);
    hp->head_dim_v = first_set(hp->head_dim_v, head_dim);
    hp->n_rot = first_set(hp->n_rot, hp->head_dim_k);
    hp->rope_base = hp->rope_base > 0 ? hp->rope_base : 10000.0f;
    hp->rope_attention_factor = hp->rope_attention_factor > 0 ? hp->rope_attention_factor : 1;
    hp->yarn_beta_fast = hp->yarn_beta_fast > 0 ? hp->yarn_beta_fast : 32;
    hp->yarn_beta_slow = hp->yarn_beta_slow > 0 ? hp->yarn_beta_slow : 1;
    hp->rope_base_window = hp->rope_base_window > 0 ? hp->rope_base_window : hp->rope_base;
    hp->n_original_context = first_set(hp->n_original_context, hp->n_context);
    hp->n_ff_expert = first_set(hp->n_ff_expert, hp->n_ff);
    hp->n_ff_shared =
        first_set(hp->n_ff_shared, bounded_product(hp->n_ff_expert, hp->n_shared_experts));
}

static imx_status check_hparams(const imx_hparams *hp, const imx_hparams_rules *rules,
                                const imx_gguf *gguf, imx_error *err) {
    const char *const epsilon = (rules->groups & IMX_KEYS_RMS_NORM) != 0
                                    ? "attention.layer_norm_rms_epsilon"
                                    : "attention.layer_norm_epsilon";
    const struct {
        bool holds;
        const char *suffix;
        const char *what;
    } checks[] = {
        {hp->n_embd >= 1 && hp->n_embd <= MAX_SIZE, "embedding_length", "the embedding length"},
        {hp->n_layers >= 1 && hp->n_layers <= MAX_LAYERS, "block_count", "the number of layers"},
        {hp->n_extra_layers < hp->n_layers, "nextn_predict_layers", "the number of extra layers"},
        {hp->n_ff <= MAX_SIZE && (hp->n_ff > 0 || hp->n_experts > 0), "feed_forward_length",
         "the feed-forward length"},
        {hp->n_experts <= MAX_EXPERTS, "expert_count", "the number of experts"},
        {hp->n_experts_used <= hp->n_experts && hp->n_experts_used <= MAX_EXPERTS_USED &&
             (hp->n_experts == 0 || hp->n_experts_used > 0),
         "expert_used_count", "the number of experts used"},
        {hp->n_ff_expert <= MAX_SIZE, "expert_feed_forward_length",
         "the feed-forward length of experts"},
        {hp->n_ff_shared <= MAX_SIZE, "expert_shared_feed_forward_length",
         "the feed-forward length of shared experts"},
        {hp->n_expert_groups <= 1 ||
             (hp->n_experts % hp->n_expert_groups == 0 &&
              hp->n_expert_groups_used <= hp->n_expert_groups &&
              hp->n_experts_used <=
                  hp->n_expert_groups_used * (hp->n_experts / hp->n_expert_groups)),
         "expert_group_count", "the number of groups of experts"},
        {!hp->rotates_in_window || hp->window > 0, "attention.sliding_window",
         "the sliding window"},
        {hp->q_rank <= MAX_SIZE, "attention.q_lora_rank", "the rank of queries"},
        {hp->latent <= MAX_SIZE, "attention.kv_lora_rank", "the rank of keys and values"},
        {hp->n_heads >= 1 && hp->n_heads <= MAX_SIZE, "attention.head_count",
         "the number of heads"},
        {hp->n_kv_heads >= 1 && hp->n_heads % hp->n_kv_heads == 0, "attention.head_count_kv",
         "the number of key heads"},
        {hp->head_dim_k >= 1 && hp->head_dim_k <= MAX_SIZE, "attention.key_length",
         "the length of keys"},
        {hp->head_dim_v >= 1 && hp->head_dim_v <= MAX_SIZE, "attention.value_length",
         "the length of values"},
        {hp->n_rot <= hp->head_dim_k && hp->n_rot % 2 == 0, "rope.dimension_count",
         "the number of rotated values"},
        {hp->norm_eps < 1, epsilon, "the epsilon of the norms"},
        {hp->rope_base > 0 && hp->rope_base < 1e30f, "rope.freq_base", "the base of the rotation"},
        {hp->rope_factor < 1e30f, "rope.scaling.factor", "the scaling factor of positions"},
        {hp->rope_scaling != IMX_ROPE_SCALING_YARN || hp->n_original_context > 0,
         "rope.scaling.original_context_length", "the context before its extension"},
        {hp->temperature_scale == 0 || hp->temperature_length > 0, "attention.temperature_length",
         "the length of the temperature"},
    };
    for (size_t i = 0; i < COUNT_OF(checks); ++i) {
        if (!checks[i].holds) {
            return imx_fail(err, IMX_ERR_FORMAT,
                            "%s: %s (%s.%s) makes no sense; the file is damaged", gguf->path,
                            checks[i].what, rules->arch_name, checks[i].suffix);
        }
    }
    return IMX_OK;
}

static imx_status check_gating(const imx_hparams *hp, const imx_gguf *gguf, imx_error *err) {
    return hp->gating <= IMX_GATING_SOFTMAX_CHOSEN
               ? IMX_OK
               : imx_fail(err, IMX_ERR_UNSUPPORTED,
                          "%s: expert_gating_func is %u, which this version does not know",
                          gguf->path, hp->gating);
}

imx_status imx_hparams_read(imx_hparams *hparams, const imx_hparams_rules *rules,
                            const imx_gguf *gguf, imx_error *err) {
    *hparams = *rules->defaults;
    IMX_TRY(imx_hparam_refuse_unknown(rules, gguf, err));
    for (size_t i = 0; i < imx_n_hparam_rows; ++i) {
        if (imx_hparam_is_read(&imx_hparam_rows[i], rules)) {
            IMX_TRY(read_row(hparams, rules->arch_name, &imx_hparam_rows[i], gguf, err));
        }
    }
    IMX_TRY(read_rope_scaling(hparams, rules, gguf, err));
    IMX_TRY(read_n_vocab(hparams, gguf, err));
    IMX_TRY(read_window_period(hparams, rules, gguf, err));
    fill_in(hparams);
    IMX_TRY(read_rope_sections(hparams, rules, gguf, err));
    if (rules->finish != NULL) {
        IMX_TRY(rules->finish(hparams, gguf, err));
    }
    IMX_TRY(check_gating(hparams, gguf, err));
    IMX_TRY(check_hparams(hparams, rules, gguf, err));
    IMX_TRY(check_windows(hparams, gguf, err));
    hparams->n_layers -= hparams->n_extra_layers;
    return IMX_OK;
}
