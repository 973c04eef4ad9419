// SPDX-License-Identifier: MIT
//
// The searches for grids through zero against an exhaustive solver: all half-precision d of either
// sign from far too small to far too large, for each all integer scales of a group, for each the
// nearest codes. Nothing is pruned but a d whose first groups already cost more than the best.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/blocks.h"
#include "formats/half.h"
#include "formats/tensor_type.h"
#include "quant/encode/encoder.h"
#include "random_normal.h"

enum { N = IMX_SUPER_BLOCK_LEN, MAX_BLOCK_BYTES = 272 };

// A block: groups of `len` weights with the scales d · k, k from k_lowest to k_highest.
typedef struct problem {
    uint32_t type;
    int n_groups;
    int len;
    int lowest; // codes
    int highest;
    int k_lowest;
    int k_highest;
    int n_blocks; // to compare
    double bound; // on the mean error at default effort, in terms of the least there is
} problem;

// The bounds leave room above what these blocks gave when they were set: 1.0007, 1.0028, 1.080,
// 1.0000 and 1.0152.
static const problem problems[] = {
    {IMX_TYPE_Q4_0, 1, 32, -8, 7, 1, 1, 32, 1.005},
    {IMX_TYPE_Q5_0, 1, 32, -16, 15, 1, 1, 32, 1.01},
    {IMX_TYPE_Q8_0, 1, 32, -128, 127, 1, 1, 32, 1.15},
    {IMX_TYPE_Q3_K, 16, 16, -4, 3, -32, 31, 2, 1.01},
    {IMX_TYPE_Q6_K, 16, 16, -32, 31, -128, 127, 1, 1.03},
};
enum { N_PROBLEMS = sizeof problems / sizeof *problems };

// ---- data --------------------------------------------------------------------------------------

static void fill_block(float x[N], float w[N]) {
    for (int j = 0; j < N; ++j) {
        x[j] = (float)(0.02 * random_normal());
        w[j] = (float)exp(random_normal());
    }
}

// ---- the exhaustive solver ---------------------------------------------------------------------

static double nearest_code(double value, const problem *p) {
    const double code = (double)lrint(value);
    return code < p->lowest ? p->lowest : code > p->highest ? p->highest : code;
}

static double group_error(const float *x, const float *w, const problem *p, double scale) {
    const double inverse = 1.0 / scale;
    double error = 0.0;
    for (int j = 0; j < p->len; ++j) {
        const double e = (double)x[j] - scale * nearest_code((double)x[j] * inverse, p);
        error += (double)w[j] * e * e;
    }
    return error;
}

static double group_power(const float *x, const float *w, const problem *p) {
    double power = 0.0;
    for (int j = 0; j < p->len; ++j) {
        power += (double)w[j] * (double)x[j] * (double)x[j];
    }
    return power;
}

// The least error of a group for one d.
static double least_group_error(const float *x, const float *w, const problem *p, double d) {
    double least = group_power(x, w, p); // k = 0
    for (int k = p->k_lowest; k <= p->k_highest; ++k) {
        const double error = k == 0 ? least : group_error(x, w, p, d * k);
        least = error < least ? error : least;
    }
    return least;
}

static double block_error(const float *x, const float *w, const problem *p, double d,
                          double limit) {
    double error = 0.0;
    for (int g = 0; g < p->n_groups && error < limit; ++g) {
        error += least_group_error(x + g * p->len, w + g * p->len, p, d);
    }
    return error;
}

static double least_error(const float *x, const float *w, const problem *p) {
    double farthest = 0.0;
    for (int j = 0; j < p->n_groups * p->len; ++j) {
        farthest = fmax(farthest, fabs((double)x[j]));
    }
    const double d = farthest / p->lowest / fmin(p->k_lowest, -1); // takes it to the ends of ranges
    const imx_f16 first = imx_f16_from_f32((float)(d / 4.0));
    const imx_f16 last = imx_f16_from_f32((float)(d * 4.0));
    double least = INFINITY;
    for (int half = first; half <= last; ++half) {
        const double size = (double)imx_f16_to_f32((imx_f16)half);
        least = fmin(least, block_error(x, w, p, size, least));
        least = fmin(least, block_error(x, w, p, -size, least));
    }
    return least;
}

// ---- tests -------------------------------------------------------------------------------------

static double encoded_error(const float x[N], const float w[N], const problem *p,
                            imx_effort effort) {
    const size_t n = (size_t)(p->n_groups * p->len);
    const imx_importance importance = {IMX_IMPORTANCE_DIAGONAL, w};
    const imx_encode_options options = {.effort = effort, .weighting = IMX_WEIGHTING_PLAIN};
    _Alignas(64) uint8_t block[MAX_BLOCK_BYTES];
    float decoded[N];
    imx_encoder_of(p->type)->encode_row(x, n, &importance, &options, block);
    imx_type_traits_of(p->type)->decode(block, decoded, n);
    double error = 0.0;
    for (size_t j = 0; j < n; ++j) {
        const double e = (double)x[j] - (double)decoded[j];
        error += (double)w[j] * e * e;
    }
    return error;
}

static void errors_are_near_the_least(void **state) {
    (void)state;
    for (int i = 0; i < N_PROBLEMS; ++i) {
        const problem *p = &problems[i];
        double least = 0.0;
        double best = 0.0;
        double by_default = 0.0;
        for (int b = 0; b < p->n_blocks; ++b) {
            float x[N];
            float w[N];
            fill_block(x, w);
            least += least_error(x, w, p);
            best += encoded_error(x, w, p, IMX_EFFORT_BEST);
            by_default += encoded_error(x, w, p, IMX_EFFORT_DEFAULT);
        }
        print_message("%s: best %.4f, default %.4f of the least error\n", imx_type_name(p->type),
                      best / least, by_default / least);
        assert_true(best < 1.01 * least);
        assert_true(best > 0.9999 * least); // or the solver is not exhaustive
        assert_true(by_default < p->bound * least);
    }
}

static void codes_times_a_half_are_found(void **state) {
    (void)state;
    for (int i = 0; i < N_PROBLEMS; ++i) {
        const problem *p = &problems[i];
        float x[N];
        float w[N];
        fill_block(x, w);
        for (int j = 0; j < N; ++j) {
            const int range = p->highest - p->lowest + 1;
            const int code = j % p->len == 0 ? p->lowest : p->lowest + j * 7 % range;
            x[j] = -0x1.54p-6f * (float)code;
        }
        for (int effort = 0; effort < IMX_EFFORT_COUNT; ++effort) {
            const double power = group_power(x, w, p);
            assert_true(encoded_error(x, w, p, (imx_effort)effort) < 1e-6 * power);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_near_the_least),
        cmocka_unit_test(codes_times_a_half_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
