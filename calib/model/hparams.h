// SPDX-License-Identifier: MIT
//
// Hyperparameters: the numbers in a model's metadata that shape its forward pass.

#ifndef IMX_CALIB_HPARAMS_H
#define IMX_CALIB_HPARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/gguf.h"

// How a router's logits become the weights of the chosen experts. Numbers as in GGUF.
typedef enum imx_gating {
    IMX_GATING_DEFAULT,
    IMX_GATING_SOFTMAX,        // of all experts, before the choice
    IMX_GATING_SIGMOID,        // of each
    IMX_GATING_SOFTMAX_CHOSEN, // of the chosen ones, after the choice
} imx_gating;

// How positions beyond the original context are rotated.
typedef enum imx_rope_scaling {
    IMX_ROPE_SCALING_LINEAR, // by a factor, which may be 1
    IMX_ROPE_SCALING_YARN,
    IMX_ROPE_SCALING_LONGROPE, // by the model's own divisors for long and short contexts
} imx_rope_scaling;

// 0 means: the model does not have it, or does it the plain way.
typedef struct imx_hparams {
    uint32_t n_vocab; // rows of the token embedding
    uint32_t n_embd;
    uint32_t n_layers;       // that are run
    uint32_t n_ff;           // 0 where all layers have experts
    uint32_t n_context;      // in training
    uint32_t n_extra_layers; // behind those, for predicting further tokens; they are passed over

    uint32_t n_heads;
    uint32_t n_kv_heads; // divides n_heads
    uint32_t head_dim_k; // of queries and keys
    uint32_t head_dim_v;
    float norm_eps;
    float attention_scale;   // of the scores; 0: 1 / sqrt(head_dim_k)
    float attention_softcap; // s · tanh(score / s)
    float clamp_qkv;         // queries, keys and values are held within ±
    float alibi_max;         // slopes of the heads go down to 2^−alibi_max
    float temperature_scale; // queries grow with the logarithm of the position
    uint32_t temperature_length;

    uint32_t window;            // tokens that a windowed layer attends to, itself among them
    uint32_t window_period;     // of so many layers the last is not windowed; 0: all are
    uint32_t head_dim_k_window; // head_dim_k, head_dim_v and n_rot of windowed layers; 0: the same
    uint32_t head_dim_v_window;
    uint32_t n_rot_window;

    uint32_t q_rank;            // of latent attention; 0: queries are not compressed
    uint32_t latent;            // values of a token's keys and values, compressed
    uint32_t head_dim_k_latent; // head_dim_k and head_dim_v where the keys of that name describe
    uint32_t head_dim_v_latent; // the compressed ones

    uint32_t n_rot; // leading values of a head that are rotated; even, at most head_dim_k
    float rope_base;
    float rope_base_window; // of windowed layers; 0: the same
    imx_rope_scaling rope_scaling;
    float rope_factor;           // positions are divided by it
    uint32_t n_original_context; // before it was extended
    float rope_attention_factor; // of rotated queries and keys
    float rope_alpha;            // how much further, as a change of the base; 0: none
    float yarn_beta_fast;      // turns within the original context from which pairs turn as before
    float yarn_beta_slow;      // and up to which they turn as slowly as the factor says
    float yarn_log_multiplier; // see rope.c
    uint32_t unrotated_period; // of so many layers the last is not rotated; 0: all are
    uint32_t rope_factor_spares_window; // layers with a window are rotated as without scaling
    uint32_t rotates_in_window;         // only layers with a window are rotated
    uint32_t rope_is_trained;           // where a key says so: else no layer is rotated
    uint32_t rope_has_sections;         // for time, height and width; text has the same in all

    uint32_t n_experts;
    uint32_t n_experts_used;
    uint32_t n_ff_expert;
    uint32_t n_ff_shared; // of the shared experts together
    uint32_t n_shared_experts;
    uint32_t n_dense_layers; // leading ones, without experts
    uint32_t n_expert_groups;
    uint32_t n_expert_groups_used;
    uint32_t gating;           // of imx_gating
    uint32_t normalises_gates; // the weights of a token's experts sum to 1
    float gate_scale;          // of the weights, after that

    float embedding_scale;
    float residual_scale; // of what a layer adds
    float logit_scale;
    float logit_softcap;
    uint32_t is_parallel; // attention and feed-forward network start from the same residual stream
} imx_hparams;

// Sizes that tensor shapes are made of.
typedef enum imx_dim {
    IMX_DIM_ONE,
    IMX_DIM_EMBD,
    IMX_DIM_HEADS,
    IMX_DIM_KV_HEADS,
    IMX_DIM_HEAD_K,
    IMX_DIM_HEAD_V,
    IMX_DIM_Q,   // all heads' queries
    IMX_DIM_K,   // all heads' keys
    IMX_DIM_V,   // all heads' values
    IMX_DIM_QKV, // the three together
    IMX_DIM_MIX, // all heads' mixed values, the attention's output
    IMX_DIM_Q_RANK,
    IMX_DIM_LATENT,
    IMX_DIM_LATENT_AND_ROT,
    IMX_DIM_UNROTATED,   // values of a head that are not rotated
    IMX_DIM_Q_UNROTATED, // of all heads
    IMX_DIM_KV_B,        // all heads' keys without the rotated part, and values
    IMX_DIM_FOLDED,      // all heads' queries against the latent and the rotated part
    IMX_DIM_MIX_LATENT,  // all heads' mixed latents
    IMX_DIM_FF,
    IMX_DIM_FF_TWICE,
    IMX_DIM_EXPERTS,
    IMX_DIM_FF_EXPERT,
    IMX_DIM_FF_EXPERT_TWICE,
    IMX_DIM_FF_SHARED,
    IMX_DIM_VOCAB,
    IMX_DIM_POSITIONS,
    IMX_DIM_PAIRS, // rotated pairs of a head
} imx_dim;

size_t imx_hparams_dim(const imx_hparams *hparams, imx_dim dim);

// Groups of metadata keys. An architecture says which of them mean something to it.
typedef enum imx_key_group {
    IMX_KEYS_BASE = 0, // of all
    IMX_KEYS_RMS_NORM = 1 << 0,
    IMX_KEYS_LAYER_NORM = 1 << 1,
    IMX_KEYS_ROPE = 1 << 2,
    IMX_KEYS_YARN = 1 << 3,     // rope.scaling.type may be yarn, of the betas 32 and 1
    IMX_KEYS_LONGROPE = 1 << 4, // rope.scaling.type may be longrope
    IMX_KEYS_WINDOW = 1 << 5,
    IMX_KEYS_EXPERTS = 1 << 6,
    IMX_KEYS_ATTENTION_SOFTCAP = 1 << 7,
    IMX_KEYS_LOGIT_SOFTCAP = 1 << 8,
    IMX_KEYS_ATTENTION_SCALE = 1 << 9,
    IMX_KEYS_SCALES = 1 << 10, // of embedding, residual
    IMX_KEYS_LOGIT_SCALE = 1 << 11,
    IMX_KEYS_ALIBI = 1 << 12,
    IMX_KEYS_CLAMP = 1 << 13,
    IMX_KEYS_PARALLEL = 1 << 14,
    IMX_KEYS_LATENT = 1 << 15,
    IMX_KEYS_TEMPERATURE = 1 << 16,
    IMX_KEYS_EXTRA_LAYERS = 1 << 17,
    IMX_KEYS_GATING = 1 << 18, // how gates of experts are made from logits
    IMX_KEYS_ROPE_SWITCH = 1 << 19,
    IMX_KEYS_GATE_SCALE = 1 << 20,
    IMX_KEYS_ROPE_ALPHA = 1 << 21,
    IMX_KEYS_YARN_BETAS = 1 << 22,
    IMX_KEYS_YARN_MULTIPLIER = 1 << 23,
    IMX_KEYS_WINDOW_BASE = 1 << 24, // layers with a window have their own rotation base
    IMX_KEYS_ROPE_SECTIONS = 1 << 25,
} imx_key_group;

// Computes what follows from other hyperparameters; IMX_ERR_UNSUPPORTED where it is not known how.
typedef imx_status imx_finish_fn(imx_hparams *hparams, const imx_gguf *gguf, imx_error *err);

// Reads the keys of `groups` (of imx_key_group) under `arch_name` over `defaults`, fills in what is
// absent and checks that the numbers make a model; `finish`, which may be NULL, comes before the
// check. A key outside the groups that is neither at a value without effect nor one of `ignored` is
// IMX_ERR_UNSUPPORTED by name.
typedef struct imx_hparams_rules {
    const char *arch_name;
    unsigned groups;
    const imx_hparams *defaults;
    imx_finish_fn *finish;
    const char *const *ignored; // fnmatch patterns of suffixes to pass over, up to a NULL
} imx_hparams_rules;

imx_status imx_hparams_read(imx_hparams *hparams, const imx_hparams_rules *rules,
                            const imx_gguf *gguf, imx_error *err);

// Whether a layer attends in a window, and whether it rotates queries and keys.
bool imx_hparams_is_windowed(const imx_hparams *hparams, uint32_t layer);
bool imx_hparams_is_rotated(const imx_hparams *hparams, uint32_t layer);

#endif
