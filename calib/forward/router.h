// SPDX-License-Identifier: MIT
#ifndef IMX_CALIB_ROUTER_H
#define IMX_CALIB_ROUTER_H

#include "calib/model/hparams.h"

// Turns a token's router logits (n_experts) into the weights of its experts, −1 where it is not
// sent to an expert. `bias` (n_experts) sways the choice only; NULL: none. Of equal gates the
// expert with the lower number is chosen; where a gate or bias is NaN, so are the weights of the
// first experts.
void imx_route(const imx_hparams *hparams, const float *bias, float *values);

#endif
