// SPDX-License-Identifier: MIT
//
// Rotary positions: angles from their formula, and the property they exist for.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "calib/forward/rope.h"
#include "calib/forward/row_ops.h"
#include "../random_values.h"

enum { N_PAIRS = 4, N_POSITIONS = 2000 };

static imx_rope open_rope_of(const imx_hparams *hparams, bool is_windowed, const float *divisors) {
    imx_rope rope;
    imx_error err;
    assert_int_equal(imx_rope_open(&rope, N_POSITIONS, hparams, is_windowed, divisors, &err),
                     IMX_OK);
    return rope;
}

static imx_rope open_rope(float base, float factor, const float *divisors) {
    const imx_hparams hparams = {
        .n_rot = 2 * N_PAIRS, .rope_base = base, .rope_factor = factor, .rope_attention_factor = 1};
    return open_rope_of(&hparams, false, divisors);
}

// That pair i turns by frequencies[i] from position to position, and values grow by `magnitude`.
static void check_angles(const imx_rope *rope, const double *frequencies, double magnitude) {
    for (size_t p = 0; p < N_POSITIONS; p += 13) {
        for (size_t i = 0; i < N_PAIRS; ++i) {
            const double angle = (double)p * frequencies[i];
            const size_t at = p * N_PAIRS + i;
            assert_true(fabs((double)rope->cosines[at] - magnitude * cos(angle)) < 1e-7);
            assert_true(fabs((double)rope->sines[at] - magnitude * sin(angle)) < 1e-7);
        }
    }
}

static void test_angles(void **state) {
    (void)state;
    static const float divisors[N_PAIRS] = {1, 2, 0.5f, 8};
    imx_rope rope = open_rope(10000.0f, 4.0f, divisors);
    // Frequencies of base 10000 over four pairs: 1, 0.1, 0.01, 0.001.
    static const double frequencies[N_PAIRS] = {1.0 / 4, 0.1 / 4 / 2, 0.01 / 4 / 0.5,
                                                0.001 / 4 / 8};
    check_angles(&rope, frequencies, 1);
    imx_rope_close(&rope);
}

// Within 6283 positions, 1000 times 2π, the four pairs turn 1000, 100, 10 and 1 times. So the one
// that turns β_fast = 90 times is between pairs 1 and 2, and 1.5 times between 2 and 3: pair 1 is
// the last to keep its frequency, pair 3 the first to be slowed down by all of the factor.
static const imx_hparams yarn = {
    .n_rot = 2 * N_PAIRS,
    .rope_base = 10000,
    .rope_base_window = 100,
    .rope_scaling = IMX_ROPE_SCALING_YARN,
    .rope_factor = 8,
    .n_original_context = 6283,
    .rope_attention_factor = 0.5f,
    .yarn_beta_fast = 90,
    .yarn_beta_slow = 1.5f,
};

static void test_yarn(void **state) {
    (void)state;
    static const double frequencies[N_PAIRS] = {1, 0.1, (0.01 + 0.01 / 8) / 2, 0.001 / 8};
    imx_rope rope = open_rope_of(&yarn, false, NULL);
    check_angles(&rope, frequencies, 0.5 * (1 + 0.1 * log(8)));
    imx_rope_close(&rope);
    imx_hparams multiplied = yarn;
    multiplied.yarn_log_multiplier = 0.25f;
    rope = open_rope_of(&multiplied, false, NULL);
    check_angles(&rope, frequencies, 0.5 * (1 + 0.1 * log(8)) / (1 + 0.025 * log(8)));
    imx_rope_close(&rope);
}

// The range begins at pair 0 at the earliest and ends at pair 2 · N_PAIRS − 1 at the latest, which
// is beyond the last one there is.
static void test_yarn_at_its_ends(void **state) {
    (void)state;
    static const double all_slow[N_PAIRS] = {1, 0.1 / 8, 0.01 / 8, 0.001 / 8};
    imx_hparams hparams = yarn;
    hparams.rope_attention_factor = 1;
    hparams.yarn_log_multiplier = 1;
    hparams.n_original_context = 1;
    imx_rope rope = open_rope_of(&hparams, false, NULL);
    check_angles(&rope, all_slow, 1);
    imx_rope_close(&rope);
    // From pair 1 to pair 9: the rest of the plain frequency falls by sixths.
    static const double cut_off[N_PAIRS] = {1, 0.1, 0.01 * (5 + 1 / 8.0) / 6,
                                            0.001 * (4 + 2 / 8.0) / 6};
    hparams.n_original_context = yarn.n_original_context;
    hparams.yarn_beta_slow = 1.01e-6f;
    rope = open_rope_of(&hparams, false, NULL);
    check_angles(&rope, cut_off, 1);
    imx_rope_close(&rope);
}

static void test_windows(void **state) {
    (void)state;
    static const double plain[N_PAIRS] = {1, 0.31622776601683794, 0.1, 0.031622776601683794};
    static const double linear[N_PAIRS] = {1 / 8.0, 0.31622776601683794 / 8, 0.1 / 8,
                                           0.031622776601683794 / 8};
    imx_hparams hparams = yarn;
    hparams.rope_factor_spares_window = 1;
    imx_rope rope = open_rope_of(&hparams, true, NULL);
    check_angles(&rope, plain, 1);
    imx_rope_close(&rope);
    hparams.rope_factor_spares_window = 0;
    hparams.rope_scaling = IMX_ROPE_SCALING_LINEAR;
    rope = open_rope_of(&hparams, true, NULL);
    check_angles(&rope, linear, 0.5);
    imx_rope_close(&rope);
}

static void rotate_at(const imx_rope *rope, size_t position, float *head) {
    imx_rotate_pairs(head, rope->cosines + position * N_PAIRS, rope->sines + position * N_PAIRS,
                     N_PAIRS);
}

static double rotated_product(const imx_rope *rope, size_t p, size_t q) {
    float query[2 * N_PAIRS], key[2 * N_PAIRS];
    double product = 0;
    random_fill(query, 2 * N_PAIRS, 1);
    random_fill(key, 2 * N_PAIRS, 2);
    rotate_at(rope, p, query);
    rotate_at(rope, q, key);
    for (size_t j = 0; j < 2 * N_PAIRS; ++j) {
        product += (double)query[j] * (double)key[j];
    }
    return product;
}

static void test_products_depend_on_distance(void **state) {
    (void)state;
    imx_rope rope = open_rope(500000.0f, 1.0f, NULL);
    const double near = rotated_product(&rope, 7, 2);
    assert_true(fabs(near - rotated_product(&rope, 1905, 1900)) < 1e-5);
    assert_true(fabs(near - rotated_product(&rope, 2, 7)) > 1e-2);
    imx_rope_close(&rope);
}

static void test_pairs_are_neighbours(void **state) {
    (void)state;
    float head[] = {1, 0, 0, 2, 5, 6};
    static const float cosines[] = {0, -1};
    static const float sines[] = {1, 0};
    imx_rotate_pairs(head, cosines, sines, 2);
    static const float wanted[] = {0, 1, 0, -2, 5, 6}; // a quarter turn, a half turn, untouched
    for (size_t j = 0; j < 6; ++j) {
        assert_true(head[j] == wanted[j]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_angles),
        cmocka_unit_test(test_yarn),
        cmocka_unit_test(test_yarn_at_its_ends),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_products_depend_on_distance),
        cmocka_unit_test(test_pairs_are_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
