// SPDX-License-Identifier: MIT
//
// Properties that every encoder must have, on rows of Gaussian weights with a few outliers and on
// rows made to break it. The decoders are the judges.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/tensor_type.h"
#include "quant/encode/encoder.h"
#include "random_normal.h"

enum { N = 4096, MAX_BYTES = N * 4 };

static const imx_encode_options defaults = {0};
static const imx_importance uniform = {IMX_IMPORTANCE_UNIFORM, NULL};

// Types with blocks, fewest bits first.
static const uint32_t quantized[] = {
    IMX_TYPE_Q2_K, IMX_TYPE_Q3_K, IMX_TYPE_Q4_K, IMX_TYPE_Q5_K, IMX_TYPE_Q6_K,
    IMX_TYPE_Q8_0, IMX_TYPE_Q4_0, IMX_TYPE_Q4_1, IMX_TYPE_Q5_0, IMX_TYPE_Q5_1,
};
enum { N_BY_BITS = 6, N_QUANTIZED = sizeof quantized / sizeof *quantized };

// ---- rows --------------------------------------------------------------------------------------

static void fill_weights(float row[N], uint64_t seed) {
    random_state = seed;
    for (int j = 0; j < N; ++j) {
        const double outlier = j % 97 == 0 ? 4.0 : 1.0;
        row[j] = (float)(0.02 * outlier * random_normal());
    }
}

static void fill_importance(float diagonal[N], uint64_t seed) {
    random_state = seed;
    for (int j = 0; j < N; ++j) {
        diagonal[j] = (float)exp(random_normal());
    }
}

// ---- judging -----------------------------------------------------------------------------------

static void encode(uint32_t type, const float *row, size_t n, const imx_importance *importance,
                   uint8_t *blocks) {
    imx_encoder_of(type)->encode_row(row, n, importance, &defaults, blocks);
}

static void round_trip(uint32_t type, const float row[N], const imx_importance *importance,
                       float decoded[N]) {
    _Alignas(64) static uint8_t blocks[MAX_BYTES];
    encode(type, row, N, importance, blocks);
    imx_type_traits_of(type)->decode(blocks, decoded, N);
}

static double error_of(const float row[N], const float decoded[N], const float *diagonal) {
    double sum = 0.0;
    for (int j = 0; j < N; ++j) {
        const double e = (double)row[j] - (double)decoded[j];
        sum += (diagonal != NULL ? (double)diagonal[j] : 1.0) * e * e;
    }
    return sum;
}

static double power_of(const float row[N]) {
    double sum = 0.0;
    for (int j = 0; j < N; ++j) {
        sum += (double)row[j] * (double)row[j];
    }
    return sum;
}

// ---- tests -------------------------------------------------------------------------------------

static void plain_types_round_to_nearest(void **state) {
    (void)state;
    static const float row[8] = {0.0f, -0.0f, 1.0f, -1.5f, 0.1f, 1e6f, -3.3e38f, 0x1p-24f};
    uint8_t blocks[32];
    float decoded[8];
    encode(IMX_TYPE_F32, row, 8, &uniform, blocks);
    assert_memory_equal(blocks, row, sizeof row);
    encode(IMX_TYPE_F16, row, 8, &uniform, blocks);
    imx_type_traits_of(IMX_TYPE_F16)->decode(blocks, decoded, 8);
    static const float as_f16[8] = {0.0f,        -0.0f,    1.0f,      -1.5f,
                                    0x1.998p-4f, 65504.0f, -65504.0f, 0x1p-24f};
    assert_memory_equal(decoded, as_f16, sizeof as_f16);
    encode(IMX_TYPE_BF16, row, 8, &uniform, blocks);
    imx_type_traits_of(IMX_TYPE_BF16)->decode(blocks, decoded, 8);
    for (int j = 0; j < 8; ++j) {
        assert_true(fabsf(decoded[j] - row[j]) <= fabsf(row[j]) * 0x1p-8f);
        assert_true(isfinite(decoded[j]));
    }
}

static void error_falls_with_bits(void **state) {
    (void)state;
    float row[N];
    float decoded[N];
    double before = INFINITY;
    fill_weights(row, 1);
    for (int t = 0; t < N_BY_BITS; ++t) {
        round_trip(quantized[t], row, &uniform, decoded);
        const double error = error_of(row, decoded, NULL);
        assert_true(error < 0.5 * before);
        before = error;
    }
}

// Rounding to nearest with real-valued parameters from the extremes of each group, which no search
// should lose to although it has to store its parameters.
static double error_of_extremes(const float row[N], int group_len, int n_levels, bool has_min) {
    double sum = 0.0;
    for (int first = 0; first < N; first += group_len) {
        double low = 0.0;
        double high = 0.0;
        for (int j = first; j < first + group_len; ++j) {
            low = fmin(low, (double)row[j]);
            high = fmax(high, (double)row[j]);
        }
        const double reach = fmax(-low, high);
        const double scale = has_min ? (high - low) / (n_levels - 1) : reach / (n_levels / 2 - 1);
        const double offset = has_min ? low : 0.0;
        for (int j = first; j < first + group_len; ++j) {
            const double e =
                (double)row[j] - offset - scale * rint(((double)row[j] - offset) / scale);
            sum += e * e;
        }
    }
    return sum;
}

static void no_worse_than_rounding_by_extremes(void **state) {
    (void)state;
    static const struct {
        uint32_t type;
        int group_len;
        int n_levels;
        bool has_min;
    } rows[] = {
        {IMX_TYPE_Q2_K, 16, 4, true},   {IMX_TYPE_Q3_K, 16, 8, false},
        {IMX_TYPE_Q4_K, 32, 16, true},  {IMX_TYPE_Q5_K, 32, 32, true},
        {IMX_TYPE_Q6_K, 16, 64, false}, {IMX_TYPE_Q4_0, 32, 16, false},
        {IMX_TYPE_Q4_1, 32, 16, true},  {IMX_TYPE_Q5_0, 32, 32, false},
        {IMX_TYPE_Q5_1, 32, 32, true},  {IMX_TYPE_Q8_0, 32, 256, false},
    };
    float row[N];
    float decoded[N];
    fill_weights(row, 2);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        round_trip(rows[i].type, row, &uniform, decoded);
        assert_true(error_of(row, decoded, NULL) <
                    error_of_extremes(row, rows[i].group_len, rows[i].n_levels, rows[i].has_min));
    }
}

static void importance_lowers_the_weighted_error(void **state) {
    (void)state;
    float row[N];
    float diagonal[N];
    float decoded[N];
    fill_weights(row, 3);
    fill_importance(diagonal, 4);
    const imx_importance importance = {IMX_IMPORTANCE_DIAGONAL, diagonal};
    for (int t = 0; t < N_QUANTIZED; ++t) {
        round_trip(quantized[t], row, &uniform, decoded);
        const double without = error_of(row, decoded, diagonal);
        round_trip(quantized[t], row, &importance, decoded);
        assert_true(error_of(row, decoded, diagonal) < 0.95 * without);
    }
}

static void constant_importance_is_none(void **state) {
    (void)state;
    static const float constants[] = {1.0f, 0.0f, 3.7f, 1e-30f, 1e30f};
    _Alignas(64) static uint8_t expected[MAX_BYTES];
    _Alignas(64) static uint8_t blocks[MAX_BYTES];
    float row[N];
    float diagonal[N];
    fill_weights(row, 5);
    for (int t = 0; t < N_QUANTIZED; ++t) {
        const size_t row_bytes = (size_t)imx_type_row_bytes(quantized[t], N);
        encode(quantized[t], row, N, &uniform, expected);
        for (size_t c = 0; c < sizeof constants / sizeof *constants; ++c) {
            for (int j = 0; j < N; ++j) {
                diagonal[j] = constants[c];
            }
            const imx_importance importance = {IMX_IMPORTANCE_DIAGONAL, diagonal};
            encode(quantized[t], row, N, &importance, blocks);
            assert_memory_equal(blocks, expected, row_bytes);
        }
    }
}

static void powers_of_two_only_move_exponents(void **state) {
    (void)state;
    float row[N];
    float larger[N];
    float decoded[N];
    float decoded_larger[N];
    fill_weights(row, 6);
    for (int j = 0; j < N; ++j) {
        row[j] *= 64.0f; // far from subnormal halves
        larger[j] = 16.0f * row[j];
    }
    for (int t = 0; t < N_QUANTIZED; ++t) {
        round_trip(quantized[t], row, &uniform, decoded);
        round_trip(quantized[t], larger, &uniform, decoded_larger);
        for (int j = 0; j < N; ++j) {
            assert_true(decoded_larger[j] == 16.0f * decoded[j]);
        }
    }
}

// What fill makes of a row must come back with an error of at most `tolerance` of its power.
static void check_row(const char *what, const float row[N], const imx_importance *importance,
                      double tolerance) {
    float decoded[N];
    for (int t = 0; t < N_QUANTIZED; ++t) {
        round_trip(quantized[t], row, importance, decoded);
        for (int j = 0; j < N; ++j) {
            assert_true(isfinite(decoded[j]));
        }
        if (error_of(row, decoded, NULL) > tolerance * power_of(row)) {
            fail_msg("%s in %s: error %g of power %g", what, imx_type_name(quantized[t]),
                     error_of(row, decoded, NULL), power_of(row));
        }
    }
}

static void fill_constant(float row[N], float value) {
    for (int j = 0; j < N; ++j) {
        row[j] = value;
    }
}

static void odd_rows(void **state) {
    (void)state;
    float row[N];
    fill_constant(row, 0.0f);
    check_row("zeros", row, &uniform, 0.0);
    fill_constant(row, 0.37f);
    check_row("a constant", row, &uniform, 1e-3);
    fill_constant(row, -0.37f);
    check_row("a negative constant", row, &uniform, 1e-3);
    for (int j = 0; j < N; ++j) {
        row[j] = j % 2 == 0 ? 1.25f : -1.25f;
    }
    check_row("alternating signs", row, &uniform, 1e-2);
    fill_constant(row, 0.0f);
    row[100] = 3.0f;
    row[2000] = -7.0f;
    check_row("spikes", row, &uniform, 1e-2);
    fill_weights(row, 7);
    for (int j = 0; j < N; ++j) {
        row[j] *= j / 16 % 16 == 3 ? 1.0f : 1e-12f;
    }
    check_row("one group that matters", row, &uniform, 0.3);
}

static void small_and_large_rows(void **state) {
    (void)state;
    float row[N];
    fill_constant(row, 1e-40f);
    check_row("subnormal weights", row, &uniform, 1.0);
    fill_weights(row, 8);
    for (int j = 0; j < N; ++j) {
        row[j] *= 1e-3f;
    }
    check_row("weights near 1e-5", row, &uniform, 0.2);
    for (int j = 0; j < N; ++j) {
        row[j] *= 1e12f;
    }
    check_row("weights beyond the largest half", row, &uniform, 1.0);
    for (int j = 0; j < N; ++j) {
        row[j] = j % 2 == 0 ? 3.4e38f : -1.0f;
    }
    check_row("weights near the largest float", row, &uniform, 1.0);
}

static void odd_importance(void **state) {
    (void)state;
    float row[N];
    float diagonal[N];
    fill_weights(row, 9);
    const imx_importance importance = {IMX_IMPORTANCE_DIAGONAL, diagonal};
    fill_importance(diagonal, 10);
    for (int j = 0; j < N; ++j) {
        diagonal[j] *= j / 16 % 3 == 0 ? 0.0f : 1.0f;
    }
    check_row("groups without importance", row, &importance, 0.3);
    for (int j = 0; j < N; ++j) {
        diagonal[j] = j % 256 == 0 ? 1e38f : 1e-38f;
    }
    check_row("one column that counts", row, &importance, 0.5);
    for (int j = 0; j < N; ++j) {
        diagonal[j] = j % 256 == 0 ? 1e-45f : 0.0f;
    }
    check_row("subnormal importance", row, &importance, 0.5);
}

// Rows of random magnitude, sign and sparsity: never worse than a row of zeros.
static void rows_of_any_magnitude(void **state) {
    (void)state;
    float row[N];
    random_state = 11;
    for (int round = 0; round < 40; ++round) {
        const int exponent = -140 + 7 * round;
        const int spread = round % 3 * 20;
        for (int j = 0; j < N; ++j) {
            const int e = exponent + (int)((random_uniform() - 0.5) * spread);
            const double value = ldexp(random_normal(), e < 126 ? e : 126);
            row[j] = round % 4 == 1 && j % 10 != 0 ? 0.0f : (float)value;
            row[j] = round % 4 == 2 ? fabsf(row[j]) : row[j];
            row[j] = isfinite(row[j]) ? row[j] : 3e38f;
        }
        check_row("random magnitudes", row, &uniform, 1.0001);
    }
}

static void unknown_types_have_no_encoder(void **state) {
    (void)state;
    assert_null(imx_encoder_of(IMX_TYPE_IQ3_S));
    assert_null(imx_encoder_of(IMX_TYPE_I32));
    assert_null(imx_encoder_of(12345));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_types_round_to_nearest),
        cmocka_unit_test(error_falls_with_bits),
        cmocka_unit_test(no_worse_than_rounding_by_extremes),
        cmocka_unit_test(importance_lowers_the_weighted_error),
        cmocka_unit_test(constant_importance_is_none),
        cmocka_unit_test(powers_of_two_only_move_exponents),
        cmocka_unit_test(odd_rows),
        cmocka_unit_test(small_and_large_rows),
        cmocka_unit_test(odd_importance),
        cmocka_unit_test(rows_of_any_magnitude),
        cmocka_unit_test(unknown_types_have_no_encoder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
