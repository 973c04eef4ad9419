// SPDX-License-Identifier: MIT
//
// Losses against sums in double, for rows around the lengths of lanes and blocks.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quant/pipeline/row_loss.h"

enum { MAX_COLS = 5000 };

static const size_t lengths[] = {1, 15, 16, 17, 100, 511, 512, 513, 528, MAX_COLS};
enum { N_LENGTHS = sizeof lengths / sizeof *lengths };

static float x[MAX_COLS];
static float decoded[MAX_COLS];
static float diagonal[MAX_COLS];

static void fill(void) {
    for (size_t j = 0; j < MAX_COLS; ++j) {
        x[j] = sinf((float)j * 1.7f);
        decoded[j] = x[j] + 0.03f * cosf((float)j * 0.9f);
        diagonal[j] = 0.1f + (float)(j % 7);
    }
}

static void assert_near(double value, double expected) {
    assert_true(fabs(value - expected) <= 1e-6 * expected);
}

static void losses_are_the_sums(void **state) {
    (void)state;
    fill();
    for (size_t i = 0; i < 2 * N_LENGTHS; ++i) {
        const size_t n = lengths[i / 2];
        const float *importance = i % 2 == 0 ? diagonal : NULL;
        imx_tensor_loss expected = {0};
        for (size_t j = 0; j < n; ++j) {
            const double w = importance != NULL ? (double)importance[j] : 1.0;
            const double e = (double)(x[j] - decoded[j]);
            const double power = (double)x[j] * (double)x[j];
            imx_tensor_loss_add(&expected, &(imx_tensor_loss){w * e * e, w * power, e * e, power});
        }
        const imx_tensor_loss loss = imx_row_loss(x, decoded, importance, n);
        assert_near(loss.weighted_error, expected.weighted_error);
        assert_near(loss.weighted_power, expected.weighted_power);
        assert_near(loss.squared_error, expected.squared_error);
        assert_near(loss.squared_power, expected.squared_power);
    }
}

static void one_bad_weight_is_found(void **state) {
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    fill();
    for (size_t i = 0; i < N_LENGTHS; ++i) {
        const size_t n = lengths[i];
        const size_t places[] = {0, n / 2, n - 1};
        assert_true(imx_row_is_finite(x, n));
        for (size_t k = 0; k < 3; ++k) {
            const float good = x[places[k]];
            x[places[k]] = bad[k];
            assert_false(imx_row_is_finite(x, n));
            x[places[k]] = good;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_are_the_sums),
        cmocka_unit_test(one_bad_weight_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
