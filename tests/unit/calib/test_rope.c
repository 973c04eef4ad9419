// SPDX-License-Identifier: MIT
//
// Rotary positions: angles from their formula, and the property they exist for.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "calib/rope.h"
#include "calib/row_ops.h"
#include "random_values.h"

enum { N_PAIRS = 4, N_POSITIONS = 2000 };

static imx_rope open_rope(float base, float factor, const float *divisors) {
    imx_rope rope;
    imx_error err;
    const imx_hparams hparams = {.n_rot = 2 * N_PAIRS, .rope_base = base, .rope_factor = factor};
    assert_int_equal(imx_rope_open(&rope, N_POSITIONS, &hparams, false, divisors, &err), IMX_OK);
    return rope;
}

static void test_angles(void **state) {
    (void)state;
    static const float divisors[N_PAIRS] = {1, 2, 0.5f, 8};
    imx_rope rope = open_rope(10000.0f, 4.0f, divisors);
    // Frequencies of base 10000 over four pairs: 1, 0.1, 0.01, 0.001.
    static const double frequencies[N_PAIRS] = {1.0 / 4, 0.1 / 4 / 2, 0.01 / 4 / 0.5,
                                                0.001 / 4 / 8};
    for (size_t p = 0; p < N_POSITIONS; p += 13) {
        for (size_t i = 0; i < N_PAIRS; ++i) {
            const double angle = (double)p * frequencies[i];
            assert_true(fabs((double)rope.cosines[p * N_PAIRS + i] - cos(angle)) < 1e-7);
            assert_true(fabs((double)rope.sines[p * N_PAIRS + i] - sin(angle)) < 1e-7);
        }
    }
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
        cmocka_unit_test(test_products_depend_on_distance),
        cmocka_unit_test(test_pairs_are_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
