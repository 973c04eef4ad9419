// SPDX-License-Identifier: MIT
//
// Tensors of every architecture share llama.cpp's naming, so that substrings tell roles apart. The
// first row that matches wins.

#include "quant/plan/tensor_role.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct role_row {
    const char *pattern;
    bool is_whole_name; // else a part of the name
    imx_mix_role role;
} role_row;

static const role_row role_table[] = {
    {"output.weight", true, IMX_MIX_ROLE_OUTPUT},
    {"token_embd.weight", true, IMX_MIX_ROLE_TOKEN_EMBD},
    {"per_layer_token_embd.weight", true, IMX_MIX_ROLE_TOKEN_EMBD},

    {"_norm.weight", false, IMX_MIX_ROLE_KEPT},
    {"ffn_gate_inp.weight", false, IMX_MIX_ROLE_KEPT}, // routers of experts
    {"ffn_gate_tid2eid.weight", false, IMX_MIX_ROLE_KEPT},
    {"altup", false, IMX_MIX_ROLE_KEPT},
    {"laurel", false, IMX_MIX_ROLE_KEPT},
    {"per_layer_model_proj", false, IMX_MIX_ROLE_KEPT},
    {"position_embd.weight", true, IMX_MIX_ROLE_KEPT},
    {"token_types.weight", true, IMX_MIX_ROLE_KEPT},
    {"ssm_conv1d", false, IMX_MIX_ROLE_KEPT},
    {"shortconv.conv.weight", false, IMX_MIX_ROLE_KEPT},
    {"indexer.k_proj.weight", false, IMX_MIX_ROLE_KEPT},
    {"indexer.q_proj.weight", false, IMX_MIX_ROLE_KEPT},
    {"time_mix_first.weight", false, IMX_MIX_ROLE_KEPT}, // RWKV
    {"time_mix_w0.weight", false, IMX_MIX_ROLE_KEPT},
    {"time_mix_w1.weight", false, IMX_MIX_ROLE_KEPT},
    {"time_mix_w2.weight", false, IMX_MIX_ROLE_KEPT},
    {"time_mix_v0.weight", false, IMX_MIX_ROLE_KEPT},
    {"time_mix_v1.weight", false, IMX_MIX_ROLE_KEPT},
    {"time_mix_v2.weight", false, IMX_MIX_ROLE_KEPT},
    {"time_mix_a0.weight", false, IMX_MIX_ROLE_KEPT},
    {"time_mix_a1.weight", false, IMX_MIX_ROLE_KEPT},
    {"time_mix_a2.weight", false, IMX_MIX_ROLE_KEPT},
    {"time_mix_g1.weight", false, IMX_MIX_ROLE_KEPT},
    {"time_mix_g2.weight", false, IMX_MIX_ROLE_KEPT},
    {"time_mix_decay_w1.weight", false, IMX_MIX_ROLE_KEPT},
    {"time_mix_decay_w2.weight", false, IMX_MIX_ROLE_KEPT},
    {"time_mix_lerp_fused.weight", false, IMX_MIX_ROLE_KEPT},
    {"attn_rel_b.weight", false, IMX_MIX_ROLE_KEPT}, // T5
    {".position_embd", false, IMX_MIX_ROLE_KEPT},    // vision and audio
    {"sam.pos_embd", false, IMX_MIX_ROLE_KEPT},
    {"sam.neck.", false, IMX_MIX_ROLE_KEPT},
    {"sam.net_", false, IMX_MIX_ROLE_KEPT},
    {".rel_pos", false, IMX_MIX_ROLE_KEPT},
    {".patch_embd", false, IMX_MIX_ROLE_KEPT},
    {".patch_merger", false, IMX_MIX_ROLE_KEPT},
    {"a.rvq.codebook", false, IMX_MIX_ROLE_KEPT},
    {"mm.a.code_embd", false, IMX_MIX_ROLE_KEPT},

    {"attn_qkv.weight", false, IMX_MIX_ROLE_ATTN_V},
    {"attn_kv_b.weight", false, IMX_MIX_ROLE_ATTN_V},
    {"attn_v.weight", false, IMX_MIX_ROLE_ATTN_V},
    {"attn_k.weight", false, IMX_MIX_ROLE_ATTN_K},
    {"attn_output.weight", false, IMX_MIX_ROLE_ATTN_OUTPUT},
    {"ffn_down", false, IMX_MIX_ROLE_FFN_DOWN},
};

static bool ends_with_weight(const char *name) {
    static const char suffix[] = "weight";
    const size_t len = strlen(name);
    const size_t suffix_len = sizeof suffix - 1;
    return len >= suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
}

imx_mix_role imx_mix_role_of(const char *tensor_name) {
    if (!ends_with_weight(tensor_name)) {
        return IMX_MIX_ROLE_KEPT;
    }
    for (size_t i = 0; i < sizeof role_table / sizeof *role_table; ++i) {
        const role_row *row = &role_table[i];
        const bool matches = row->is_whole_name ? strcmp(tensor_name, row->pattern) == 0
                                                : strstr(tensor_name, row->pattern) != NULL;
        if (matches) {
            return row->role;
        }
    }
    return IMX_MIX_ROLE_OTHER;
}

int imx_layer_of(const char *tensor_name) {
    int layer = -1;
    int n_chars = 0; // stays 0 unless the second dot is there
    sscanf(tensor_name, "blk.%6d.%n", &layer, &n_chars);
    return n_chars > 0 && layer >= 0 ? layer : -1;
}
