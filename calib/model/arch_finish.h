// SPDX-License-Identifier: MIT
//
// Hyperparameters that a family computes from others instead of writing them down.

#ifndef IMX_CALIB_ARCH_FINISH_H
#define IMX_CALIB_ARCH_FINISH_H

#include "calib/model/hparams.h"

imx_finish_fn imx_finish_baichuan;  // positions by rotation or by ALiBi
imx_finish_fn imx_finish_exaone4;   // which of its models has windows
imx_finish_fn imx_finish_gemma;     // scale of the embedding
imx_finish_fn imx_finish_gemma2;    // and of the scores
imx_finish_fn imx_finish_gemma3;    //
imx_finish_fn imx_finish_deepseek2; // sizes of heads and scale of scores, of latent attention
imx_finish_fn imx_finish_granite;   // whether there is rotation
imx_finish_fn imx_finish_hunyuan;   // base of the rotation
imx_finish_fn imx_finish_minicpm;   // scales that old files lack
imx_finish_fn imx_finish_mistral3;  // length of the temperature
imx_finish_fn imx_finish_qwen2moe;  // widths of experts that old files lack
imx_finish_fn imx_finish_sigmoid;   // gates of experts, which are sigmoids

#endif
