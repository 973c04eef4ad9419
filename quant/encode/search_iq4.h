// SPDX-License-Identifier: MIT
//
// Searches for the scales of IQ4_NL and IQ4_XS, x̂ = scale · imx_iq4_values[q]. See search_iq4.c for
// the mathematics.

#ifndef IMX_QUANT_SEARCH_IQ4_H
#define IMX_QUANT_SEARCH_IQ4_H

#include "quant/encode/block_view.h"
#include "quant/encode/effort.h"

enum { IMX_IQ4_N_GROUPS = 8 }; // in a super-block

// Weights that share a scale, from a block view.
typedef struct imx_iq4_group {
    const float *x; // (IMX_BLOCK_LEN)
    const float *w; // (IMX_BLOCK_LEN) what an error costs, > 0
} imx_iq4_group;

// The real scale, of either sign, that fits a group best; 0 for a group of zeros.
float imx_fit_iq4(const imx_iq4_group *group, imx_effort effort);

// The codes of the nearest values, (IMX_BLOCK_LEN). With scale 0 all stand for 0.
void imx_iq4_codes(const imx_iq4_group *group, float scale, uint8_t codes[IMX_BLOCK_LEN]);

// The scales of a super-block: d times integers in -32..31.
typedef struct imx_iq4_scales {
    imx_f16 d;
    int integers[IMX_IQ4_N_GROUPS];
    float scales[IMX_IQ4_N_GROUPS]; // what d and the integers stand for on the view
} imx_iq4_scales;

// Chooses the scales of the groups of one super-block, whose view has `exponent`.
void imx_search_iq4(const imx_iq4_group groups[IMX_IQ4_N_GROUPS], int exponent, imx_effort effort,
                    imx_iq4_scales *out);

#endif
