// SPDX-License-Identifier: MIT
//
// IQ4_NL, IQ4_XS, TQ1_0, TQ2_0 and MXFP4 against solvers that try everything. Rows are Gaussian,
// importance is log-normal, and errors are weighted by the importance alone.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/blocks.h"
#include "formats/tensor_type.h"
#include "quant/encode/encoder.h"
#include "random_normal.h"

enum { N = 4096, MAX_ROW_BYTES = N };

static const uint32_t types[] = {
    IMX_TYPE_IQ4_NL, IMX_TYPE_IQ4_XS, IMX_TYPE_TQ1_0, IMX_TYPE_TQ2_0, IMX_TYPE_MXFP4,
};
enum { N_TYPES = sizeof types / sizeof *types };

static const imx_encode_options plain = {IMX_EFFORT_DEFAULT, IMX_WEIGHTING_PLAIN};
static const imx_encode_options plain_best = {IMX_EFFORT_BEST, IMX_WEIGHTING_PLAIN};
static const imx_importance uniform = {IMX_IMPORTANCE_UNIFORM, NULL};

// ---- rows --------------------------------------------------------------------------------------

typedef struct sample {
    float x[N];
    float diagonal[N];
    float decoded[N];
    imx_importance importance;
} sample;

static void fill_sample(sample *s, double importance_sigma) {
    random_state = 88172645463325252u;
    for (int j = 0; j < N; ++j) {
        s->x[j] = (float)(0.02 * random_normal());
        s->diagonal[j] = (float)exp(importance_sigma * random_normal());
    }
    s->importance = (imx_importance){IMX_IMPORTANCE_DIAGONAL, s->diagonal};
}

static void round_trip(sample *s, uint32_t type, const imx_encode_options *options) {
    _Alignas(64) uint8_t blocks[MAX_ROW_BYTES];
    imx_encoder_of(type)->encode_row(s->x, N, &s->importance, options, blocks);
    imx_type_traits_of(type)->decode(blocks, s->decoded, N);
}

static double error_of(const sample *s, int first, int n) {
    double sum = 0.0;
    for (int j = first; j < first + n; ++j) {
        const double e = (double)s->x[j] - (double)s->decoded[j];
        sum += (double)s->diagonal[j] * e * e;
    }
    return sum;
}

// ---- solvers -----------------------------------------------------------------------------------

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

// The error of a block of 32 in IQ4 with scale 1 / inverse, or the best one for its codes.
static double iq4_error(const sample *s, int first, double inverse) {
    double xx = 0.0;
    double xt = 0.0;
    double tt = 0.0;
    for (int j = first; j < first + IMX_BLOCK_LEN; ++j) {
        const double x = (double)s->x[j];
        const double w = (double)s->diagonal[j];
        double nearest = 0.0;
        double distance = INFINITY;
        for (int q = 0; q < 16; ++q) {
            if (fabs(x * inverse - imx_iq4_values[q]) < distance) {
                nearest = imx_iq4_values[q];
                distance = fabs(x * inverse - nearest);
            }
        }
        xx += w * x * x;
        xt += w * x * nearest;
        tt += w * nearest * nearest;
    }
    return xx - xt * xt / tt;
}

// The least error of a block of 32 with any real scale: codes change only where a weight meets a
// midpoint, so that one scale from each interval between such places is all there is to try.
static double least_iq4_error(const sample *s, int first) {
    double places[2 * IMX_BLOCK_LEN * 15];
    size_t n = 0;
    for (int j = first; j < first + IMX_BLOCK_LEN; ++j) {
        for (int q = 0; q < 15; ++q) {
            places[n++] = 0.5 * (imx_iq4_values[q] + imx_iq4_values[q + 1]) / (double)s->x[j];
        }
    }
    qsort(places, n, sizeof *places, compare_doubles);
    double least = fmin(iq4_error(s, first, 2.0 * places[0]), //
                        iq4_error(s, first, 2.0 * places[n - 1]));
    for (size_t i = 1; i < n; ++i) {
        least = fmin(least, iq4_error(s, first, 0.5 * (places[i - 1] + places[i])));
    }
    return least;
}

// The least error of 256 ternary weights: the largest magnitudes are kept, however many.
static double least_ternary_error(const sample *s, int first) {
    double order[IMX_SUPER_BLOCK_LEN][2]; // magnitude, weight
    double power = 0.0;
    for (int j = 0; j < IMX_SUPER_BLOCK_LEN; ++j) {
        order[j][0] = fabs((double)s->x[first + j]);
        order[j][1] = (double)s->diagonal[first + j];
        power += order[j][1] * order[j][0] * order[j][0];
    }
    qsort(order, IMX_SUPER_BLOCK_LEN, sizeof *order, compare_doubles);
    double least = power;
    double wx = 0.0;
    double w = 0.0;
    for (int j = IMX_SUPER_BLOCK_LEN - 1; j >= 0; --j) {
        wx += order[j][1] * order[j][0];
        w += order[j][1];
        least = fmin(least, power - wx * wx / w);
    }
    return least;
}

static double least_mxfp4_error(const sample *s, int first) {
    double least = INFINITY;
    for (int exponent = -30; exponent < 10; ++exponent) {
        double error = 0.0;
        for (int j = first; j < first + IMX_BLOCK_LEN; ++j) {
            double distance = INFINITY;
            for (int q = 0; q < 16; ++q) {
                const double value = ldexp(imx_mxfp4_values[q], exponent);
                distance = fmin(distance, fabs((double)s->x[j] - value));
            }
            error += (double)s->diagonal[j] * distance * distance;
        }
        least = fmin(least, error);
    }
    return least;
}

// ---- tests -------------------------------------------------------------------------------------

// IQ4_XS has no solver of its own; it is held against free scales.
static void near_the_least_error(void **state) {
    (void)state;
    static const struct {
        uint32_t type;
        int block_len;
        double (*least)(const sample *s, int first);
        double allowed;
        double allowed_best;
    } rows[] = {
        {IMX_TYPE_IQ4_NL, IMX_BLOCK_LEN, least_iq4_error, 1.005, 1.0005},
        {IMX_TYPE_IQ4_XS, IMX_BLOCK_LEN, least_iq4_error, 1.03, 1.025},
        {IMX_TYPE_TQ1_0, IMX_SUPER_BLOCK_LEN, least_ternary_error, 1.0005, 1.00001},
        {IMX_TYPE_TQ2_0, IMX_SUPER_BLOCK_LEN, least_ternary_error, 1.0005, 1.00001},
        {IMX_TYPE_MXFP4, IMX_BLOCK_LEN, least_mxfp4_error, 1.00001, 1.00001},
    };
    sample *s = calloc(1, sizeof *s);
    for (int sigma = 0; sigma <= 2; ++sigma) {
        fill_sample(s, sigma);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
            double least = 0.0;
            for (int first = 0; first < N; first += rows[i].block_len) {
                least += rows[i].least(s, first);
            }
            round_trip(s, rows[i].type, &plain);
            const double error = error_of(s, 0, N);
            round_trip(s, rows[i].type, &plain_best);
            const double best = error_of(s, 0, N);
            if (error > rows[i].allowed * least || best > rows[i].allowed_best * least) {
                fail_msg("%s, sigma %d: %g, best %g of the least error",
                         imx_type_name(rows[i].type), sigma, error / least, best / least);
            }
        }
    }
    free(s);
}

static void ternary_weights_come_back(void **state) {
    (void)state;
    static const float scales[] = {1.0f, 0x1.234p-6f, 0x1p-24f, 65504.0f}; // halves
    sample *s = calloc(1, sizeof *s);
    for (size_t i = 0; i < sizeof scales / sizeof *scales; ++i) {
        fill_sample(s, 3.0);
        for (int j = 0; j < N; ++j) {
            const float sign = (float)(j % 3 - 1);
            s->x[j] = j % 256 == 1 || j < 512 || random_uniform() < 0.9 ? sign * scales[i] : 0.0f;
        }
        for (int t = 2; t <= 3; ++t) {
            for (imx_effort effort = 0; effort < IMX_EFFORT_COUNT; ++effort) {
                const imx_encode_options options = {effort, IMX_WEIGHTING_AUTO};
                round_trip(s, types[t], &options);
                for (int j = 0; j < N; ++j) {
                    assert_true(s->decoded[j] == s->x[j]);
                }
            }
        }
    }
    free(s);
}

// Every representable block comes back, which also shows that the packing is right.
static void mxfp4_values_come_back(void **state) {
    (void)state;
    sample *s = calloc(1, sizeof *s);
    fill_sample(s, 1.0);
    for (int j = 0; j < N; ++j) {
        const int exponent = j / IMX_BLOCK_LEN - 20;
        const int q = j % IMX_BLOCK_LEN == 5 ? 7 : (int)(random_state >> 20 & 15);
        (void)random_uniform();
        s->x[j] = ldexpf((float)imx_mxfp4_values[q], exponent);
    }
    round_trip(s, IMX_TYPE_MXFP4, &plain);
    for (int j = 0; j < N; ++j) {
        assert_true(s->decoded[j] == s->x[j]);
    }
    free(s);
}

static void check_finite_and_useful(sample *s, const char *what) {
    for (int t = 0; t < N_TYPES; ++t) {
        double power = 0.0;
        round_trip(s, types[t], &plain);
        for (int j = 0; j < N; ++j) {
            assert_true(isfinite(s->decoded[j]));
            power += (double)s->diagonal[j] * (double)s->x[j] * (double)s->x[j];
        }
        if (error_of(s, 0, N) > 1.0001 * power) {
            fail_msg("%s in %s: error %g of power %g", what, imx_type_name(types[t]),
                     error_of(s, 0, N), power);
        }
    }
}

// Rows of any magnitude and sparsity, with groups of zeros, are never coded worse than as zeros.
static void odd_rows(void **state) {
    (void)state;
    sample *s = calloc(1, sizeof *s);
    s->importance = uniform;
    random_state = 11;
    for (int round = 0; round < 40; ++round) {
        const int exponent = -140 + 7 * round;
        const int spread = round % 3 * 20;
        for (int j = 0; j < N; ++j) {
            const int e = exponent + (int)((random_uniform() - 0.5) * spread);
            const double value = ldexp(random_normal(), e < 126 ? e : 126);
            const bool is_zero = (round % 4 == 1 && j % 10 != 0) || (round % 5 == 2 && j / 32 % 3);
            s->x[j] = is_zero ? 0.0f : (float)fmin(fmax(value, -3e38), 3e38);
            s->diagonal[j] = 1.0f;
        }
        check_finite_and_useful(s, "random magnitudes");
    }
    free(s);
}

static void odd_importance(void **state) {
    (void)state;
    sample *s = calloc(1, sizeof *s);
    fill_sample(s, 1.0);
    for (int j = 0; j < N; ++j) {
        s->diagonal[j] *= j / 32 % 3 == 0 ? 0.0f : 1.0f;
    }
    check_finite_and_useful(s, "groups without importance");
    for (int j = 0; j < N; ++j) {
        s->diagonal[j] = j % 256 == 0 ? 1e30f : 1e-38f;
    }
    check_finite_and_useful(s, "one column that counts");
    free(s);
}

static void all_instruction_sets_agree(void **state) {
    (void)state;
    _Alignas(64) uint8_t expected[MAX_ROW_BYTES];
    _Alignas(64) uint8_t blocks[MAX_ROW_BYTES];
    sample *s = calloc(1, sizeof *s);
    fill_sample(s, 1.0);
    for (int t = 0; t < N_TYPES; ++t) {
        const size_t row_bytes = (size_t)imx_type_row_bytes(types[t], N);
        for (imx_effort effort = 0; effort < IMX_EFFORT_COUNT; ++effort) {
            const imx_encode_options options = {effort, IMX_WEIGHTING_AUTO};
            imx_encoder_for(types[t], IMX_ISA_PLAIN)
                ->encode_row(s->x, N, &s->importance, &options, expected);
            for (imx_isa isa = IMX_ISA_AVX2; isa < IMX_ISA_COUNT; ++isa) {
                const imx_encoder *encoder = imx_encoder_for(types[t], isa);
                if (encoder != NULL) {
                    encoder->encode_row(s->x, N, &s->importance, &options, blocks);
                    assert_memory_equal(blocks, expected, row_bytes);
                }
            }
        }
    }
    free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(near_the_least_error),   cmocka_unit_test(ternary_weights_come_back),
        cmocka_unit_test(mxfp4_values_come_back), cmocka_unit_test(odd_rows),
        cmocka_unit_test(odd_importance),         cmocka_unit_test(all_instruction_sets_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
