// SPDX-License-Identifier: MIT
//
// A pair of values of a query or key is read as a complex number and turned by an angle that grows
// with the position. The product of a query at p and a key at q then depends on p − q only, since
// Re(e^{ipθ} a · conj(e^{iqθ} b)) = Re(e^{i(p−q)θ} a · conj(b)). Pair i turns at the frequency
// base^(−2i/n_rot): the first pairs tell neighbours apart, the last ones chapters.
//
// Longer contexts than in training come from slower turning: linear scaling divides all
// frequencies by one factor s, Llama 3 and long-rope each pair's by its own. YaRN leaves the pairs
// alone that turn β_fast times or more within the original context, for they tell distances that
// training has seen; those that turn β_slow times or less are slowed down by s, and between the two
// the frequencies pass over linearly in i:
//
//     turns(i) = n_original · base^(−2i/n_rot) / 2π
//     i(β) = n_rot/2 · ln(n_original / 2πβ) / ln base     the pair that turns β times
//     frequency = share · θ + (1 − share) · θ/s           share: 1 to i(β_fast), 0 from i(β_slow)
//
// It also sharpens the attention, whose entropy grows with the number of keys: queries and keys
// are both multiplied by m(1) / m(λ), m(x) = 1 + 0.1 x ln s. With the multiplier λ = 1 the model
// has that in its weights already.
//
// Angles are computed in f64: at position 100,000 an f32 angle is off by a hundredth of a radian.

#include "calib/forward/rope.h"

#include <math.h>
#include <stdlib.h>

#include "formats/memory.h"

// How one kind of layers turns slower than the plain frequencies.
typedef struct scaling {
    double factor;
    double last_plain; // pairs up to this one keep their frequency
    double first_slow; // and from this one on have all of the factor
    double magnitude;  // of rotated values
} scaling;

// The pair that turns `beta` times within the original context.
static double pair_of_turns(const imx_hparams *hparams, double base, float beta) {
    const double context = (double)hparams->n_original_context;
    return hparams->n_rot / 2.0 * log(context / (2 * M_PI * (double)beta)) / log(base);
}

static double magnitude(const imx_hparams *hparams) {
    const double growth = 0.1 * log(fmax((double)hparams->rope_factor, 1.0));
    return (1 + growth) / (1 + (double)hparams->yarn_log_multiplier * growth);
}

static scaling scaling_of(const imx_hparams *hparams, double base, bool is_windowed) {
    if (is_windowed && hparams->rope_factor_spares_window) {
        return (scaling){.factor = 1, .magnitude = 1};
    }
    scaling s = {
        .factor = (double)hparams->rope_factor,
        .last_plain = -1,
        .magnitude = (double)hparams->rope_attention_factor,
    };
    if (hparams->rope_scaling == IMX_ROPE_SCALING_YARN) {
        s.last_plain = fmax(floor(pair_of_turns(hparams, base, hparams->yarn_beta_fast)), 0);
        s.first_slow =
            fmin(ceil(pair_of_turns(hparams, base, hparams->yarn_beta_slow)), hparams->n_rot - 1.0);
        s.magnitude *= magnitude(hparams);
    }
    return s;
}

// The part of a pair's own frequency in its scaled one, between 0 and 1.
static double plain_share(const scaling *s, size_t pair) {
    const double way = ((double)pair - s->last_plain) / fmax(s->first_slow - s->last_plain, 0.001);
    return 1 - fmin(fmax(way, 0), 1);
}

imx_status imx_rope_open(imx_rope *rope, size_t n_positions, const imx_hparams *hparams,
                         bool is_windowed, const float *divisors, imx_error *err) {
    const size_t n_pairs = hparams->n_rot / 2;
    const size_t n = n_positions * n_pairs;
    const double base = (double)(is_windowed ? hparams->rope_base_window : hparams->rope_base);
    const scaling s = scaling_of(hparams, base, is_windowed);
    *rope = (imx_rope){.n_pairs = n_pairs, .n_positions = n_positions};
    IMX_TRY(imx_alloc_aligned(&rope->cosines, n, sizeof *rope->cosines, err));
    IMX_TRY(imx_alloc_aligned(&rope->sines, n, sizeof *rope->sines, err));
    for (size_t i = 0; i < n_pairs; ++i) {
        const double share = plain_share(&s, i);
        const double divisor = divisors != NULL ? (double)divisors[i] : 1.0;
        const double plain = pow(base, -(double)i / (double)n_pairs) / divisor;
        const double frequency = share * plain + (1 - share) * plain / s.factor;
        for (size_t p = 0; p < n_positions; ++p) {
            rope->cosines[p * n_pairs + i] = (float)(s.magnitude * cos((double)p * frequency));
            rope->sines[p * n_pairs + i] = (float)(s.magnitude * sin((double)p * frequency));
        }
    }
    return IMX_OK;
}

void imx_rope_close(imx_rope *rope) {
    free(rope->cosines);
    free(rope->sines);
    *rope = (imx_rope){0};
}
