// SPDX-License-Identifier: MIT
//
// A model that computes something else than its file says is worse than one that does not load. So
// every key under the architecture's name must be one that its row reads, one that only describes,
// or one that is off. Off means zero, false or empty, unless the table of neutral values below says
// otherwise: files written by llama.cpp's own writer carry every key it knows.

#include "calib/hparams.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

enum { MAX_KEY = 160, MAX_SIZE = 1 << 24, MAX_LAYERS = 1 << 14 };

// Keys that describe the model or matter only beside another key that is refused. fnmatch patterns.
static const char *const inert_keys[] = {
    "vocab_size",
    "context_length",
    "tensor_data_layout",
    "rope.scaling.type", // checked by itself
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

size_t imx_hparams_dim(const imx_hparams *hparams, imx_dim dim) {
    switch (dim) {
    case IMX_DIM_ONE:
        return 1;
    case IMX_DIM_EMBD:
        return hparams->n_embd;
    case IMX_DIM_Q:
        return (size_t)hparams->n_heads * hparams->head_dim_k;
    case IMX_DIM_K:
        return (size_t)hparams->n_kv_heads * hparams->head_dim_k;
    case IMX_DIM_V:
        return (size_t)hparams->n_kv_heads * hparams->head_dim_v;
    case IMX_DIM_MIX:
        return (size_t)hparams->n_heads * hparams->head_dim_v;
    case IMX_DIM_FF:
        return hparams->n_ff;
    case IMX_DIM_VOCAB:
        return hparams->n_vocab;
    case IMX_DIM_PAIRS:
        return hparams->n_rot / 2;
    }
    return 0;
}

static bool is_row_key(const imx_hparam_row *rows, size_t n_rows, const char *suffix) {
    for (size_t i = 0; i < n_rows; ++i) {
        if (strcmp(rows[i].suffix, suffix) == 0) {
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

static imx_status refuse_unknown_keys(const char *arch_name, const imx_hparam_row *rows,
                                      size_t n_rows, const imx_gguf *gguf, imx_error *err) {
    const size_t prefix_len = strlen(arch_name) + 1;
    for (size_t i = 0; i < gguf->n_kvs; ++i) {
        const imx_gguf_kv *kv = &gguf->kvs[i];
        char key[MAX_KEY];
        snprintf(key, sizeof key, "%.*s", (int)(kv->key.len < MAX_KEY ? kv->key.len : MAX_KEY),
                 kv->key.data);
        const char *suffix = key + prefix_len;
        if (kv->key.len <= prefix_len || strncmp(key, arch_name, prefix_len - 1) != 0 ||
            key[prefix_len - 1] != '.') {
            continue;
        }
        if (!is_row_key(rows, n_rows, suffix) && !is_inert(suffix) && !is_neutral(kv, suffix)) {
            return refuse_key(gguf, key, suffix, err);
        }
    }
    return IMX_OK;
}

static imx_status read_row(imx_hparams *hparams, const char *arch_name, const imx_hparam_row *row,
                           const imx_gguf *gguf, imx_error *err) {
    char *field = (char *)hparams + row->offset;
    char key[MAX_KEY];
    snprintf(key, sizeof key, "%s.%s", arch_name, row->suffix);
    const imx_gguf_kv *kv = imx_gguf_find_kv(gguf, key);
    if (kv != NULL && kv->type == IMX_GGUF_ARRAY) {
        return imx_fail(err, IMX_ERR_UNSUPPORTED,
                        "%s: %s differs from layer to layer, which this version cannot compute",
                        gguf->path, key);
    }
    if (row->is_float) {
        return imx_gguf_get_f32(gguf, key, row->required, (float *)(void *)field, err);
    }
    return imx_gguf_get_u32(gguf, key, row->required, (uint32_t *)(void *)field, err);
}

// Linear scaling divides positions by a factor (0 = not recorded); anything else is refused.
static imx_status read_rope_scaling(imx_hparams *hparams, const char *arch_name,
                                    const imx_gguf *gguf, imx_error *err) {
    char key[MAX_KEY];
    imx_str type = {"linear", strlen("linear")};
    snprintf(key, sizeof key, "%s.rope.scaling.type", arch_name);
    IMX_TRY(imx_gguf_get_str(gguf, key, false, &type, err));
    const bool is_none = type.len == 4 && memcmp(type.data, "none", 4) == 0;
    if (!is_none && !(type.len == 6 && memcmp(type.data, "linear", 6) == 0)) {
        return imx_fail(err, IMX_ERR_UNSUPPORTED,
                        "%s: %s is '%.*s'; this version knows none and linear", gguf->path, key,
                        (int)(type.len < 40 ? type.len : 40), type.data);
    }
    if (is_none || hparams->rope_factor == 0) {
        hparams->rope_factor = 1;
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

static void fill_defaults(imx_hparams *hp) {
    const uint32_t head_dim = hp->n_heads > 0 ? hp->n_embd / hp->n_heads : 0;
    hp->n_kv_heads = hp->n_kv_heads > 0 ? hp->n_kv_heads : hp->n_heads;
    hp->head_dim_k = hp->head_dim_k > 0 ? hp->head_dim_k : head_dim;
    hp->head_dim_v = hp->head_dim_v > 0 ? hp->head_dim_v : head_dim;
    hp->n_rot = hp->n_rot > 0 ? hp->n_rot : hp->head_dim_k;
    hp->rope_base = hp->rope_base > 0 ? hp->rope_base : 10000.0f;
}

static imx_status check_hparams(const imx_hparams *hp, const imx_gguf *gguf, imx_error *err) {
    const struct {
        bool holds;
        const char *what;
    } rules[] = {
        {hp->n_embd >= 1 && hp->n_embd <= MAX_SIZE, "the embedding length"},
        {hp->n_layers >= 1 && hp->n_layers <= MAX_LAYERS, "the number of layers"},
        {hp->n_ff >= 1 && hp->n_ff <= MAX_SIZE, "the feed-forward length"},
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

imx_status imx_hparams_read(imx_hparams *hparams, const char *arch_name, const imx_hparam_row *rows,
                            size_t n_rows, const imx_gguf *gguf, imx_error *err) {
    memset(hparams, 0, sizeof *hparams);
    IMX_TRY(refuse_unknown_keys(arch_name, rows, n_rows, gguf, err));
    for (size_t i = 0; i < n_rows; ++i) {
        IMX_TRY(read_row(hparams, arch_name, &rows[i], gguf, err));
    }
    IMX_TRY(read_rope_scaling(hparams, arch_name, gguf, err));
    IMX_TRY(read_n_vocab(hparams, gguf, err));
    fill_defaults(hparams);
    return check_hparams(hparams, gguf, err);
}
