// SPDX-License-Identifier: MIT
//
// The angles of rotary position embedding, as a table over positions.

#ifndef IMX_CALIB_ROPE_H
#define IMX_CALIB_ROPE_H

#include <stdbool.h>
#include <stddef.h>

#include "calib/model/hparams.h"
#include "formats/error.h"

typedef struct imx_rope {
    size_t n_pairs;
    size_t n_positions;
    float *cosines; // (n_positions, n_pairs)
    float *sines;   // (n_positions, n_pairs)
} imx_rope;

// The rotation of a model's layers, of those with a window if `is_windowed`. Angle of pair i at
// position p: p · base^(−i / n_pairs) / divisors[i], slowed down as the scaling of the model says,
// which may also multiply cosines and sines by a factor. `divisors` (n_pairs) may be NULL for all
// ones. *rope is the caller's to imx_rope_close, also on failure.
imx_status imx_rope_open(imx_rope *rope, size_t n_positions, const imx_hparams *hparams,
                         bool is_windowed, const float *divisors, imx_error *err);
void imx_rope_close(imx_rope *rope);

#endif
