// SPDX-License-Identifier: MIT
#ifndef IMX_QUANT_SEARCH_AFFINE_H
#define IMX_QUANT_SEARCH_AFFINE_H
#include "quant/candidates.h"
imx_grid imx_fit_affine(const imx_group *group, imx_offset_rule rule);
#endif
