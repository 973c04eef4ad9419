// SPDX-License-Identifier: MIT

#include "calib/model/role.h"

enum {
    BIAS = IMX_ROLE_HAS_BIAS,
    SCALE = IMX_ROLE_HAS_SCALE,
    PARTS = IMX_ROLE_HAS_BIAS | IMX_ROLE_HAS_SCALE,
    SCALES_BIAS = IMX_ROLE_SCALES_BIAS,
    HEAD_NORM = IMX_ROLE_IS_NORM,
    NORM = IMX_ROLE_IS_NORM | IMX_ROLE_HAS_SHIFT,
    IS_BIAS = IMX_ROLE_IS_BIAS,
    IS_SCALES = IMX_ROLE_IS_SCALES,
};

// clang-format off
#define ONE     IMX_DIM_ONE
#define EMBD    IMX_DIM_EMBD
#define EXPERTS IMX_DIM_EXPERTS
#define HEADS   IMX_DIM_HEADS

static const imx_role_row roles[IMX_N_ROLES] = {
    [IMX_ROLE_TOKEN_EMBD]       = {"token_embd",          EMBD, IMX_DIM_VOCAB, ONE, 0},
    [IMX_ROLE_TOKEN_EMBD_NORM]  = {"token_embd_norm",     ONE,  EMBD, ONE, NORM},
    [IMX_ROLE_POSITION_EMBD]    = {"position_embd",       EMBD, IMX_DIM_POSITIONS, ONE, 0},
    [IMX_ROLE_ROPE_FREQS]       = {"rope_freqs",          ONE,  IMX_DIM_PAIRS, ONE, 0},
    [IMX_ROLE_ROPE_LONG]        = {"rope_factors_long",   ONE,  IMX_DIM_PAIRS, ONE, 0},
    [IMX_ROLE_ROPE_SHORT]       = {"rope_factors_short",  ONE,  IMX_DIM_PAIRS, ONE, 0},
    [IMX_ROLE_OUTPUT_NORM]      = {"output_norm",         ONE,  EMBD, ONE, NORM},
    [IMX_ROLE_OUTPUT]           = {"output",              EMBD, IMX_DIM_VOCAB, ONE, PARTS},

    [IMX_ROLE_ATTN_NORM]        = {"attn_norm",           ONE,  EMBD, ONE, NORM},
    [IMX_ROLE_ATTN_NORM_2]      = {"attn_norm_2",         ONE,  EMBD, ONE, NORM},
    [IMX_ROLE_ATTN_Q]           = {"attn_q",              EMBD, IMX_DIM_Q, ONE, PARTS},
    [IMX_ROLE_ATTN_K]           = {"attn_k",              EMBD, IMX_DIM_K, ONE, PARTS},
    [IMX_ROLE_ATTN_V]           = {"attn_v",              EMBD, IMX_DIM_V, ONE, PARTS},
    [IMX_ROLE_ATTN_QKV]         = {"attn_qkv",            EMBD, IMX_DIM_QKV, ONE, PARTS},
    [IMX_ROLE_ATTN_Q_NORM]      = {"attn_q_norm",         ONE,  IMX_DIM_HEAD_K, ONE, HEAD_NORM},
    [IMX_ROLE_ATTN_K_NORM]      = {"attn_k_norm",         ONE,  IMX_DIM_HEAD_K, ONE, HEAD_NORM},
    [IMX_ROLE_ATTN_Q_NORM_EACH] = {"attn_q_norm",         IMX_DIM_HEAD_K, HEADS, ONE, HEAD_NORM},
    [IMX_ROLE_ATTN_K_NORM_EACH] = {"attn_k_norm",         IMX_DIM_HEAD_K, IMX_DIM_KV_HEADS, ONE, HEAD_NORM},
    [IMX_ROLE_ATTN_Q_NORM_ALL]  = {"attn_q_norm",         ONE,  IMX_DIM_Q, ONE, HEAD_NORM},
    [IMX_ROLE_ATTN_K_NORM_ALL]  = {"attn_k_norm",         ONE,  IMX_DIM_K, ONE, HEAD_NORM},
    [IMX_ROLE_ATTN_Q_A]         = {"attn_q_a",            EMBD, IMX_DIM_Q_RANK, ONE, SCALE},
    [IMX_ROLE_ATTN_Q_A_NORM]    = {"attn_q_a_norm",       ONE,  IMX_DIM_Q_RANK, ONE, NORM},
    [IMX_ROLE_ATTN_Q_B]         = {"attn_q_b",            IMX_DIM_Q_RANK, IMX_DIM_Q, ONE, SCALE},
    [IMX_ROLE_ATTN_KV_A]        = {"attn_kv_a_mqa",       EMBD, IMX_DIM_LATENT_AND_ROT, ONE, SCALE},
    [IMX_ROLE_ATTN_KV_A_NORM]   = {"attn_kv_a_norm",      ONE,  IMX_DIM_LATENT, ONE, NORM},
    [IMX_ROLE_ATTN_KV_B]        = {"attn_kv_b",           IMX_DIM_LATENT, IMX_DIM_KV_B, ONE, SCALE},
    [IMX_ROLE_ATTN_K_B]         = {"attn_k_b",            IMX_DIM_UNROTATED, IMX_DIM_LATENT, HEADS, SCALE},
    [IMX_ROLE_ATTN_V_B]         = {"attn_v_b",            IMX_DIM_LATENT, IMX_DIM_HEAD_V, HEADS, SCALE},
    [IMX_ROLE_ATTN_SINKS]       = {"attn_sinks",          ONE,  HEADS, ONE, 0},
    [IMX_ROLE_ATTN_OUTPUT]      = {"attn_output",         IMX_DIM_MIX, EMBD, ONE, PARTS},
    [IMX_ROLE_ATTN_POST_NORM]   = {"post_attention_norm", ONE,  EMBD, ONE, NORM},
    [IMX_ROLE_FFN_NORM]         = {"ffn_norm",            ONE,  EMBD, ONE, NORM},
    [IMX_ROLE_FFN_NORM_LATE]    = {"post_attention_norm", ONE,  EMBD, ONE, NORM},
    [IMX_ROLE_FFN_GATE]         = {"ffn_gate",            EMBD, IMX_DIM_FF, ONE, PARTS | SCALES_BIAS},
    [IMX_ROLE_FFN_UP]           = {"ffn_up",              EMBD, IMX_DIM_FF, ONE, PARTS | SCALES_BIAS},
    [IMX_ROLE_FFN_GATE_UP]      = {"ffn_up",              EMBD, IMX_DIM_FF_TWICE, ONE, PARTS | SCALES_BIAS},
    [IMX_ROLE_FFN_DIVISOR]      = {"ffn.act",             ONE,  IMX_DIM_FF, ONE, IS_SCALES},
    [IMX_ROLE_FFN_DOWN]         = {"ffn_down",            IMX_DIM_FF, EMBD, ONE, PARTS | SCALES_BIAS},
    [IMX_ROLE_FFN_POST_NORM]    = {"post_ffw_norm",       ONE,  EMBD, ONE, NORM},
    [IMX_ROLE_ROUTER]           = {"ffn_gate_inp",        EMBD, EXPERTS, ONE, BIAS},
    [IMX_ROLE_ROUTER_BIAS]      = {"exp_probs_b",         ONE,  EXPERTS, ONE, IS_BIAS},
    [IMX_ROLE_EXPERTS_GATE]     = {"ffn_gate_exps",       EMBD, IMX_DIM_FF_EXPERT, EXPERTS, PARTS},
    [IMX_ROLE_EXPERTS_UP]       = {"ffn_up_exps",         EMBD, IMX_DIM_FF_EXPERT, EXPERTS, PARTS},
    [IMX_ROLE_EXPERTS_GATE_UP]  = {"ffn_gate_up_exps",    EMBD, IMX_DIM_FF_EXPERT_TWICE, EXPERTS, PARTS},
    [IMX_ROLE_EXPERTS_DOWN]     = {"ffn_down_exps",       IMX_DIM_FF_EXPERT, EMBD, EXPERTS, PARTS},
    [IMX_ROLE_SHARED_ROUTER]    = {"ffn_gate_inp_shexp",  EMBD, ONE, ONE, 0},
    [IMX_ROLE_SHARED_GATE]      = {"ffn_gate_shexp",      EMBD, IMX_DIM_FF_SHARED, ONE, SCALE},
    [IMX_ROLE_SHARED_UP]        = {"ffn_up_shexp",        EMBD, IMX_DIM_FF_SHARED, ONE, SCALE},
    [IMX_ROLE_SHARED_DOWN]      = {"ffn_down_shexp",      IMX_DIM_FF_SHARED, EMBD, ONE, SCALE},
};
// clang-format on

const imx_role_row *imx_role_row_of(imx_role role) {
    return &roles[role];
}

bool imx_role_is_product(imx_role role) {
    const bool is_looked_up = role == IMX_ROLE_TOKEN_EMBD || role == IMX_ROLE_POSITION_EMBD;
    return roles[role].n_in != ONE && (roles[role].flags & IMX_ROLE_IS_NORM) == 0 && !is_looked_up;
}
