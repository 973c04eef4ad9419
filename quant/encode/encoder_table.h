// SPDX-License-Identifier: MIT
//
// The rows behind imx_encoder_of, in the variant of the including source.

#ifndef IMX_QUANT_ENCODER_TABLE_H
#define IMX_QUANT_ENCODER_TABLE_H

#include "quant/encode/encoder.h"

extern const imx_encoder imx_encoder_table[];
extern const size_t imx_encoder_count;

#endif
