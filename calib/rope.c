// SPDX-License-Identifier: MIT
//
// A pair of values of a query or key is read as a complex number and turned by an angle that grows
// with the position. The product of a query at p and a key at q then depends on p − q only, since
// Re(e^{ipθ} a · conj(e^{iqθ} b)) = Re(e^{i(p−q)θ} a · conj(b)). Pair i turns at the frequency
// base^(−2i/n_rot): the first pairs tell neighbours apart, the last ones chapters.
//
// Longer contexts than in training come from slower turning: linear scaling divides all
// frequencies by one factor, Llama 3 each pair's by its own.
//
// Angles are computed in f64: at position 100,000 an f32 angle is off by a hundredth of a radian.

#include "calib/rope.h"

#include <math.h>
#include <stdlib.h>

#include "formats/memory.h"

imx_status imx_rope_open(imx_rope *rope, size_t n_positions, const imx_hparams *hparams,
                         bool is_windowed, const float *divisors, imx_error *err) {
    const size_t n_pairs = hparams->n_rot / 2;
    const size_t n = n_positions * n_pairs;
    const double base = (double)(is_windowed ? hparams->rope_base_window : hparams->rope_base);
    const double factor =
        is_windowed && hparams->rope_factor_spares_window ? 1.0 : (double)hparams->rope_factor;
    *rope = (imx_rope){.n_pairs = n_pairs, .n_positions = n_positions};
    IMX_TRY(imx_alloc_aligned(&rope->cosines, n, sizeof *rope->cosines, err));
    IMX_TRY(imx_alloc_aligned(&rope->sines, n, sizeof *rope->sines, err));
    for (size_t i = 0; i < n_pairs; ++i) {
        const double divisor = (divisors != NULL ? (double)divisors[i] : 1.0) * factor;
        const double frequency = pow(base, -(double)i / (double)n_pairs) / divisor;
        for (size_t p = 0; p < n_positions; ++p) {
            rope->cosines[p * n_pairs + i] = (float)cos((double)p * frequency);
            rope->sines[p * n_pairs + i] = (float)sin((double)p * frequency);
        }
    }
    return IMX_OK;
}

void imx_rope_close(imx_rope *rope) {
    free(rope->cosines);
    free(rope->sines);
    *rope = (imx_rope){0};
}
