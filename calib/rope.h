// SPDX-License-Identifier: MIT
//
// The angles of rotary position embedding, as a table over positions.

#ifndef IMX_CALIB_ROPE_H
#define IMX_CALIB_ROPE_H

#include <stddef.h>

#include "formats/error.h"

typedef struct imx_rope {
    size_t n_pairs;
    size_t n_positions;
    float *cosines; // (n_positions, n_pairs)
    float *sines;   // (n_positions, n_pairs)
} imx_rope;

// Angle of pair i at position p: p / factor · base^(−i / n_pairs) / divisors[i]. `divisors`
// (n_pairs) may be NULL for all ones. *rope is the caller's to imx_rope_close, also on failure.
imx_status imx_rope_open(imx_rope *rope, size_t n_positions, size_t n_pairs, float base,
                         float factor, const float *divisors, imx_error *err);
void imx_rope_close(imx_rope *rope);

#endif
