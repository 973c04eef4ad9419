// SPDX-License-Identifier: MIT
//
// Some files leave out what their family's first implementation had in its code. What can be told
// from the rest is computed here; where it cannot, the model is refused.

#include "calib/model/arch_finish.h"

#include <inttypes.h>
#include <math.h>

// The two sizes that were published differ in how they know positions, and no key says which.
imx_status imx_finish_baichuan(imx_hparams *hparams, const imx_gguf *gguf, imx_error *err) {
    enum { LAYERS_OF_7B = 32, LAYERS_OF_13B = 40 };
    if (hparams->n_layers == LAYERS_OF_13B) {
        hparams->alibi_max = 8;
        hparams->unrotated_period = 1;
    } else if (hparams->n_layers != LAYERS_OF_7B) {
        return imx_fail(err, IMX_ERR_UNSUPPORTED,
                        "%s: a Baichuan of %" PRIu32 " layers; this version knows how those of %d "
                        "and %d layers treat positions, and no key of the file tells it for others",
                        gguf->path, hparams->n_layers, LAYERS_OF_7B, LAYERS_OF_13B);
    }
    return IMX_OK;
}

// The 32B alone has windows, and its other layers are not rotated. The models without have the same
// keys.
imx_status imx_finish_exaone4(imx_hparams *hparams, const imx_gguf *gguf, imx_error *err) {
    enum { LAYERS_OF_32B = 64 };
    (void)gguf;
    (void)err;
    if (hparams->n_layers != LAYERS_OF_32B) {
        hparams->window = 0;
        hparams->rotates_in_window = 0;
    }
    return IMX_OK;
}

imx_status imx_finish_gemma(imx_hparams *hparams, const imx_gguf *gguf, imx_error *err) {
    (void)gguf;
    (void)err;
    hparams->embedding_scale = sqrtf((float)hparams->n_embd);
    return IMX_OK;
}

// The largest models scale scores by the embedding's share of a head instead of the head's length.
// A model without heads is refused behind this.
static imx_status finish_gemma(imx_hparams *hparams, uint32_t layers_of_27b, const imx_gguf *gguf,
                               imx_error *err) {
    if (hparams->n_layers == layers_of_27b && hparams->n_heads > 0) {
        hparams->attention_scale = 1.0f / sqrtf((float)(hparams->n_embd / hparams->n_heads));
    }
    return imx_finish_gemma(hparams, gguf, err);
}

imx_status imx_finish_gemma2(imx_hparams *hparams, const imx_gguf *gguf, imx_error *err) {
    return finish_gemma(hparams, 46, gguf, err);
}

imx_status imx_finish_gemma3(imx_hparams *hparams, const imx_gguf *gguf, imx_error *err) {
    return finish_gemma(hparams, 62, gguf, err);
}

// Files of GLM 4.7 Flash, with or without its extra layer, do not say that its gates are sigmoids.
static bool is_glm_flash(const imx_hparams *hparams) {
    return hparams->n_vocab == 154880 && (hparams->n_layers == 47 || hparams->n_layers == 48);
}

// Keys under the usual names describe the latents where others describe the heads. And YaRN's
// sharpening of the attention is in the scores here, by m(λ)² with λ = 10 · yarn_log_multiplier and
// m(λ) = 1 + 0.1 λ ln s; without the key it is in both, by m(1)². A factor of rotated values is in
// both, too.
imx_status imx_finish_deepseek2(imx_hparams *hparams, const imx_gguf *gguf, imx_error *err) {
    (void)gguf;
    (void)err;
    if (hparams->gating == IMX_GATING_DEFAULT && is_glm_flash(hparams)) {
        hparams->gating = IMX_GATING_SIGMOID;
    }
    if (hparams->head_dim_k_latent > 0 && hparams->head_dim_v_latent > 0) {
        hparams->head_dim_k = hparams->head_dim_k_latent;
        hparams->head_dim_v = hparams->head_dim_v_latent;
    }
    const float growth = 0.1f * logf(fmaxf(hparams->rope_factor, 1));
    const float lambda = 10 * hparams->yarn_log_multiplier;
    const bool is_in_rope = hparams->rope_scaling != IMX_ROPE_SCALING_YARN || lambda == 0;
    const float m =
        (1 + lambda * growth) * (is_in_rope ? 1 + growth : 1) * hparams->rope_attention_factor;
    hparams->attention_scale = m * m / sqrtf((float)hparams->head_dim_k);
    hparams->yarn_log_multiplier = is_in_rope ? 0 : 1;
    return IMX_OK;
}

imx_status imx_finish_granite(imx_hparams *hparams, const imx_gguf *gguf, imx_error *err) {
    (void)gguf;
    (void)err;
    if (!hparams->rope_is_trained) {
        hparams->unrotated_period = 1;
    }
    return IMX_OK;
}

// NTK-aware scaling by α: the slowest pair turns 1/α as fast, the fastest as before. The converter
// has it in the base already and leaves α out.
imx_status imx_finish_hunyuan(imx_hparams *hparams, const imx_gguf *gguf, imx_error *err) {
    const double n = hparams->head_dim_k;
    (void)gguf;
    (void)err;
    if (hparams->rope_alpha > 0) {
        hparams->rope_base *= (float)pow((double)hparams->rope_alpha, n / (n - 2));
    }
    return IMX_OK;
}

imx_status imx_finish_minicpm(imx_hparams *hparams, const imx_gguf *gguf, imx_error *err) {
    (void)gguf;
    (void)err;
    if (hparams->residual_scale == 0) {
        hparams->residual_scale = 1.4f / sqrtf((float)hparams->n_layers);
    }
    if (hparams->logit_scale == 0) {
        hparams->logit_scale = 256.0f / (float)hparams->n_embd;
    }
    return IMX_OK;
}

imx_status imx_finish_mistral3(imx_hparams *hparams, const imx_gguf *gguf, imx_error *err) {
    (void)gguf;
    (void)err;
    hparams->temperature_length = hparams->n_original_context;
    return IMX_OK;
}

// Published first without the keys: the experts that a token sees share what a dense layer has.
imx_status imx_finish_qwen2moe(imx_hparams *hparams, const imx_gguf *gguf, imx_error *err) {
    uint32_t own_width = 0;
    IMX_TRY(imx_gguf_get_u32(gguf, "qwen2moe.expert_feed_forward_length", false, &own_width, err));
    if (own_width == 0 && hparams->n_experts_used > 0) {
        hparams->n_ff_expert = hparams->n_ff / hparams->n_experts_used;
    }
    if (hparams->n_ff_shared == 0) {
        hparams->n_ff_shared = hparams->n_ff;
    }
    return IMX_OK;
}

imx_status imx_finish_sigmoid(imx_hparams *hparams, const imx_gguf *gguf, imx_error *err) {
    (void)gguf;
    (void)err;
    if (hparams->gating == IMX_GATING_DEFAULT) {
        hparams->gating = IMX_GATING_SIGMOID;
    }
    return IMX_OK;
}
