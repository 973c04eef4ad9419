// SPDX-License-Identifier: MIT

#include "calib/model/arch.h"
#include "calib/model/arch_finish.h"

#define ROLE(name) ((imx_role_set)1 << IMX_ROLE_##name)

// Roles that go together.
// clang-format off
#define TIED       (ROLE(TOKEN_EMBD) | ROLE(OUTPUT_NORM))
#define EMBEDDING  (TIED | ROLE(OUTPUT))
#define DIVISORS   (ROLE(ROPE_FREQS) | ROLE(ROPE_LONG) | ROLE(ROPE_SHORT))
#define SEPARATE   (ROLE(ATTN_Q) | ROLE(ATTN_K) | ROLE(ATTN_V) | ROLE(ATTN_OUTPUT))
#define FUSED      (ROLE(ATTN_QKV) | ROLE(ATTN_OUTPUT))
#define ATTENTION  (SEPARATE | FUSED)
#define LATENT     (ROLE(ATTN_Q) | ROLE(ATTN_Q_A) | ROLE(ATTN_Q_A_NORM) | ROLE(ATTN_Q_B) | \
                    ROLE(ATTN_KV_A) | ROLE(ATTN_KV_A_NORM) | ROLE(ATTN_KV_B) | ROLE(ATTN_K_B) | \
                    ROLE(ATTN_V_B) | ROLE(ATTN_OUTPUT))
#define GATED      (ROLE(FFN_GATE) | ROLE(FFN_UP) | ROLE(FFN_DOWN))
#define UNGATED    (ROLE(FFN_UP) | ROLE(FFN_DOWN))
#define FUSED_GATE (ROLE(FFN_GATE_UP) | ROLE(FFN_DOWN))
#define EXPERTS    (ROLE(ROUTER) | ROLE(EXPERTS_GATE) | ROLE(EXPERTS_UP) | \
                    ROLE(EXPERTS_GATE_UP) | ROLE(EXPERTS_DOWN))
#define SHARED     (ROLE(SHARED_GATE) | ROLE(SHARED_UP) | ROLE(SHARED_DOWN))
#define PRE_NORMS  (ROLE(ATTN_NORM) | ROLE(FFN_NORM))
#define POST_NORMS (ROLE(ATTN_POST_NORM) | ROLE(FFN_POST_NORM))
#define HEAD_NORMS (ROLE(ATTN_Q_NORM) | ROLE(ATTN_K_NORM))
#define HEAD_NORMS_EACH (ROLE(ATTN_Q_NORM_EACH) | ROLE(ATTN_K_NORM_EACH))
#define ROW_NORMS  (ROLE(ATTN_Q_NORM_ALL) | ROLE(ATTN_K_NORM_ALL))

// Rows of families that differ in name.
#define GPT2                                                                \
    .keys = IMX_KEYS_LAYER_NORM,                                            \
    .roles = EMBEDDING | ROLE(POSITION_EMBD) | PRE_NORMS | FUSED | UNGATED, \
    .optional = ROLE(OUTPUT),                                               \
    .unscaled = UNGATED,                                                    \
    .norm = imx_norm_layer,                                                 \
    .activate = imx_activate_gelu,                                          \
    .ignored_keys = {"rope.*"}

#define GRANITE                                                                       \
    .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN | IMX_KEYS_LONGROPE |   \
            IMX_KEYS_ROPE_SWITCH | IMX_KEYS_EXPERTS | IMX_KEYS_ATTENTION_SCALE |      \
            IMX_KEYS_SCALES | IMX_KEYS_LOGIT_SCALE,                                   \
    .roles = EMBEDDING | DIVISORS | PRE_NORMS | ATTENTION | GATED | EXPERTS | SHARED, \
    .optional = ROLE(OUTPUT) | DIVISORS,                                              \
    .unscaled = GATED | EXPERTS | SHARED,                                             \
    .norm = imx_norm_rms,                                                             \
    .rotate = imx_rotate_pairs,                                                       \
    .activate = imx_activate_silu,                                                    \
    .traits = IMX_TRAIT_LOGITS_ARE_DIVIDED,                                           \
    .defaults = {.normalises_gates = 1, .rope_is_trained = 1},                        \
    .finish = imx_finish_granite

const imx_arch imx_archs[] = {
    {
        // Arcee's AFM: Llama with squared ReLUs and no gate.
        .name = "arcee",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN,
        .roles = EMBEDDING | ROLE(ROPE_FREQS) | PRE_NORMS | ATTENTION | UNGATED,
        .optional = ROLE(OUTPUT) | ROLE(ROPE_FREQS),
        .unscaled = UNGATED,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_pairs,
        .activate = imx_activate_relu_squared,
    },
    {
        // Baichuan and Baichuan 2: Llama; the 13B attends by ALiBi instead of rotation.
        .name = "baichuan",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN,
        .roles = EMBEDDING | PRE_NORMS | ATTENTION | GATED,
        .unscaled = GATED,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_pairs,
        .activate = imx_activate_silu,
        .finish = imx_finish_baichuan,
    },
    {
        // BLOOM: ALiBi, a norm behind the embedding, layer norms and biases throughout.
        .name = "bloom",
        .keys = IMX_KEYS_LAYER_NORM,
        .roles = EMBEDDING | ROLE(TOKEN_EMBD_NORM) | PRE_NORMS | FUSED | UNGATED,
        .optional = ROLE(OUTPUT),
        .unscaled = UNGATED,
        .norm = imx_norm_layer,
        .activate = imx_activate_gelu,
        .defaults = {.alibi_max = 8},
        .ignored_keys = {"rope.*"},
    },
    {
        // Command R7B, Command A: Command R with windows in three layers of four, which alone are
        // rotated. The period can be given, the base of windows is that of the model.
        .name = "cohere2",
        .keys = IMX_KEYS_LAYER_NORM | IMX_KEYS_ROPE | IMX_KEYS_LOGIT_SCALE | IMX_KEYS_WINDOW,
        .roles = TIED | ROLE(ATTN_NORM) | ATTENTION | GATED,
        .norm = imx_norm_layer,
        .rotate = imx_rotate_pairs,
        .activate = imx_activate_silu,
        .defaults = {.is_parallel = 1, .window_period = 4, .rotates_in_window = 1},
    },
    {
        // Command R, Aya; Command R+ norms the heads of queries and keys, each with its own weight:
        // one layer norm before attention and network, which run side by side.
        .name = "command-r",
        .keys = IMX_KEYS_LAYER_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN | IMX_KEYS_LOGIT_SCALE,
        .roles = TIED | ROLE(ATTN_NORM) | ATTENTION | HEAD_NORMS_EACH | GATED,
        .optional = HEAD_NORMS_EACH,
        .unscaled = GATED,
        .norm = imx_norm_layer,
        .rotate = imx_rotate_pairs,
        .activate = imx_activate_silu,
        .defaults = {.is_parallel = 1},
    },
    {
        // DeepSeek MoE (16B, the first generation): Llama with many small experts behind leading
        // dense layers, and shared experts; weights of the experts are not normalised.
        .name = "deepseek",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN | IMX_KEYS_EXPERTS |
                IMX_KEYS_GATE_SCALE,
        .roles = EMBEDDING | PRE_NORMS | ATTENTION | GATED | EXPERTS | SHARED,
        .optional = ROLE(OUTPUT),
        .unscaled = GATED | EXPERTS | SHARED,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_pairs,
        .activate = imx_activate_silu,
    },
    {
        // DeepSeek 2 and 3, Kimi K2, Mistral Large 3, GLM 4.7 Flash: latent attention (in
        // layer_latent.c), experts chosen from the best groups, shared experts, extra layers.
        .name = "deepseek2",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN | IMX_KEYS_YARN_MULTIPLIER |
                IMX_KEYS_LATENT | IMX_KEYS_TEMPERATURE | IMX_KEYS_EXPERTS | IMX_KEYS_GATING |
                IMX_KEYS_GATE_SCALE | IMX_KEYS_EXTRA_LAYERS,
        .roles = EMBEDDING | PRE_NORMS | LATENT | GATED | EXPERTS | ROLE(ROUTER_BIAS) | SHARED,
        .optional = ROLE(OUTPUT) | ROLE(ROUTER_BIAS),
        .unscaled = ROLE(ATTN_Q) | GATED | EXPERTS | SHARED,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_pairs,
        .activate = imx_activate_silu,
        .finish = imx_finish_deepseek2,
    },
    {
        // dots.llm1: Qwen 3's attention; experts with sigmoid gates and a bias that sways their
        // choice, behind leading dense layers, and shared experts.
        .name = "dots1",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN | IMX_KEYS_EXPERTS |
                IMX_KEYS_GATING | IMX_KEYS_GATE_SCALE,
        .roles = EMBEDDING | PRE_NORMS | ATTENTION | HEAD_NORMS | GATED | EXPERTS |
                 ROLE(ROUTER_BIAS) | SHARED,
        .optional = ROLE(ROUTER_BIAS),
        .unscaled = GATED | EXPERTS | SHARED,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_silu,
        .finish = imx_finish_sigmoid,
    },
    {
        // ERNIE 4.5, its dense models: Llama under another name.
        .name = "ernie4_5",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN,
        .roles = EMBEDDING | PRE_NORMS | ATTENTION | GATED,
        .optional = ROLE(OUTPUT),
        .unscaled = GATED,
        .unbiased = ROLE(ATTN_OUTPUT),
        .norm = imx_norm_rms,
        .rotate = imx_rotate_pairs,
        .activate = imx_activate_silu,
    },
    {
        // ERNIE 4.5 with experts (21B-A3B, 300B-A47B): Llama with leading dense layers, a bias that
        // sways the choice of experts, and shared experts.
        .name = "ernie4_5-moe",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN | IMX_KEYS_EXPERTS,
        .roles = EMBEDDING | PRE_NORMS | ATTENTION | GATED | EXPERTS | ROLE(ROUTER_BIAS) | SHARED,
        .optional = ROLE(OUTPUT) | ROLE(ROUTER_BIAS),
        .unscaled = GATED | EXPERTS | SHARED,
        .unbiased = ROLE(ATTN_OUTPUT),
        .norm = imx_norm_rms,
        .rotate = imx_rotate_pairs,
        .activate = imx_activate_silu,
        .defaults = {.normalises_gates = 1},
    },
    {
        // EXAONE 3 and 3.5: Llama, rotated in halves.
        .name = "exaone",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN,
        .roles = EMBEDDING | ROLE(ROPE_FREQS) | PRE_NORMS | ATTENTION | GATED,
        .optional = ROLE(OUTPUT) | ROLE(ROPE_FREQS),
        .unscaled = GATED,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_silu,
    },
    {
        // EXAONE 4: norms behind attention and network instead of before, and of heads. The 32B has
        // windows in three layers of four, which alone are rotated.
        .name = "exaone4",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN | IMX_KEYS_WINDOW |
                IMX_KEYS_EXTRA_LAYERS,
        .roles = EMBEDDING | ROLE(ROPE_FREQS) | ATTENTION | HEAD_NORMS | GATED | POST_NORMS,
        .optional = ROLE(OUTPUT) | ROLE(ROPE_FREQS),
        .unscaled = GATED,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_silu,
        .defaults = {.window = 4096, .window_period = 4, .rotates_in_window = 1},
        .finish = imx_finish_exaone4,
    },
    {
        // Falcon: attention and network in parallel and from one norm, in the 40B and 180B each
        // from its own.
        .name = "falcon",
        .keys = IMX_KEYS_LAYER_NORM | IMX_KEYS_ROPE,
        .roles = EMBEDDING | ROLE(ATTN_NORM) | ROLE(ATTN_NORM_2) | FUSED | UNGATED,
        .optional = ROLE(OUTPUT) | ROLE(ATTN_NORM_2),
        .unscaled = UNGATED,
        .norm = imx_norm_layer,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_gelu,
        .defaults = {.is_parallel = 1},
    },
    {
        // Gemma: Llama rotated in halves, with a GELU gate, an embedding scaled by sqrt(n_embd) and
        // heads that together are wider than it. Its norms hold their 1 in the file.
        .name = "gemma",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE,
        .roles = TIED | PRE_NORMS | ATTENTION | GATED,
        .unscaled = GATED,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_gelu,
        .finish = imx_finish_gemma,
    },
    {
        // Gemma 2: norms behind attention and network too, scores and logits held within caps, and
        // windows in every other layer.
        .name = "gemma2",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_WINDOW | IMX_KEYS_WINDOW_BASE |
                IMX_KEYS_ATTENTION_SOFTCAP | IMX_KEYS_LOGIT_SOFTCAP,
        .roles = TIED | PRE_NORMS | ATTENTION | GATED | POST_NORMS,
        .unscaled = GATED,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_gelu,
        .defaults = {.attention_softcap = 50, .logit_softcap = 30, .window = 4096,
                     .window_period = 2},
        .finish = imx_finish_gemma2,
        .ignored_keys = {"attention.scale"},
    },
    {
        // Gemma 3: Gemma 2 with norms of the heads instead of the scores' cap, and windows in five
        // layers of six, which turn faster and are not scaled to longer contexts.
        .name = "gemma3",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_WINDOW | IMX_KEYS_WINDOW_BASE |
                IMX_KEYS_LOGIT_SOFTCAP,
        .roles = EMBEDDING | PRE_NORMS | ATTENTION | HEAD_NORMS | GATED | POST_NORMS,
        .optional = ROLE(OUTPUT),
        .unscaled = GATED,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_gelu,
        .defaults = {.rope_base_window = 10000, .window_period = 6,
                     .rope_factor_spares_window = 1},
        .finish = imx_finish_gemma3,
        .ignored_keys = {"attention.scale"},
    },
    {
        // GLM-4 of 2025: changes are normed before they are added, gate and up are one product,
        // half of each head is rotated.
        .name = "glm4",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN | IMX_KEYS_ROPE_SECTIONS |
                IMX_KEYS_EXTRA_LAYERS,
        .roles = EMBEDDING | PRE_NORMS | POST_NORMS | ATTENTION | FUSED_GATE,
        .optional = ROLE(OUTPUT),
        .unscaled = FUSED_GATE,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_pairs,
        .activate = imx_activate_silu,
    },
    {
        // GLM 4.5, 4.6 and 4.5-Air: partial rotation, the feed-forward network's norm under the
        // name post_attention_norm, experts as in dots1, extra layers.
        .name = "glm4moe",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN | IMX_KEYS_EXPERTS |
                IMX_KEYS_GATING | IMX_KEYS_GATE_SCALE | IMX_KEYS_EXTRA_LAYERS,
        .roles = EMBEDDING | ROLE(ATTN_NORM) | ROLE(FFN_NORM_LATE) | ATTENTION | HEAD_NORMS |
                 GATED | EXPERTS | ROLE(ROUTER_BIAS) | SHARED,
        .optional = ROLE(OUTPUT) | HEAD_NORMS | ROLE(ROUTER_BIAS),
        .unscaled = GATED | EXPERTS | SHARED,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_silu,
        .finish = imx_finish_sigmoid,
    },
    {
        // gpt-oss 20B and 120B: attention sinks, a window in every other layer, biases everywhere,
        // experts weighted by the softmax of the chosen ones only, with an activation of their own.
        .name = "gpt-oss",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN | IMX_KEYS_WINDOW |
                IMX_KEYS_WINDOW_BASE | IMX_KEYS_EXPERTS,
        .roles = EMBEDDING | ROLE(ATTN_NORM) | ROLE(FFN_NORM_LATE) | ATTENTION |
                 ROLE(ATTN_SINKS) | EXPERTS,
        .unscaled = EXPERTS,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_clipped,
        .defaults = {.window_period = 2, .gating = IMX_GATING_SOFTMAX_CHOSEN},
    },
    {
        // GPT-2: positions have embeddings; layer norms and biases throughout.
        .name = "gpt2",
        GPT2,
    },
    {
        // GPT-NeoX, Pythia, RedPajama, Dolly: attention and network each with its norm, in most
        // models in parallel; a part of each head is rotated.
        .name = "gptneox",
        .keys = IMX_KEYS_LAYER_NORM | IMX_KEYS_ROPE | IMX_KEYS_PARALLEL,
        .roles = EMBEDDING | PRE_NORMS | FUSED | UNGATED,
        .unscaled = UNGATED,
        .norm = imx_norm_layer,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_gelu,
    },
    {
        // Granite 3: Llama with scales of embedding, scores, changes and logits; it may have no
        // rotation.
        .name = "granite",
        GRANITE,
    },
    {
        // Granite 3 with experts, and with shared ones.
        .name = "granitemoe",
        GRANITE,
    },
    {
        // Hunyuan dense (0.5B to 7B): Llama rotated in halves, with norms of the heads behind the
        // rotation.
        .name = "hunyuan-dense",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_ROPE_ALPHA | IMX_KEYS_YARN,
        .roles = EMBEDDING | PRE_NORMS | ATTENTION | HEAD_NORMS | GATED,
        .optional = ROLE(OUTPUT),
        .unscaled = GATED,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_silu,
        .traits = IMX_TRAIT_ROTATES_BEFORE_NORM,
        .finish = imx_finish_hunyuan,
    },
    {
        // InternLM 2 and 2.5: Llama.
        .name = "internlm2",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN,
        .roles = EMBEDDING | PRE_NORMS | ATTENTION | GATED,
        .unscaled = GATED,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_pairs,
        .activate = imx_activate_silu,
    },
    {
        // Llama 1 to 3, Mistral, Mixtral, Yi, SmolLM and TinyLlama: RMS norm before each half of a
        // layer, rotation of neighbouring pairs, SiLU gate, grouped-query attention.
        .name = "llama",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN | IMX_KEYS_LONGROPE |
                IMX_KEYS_EXPERTS,
        .roles = EMBEDDING | DIVISORS | PRE_NORMS | ATTENTION | GATED | EXPERTS,
        .optional = ROLE(OUTPUT) | DIVISORS,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_pairs,
        .activate = imx_activate_silu,
        .defaults = {.normalises_gates = 1},
    },
    {
        // MiniCPM 1 and 2, with experts too: Granite's scales, which the first files leave out.
        .name = "minicpm",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN | IMX_KEYS_LONGROPE |
                IMX_KEYS_EXPERTS | IMX_KEYS_SCALES | IMX_KEYS_LOGIT_SCALE,
        .roles = EMBEDDING | DIVISORS | PRE_NORMS | ATTENTION | GATED | EXPERTS,
        .optional = ROLE(OUTPUT) | DIVISORS,
        .unscaled = GATED | EXPERTS,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_pairs,
        .activate = imx_activate_silu,
        .traits = IMX_TRAIT_LOGITS_ARE_DIVIDED,
        .defaults = {.embedding_scale = 12, .normalises_gates = 1},
        .finish = imx_finish_minicpm,
    },
    {
        // Ministral 3: Llama with YaRN of its own betas and multiplier, and queries that grow with
        // the position.
        .name = "mistral3",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN | IMX_KEYS_LONGROPE |
                IMX_KEYS_YARN_BETAS | IMX_KEYS_YARN_MULTIPLIER | IMX_KEYS_TEMPERATURE |
                IMX_KEYS_EXPERTS,
        .roles = EMBEDDING | DIVISORS | PRE_NORMS | ATTENTION | GATED | EXPERTS,
        .optional = ROLE(OUTPUT) | DIVISORS,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_pairs,
        .activate = imx_activate_silu,
        .defaults = {.normalises_gates = 1},
        .finish = imx_finish_mistral3,
    },
    {
        // MPT: ALiBi or embedded positions; queries, keys and values are held within bounds.
        .name = "mpt",
        .keys = IMX_KEYS_LAYER_NORM | IMX_KEYS_ALIBI | IMX_KEYS_CLAMP,
        .roles = EMBEDDING | ROLE(POSITION_EMBD) | PRE_NORMS | FUSED | UNGATED |
                 ROLE(FFN_DIVISOR),
        .optional = ROLE(OUTPUT) | ROLE(POSITION_EMBD) | ROLE(FFN_DIVISOR),
        .unscaled = UNGATED,
        .norm = imx_norm_layer,
        .activate = imx_activate_gelu,
        .ignored_keys = {"rope.*"},
    },
    {
        // Nemotron-4 and Minitron: layer norms, squared ReLUs without a gate, half of each head
        // rotated.
        .name = "nemotron",
        .keys = IMX_KEYS_LAYER_NORM | IMX_KEYS_ROPE,
        .roles = EMBEDDING | PRE_NORMS | ATTENTION | UNGATED,
        .unscaled = UNGATED,
        .norm = imx_norm_layer,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_relu_squared,
    },
    {
        // OLMo 1: Llama with layer norms that have no weights.
        .name = "olmo",
        .keys = IMX_KEYS_LAYER_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN | IMX_KEYS_CLAMP,
        .roles = ROLE(TOKEN_EMBD) | ROLE(OUTPUT) | ATTENTION | GATED,
        .optional = ROLE(OUTPUT),
        .unscaled = GATED,
        .norm = imx_norm_layer,
        .rotate = imx_rotate_pairs,
        .activate = imx_activate_silu,
        .traits = IMX_TRAIT_PLAIN_NORMS,
    },
    {
        // OLMo 2: norms behind attention and network instead of before, and of queries and keys as
        // whole rows. OLMo 3 adds windows in three layers of four, which YaRN leaves alone.
        .name = "olmo2",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN | IMX_KEYS_WINDOW,
        .roles = EMBEDDING | SEPARATE | ROW_NORMS | GATED | POST_NORMS,
        .unscaled = ROLE(ATTN_Q) | ROLE(ATTN_K) | ROLE(ATTN_V) | GATED,
        .unbiased = ROLE(ATTN_Q) | ROLE(ATTN_K) | ROLE(ATTN_V),
        .norm = imx_norm_rms,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_silu,
        .defaults = {.window_period = 4, .rope_factor_spares_window = 1},
    },
    {
        // OLMoE: experts whose weights are not normalised; queries and keys are normed as one row.
        .name = "olmoe",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN | IMX_KEYS_EXPERTS,
        .roles = EMBEDDING | PRE_NORMS | SEPARATE | ROLE(ATTN_Q_NORM_ALL) |
                 ROLE(ATTN_K_NORM_ALL) | EXPERTS,
        .unscaled = ROLE(ATTN_Q) | ROLE(ATTN_K) | ROLE(ATTN_V) | EXPERTS,
        .unbiased = ROLE(ATTN_Q) | ROLE(ATTN_K) | ROLE(ATTN_V),
        .norm = imx_norm_rms,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_silu,
    },
    {
        // Orion: Llama with layer norms and rotation of halves.
        .name = "orion",
        .keys = IMX_KEYS_LAYER_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN,
        .roles = EMBEDDING | PRE_NORMS | ATTENTION | GATED,
        .unscaled = GATED,
        .norm = imx_norm_layer,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_silu,
    },
    {
        // Phi-1, 1.5 and 2: attention and network in parallel from one norm, biases throughout.
        .name = "phi2",
        .keys = IMX_KEYS_LAYER_NORM | IMX_KEYS_ROPE,
        .roles = EMBEDDING | ROLE(ATTN_NORM) | ATTENTION | UNGATED,
        .unscaled = UNGATED,
        .norm = imx_norm_layer,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_gelu,
        .defaults = {.is_parallel = 1},
    },
    {
        // Phi-3, Phi-3.5 mini and Phi-4: fused products, rotation of halves or a part of a head,
        // long-rope. llama.cpp lets all layers attend to everything, whatever window a file names.
        .name = "phi3",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_LONGROPE,
        .roles = EMBEDDING | ROLE(ROPE_LONG) | ROLE(ROPE_SHORT) | PRE_NORMS | ATTENTION |
                 FUSED_GATE,
        .optional = ROLE(OUTPUT) | ROLE(ROPE_LONG) | ROLE(ROPE_SHORT),
        .unscaled = FUSED_GATE,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_silu,
        .ignored_keys = {"attention.sliding_window"},
    },
    {
        // Qwen 1.5 to 2.5, QwQ: Llama rotated in halves, with biases of queries, keys and values.
        .name = "qwen2",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN,
        .roles = EMBEDDING | PRE_NORMS | ATTENTION | GATED,
        .optional = ROLE(OUTPUT),
        .unscaled = GATED,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_silu,
    },
    {
        // Qwen 1.5 and 2 with experts (A2.7B, 57B-A14B): weights of the experts are not normalised,
        // and every token gets a share of a shared expert, by a sigmoid of its own.
        .name = "qwen2moe",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN | IMX_KEYS_EXPERTS,
        .roles = EMBEDDING | PRE_NORMS | ATTENTION | EXPERTS | SHARED | ROLE(SHARED_ROUTER),
        .unscaled = EXPERTS | SHARED,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_silu,
        .finish = imx_finish_qwen2moe,
    },
    {
        // Qwen 3: Qwen 2 with norms of the heads instead of biases.
        .name = "qwen3",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN,
        .roles = EMBEDDING | PRE_NORMS | ATTENTION | HEAD_NORMS | GATED,
        .optional = ROLE(OUTPUT),
        .norm = imx_norm_rms,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_silu,
    },
    {
        // Qwen 3 with experts (30B-A3B, 235B-A22B, Coder): each head of queries and keys is normed.
        .name = "qwen3moe",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN | IMX_KEYS_EXPERTS,
        .roles = EMBEDDING | PRE_NORMS | ATTENTION | HEAD_NORMS | EXPERTS,
        .optional = ROLE(OUTPUT),
        .norm = imx_norm_rms,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_silu,
        .defaults = {.normalises_gates = 1},
    },
    {
        // Seed-OSS: Qwen 2 with the network's norm by another name and wider heads.
        .name = "seed_oss",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN,
        .roles = EMBEDDING | ROLE(ATTN_NORM) | ATTENTION | ROLE(FFN_NORM_LATE) | GATED,
        .optional = ROLE(OUTPUT),
        .unscaled = GATED,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_silu,
    },
    {
        // SmolLM3: Llama without rotation in every fourth layer.
        .name = "smollm3",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN,
        .roles = EMBEDDING | PRE_NORMS | ATTENTION | GATED,
        .optional = ROLE(OUTPUT),
        .unscaled = GATED,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_pairs,
        .activate = imx_activate_silu,
        .defaults = {.unrotated_period = 4},
    },
    {
        // StableLM: Llama with layer norms and a part of each head rotated. The 12B is parallel,
        // which shows in the norm it lacks and not in the key, and norms its heads.
        .name = "stablelm",
        .keys = IMX_KEYS_LAYER_NORM | IMX_KEYS_ROPE,
        .roles = EMBEDDING | PRE_NORMS | ATTENTION | GATED | HEAD_NORMS_EACH,
        .optional = ROLE(FFN_NORM) | HEAD_NORMS_EACH,
        .unscaled = GATED,
        .norm = imx_norm_layer,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_silu,
        .traits = IMX_TRAIT_PARALLEL_WITHOUT_NORM,
        .ignored_keys = {"use_parallel_residual"},
    },
    {
        // StarCoder, SantaCoder: GPT-2 with one key head.
        .name = "starcoder",
        GPT2,
    },
    {
        // StarCoder 2: GPT-2 with rotation and grouped-query attention.
        .name = "starcoder2",
        .keys = IMX_KEYS_LAYER_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN,
        .roles = EMBEDDING | PRE_NORMS | ATTENTION | UNGATED,
        .optional = ROLE(OUTPUT),
        .unscaled = UNGATED,
        .norm = imx_norm_layer,
        .rotate = imx_rotate_halves,
        .activate = imx_activate_gelu,
    },
    {
        // XVERSE: Llama under another name.
        .name = "xverse",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_YARN,
        .roles = EMBEDDING | PRE_NORMS | ATTENTION | GATED,
        .unscaled = GATED,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_pairs,
        .activate = imx_activate_silu,
    },
};
// clang-format on

const size_t imx_n_archs = sizeof imx_archs / sizeof *imx_archs;
