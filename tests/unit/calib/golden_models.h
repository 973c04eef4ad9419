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
#define RMS          " attention.layer_norm_rms_epsilon=0.03125"
#define LAYER_NORM   " attention.layer_norm_epsilon=0.03125"
#define SIZES        " context_length=P embedding_length=E block_count=L feed_forward_length=F attention.head_count=H"
#define BASE         SIZES " attention.head_count_kv=G"
#define HEAD_LENGTH  " attention.key_length=D attention.value_length=D"
#define ROPE         " rope.freq_base=5000.0"
#define YARN         ROPE " rope.scaling.type=yarn rope.scaling.factor=4.0 rope.scaling.original_context_length=512"
#define EXPERT_KEYS  " expert_count=X expert_used_count=U"
#define EXPERT_WIDTH EXPERT_KEYS " expert_feed_forward_length=W"
#define DENSE_KEYS   " leading_dense_block_count=Z"
#define SHARED_KEYS  DENSE_KEYS " expert_shared_count=2"
#define GATING_KEYS  " expert_weights_norm=true expert_weights_scale=2.5"
#define SCALE_KEYS   " embedding_scale=3.0 residual_scale=0.40625"
#define LATENT_KEYS  " attention.kv_lora_rank=C attention.key_length_mla=N+R attention.value_length_mla=O" \
                     " attention.key_length=C+R attention.value_length=C rope.dimension_count=R"
#define OLD_LATENT   " attention.kv_lora_rank=C attention.key_length=N+R attention.value_length=O rope.dimension_count=R"

// Tensors that go together.
#define TIED         " token_embd:E,V output_norm:E"
#define UNTIED       TIED " output:E,V"
#define TIED_SHIFT   TIED " output_norm.bias:E"
#define UNTIED_SHIFT TIED_SHIFT " output:E,V"
#define DIVISORS     " rope_freqs:4"
#define LONG_SHORT   " rope_factors_long:4 rope_factors_short:4"
#define SEPARATE     " attn_q*:E,HD attn_k*:E,GD attn_v*:E,GD attn_output*:HD,E"
#define SEPARATE_BIAS SEPARATE " attn_q.bias:HD attn_k.bias:GD attn_v.bias:GD"
#define FUSED        " attn_qkv*:E,HD+2GD attn_output*:HD,E"
#define FUSED_BIAS   FUSED " attn_qkv.bias:HD+2GD attn_output.bias:E"
#define ATTN_NORM    " attn_norm:E"
#define NORMS        ATTN_NORM " ffn_norm:E"
#define LATE_NORMS   ATTN_NORM " post_attention_norm:E"
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
#define EXPERTS      " ffn_gate_inp:E,X ffn_gate_exps*:E,W,X ffn_up_exps*:E,W,X ffn_down_exps*:W,E,X"
#define CHOICE_BIAS  " exp_probs_b.bias:X"
#define SHARED       " ffn_gate_shexp*:E,S ffn_up_shexp*:E,S ffn_down_shexp*:S,E"
#define EXTRA(n)     " blk." #n ".nextn.eh_proj.weight:2E,E blk." #n ".nextn.enorm.weight:E" \
                     " blk." #n ".nextn.hnorm.weight:E blk." #n ".nextn.shared_head_norm.weight:E"
#define LATENT_KV    " attn_kv_a_mqa:E,C+R attn_kv_a_norm:C attn_k_b:N,C,H attn_v_b:C,O,H attn_output*:HO,E"
#define LATENT_OLD   " attn_kv_a_mqa:E,C+R attn_kv_a_norm:C attn_kv_b:C,HN+HO attn_output*:HO,E"
#define LATENT_Q     " attn_q*:E,HN+HR"
#define LATENT_QA    " attn_q_a:E,A attn_q_a_norm:A attn_q_b:A,HN+HR"
#define V2_YARN      " rope.freq_base=5000.0 rope.scaling.type=yarn rope.scaling.factor=40.0" \
                     " rope.scaling.original_context_length=512"

static const golden_model golden_models[] = {
    {"arcee", "arcee", "Y1", BASE HEAD_LENGTH YARN RMS, UNTIED DIVISORS, NORMS SEPARATE UNGATED},
    {"baichuan-7b", "baichuan", "L32 T12 E16 H2 G2 F16 V24 M2 Y1",
     BASE RMS " tensor_data_layout=meta rope.dimension_count=D", UNTIED, NORMS SEPARATE GATED},
    {"baichuan-13b", "baichuan", "L40 T12 E24 H3 G3 F16 V24 M2", BASE RMS " rope.dimension_count=D",
     UNTIED, NORMS SEPARATE GATED},
    {"bloom", "bloom", "E48 H6 G6 Y1", BASE LAYER_NORM,
     TIED_SHIFT " token_embd_norm:E token_embd_norm.bias:E", SHIFTS FUSED_BIAS UNGATED_BIAS},
    {"bloom-own-head", "bloom", "G4", BASE LAYER_NORM,
     UNTIED_SHIFT " token_embd_norm:E token_embd_norm.bias:E", SHIFTS FUSED_BIAS UNGATED_BIAS},

    {"cohere2", "cohere2", "L5 Y1", BASE LAYER_NORM ROPE
     " rope.scaling.type=none rope.dimension_count=D logit_scale=0.25 attention.sliding_window=6",
     TIED, ATTN_NORM SEPARATE GATED},
    {"cohere2-period", "cohere2", "L4", BASE LAYER_NORM ROPE
     " logit_scale=0.25 attention.sliding_window=6 attention.sliding_window_pattern=2"
     " rope.freq_base_swa=100.0",
     TIED, ATTN_NORM SEPARATE GATED},
    {"command-r", "command-r", "Y1", BASE LAYER_NORM ROPE " rope.scaling.type=none logit_scale=0.25",
     TIED, ATTN_NORM SEPARATE GATED},
    {"command-r-plus", "command-r", "L64 T12 E16 H2 G1 F16 V24 M3",
     BASE LAYER_NORM ROPE " rope.scaling.type=none logit_scale=0.8125",
     TIED, ATTN_NORM SEPARATE EACH_NORMS GATED},

    {"deepseek", "deepseek", "L3 Z1 G4 Y1", BASE RMS ROPE EXPERT_WIDTH SHARED_KEYS
     " rope.scaling.type=none expert_weights_scale=1.5 rope.dimension_count=D",
     UNTIED, NORMS SEPARATE, GATED, EXPERTS " ffn_gate_shexp*:E,2W ffn_up_shexp*:E,2W ffn_down_shexp*:2W,E"},
    {"deepseek2-lite", "deepseek2", "L27 Z1 T12 E16 H2 G1 F16 X4 U2 W8 V24 M2",
     BASE RMS V2_YARN LATENT_KEYS EXPERT_WIDTH SHARED_KEYS
     " expert_gating_func=1 expert_weights_scale=1.0 rope.scaling.yarn_log_multiplier=0.0703125",
     UNTIED, NORMS LATENT_Q LATENT_KV, GATED,
     EXPERTS " ffn_gate_shexp:E,2W ffn_up_shexp:E,2W ffn_down_shexp:2W,E"},
    {"deepseek2-lite-old", "deepseek2", "L26 Z1 T12 E16 H2 G2 F16 X4 U2 W8 V24 M2",
     BASE RMS V2_YARN OLD_LATENT EXPERT_WIDTH SHARED_KEYS
     " expert_gating_func=1 expert_weights_scale=1.0 rope.scaling.yarn_log_multiplier=0.0703125",
     UNTIED, NORMS LATENT_Q LATENT_OLD, GATED,
     EXPERTS " ffn_gate_shexp:E,2W ffn_up_shexp:E,2W ffn_down_shexp:2W,E"},
    {"deepseek2-v2", "deepseek2", "L3 Z1 G1 X8 U3 Y1",
     BASE RMS V2_YARN LATENT_KEYS EXPERT_WIDTH SHARED_KEYS
     " attention.q_lora_rank=A expert_gating_func=1 expert_group_count=4 expert_group_used_count=2"
     " expert_weights_scale=4.0 rope.scaling.yarn_log_multiplier=0.125",
     UNTIED, NORMS LATENT_QA LATENT_KV, GATED,
     EXPERTS " ffn_gate_shexp*:E,2W ffn_up_shexp*:E,2W ffn_down_shexp*:2W,E"},
    {"deepseek2-v3", "deepseek2", "L3 Z1 G1 X12 U4",
     BASE RMS V2_YARN LATENT_KEYS EXPERT_WIDTH DENSE_KEYS GATING_KEYS
     " expert_shared_count=1 attention.q_lora_rank=A expert_gating_func=2 expert_group_count=4"
     " expert_group_used_count=2 rope.scaling.yarn_log_multiplier=0.0703125",
     UNTIED, NORMS LATENT_QA LATENT_KV, GATED,
     EXPERTS CHOICE_BIAS " ffn_gate_shexp:E,W ffn_up_shexp:E,W ffn_down_shexp:W,E"},
    {"deepseek2-v3-old", "deepseek2", "L3 Z1 G4 X12 U4",
     BASE RMS V2_YARN OLD_LATENT EXPERT_WIDTH DENSE_KEYS GATING_KEYS
     " expert_shared_count=1 attention.q_lora_rank=A expert_gating_func=2 expert_group_count=4"
     " expert_group_used_count=2 rope.scaling.yarn_log_multiplier=0.0703125",
     UNTIED, NORMS LATENT_QA LATENT_OLD, GATED,
     EXPERTS CHOICE_BIAS " ffn_gate_shexp:E,W ffn_up_shexp:E,W ffn_down_shexp:W,E"},
    {"deepseek2-plain-yarn", "deepseek2", "G1 F24", BASE RMS V2_YARN LATENT_KEYS EXPERT_WIDTH
     " leading_dense_block_count=2 expert_shared_count=1 attention.q_lora_rank=A",
     TIED, NORMS LATENT_QA LATENT_KV GATED},
    {"deepseek2-no-yarn", "deepseek2", "G1 Z1", BASE RMS ROPE LATENT_KEYS EXPERT_WIDTH DENSE_KEYS
     GATING_KEYS " attention.q_lora_rank=A expert_gating_func=2 expert_shared_count=1",
     UNTIED, NORMS LATENT_QA LATENT_KV, GATED,
     " ffn_gate_inp:E,X ffn_gate_up_exps:E,2W,X ffn_down_exps:W,E,X ffn_gate_shexp:E,W"
     " ffn_up_shexp:E,W ffn_down_shexp:W,E"},
    {"deepseek2-temperature", "deepseek2", "G1 F24", BASE RMS V2_YARN LATENT_KEYS EXPERT_WIDTH
     " leading_dense_block_count=2 expert_shared_count=1 attention.q_lora_rank=A attention.temperature_scale=0.5"
     " attention.temperature_length=6 rope.scaling.yarn_log_multiplier=0.125",
     UNTIED, NORMS LATENT_QA LATENT_KV GATED},
    {"deepseek2-extra-layer", "deepseek2", "L3 G1 F24", BASE RMS ROPE LATENT_KEYS EXPERT_WIDTH
     " leading_dense_block_count=3 expert_shared_count=1 attention.q_lora_rank=A nextn_predict_layers=1",
     UNTIED EXTRA(2), NORMS LATENT_QA LATENT_KV GATED},
    {"dots1", "dots1", "L3 Z1 G4 Y1", BASE RMS ROPE EXPERT_WIDTH SHARED_KEYS GATING_KEYS
     " expert_gating_func=2",
     UNTIED, NORMS SEPARATE HEAD_NORMS, GATED,
     EXPERTS CHOICE_BIAS " ffn_gate_shexp*:E,2W ffn_up_shexp*:E,2W ffn_down_shexp*:2W,E"},

    {"ernie4_5", "ernie4_5", "D16 Y1", BASE RMS ROPE HEAD_LENGTH, TIED,
     NORMS SEPARATE_BIAS " attn_output.bias:E" GATED},
    {"ernie4_5-moe", "ernie4_5-moe", "L3 Z1 Y1",
     BASE RMS ROPE EXPERT_WIDTH SHARED_KEYS
     " interleave_moe_layer_step=1 expert_shared_feed_forward_length=S",
     TIED, NORMS SEPARATE_BIAS " attn_output.bias:E", GATED, EXPERTS CHOICE_BIAS SHARED},
    {"exaone", "exaone", "Y1", BASE RMS LAYER_NORM ROPE " rope.dimension_count=D",
     TIED DIVISORS, NORMS SEPARATE GATED},
    {"exaone4", "exaone4", "Y1",
     BASE RMS ROPE HEAD_LENGTH " attention.sliding_window=6 attention.sliding_window_pattern=3",
     TIED DIVISORS, SEPARATE HEAD_NORMS GATED POST_NORMS},
    {"exaone4-32b", "exaone4", "L64 T12 E16 H2 G1 F16 V24 M3",
     BASE RMS ROPE HEAD_LENGTH " attention.sliding_window=5",
     UNTIED DIVISORS, SEPARATE HEAD_NORMS GATED POST_NORMS},
    {"exaone4-extra-layer", "exaone4", "L3", BASE RMS ROPE HEAD_LENGTH " nextn_predict_layers=1",
     TIED EXTRA(2), SEPARATE HEAD_NORMS GATED POST_NORMS},

    {"falcon-7b", "falcon", "G1 Y1", BASE LAYER_NORM " tensor_data_layout=jploski", TIED_SHIFT,
     SHIFT FUSED UNGATED},
    {"falcon-40b", "falcon", "", BASE LAYER_NORM " tensor_data_layout=jploski", UNTIED_SHIFT,
     SHIFT " attn_norm_2:E attn_norm_2.bias:E" FUSED UNGATED},
    {"gemma", "gemma", "D16 G1 B16 Y1", BASE RMS HEAD_LENGTH, TIED, NORMS SEPARATE GATED},
    {"gemma2", "gemma2", "L3 D16 B16 Y1", BASE RMS HEAD_LENGTH
     " attn_logit_softcapping=3.0 final_logit_softcapping=2.5 attention.sliding_window=6",
     TIED, NORMS SEPARATE GATED POST_NORMS},
    {"gemma2-bases", "gemma2", "L3 B16", BASE RMS HEAD_LENGTH ROPE
     " rope.freq_base_swa=50.0 attention.sliding_window=6 attention.sliding_window_pattern=3",
     TIED, NORMS SEPARATE GATED POST_NORMS},
    {"gemma2-27b", "gemma2", "L46 T12 E16 H2 G1 D16 F16 V24 B16 M3",
     BASE RMS HEAD_LENGTH " attention.sliding_window=5", TIED, NORMS SEPARATE GATED POST_NORMS},
    {"gemma3", "gemma3", "L7 D16 B16 Y1", BASE RMS HEAD_LENGTH ROPE
     " rope.freq_base_swa=100.0 attention.sliding_window=6",
     TIED, NORMS SEPARATE HEAD_NORMS GATED POST_NORMS},
    {"gemma3-linear", "gemma3", "L4 B16", BASE RMS HEAD_LENGTH
     " rope.freq_base=100000.0 rope.scaling.type=linear rope.scaling.factor=4.0"
     " attention.sliding_window=6 attention.sliding_window_pattern=3 final_logit_softcapping=2.5",
     TIED, NORMS SEPARATE HEAD_NORMS GATED POST_NORMS},
    {"gemma3-no-window", "gemma3", "B16", BASE RMS HEAD_LENGTH ROPE, UNTIED,
     NORMS SEPARATE HEAD_NORMS GATED POST_NORMS},
    {"gemma3-27b", "gemma3", "L62 T12 E16 H2 G1 D16 F16 V24 B16 M3",
     BASE RMS HEAD_LENGTH ROPE " attention.sliding_window=5",
     TIED, NORMS SEPARATE HEAD_NORMS GATED POST_NORMS},
    {"glm4", "glm4", "D16 R8 Y1", BASE RMS ROPE HEAD_LENGTH " rope.dimension_count=R", UNTIED,
     NORMS SEPARATE_BIAS GATE_UP POST_NORMS},
    {"glm4-vision", "glm4", "", BASE RMS ROPE HEAD_LENGTH
     " rope.dimension_count=R rope.dimension_sections=[1,2,1,0]",
     TIED, NORMS SEPARATE_BIAS GATE_UP POST_NORMS},
    {"glm4-extra-layer", "glm4", "L3",
     BASE RMS ROPE HEAD_LENGTH " rope.dimension_count=R nextn_predict_layers=1",
     UNTIED EXTRA(2), NORMS SEPARATE_BIAS GATE_UP POST_NORMS},
    {"glm4moe", "glm4moe", "L4 Z1 D16 R8",
     BASE RMS ROPE HEAD_LENGTH EXPERT_WIDTH DENSE_KEYS GATING_KEYS
     " rope.dimension_count=R expert_shared_count=1 expert_gating_func=2 nextn_predict_layers=1"
     " expert_group_count=1 expert_group_used_count=1",
     UNTIED EXTRA(3), LATE_NORMS SEPARATE_BIAS HEAD_NORMS, GATED,
     EXPERTS CHOICE_BIAS " ffn_gate_shexp:E,W ffn_up_shexp:E,W ffn_down_shexp:W,E"},
    {"glm4moe-air", "glm4moe", "L2 Z1 Y1",
     BASE RMS ROPE HEAD_LENGTH EXPERT_WIDTH DENSE_KEYS
     " rope.dimension_count=R expert_shared_count=1",
     UNTIED, LATE_NORMS SEPARATE_BIAS, GATED,
     EXPERTS CHOICE_BIAS " ffn_gate_shexp*:E,W ffn_up_shexp*:E,W ffn_down_shexp*:W,E"},
    {"gpt-oss", "gpt-oss", "L3 D16 U2 Y1", BASE RMS HEAD_LENGTH YARN EXPERT_WIDTH
     " attention.sliding_window=6",
     UNTIED, LATE_NORMS SEPARATE_BIAS " attn_output.bias:E attn_sinks:H" EXPERTS
     " ffn_gate_inp.bias:X ffn_gate_exps.bias:W,X ffn_up_exps.bias:W,X ffn_down_exps.bias:E,X"},
    {"gpt2", "gpt2", "Y1", SIZES LAYER_NORM, TIED_SHIFT " position_embd:E,P",
     SHIFTS " attn_qkv*:E,3HD attn_qkv.bias:3HD attn_output*:HD,E attn_output.bias:E" UNGATED_BIAS},
    {"gpt2-own-head", "gpt2", "", SIZES LAYER_NORM, UNTIED_SHIFT " position_embd:E,P",
     SHIFTS " attn_qkv*:E,3HD attn_qkv.bias:3HD attn_output*:HD,E attn_output.bias:E" UNGATED_BIAS},
    {"gptneox-parallel", "gptneox", "G4 R4 Y1",
     SIZES LAYER_NORM " rope.dimension_count=R use_parallel_residual=true", UNTIED_SHIFT,
     SHIFTS FUSED_BIAS UNGATED_BIAS},
    {"gptneox-sequential", "gptneox", "G4",
     SIZES LAYER_NORM " rope.dimension_count=R use_parallel_residual=false", UNTIED_SHIFT,
     SHIFTS FUSED_BIAS UNGATED_BIAS},
    {"granite", "granite", "Y1", BASE RMS ROPE SCALE_KEYS
     " rope.dimension_count=D attention.scale=0.25 logit_scale=4.0",
     TIED, NORMS SEPARATE GATED},
    {"granite-no-rope", "granite", "", BASE RMS ROPE SCALE_KEYS
     " rope.dimension_count=D logit_scale=4.0 rope.scaling.finetuned=false",
     UNTIED, NORMS SEPARATE GATED},
    {"granite-experts", "granite", "S24", BASE RMS ROPE SCALE_KEYS EXPERT_KEYS
     " rope.dimension_count=D logit_scale=4.0 expert_shared_feed_forward_length=S rope.scaling.type=longrope",
     UNTIED LONG_SHORT,
     NORMS SEPARATE " ffn_gate_inp:E,X ffn_gate_exps:E,F,X ffn_up_exps:E,F,X ffn_down_exps:F,E,X" SHARED},
    {"granitemoe", "granitemoe", "Y1", BASE RMS ROPE SCALE_KEYS EXPERT_KEYS
     " rope.dimension_count=D attention.scale=0.25 logit_scale=4.0",
     TIED DIVISORS,
     NORMS SEPARATE " ffn_gate_inp:E,X ffn_gate_exps*:E,F,X ffn_up_exps*:E,F,X ffn_down_exps*:F,E,X"},
    {"granitemoe-shared", "granitemoe", "", BASE RMS ROPE SCALE_KEYS EXPERT_KEYS
     " rope.dimension_count=D attention.scale=0.25 logit_scale=4.0 rope.scaling.finetuned=false"
     " expert_shared_feed_forward_length=S",
     UNTIED,
     NORMS SEPARATE " ffn_gate_inp:E,X ffn_gate_exps:E,F,X ffn_up_exps:E,F,X ffn_down_exps:F,E,X" SHARED},
    {"hunyuan-dense", "hunyuan-dense", "D16 Y1", BASE RMS ROPE HEAD_LENGTH
     " rope.scaling.type=none rope.scaling.factor=4.0",
     TIED, NORMS SEPARATE HEAD_NORMS GATED},
    {"hunyuan-dense-alpha", "hunyuan-dense", "", BASE RMS ROPE HEAD_LENGTH " rope.scaling.alpha=50.0",
     UNTIED, NORMS SEPARATE HEAD_NORMS GATED},
    {"internlm2", "internlm2", "Y1", BASE RMS ROPE, UNTIED, NORMS SEPARATE GATED},

    {"llama", "llama", "D16 Y1", BASE RMS ROPE HEAD_LENGTH " rope.dimension_count=D", UNTIED,
     NORMS SEPARATE GATED " attn_q.input_scale:1"},
    {"llama-biases", "llama", "Y1", BASE RMS, UNTIED,
     NORMS SEPARATE_BIAS " attn_output.bias:E" GATED_BIAS},
    {"llama-fused", "llama", "", BASE RMS " rope.scale_linear=2.0", UNTIED,
     NORMS FUSED " attn_qkv.bias:HD+2GD" GATED},
    {"llama-tied", "llama", "", BASE RMS " rope.freq_base=500000.0", TIED DIVISORS,
     NORMS SEPARATE GATED},
    {"llama-linear", "llama", "G4", SIZES RMS " rope.scaling.type=linear rope.scaling.factor=4.0", TIED,
     NORMS SEPARATE GATED},
    {"llama-yarn", "llama", "D16", BASE RMS YARN HEAD_LENGTH " rope.scaling.attn_factor=0.8125", TIED,
     NORMS SEPARATE GATED},
    {"llama-long-rope", "llama", "",
     BASE RMS " rope.scaling.type=longrope rope.scaling.original_context_length=64",
     TIED LONG_SHORT, NORMS SEPARATE GATED},
    {"llama-experts", "llama", "U2 Y1", BASE RMS EXPERT_KEYS, UNTIED,
     NORMS SEPARATE " ffn_gate_inp:E,X ffn_gate_exps*:E,F,X ffn_up_exps*:E,F,X ffn_down_exps*:F,E,X"},
    {"minicpm", "minicpm", "B32 Y1", BASE RMS ROPE SCALE_KEYS " logit_scale=2.0", TIED,
     NORMS SEPARATE GATED},
    {"minicpm-old", "minicpm", "B16", BASE RMS, UNTIED, NORMS SEPARATE GATED},
    {"minicpm-long-rope", "minicpm", "P256 B32",
     BASE RMS SCALE_KEYS " logit_scale=2.0 rope.scaling.type=longrope", TIED LONG_SHORT,
     NORMS SEPARATE GATED},
    {"mistral3", "mistral3", "D16 Y1", BASE RMS HEAD_LENGTH
     " rope.freq_base=1000.0 rope.scaling.type=yarn rope.scaling.factor=16.0 rope.dimension_count=D"
     " rope.scaling.original_context_length=8 rope.scaling.yarn_beta_fast=1.1875"
     " rope.scaling.yarn_beta_slow=0.3125 rope.scaling.yarn_log_multiplier=0.5"
     " attention.temperature_scale=0.5",
     UNTIED, NORMS SEPARATE GATED},
    {"mistral3-experts", "mistral3", "U2 Y1", BASE RMS YARN EXPERT_KEYS, TIED,
     NORMS SEPARATE " ffn_gate_inp:E,X ffn_gate_exps*:E,F,X ffn_up_exps*:E,F,X ffn_down_exps*:F,E,X"},
    {"mpt", "mpt", "E48 H6 G6 Y1", SIZES LAYER_NORM " attention.clamp_kqv=1.5 attention.max_alibi_bias=8.0",
     TIED, NORMS FUSED UNGATED},
    {"mpt-grouped", "mpt", "", BASE LAYER_NORM " attention.max_alibi_bias=4.0", UNTIED,
     NORMS FUSED UNGATED},
    {"mpt-learned", "mpt", "G4", SIZES LAYER_NORM " attention.max_alibi_bias=0.0",
     TIED_SHIFT " position_embd:E,P", SHIFTS FUSED_BIAS UNGATED_BIAS " ffn.act.scales:F"},
    {"nemotron", "nemotron", "R4 Y1",
     BASE LAYER_NORM ROPE " rope.dimension_count=R rope.scaling.type=none", UNTIED_SHIFT,
     SHIFTS SEPARATE UNGATED},
    {"nemotron-biases", "nemotron", "R4",
     BASE LAYER_NORM ROPE " rope.dimension_count=R rope.scaling.type=linear rope.scaling.factor=2.0",
     UNTIED_SHIFT, SHIFTS SEPARATE_BIAS " attn_output.bias:E" UNGATED_BIAS},

    {"olmo", "olmo", "G4 Y1", BASE LAYER_NORM ROPE " attention.clamp_kqv=1.5", " token_embd:E,V",
     SEPARATE GATED},
    {"olmo-own-head", "olmo", "", BASE LAYER_NORM ROPE, " token_embd:E,V output:E,V", SEPARATE GATED},
    {"olmo2", "olmo2", "Y1", BASE RMS ROPE, UNTIED, SEPARATE ROW_NORMS GATED POST_NORMS},
    {"olmo3", "olmo2", "L5 D16 E32 H2 G2", BASE RMS YARN " attention.sliding_window=6", UNTIED,
     SEPARATE ROW_NORMS GATED POST_NORMS},
    {"olmoe", "olmoe", "G4 F16 Y1", BASE RMS ROPE EXPERT_KEYS, UNTIED,
     NORMS SEPARATE_BIAS ROW_NORMS " ffn_gate_inp:E,X ffn_gate_exps*:E,F,X ffn_up_exps*:E,F,X ffn_down_exps*:F,E,X"},
    {"phi2", "phi2", "G4 R6 Y1", BASE LAYER_NORM " rope.dimension_count=R",
     UNTIED_SHIFT " output.bias:V", SHIFT SEPARATE_BIAS " attn_output.bias:E" UNGATED_BIAS},
    {"phi2-fused", "phi2", "G4 R4", BASE LAYER_NORM " rope.dimension_count=R",
     UNTIED_SHIFT " output.bias:V", SHIFT FUSED_BIAS UNGATED_BIAS},
    {"phi3", "phi3", "G4 Y1", BASE RMS ROPE " rope.dimension_count=R attention.sliding_window=6"
     " rope.scaling.original_context_length=64",
     UNTIED, NORMS FUSED GATE_UP},
    {"phi3-short", "phi3", "", BASE RMS ROPE " rope.dimension_count=R attention.sliding_window=6"
     " rope.scaling.original_context_length=512 rope.scaling.attn_factor=1.1875",
     UNTIED LONG_SHORT, NORMS FUSED GATE_UP},
    {"phi3-long", "phi3", "R6", BASE RMS ROPE " rope.dimension_count=R"
     " rope.scaling.original_context_length=64 rope.scaling.attn_factor=1.1875",
     TIED " rope_factors_long:3 rope_factors_short:3", NORMS FUSED GATE_UP},

    {"qwen2", "qwen2", "Y1", BASE RMS ROPE, TIED, NORMS SEPARATE_BIAS GATED},
    {"qwen2-fused", "qwen2", "", BASE RMS YARN, UNTIED, NORMS FUSED " attn_qkv.bias:HD+2GD" GATED},
    {"qwen2moe", "qwen2moe", "Y1",
     BASE RMS ROPE EXPERT_WIDTH " expert_shared_feed_forward_length=S", UNTIED,
     NORMS SEPARATE_BIAS EXPERTS SHARED " ffn_gate_inp_shexp:E"},
    {"qwen2moe-old", "qwen2moe", "F48 U3", BASE RMS ROPE EXPERT_KEYS, UNTIED,
     NORMS SEPARATE_BIAS EXPERTS " ffn_gate_shexp:E,F ffn_up_shexp:E,F ffn_down_shexp:F,E"
     " ffn_gate_inp_shexp:E"},
    {"qwen3", "qwen3", "D16 Y1", BASE RMS ROPE HEAD_LENGTH, TIED, NORMS SEPARATE HEAD_NORMS GATED},
    {"qwen3-yarn", "qwen3", "", BASE RMS YARN, UNTIED, NORMS SEPARATE HEAD_NORMS GATED},
    {"qwen3moe", "qwen3moe", "D16 U2 Y1", BASE RMS ROPE HEAD_LENGTH EXPERT_WIDTH, UNTIED,
     NORMS SEPARATE HEAD_NORMS EXPERTS},
    {"seed_oss", "seed_oss", "D16 Y1", BASE RMS ROPE HEAD_LENGTH, UNTIED,
     LATE_NORMS SEPARATE_BIAS GATED},
    {"smollm3", "smollm3", "L5 Y1", BASE RMS ROPE, TIED, NORMS SEPARATE GATED},
    {"stablelm", "stablelm", "G4 R4 Y1", BASE LAYER_NORM " rope.dimension_count=R"
     " use_parallel_residual=false",
     UNTIED_SHIFT, SHIFTS SEPARATE_BIAS GATED},
    {"stablelm-12b", "stablelm", "R4", BASE LAYER_NORM " rope.dimension_count=R"
     " use_parallel_residual=true",
     UNTIED_SHIFT, SHIFT SEPARATE EACH_NORMS GATED},
    {"starcoder", "starcoder", "G1 Y1", BASE LAYER_NORM, TIED_SHIFT " position_embd:E,P",
     SHIFTS FUSED_BIAS UNGATED_BIAS},
    {"starcoder2", "starcoder2", "Y1", BASE LAYER_NORM ROPE, TIED_SHIFT,
     SHIFTS SEPARATE_BIAS " attn_output.bias:E" UNGATED_BIAS},
};

enum { GOLDEN_N_MODELS = sizeof golden_models / sizeof *golden_models };

#endif
