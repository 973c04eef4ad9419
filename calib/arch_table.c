// SPDX-License-Identifier: MIT

#include <stdio.h>
#include <string.h>

#include "calib/arch.h"

enum {
    OPTIONAL = IMX_ROLE_OPTIONAL,
    PARTS = IMX_ROLE_HAS_PARTS,
    SCALES_BIAS = IMX_ROLE_SCALES_BIAS,
};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

// Llama 1 to 3, Mistral, Yi, SmolLM and TinyLlama: RMS norm before each half of a layer, rotation
// of neighbouring pairs, SiLU gate, grouped-query attention.
// clang-format off
static const imx_hparam_row llama_hparams[] = {
    {"embedding_length",                 IMX_HPARAM_U32(n_embd),     true},
    {"block_count",                      IMX_HPARAM_U32(n_layers),   true},
    {"feed_forward_length",              IMX_HPARAM_U32(n_ff),       true},
    {"attention.head_count",             IMX_HPARAM_U32(n_heads),    true},
    {"attention.head_count_kv",          IMX_HPARAM_U32(n_kv_heads), false},
    {"attention.key_length",             IMX_HPARAM_U32(head_dim_k), false},
    {"attention.value_length",           IMX_HPARAM_U32(head_dim_v), false},
    {"attention.layer_norm_rms_epsilon", IMX_HPARAM_F32(norm_eps),   true},
    {"rope.dimension_count",             IMX_HPARAM_U32(n_rot),      false},
    {"rope.freq_base",                   IMX_HPARAM_F32(rope_base),  false},
    {"rope.scale_linear",                IMX_HPARAM_F32(rope_factor), false},
    {"rope.scaling.factor",              IMX_HPARAM_F32(rope_factor), false},
};

static const imx_role_row llama_roles[IMX_N_ROLES] = {
    [IMX_ROLE_TOKEN_EMBD]  = {"token_embd",  IMX_DIM_EMBD, IMX_DIM_VOCAB, 0},
    [IMX_ROLE_ROPE_FREQS]  = {"rope_freqs",  IMX_DIM_ONE,  IMX_DIM_PAIRS, OPTIONAL},
    [IMX_ROLE_OUTPUT_NORM] = {"output_norm", IMX_DIM_ONE,  IMX_DIM_EMBD,  0},
    [IMX_ROLE_OUTPUT]      = {"output",      IMX_DIM_EMBD, IMX_DIM_VOCAB, OPTIONAL | PARTS},
    [IMX_ROLE_ATTN_NORM]   = {"attn_norm",   IMX_DIM_ONE,  IMX_DIM_EMBD,  0},
    [IMX_ROLE_ATTN_Q]      = {"attn_q",      IMX_DIM_EMBD, IMX_DIM_Q,     PARTS},
    [IMX_ROLE_ATTN_K]      = {"attn_k",      IMX_DIM_EMBD, IMX_DIM_K,     PARTS},
    [IMX_ROLE_ATTN_V]      = {"attn_v",      IMX_DIM_EMBD, IMX_DIM_V,     PARTS},
    [IMX_ROLE_ATTN_OUTPUT] = {"attn_output", IMX_DIM_MIX,  IMX_DIM_EMBD,  PARTS},
    [IMX_ROLE_FFN_NORM]    = {"ffn_norm",    IMX_DIM_ONE,  IMX_DIM_EMBD,  0},
    [IMX_ROLE_FFN_GATE]    = {"ffn_gate",    IMX_DIM_EMBD, IMX_DIM_FF,    PARTS | SCALES_BIAS},
    [IMX_ROLE_FFN_UP]      = {"ffn_up",      IMX_DIM_EMBD, IMX_DIM_FF,    PARTS | SCALES_BIAS},
    [IMX_ROLE_FFN_DOWN]    = {"ffn_down",    IMX_DIM_FF,   IMX_DIM_EMBD,  PARTS | SCALES_BIAS},
};

static const imx_arch archs[] = {
    {
        .name = "llama",
        .hparams = llama_hparams,
        .n_hparams = COUNT_OF(llama_hparams),
        .roles = llama_roles,
        .norm = imx_norm_rms,
        .rotate = imx_rotate_pairs,
        .gate = imx_gate_silu,
    },
};
// clang-format on

static void list_names(char *list, size_t list_bytes) {
    size_t len = 0;
    for (size_t i = 0; i < COUNT_OF(archs) && len < list_bytes; ++i) {
        const int n =
            snprintf(list + len, list_bytes - len, "%s%s", i > 0 ? ", " : "", archs[i].name);
        len += n > 0 ? (size_t)n : 0;
    }
}

imx_status imx_arch_find(const imx_arch **out, const imx_gguf *gguf, imx_error *err) {
    imx_str name;
    char known[512];
    IMX_TRY(imx_gguf_get_str(gguf, "general.architecture", true, &name, err));
    for (size_t i = 0; i < COUNT_OF(archs); ++i) {
        if (strlen(archs[i].name) == name.len && memcmp(archs[i].name, name.data, name.len) == 0) {
            *out = &archs[i];
            return IMX_OK;
        }
    }
    list_names(known, sizeof known);
    return imx_fail(err, IMX_ERR_UNSUPPORTED,
                    "%s: the architecture '%.*s' is not known to this version; it knows: %s",
                    gguf->path, (int)(name.len < 100 ? name.len : 100), name.data, known);
}
