// SPDX-License-Identifier: MIT
#ifndef IMX_QUANT_SEARCH_SYMMETRIC_H
#define IMX_QUANT_SEARCH_SYMMETRIC_H

#include "quant/candidates.h"

// Scale of the grid x̂ = scale · q that fits a group best, over all real scales of either sign
// (only positive ones where the codes are not negative).
float imx_fit_scale(const imx_group *group);

#endif
