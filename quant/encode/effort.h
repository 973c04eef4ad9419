// SPDX-License-Identifier: MIT
//
// How long a search may take.

#ifndef IMX_QUANT_EFFORT_H
#define IMX_QUANT_EFFORT_H

typedef enum imx_effort {
    IMX_EFFORT_DEFAULT,
    IMX_EFFORT_BEST, // many times slower, within about a hundredth of the least error there is
    IMX_EFFORT_COUNT,
} imx_effort;

#endif
