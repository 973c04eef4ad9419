// SPDX-License-Identifier: MIT
//
// A small model for every row of the table of architectures, and for every path through a row that
// published models take. golden_values.h has what llama.cpp makes of them.
//
// Keys and tensors are those of published files of the family. They are written down here and not
// derived from the table of roles: that llama.cpp loads the files, and needs every tensor in them,
// shows that they are right. What a model is for is in its name.

#ifndef IMX_TESTS_GOLDEN_MODELS_H
#define IMX_TESTS_GOLDEN_MODELS_H

#include "golden_writer.h"

// Keys that go together.
// clang-format off
#define RMS          " attention.layer_norm_rms_epsilon=0.125"
#define LAYER_NORM   " attention.layer_norm_epsilon=0.125"
#define SIZES        " context_length=P embedding_length=E block_count=L feed_forward_length=F" \
                     " attention.head_count=H"
#define BASE         SIZES " attention.head_count_kv=G"
#define HEAD_LENGTH  " attention.key_length=D attention.value_length=D"
#define ROPE         " rope.freq_base=5000.0"
#define ROT_ALL      " rope.dimension_count=D"
#define ROT_PART     " rope.dimension_count=R"
#define ORIGINAL(n)  " rope.scaling.original_context_length=" #n
#define SCALING(how, factor) " rope.scaling.type=" #how " rope.scaling.factor=" #factor
#define YARN         ROPE SCALING(yarn, 4.0) ORIGINAL(512)
#define LONG_YARN    ROPE SCALING(yarn, 40.0) ORIGINAL(512)
#define LINEAR       SCALING(linear, 4.0)
#define LONG_ROPE    " rope.scaling.type=longrope"
#define WINDOW       " attention.sliding_window=6"
#define PERIOD(n)    " attention.sliding_window_pattern=" #n
#define EXPERT_KEYS  " expert_count=X expert_used_count=U"
#define EXPERT_WIDTH EXPERT_KEYS " expert_feed_forward_length=W"
#define DENSE_KEYS   " leading_dense_block_count=Z"
#define SHARED_KEYS(n) DENSE_KEYS " expert_shared_count=" #n
#define SHARED_WIDTH " expert_shared_feed_forward_length=S"
#define GATING(n)    " expert_gating_func=" #n
#define GROUPS       " expert_group_count=4 expert_group_used_count=2"
#define GATE_SCALE   " expert_weights_norm=true expert_weights_scale=2.5"
#define SCALES       " embedding_scale=3.0 residual_scale=0.40625 logit_scale=4.0"
#define ATTN_SCALE   " attention.scale=0.25"
#define LATENT_RANK  " attention.kv_lora_rank=C rope.dimension_count=R"
#define LATENT_KEYS  LATENT_RANK " attention.key_length_mla=N+R attention.value_length_mla=O" \
                     " attention.key_length=C+R attention.value_length=C"
#define OLD_LATENT   LATENT_RANK " attention.key_length=N+R attention.value_length=O"
#define Q_RANK       " attention.q_lora_rank=A"
#define MULTIPLIER   " rope.scaling.yarn_log_multiplier=0.0703125"
#define EXTRA_KEY    " nextn_predict_layers=1"

// Tensors that go together.
#define TIED         " token_embd:E,V output_norm:E"
#define UNTIED       TIED " output:E,V"
#define TIED_SHIFT   TIED " output_norm.bias:E"
#define UNTIED_SHIFT TIED_SHIFT " output:E,V"
#define EMBD_NORM    " token_embd_norm:E token_embd_norm.bias:E"
#define POSITIONS    " position_embd:E,P"
#define DIVISORS     " rope_freqs:4"
#define LONG_SHORT   " rope_factors_long:4 rope_factors_short:4"
#define QKV          " attn_q*:E,HD attn_k*:E,GD attn_v*:E,GD attn_output*:HD,E"
#define QKV_BIAS     QKV " attn_q.bias:HD attn_k.bias:GD attn_v.bias:GD"
#define FUSED        " attn_qkv*:E,HD+2GD attn_output*:HD,E"
#define FUSED_BIAS   FUSED " attn_qkv.bias:HD+2GD"
#define OUT_BIAS     " attn_output.bias:E"
#define NORM         " attn_norm:E"
#define NORMS        NORM " ffn_norm:E"
#define LATE_NORMS   NORM " post_attention_norm:E"
#define POST_NORMS   " post_attention_norm:E post_ffw_norm:E"
#define SHIFT        " attn_norm:E attn_norm.bias:E"
#define SHIFTS       SHIFT " ffn_norm:E ffn_norm.bias:E"
#define HEAD_NORMS   " attn_q_norm:D attn_k_norm:D"
#define EACH_NORMS   " attn_q_norm:D,H attn_k_norm:D,G"
#define ROW_NORMS    " attn_q_norm:HD attn_k_norm:GD"
#define GATED        " ffn_gate*:E,F ffn_up*:E,F ffn_down*:F,E"
#define GATED_BIAS   GATED " ffn_gate.bias:F ffn_up.bias:F ffn_down.bias:E"
#define UNGATED      " ffn_up*:E,F ffn_down*:F,E"
#define UNGATED_BIAS UNGATED " ffn_up.bias:F ffn_down.bias:E"
#define GATE_UP      " ffn_up*:E,2F ffn_down*:F,E"
#define ROUTER       " ffn_gate_inp:E,X"
#define EXPERTS(w)   ROUTER " ffn_gate_exps*:E," #w ",X ffn_up_exps*:E," #w ",X" \
                     " ffn_down_exps*:" #w ",E,X"
#define EXPERT_BIAS  " ffn_gate_inp.bias:X ffn_gate_exps.bias:W,X ffn_up_exps.bias:W,X" \
                     " ffn_down_exps.bias:E,X"
#define CHOICE_BIAS  " exp_probs_b.bias:X"
#define SHARED(w)    " ffn_gate_shexp*:E," #w " ffn_up_shexp*:E," #w " ffn_down_shexp*:" #w ",E"
#define EXTRA(layer) " blk." #layer ".nextn.eh_proj.weight:2E,E" \
                     " blk." #layer ".nextn.enorm.weight:E blk." #layer ".nextn.hnorm.weight:E" \
                     " blk." #layer ".nextn.shared_head_norm.weight:E"
#define LATENT_Q     " attn_q*:E,HN+HR"
#define LATENT_QA    " attn_q_a:E,A attn_q_a_norm:A attn_q_b:A,HN+HR"
#define LATENT_BASE  " attn_kv_a_mqa:E,C+R attn_kv_a_norm:C attn_output*:HO,E"
#define LATENT_KV    LATENT_BASE " attn_k_b:N,C,H attn_v_b:C,O,H"
#define LATENT_KV_B  LATENT_BASE " attn_kv_b:C,HN+HO"

static const golden_model golden_models[] = {
    {"arcee", "arcee", "Y1", BASE HEAD_LENGTH YARN RMS, UNTIED DIVISORS, NORMS QKV UNGATED},
    {"arcee-fused", "arcee", "Y1", BASE HEAD_LENGTH RMS, TIED, NORMS FUSED_BIAS UNGATED},
    {"baichuan-7b", "baichuan", "L32 T12 E16 H2 G2 F16 V24 M2 Y1",
     BASE RMS YARN ROT_ALL " tensor_data_layout=meta", UNTIED, NORMS QKV GATED},
    {"baichuan-13b", "baichuan", "L40 T12 E24 H3 G3 F16 V24 M2 Y1", BASE RMS ROT_ALL, UNTIED,
     NORMS FUSED_BIAS GATED},
    {"bloom", "bloom", "E48 H6 G6 Y1", BASE LAYER_NORM, TIED_SHIFT EMBD_NORM,
     SHIFTS FUSED_BIAS OUT_BIAS UNGATED_BIAS},
    {"bloom-grouped", "bloom", "", BASE LAYER_NORM LINEAR, UNTIED_SHIFT EMBD_NORM,
     SHIFTS FUSED_BIAS OUT_BIAS UNGATED_BIAS},

    {"cohere2", "cohere2", "L5 Y1",
     BASE LAYER_NORM ROPE ROT_ALL WINDOW " rope.scaling.type=none logit_scale=0.25", TIED,
     NORM QKV GATED},
    {"cohere2-period", "cohere2", "L4 Y1",
     BASE LAYER_NORM ROPE WINDOW PERIOD(2) " logit_scale=0.25 rope.freq_base_swa=100.0", TIED,
     NORM FUSED_BIAS GATED},
    {"command-r", "command-r", "Y1",
     BASE LAYER_NORM ROPE " rope.scaling.type=none logit_scale=0.25", TIED, NORM QKV GATED},
    {"command-r-yarn", "command-r", "Y1", BASE LAYER_NORM YARN, TIED, NORM FUSED_BIAS GATED},
    {"command-r-plus", "command-r", "L64 T12 E16 H2 G1 F16 V24 M3",
     BASE LAYER_NORM ROPE " rope.scaling.type=none logit_scale=0.8125", TIED,
     NORM QKV EACH_NORMS GATED},

    {"deepseek", "deepseek", "L3 Z1 G4 Y1",
     BASE RMS ROPE ROT_ALL EXPERT_WIDTH SHARED_KEYS(2)
     " rope.scaling.type=none expert_weights_scale=1.5", UNTIED, NORMS QKV, GATED,
     EXPERTS(W) SHARED(2W)},
    {"deepseek-yarn", "deepseek", "Z1 Y1",
     BASE RMS YARN EXPERT_WIDTH SHARED_KEYS(1) " expert_weights_scale=1.0", TIED, NORMS FUSED_BIAS,
     GATED, EXPERTS(W) SHARED(W)},
    {"deepseek2-lite", "deepseek2", "L27 Z1 T12 E16 H2 G1 F16 X4 U2 W8 V24 M2",
     BASE RMS LONG_YARN LATENT_KEYS EXPERT_WIDTH SHARED_KEYS(2) GATING(1) MULTIPLIER, UNTIED,
     NORMS LATENT_Q LATENT_KV, GATED, EXPERTS(W) SHARED(2W)},
    {"deepseek2-lite-old", "deepseek2", "L26 Z1 T12 E16 H2 G2 F16 X4 U2 W8 V24 M2 Y1",
     BASE RMS LONG_YARN OLD_LATENT EXPERT_WIDTH SHARED_KEYS(2) GATING(1) MULTIPLIER, UNTIED,
     NORMS LATENT_Q LATENT_KV_B, GATED, EXPERTS(W) SHARED(2W)},
    {"deepseek2-v2", "deepseek2", "L3 Z1 G1 X8 U3 Y1",
     BASE RMS LONG_YARN LATENT_KEYS Q_RANK EXPERT_WIDTH SHARED_KEYS(2) GATING(1) GROUPS
     " expert_weights_scale=4.0 rope.scaling.yarn_log_multiplier=0.125", UNTIED,
     NORMS LATENT_QA LATENT_KV, GATED, EXPERTS(W) SHARED(2W)},
    {"deepseek2-v3", "deepseek2", "L3 Z1 G1 X12 U4",
     BASE RMS LONG_YARN LATENT_KEYS Q_RANK EXPERT_WIDTH SHARED_KEYS(1) GATING(2) GROUPS GATE_SCALE
     MULTIPLIER, UNTIED, NORMS LATENT_QA LATENT_KV, GATED, EXPERTS(W) CHOICE_BIAS SHARED(W)},
    {"deepseek2-v3-old", "deepseek2", "L3 Z1 G4 X12 U4",
     BASE RMS LONG_YARN OLD_LATENT Q_RANK EXPERT_WIDTH SHARED_KEYS(1) GATING(2) GROUPS GATE_SCALE
     MULTIPLIER, UNTIED, NORMS LATENT_QA LATENT_KV_B, GATED, EXPERTS(W) CHOICE_BIAS SHARED(W)},
    {"deepseek2-plain-yarn", "deepseek2", "G1 Z2 F24",
     BASE RMS LONG_YARN LATENT_KEYS Q_RANK EXPERT_WIDTH SHARED_KEYS(1), TIED,
     NORMS LATENT_QA LATENT_KV GATED},
    {"deepseek2-no-yarn", "deepseek2", "G1 Z1",
     BASE RMS ROPE LATENT_KEYS Q_RANK EXPERT_WIDTH SHARED_KEYS(1) GATING(2) GATE_SCALE, UNTIED,
     NORMS LATENT_QA LATENT_KV, GATED,
     ROUTER " ffn_gate_up_exps:E,2W,X ffn_down_exps:W,E,X" SHARED(W)},
    {"deepseek2-temperature", "deepseek2", "G1 Z2 F24",
     BASE RMS LONG_YARN LATENT_KEYS Q_RANK EXPERT_WIDTH SHARED_KEYS(1) MULTIPLIER
     " attention.temperature_scale=0.5 attention.temperature_length=6", UNTIED,
     NORMS LATENT_QA LATENT_KV GATED},
    {"deepseek2-extra-layer", "deepseek2", "L3 Z3 G1 F24",
     BASE RMS ROPE LATENT_KEYS Q_RANK EXPERT_WIDTH SHARED_KEYS(1) EXTRA_KEY, UNTIED EXTRA(2),
     NORMS LATENT_QA LATENT_KV GATED},
    {"dots1", "dots1", "L3 Z1 G4 Y1",
     BASE RMS ROPE EXPERT_WIDTH SHARED_KEYS(2) GATING(2) GATE_SCALE, UNTIED, NORMS QKV HEAD_NORMS,
     GATED, EXPERTS(W) CHOICE_BIAS SHARED(2W)},
    {"dots1-softmax", "dots1", "Z1 G4 Y1",
     BASE RMS YARN EXPERT_WIDTH SHARED_KEYS(1) GATING(1) " expert_weights_scale=1.5", UNTIED,
     NORMS FUSED_BIAS HEAD_NORMS, GATED, EXPERTS(W) SHARED(W)},

    {"ernie4_5", "ernie4_5", "D16 Y1", BASE RMS ROPE HEAD_LENGTH, TIED,
     NORMS QKV_BIAS OUT_BIAS GATED},
    {"ernie4_5-fused", "ernie4_5", "Y1", BASE RMS YARN, UNTIED, NORMS FUSED_BIAS GATED},
    {"ernie4_5-moe", "ernie4_5-moe", "L3 Z1 Y1",
     BASE RMS ROPE EXPERT_WIDTH SHARED_KEYS(2) SHARED_WIDTH " interleave_moe_layer_step=1", TIED,
     NORMS QKV_BIAS OUT_BIAS, GATED, EXPERTS(W) CHOICE_BIAS SHARED(S)},
    {"ernie4_5-moe-fused", "ernie4_5-moe", "Z1 Y1",
     BASE RMS YARN EXPERT_WIDTH SHARED_KEYS(1) SHARED_WIDTH " interleave_moe_layer_step=1", UNTIED,
     NORMS FUSED_BIAS, GATED, EXPERTS(W) SHARED(S)},
    {"exaone", "exaone", "Y1", BASE RMS LAYER_NORM ROPE ROT_ALL, TIED DIVISORS, NORMS QKV GATED},
    {"exaone-fused", "exaone", "Y1", BASE RMS YARN, UNTIED, NORMS FUSED_BIAS GATED},
    {"exaone4", "exaone4", "Y1", BASE RMS ROPE HEAD_LENGTH WINDOW PERIOD(3), TIED DIVISORS,
     QKV HEAD_NORMS GATED POST_NORMS},
    {"exaone4-32b", "exaone4", "L64 T12 E16 H2 G1 F16 V24 M3 Y1", BASE RMS ROPE HEAD_LENGTH WINDOW,
     UNTIED DIVISORS, FUSED HEAD_NORMS GATED POST_NORMS},
    {"exaone4-extra-layer", "exaone4", "L3", BASE RMS YARN HEAD_LENGTH EXTRA_KEY, TIED EXTRA(2),
     FUSED_BIAS HEAD_NORMS GATED POST_NORMS},

    {"falcon-7b", "falcon", "G1 Y1", BASE LAYER_NORM " tensor_data_layout=jploski", TIED_SHIFT,
     SHIFT FUSED UNGATED},
    {"falcon-40b", "falcon", "", BASE LAYER_NORM ROPE, UNTIED_SHIFT,
     SHIFT " attn_norm_2:E attn_norm_2.bias:E" FUSED UNGATED},
    {"gemma", "gemma", "D16 G1 B16 Y1", BASE RMS HEAD_LENGTH, TIED, NORMS QKV GATED},
    {"gemma-fused", "gemma", "B16 Y1", BASE RMS HEAD_LENGTH ROPE, TIED, NORMS FUSED_BIAS GATED},
    {"gemma2", "gemma2", "L3 D16 B16 Y1",
     BASE RMS HEAD_LENGTH WINDOW " attn_logit_softcapping=3.0 final_logit_softcapping=2.5", TIED,
     NORMS QKV GATED POST_NORMS},
    {"gemma2-bases", "gemma2", "L3 B160 Y1",
     BASE RMS HEAD_LENGTH ROPE WINDOW PERIOD(3) ATTN_SCALE " rope.freq_base_swa=50.0", TIED,
     NORMS FUSED_BIAS GATED POST_NORMS},
    {"gemma2-27b", "gemma2", "L46 T12 E16 H2 G1 D16 F16 V24 B16 M4", BASE RMS HEAD_LENGTH WINDOW,
     TIED, NORMS QKV GATED POST_NORMS},
    {"gemma3", "gemma3", "L7 D16 B16 Y1",
     BASE RMS HEAD_LENGTH ROPE WINDOW " rope.freq_base_swa=100.0", TIED,
     NORMS QKV HEAD_NORMS GATED POST_NORMS},
    {"gemma3-linear", "gemma3", "L4 B16 Y1",
     BASE RMS HEAD_LENGTH LINEAR WINDOW PERIOD(3) ATTN_SCALE
     " rope.freq_base=100000.0 final_logit_softcapping=2.5", TIED,
     NORMS FUSED_BIAS HEAD_NORMS GATED POST_NORMS},
    {"gemma3-no-window", "gemma3", "B16", BASE RMS HEAD_LENGTH ROPE, UNTIED,
     NORMS QKV HEAD_NORMS GATED POST_NORMS},
    {"gemma3-27b", "gemma3", "L62 T12 E16 H2 G1 D16 F16 V24 B16 M3",
     BASE RMS HEAD_LENGTH ROPE WINDOW, TIED, NORMS QKV HEAD_NORMS GATED POST_NORMS},
    {"glm4", "glm4", "D16 R8 Y1", BASE RMS ROPE HEAD_LENGTH ROT_PART, UNTIED,
     NORMS QKV_BIAS GATE_UP POST_NORMS},
    {"glm4-vision", "glm4", "Y1",
     BASE RMS ROPE HEAD_LENGTH ROT_PART " rope.dimension_sections=[1,2,1,0]", TIED,
     NORMS FUSED_BIAS GATE_UP POST_NORMS},
    {"glm4-extra-layer", "glm4", "L3", BASE RMS YARN HEAD_LENGTH ROT_PART EXTRA_KEY,
     UNTIED EXTRA(2), NORMS QKV_BIAS GATE_UP POST_NORMS},
    {"glm4moe", "glm4moe", "L4 Z1 D16 R8",
     BASE RMS YARN HEAD_LENGTH ROT_PART EXPERT_WIDTH SHARED_KEYS(1) GATING(2) GATE_SCALE EXTRA_KEY
     " expert_group_count=1 expert_group_used_count=1", UNTIED EXTRA(3),
     LATE_NORMS QKV_BIAS HEAD_NORMS, GATED, EXPERTS(W) CHOICE_BIAS SHARED(W)},
    {"glm4moe-air", "glm4moe", "Z1 Y1",
     BASE RMS ROPE HEAD_LENGTH ROT_PART EXPERT_WIDTH SHARED_KEYS(1), UNTIED, LATE_NORMS QKV_BIAS,
     GATED, EXPERTS(W) CHOICE_BIAS SHARED(W)},
    {"glm4moe-fused", "glm4moe", "Z1 Y1",
     BASE RMS ROPE HEAD_LENGTH ROT_PART EXPERT_WIDTH SHARED_KEYS(1) GATING(1), TIED,
     LATE_NORMS FUSED_BIAS, GATED, EXPERTS(W) CHOICE_BIAS SHARED(W)},
    {"gpt-oss", "gpt-oss", "L3 D16 U2 Y1", BASE RMS HEAD_LENGTH YARN EXPERT_WIDTH WINDOW, UNTIED,
     LATE_NORMS QKV_BIAS OUT_BIAS " attn_sinks:H" EXPERTS(W) EXPERT_BIAS},
    {"gpt-oss-bases", "gpt-oss", "L3 U3 Y1",
     BASE RMS ROPE EXPERT_WIDTH WINDOW " rope.freq_base_swa=50.0", UNTIED,
     LATE_NORMS FUSED_BIAS OUT_BIAS " attn_sinks:H" EXPERTS(W) EXPERT_BIAS},
    {"gpt2", "gpt2", "G4 Y1", SIZES LAYER_NORM, TIED_SHIFT POSITIONS,
     SHIFTS FUSED_BIAS OUT_BIAS UNGATED_BIAS},
    {"gpt2-own-head", "gpt2", "G4", SIZES LAYER_NORM LINEAR, UNTIED_SHIFT POSITIONS,
     SHIFTS FUSED_BIAS OUT_BIAS UNGATED_BIAS},
    {"gptneox-parallel", "gptneox", "G4 R4 Y1",
     SIZES LAYER_NORM ROT_PART " use_parallel_residual=true", UNTIED_SHIFT,
     SHIFTS FUSED_BIAS OUT_BIAS UNGATED_BIAS},
    {"gptneox-sequential", "gptneox", "G4",
     SIZES LAYER_NORM ROT_PART " use_parallel_residual=false", UNTIED_SHIFT,
     SHIFTS FUSED_BIAS OUT_BIAS UNGATED_BIAS},
    {"granite", "granite", "Y1", BASE RMS ROPE SCALES ROT_ALL ATTN_SCALE, TIED DIVISORS,
     NORMS QKV GATED},
    {"granite-no-rope", "granite", "Y1", BASE RMS ROPE SCALES " rope.scaling.finetuned=false",
     UNTIED, NORMS FUSED_BIAS OUT_BIAS GATED_BIAS},
    {"granite-yarn", "granite", "", BASE RMS YARN SCALES, UNTIED, NORMS QKV GATED},
    {"granite-experts", "granite", "Y1", BASE RMS ROPE SCALES EXPERT_KEYS SHARED_WIDTH LONG_ROPE,
     UNTIED LONG_SHORT, NORMS QKV EXPERTS(F) SHARED(S)},
    {"granitemoe", "granitemoe", "Y1", BASE RMS ROPE SCALES EXPERT_KEYS ROT_ALL ATTN_SCALE,
     TIED DIVISORS, NORMS QKV EXPERTS(F)},
    {"granitemoe-shared", "granitemoe", "Y1",
     BASE RMS ROPE SCALES EXPERT_KEYS SHARED_WIDTH LONG_ROPE, UNTIED LONG_SHORT,
     NORMS FUSED_BIAS EXPERTS(F) SHARED(S)},
    {"granitemoe-yarn", "granitemoe", "", BASE RMS YARN SCALES EXPERT_KEYS, UNTIED,
     NORMS QKV EXPERTS(F)},
    {"granitemoe-dense", "granitemoe", "Y1", BASE RMS ROPE SCALES " rope.scaling.finetuned=false",
     UNTIED, NORMS QKV GATED},
    {"hunyuan-dense", "hunyuan-dense", "D16 Y1",
     BASE RMS ROPE HEAD_LENGTH " rope.scaling.type=none rope.scaling.factor=4.0", TIED,
     NORMS QKV HEAD_NORMS GATED},
    {"hunyuan-dense-alpha", "hunyuan-dense", "Y1",
     BASE RMS YARN HEAD_LENGTH " rope.scaling.alpha=50.0", UNTIED,
     NORMS FUSED_BIAS HEAD_NORMS GATED},
    {"internlm2", "internlm2", "Y1", BASE RMS ROPE, UNTIED, NORMS QKV GATED},
    {"internlm2-fused", "internlm2", "Y1", BASE RMS YARN, UNTIED, NORMS FUSED_BIAS GATED},

    {"llama", "llama", "D16 Y1", BASE RMS ROPE HEAD_LENGTH ROT_ALL, UNTIED,
     NORMS QKV GATED " attn_q.input_scale:1"},
    {"llama-biases", "llama", "Y1", BASE RMS, UNTIED, NORMS QKV_BIAS OUT_BIAS GATED_BIAS},
    {"llama-fused", "llama", "Y1", BASE RMS " rope.scale_linear=2.0", UNTIED,
     NORMS FUSED_BIAS GATED},
    {"llama-tied", "llama", "", BASE RMS " rope.freq_base=500000.0", TIED DIVISORS,
     NORMS QKV GATED},
    {"llama-linear", "llama", "G4", SIZES RMS LINEAR, TIED, NORMS QKV GATED},
    {"llama-yarn", "llama", "D16", BASE RMS YARN HEAD_LENGTH " rope.scaling.attn_factor=0.8125",
     TIED, NORMS QKV GATED},
    {"llama-long-rope", "llama", "", BASE RMS LONG_ROPE ORIGINAL(64), TIED LONG_SHORT,
     NORMS QKV GATED},
    {"llama-experts", "llama", "U2 Y1", BASE RMS EXPERT_KEYS, UNTIED, NORMS QKV EXPERTS(F)},
    {"minicpm", "minicpm", "B32 Y1", BASE RMS YARN SCALES, TIED DIVISORS, NORMS QKV GATED},
    {"minicpm-old", "minicpm", "B16 Y1", BASE RMS ROPE, UNTIED,
     NORMS FUSED_BIAS OUT_BIAS GATED_BIAS},
    {"minicpm-long-rope", "minicpm", "P256 B32", BASE RMS SCALES LONG_ROPE, TIED LONG_SHORT,
     NORMS QKV GATED},
    {"minicpm-experts", "minicpm", "B32 Y1", BASE RMS SCALES EXPERT_KEYS, TIED,
     NORMS QKV EXPERTS(F)},
    {"mistral3", "mistral3", "D16 Y1",
     BASE RMS HEAD_LENGTH ROT_ALL SCALING(yarn, 16.0) ORIGINAL(8)
     " rope.freq_base=1000.0 rope.scaling.yarn_beta_fast=0.5 rope.scaling.yarn_beta_slow=0.125"
     " rope.scaling.yarn_log_multiplier=0.5 attention.temperature_scale=0.5", UNTIED,
     NORMS QKV GATED},
    {"mistral3-experts", "mistral3", "U2 Y1", BASE RMS YARN EXPERT_KEYS, TIED DIVISORS,
     NORMS FUSED_BIAS EXPERTS(F)},
    {"mistral3-long-rope", "mistral3", "Y1", BASE RMS ROPE LONG_ROPE, UNTIED LONG_SHORT,
     NORMS QKV_BIAS OUT_BIAS GATED_BIAS},
    {"mpt", "mpt", "E48 H6 G6 Y1",
     SIZES LAYER_NORM " attention.clamp_kqv=1.5 attention.max_alibi_bias=8.0", TIED,
     NORMS FUSED UNGATED},
    {"mpt-grouped", "mpt", "", BASE LAYER_NORM LINEAR " attention.max_alibi_bias=4.0", UNTIED,
     NORMS FUSED UNGATED},
    {"mpt-learned", "mpt", "G4", SIZES LAYER_NORM " attention.max_alibi_bias=0.0",
     TIED_SHIFT POSITIONS, SHIFTS FUSED_BIAS OUT_BIAS UNGATED_BIAS " ffn.act.scales:F"},
    {"nemotron", "nemotron", "R4 Y1", BASE LAYER_NORM ROPE ROT_PART " rope.scaling.type=none",
     UNTIED_SHIFT, SHIFTS QKV UNGATED},
    {"nemotron-biases", "nemotron", "R4 Y1", BASE LAYER_NORM ROPE ROT_PART LINEAR, UNTIED_SHIFT,
     SHIFTS FUSED_BIAS OUT_BIAS UNGATED_BIAS},

    {"olmo", "olmo", "G4 Y1", BASE LAYER_NORM ROPE " attention.clamp_kqv=1.5", " token_embd:E,V",
     QKV GATED},
    {"olmo-fused", "olmo", "Y1", BASE LAYER_NORM YARN, " token_embd:E,V output:E,V",
     FUSED_BIAS GATED},
    {"olmo2", "olmo2", "Y1", BASE RMS ROPE, UNTIED, QKV_BIAS ROW_NORMS GATED POST_NORMS},
    {"olmo3", "olmo2", "L5 D16 H2 G2", BASE RMS YARN WINDOW, UNTIED,
     QKV ROW_NORMS GATED POST_NORMS},
    {"olmoe", "olmoe", "G4 F16 Y1", BASE RMS ROPE EXPERT_KEYS, UNTIED,
     NORMS QKV_BIAS ROW_NORMS EXPERTS(F)},
    {"olmoe-yarn", "olmoe", "G4 F16", BASE RMS YARN EXPERT_KEYS, UNTIED,
     NORMS QKV ROW_NORMS EXPERTS(F)},
    {"orion", "orion", "Y1", BASE LAYER_NORM, UNTIED_SHIFT, SHIFTS QKV GATED},
    {"orion-fused", "orion", "Y1", BASE LAYER_NORM YARN, UNTIED_SHIFT, SHIFTS FUSED_BIAS GATED},
    {"phi2", "phi2", "G4 R6 Y1", BASE LAYER_NORM ROT_PART, UNTIED_SHIFT " output.bias:V",
     SHIFT QKV_BIAS OUT_BIAS UNGATED_BIAS},
    {"phi2-fused", "phi2", "G4 R4 Y1", BASE LAYER_NORM ROPE ROT_PART, UNTIED_SHIFT " output.bias:V",
     SHIFT FUSED_BIAS OUT_BIAS UNGATED_BIAS},
    {"phi3", "phi3", "G4 Y1", BASE RMS ROPE ROT_PART WINDOW ORIGINAL(64), UNTIED,
     NORMS FUSED GATE_UP},
    {"phi3-separate", "phi3", "Y1", BASE RMS ROPE, UNTIED, NORMS QKV_BIAS GATE_UP},
    {"phi3-short", "phi3", "",
     BASE RMS ROPE ROT_PART ORIGINAL(512) " rope.scaling.attn_factor=1.1875", UNTIED LONG_SHORT,
     NORMS FUSED_BIAS GATE_UP},
    {"phi3-long", "phi3", "R6",
     BASE RMS ROPE ROT_PART ORIGINAL(64) " rope.scaling.attn_factor=1.1875",
     TIED " rope_factors_long:3 rope_factors_short:3", NORMS FUSED GATE_UP},

    {"qwen2", "qwen2", "Y1", BASE RMS ROPE, TIED, NORMS QKV_BIAS GATED},
    {"qwen2-fused", "qwen2", "Y1", BASE RMS YARN, UNTIED " output.bias:V", NORMS FUSED_BIAS GATED},
    {"qwen2moe", "qwen2moe", "Y1", BASE RMS ROPE EXPERT_WIDTH SHARED_WIDTH, UNTIED,
     NORMS QKV_BIAS EXPERTS(W) SHARED(S) " ffn_gate_inp_shexp:E"},
    {"qwen2moe-old", "qwen2moe", "U3 Y1", BASE RMS YARN EXPERT_KEYS, UNTIED,
     NORMS FUSED_BIAS EXPERTS(W) SHARED(F) " ffn_gate_inp_shexp:E"},
    {"qwen3", "qwen3", "D16 Y1", BASE RMS ROPE HEAD_LENGTH, TIED, NORMS QKV HEAD_NORMS GATED},
    {"qwen3-yarn", "qwen3", "Y1", BASE RMS YARN, UNTIED, NORMS FUSED_BIAS HEAD_NORMS GATED},
    {"qwen3moe", "qwen3moe", "D16 U2 Y1", BASE RMS ROPE HEAD_LENGTH EXPERT_WIDTH, UNTIED,
     NORMS QKV HEAD_NORMS EXPERTS(W)},
    {"qwen3moe-yarn", "qwen3moe", "U3 Y1", BASE RMS YARN EXPERT_WIDTH, TIED,
     NORMS FUSED_BIAS HEAD_NORMS EXPERTS(W)},
    {"seed_oss", "seed_oss", "D16 Y1", BASE RMS ROPE HEAD_LENGTH, UNTIED,
     LATE_NORMS QKV_BIAS GATED},
    {"seed_oss-fused", "seed_oss", "Y1", BASE RMS YARN, TIED, LATE_NORMS FUSED_BIAS GATED},
    {"smollm3", "smollm3", "L5 Y1", BASE RMS ROPE, TIED, NORMS QKV GATED},
    {"smollm3-fused", "smollm3", "L5 Y1", BASE RMS YARN, UNTIED, NORMS FUSED_BIAS GATED},
    {"stablelm", "stablelm", "G4 R4 Y1", BASE LAYER_NORM ROT_PART " use_parallel_residual=false",
     UNTIED_SHIFT, SHIFTS QKV_BIAS GATED},
    {"stablelm-fused", "stablelm", "R4 Y1", BASE LAYER_NORM ROPE ROT_PART, UNTIED_SHIFT,
     SHIFTS FUSED_BIAS GATED},
    {"stablelm-12b", "stablelm", "R4", BASE LAYER_NORM ROT_PART " use_parallel_residual=true",
     UNTIED_SHIFT, SHIFT QKV EACH_NORMS GATED},
    {"starcoder", "starcoder", "G1 Y1", BASE LAYER_NORM, TIED_SHIFT POSITIONS,
     SHIFTS FUSED_BIAS OUT_BIAS UNGATED_BIAS},
    {"starcoder-own-head", "starcoder", "", BASE LAYER_NORM LINEAR, UNTIED_SHIFT POSITIONS,
     SHIFTS FUSED_BIAS OUT_BIAS UNGATED_BIAS},
    {"starcoder2", "starcoder2", "Y1", BASE LAYER_NORM ROPE, TIED_SHIFT,
     SHIFTS QKV_BIAS OUT_BIAS UNGATED_BIAS},
    {"starcoder2-fused", "starcoder2", "Y1", BASE LAYER_NORM YARN, UNTIED_SHIFT,
     SHIFTS FUSED_BIAS OUT_BIAS UNGATED_BIAS},
    {"xverse", "xverse", "Y1", BASE RMS ROT_ALL, UNTIED, NORMS QKV GATED},
    {"xverse-fused", "xverse", "Y1", BASE RMS YARN ROT_ALL, UNTIED, NORMS FUSED_BIAS GATED},
};
// clang-format on

enum { GOLDEN_N_MODELS = sizeof golden_models / sizeof *golden_models };

#endif
