// SPDX-License-Identifier: MIT

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "formats/tensor_type.h"
#include "quant/encode/encoder.h"
#include "quant/encode/run_metric.h"
#include "random_products.h"

static float products[IMX_COV_PAIRS];
static imx_run_metric metric;

// The entry of L D Lᵀ, where D follows from H's diagonal.
static void factors_give_the_metric(void **state) {
    (void)state;
    static double d[IMX_COV_RUN];
    random_products(products);
    imx_run_metric_init(&metric, products, imx_run_belief);
    assert_true(metric.is_known);
    for (int i = 0; i < IMX_COV_RUN; ++i) {
        for (int j = 0; j <= i; ++j) {
            double sum = 0.0;
            for (int k = 0; k < j; ++k) {
                sum += (double)metric.push[i][k] * (double)metric.push[j][k] * d[k];
            }
            const double h = (double)metric.h[i][j];
            d[i] = i == j ? h - sum : d[i];
            sum += i == j ? d[i] : (double)metric.push[i][j] * d[j];
            assert_true(fabs(sum - h) < 1e-5);
            assert_true(metric.h[i][j] == metric.h[j][i]);
            assert_true(metric.push[j][i] == 0.0f);
        }
        assert_true(d[i] > 0.0);
        assert_true(fabsf(metric.cost[i] * metric.h[i][i] - 1.0f) < 1e-6f);
    }
}

static void scale_does_not_count(void **state) {
    (void)state;
    static imx_run_metric scaled;
    random_products(products);
    imx_run_metric_init(&metric, products, imx_run_belief);
    for (int p = 0; p < IMX_COV_PAIRS; ++p) {
        products[p] *= 0x1p40f;
    }
    imx_run_metric_init(&scaled, products, imx_run_belief);
    assert_memory_equal(metric.h, scaled.h, sizeof metric.h);
    assert_memory_equal(metric.push, scaled.push, sizeof metric.push);
}

static void correlations_shrink(void **state) {
    (void)state;
    double trace = 0.0;
    random_products(products);
    imx_run_metric_init(&metric, products, imx_run_belief);
    for (int i = 0; i < IMX_COV_RUN; ++i) {
        trace += (double)metric.h[i][i];
    }
    assert_true(fabs(trace / IMX_COV_RUN - 1.0) < 1e-5);
    const double full = (double)products[1] / sqrt((double)products[0] * (double)products[2]);
    const double left =
        (double)metric.h[1][0] / sqrt((double)metric.h[0][0] * (double)metric.h[1][1]);
    assert_true(left / full > 0.5 && left / full < 0.9);
}

static void belief_decides(void **state) {
    (void)state;
    random_products(products);
    imx_run_metric_init(&metric, products, (imx_belief){.shrinkage = 1.0, .damping = 0.5});
    assert_true(metric.is_known);
    const double ratio = (double)metric.h[1][1] / (double)metric.h[0][0];
    double mean = 0.0;
    for (int i = 0; i < IMX_COV_RUN; ++i) {
        mean += (double)products[i * (i + 3) / 2] / IMX_COV_RUN;
        for (int j = 0; j < i; ++j) {
            assert_true(metric.h[i][j] == 0.0f && metric.push[i][j] == 0.0f);
        }
    }
    const double expected = ((double)products[2] + 0.5 * mean) / ((double)products[0] + 0.5 * mean);
    assert_true(fabs(ratio - expected) < 1e-5);
}

static void impossible_products_are_refused(void **state) {
    (void)state;
    for (int p = 0; p < IMX_COV_PAIRS; ++p) {
        products[p] = 0.0f;
    }
    imx_run_metric_init(&metric, products, imx_run_belief);
    assert_false(metric.is_known);
    for (int i = 0, p = 0; i < IMX_COV_RUN; ++i) { // correlations of -1 between all pairs
        for (int j = 0; j <= i; ++j) {
            products[p++] = i == j ? 1.0f : -1.0f;
        }
    }
    imx_run_metric_init(&metric, products, imx_run_belief);
    assert_false(metric.is_known);
}

static void dead_columns_cost_little(void **state) {
    (void)state;
    random_products(products);
    for (int i = 0, p = 0; i < IMX_COV_RUN; ++i) {
        for (int j = 0; j <= i; ++j, ++p) {
            products[p] = i == 7 || j == 7 ? 0.0f : products[p];
        }
    }
    imx_run_metric_init(&metric, products, imx_run_belief);
    assert_true(metric.is_known);
    assert_true(metric.h[7][7] > 0.0f && metric.h[7][7] < 0.1f);
}

// ---- from a square -----------------------------------------------------------------------------

static imx_run_metric other;

static void a_square_gives_the_same(void **state) {
    (void)state;
    static float square[IMX_COV_RUN][IMX_COV_RUN + 3]; // nothing is read above its diagonal
    random_products(products);
    imx_run_metric_init(&metric, products, imx_run_belief);
    for (int i = 0; i < IMX_COV_RUN; ++i) {
        for (int j = 0; j < IMX_COV_RUN + 3; ++j) {
            square[i][j] = j <= i ? metric.h[i][j] : NAN;
        }
    }
    imx_run_metric_from_square(&other, &square[0][0], IMX_COV_RUN + 3, IMX_COV_RUN);
    assert_true(other.is_known);
    assert_memory_equal(metric.h, other.h, sizeof metric.h);
    assert_memory_equal(metric.push, other.push, sizeof metric.push);
    assert_memory_equal(metric.cost, other.cost, sizeof metric.cost);
    assert_memory_equal(metric.sums, other.sums, sizeof metric.sums);
    square[5][5] = -square[5][5];
    imx_run_metric_from_square(&other, &square[0][0], IMX_COV_RUN + 3, IMX_COV_RUN);
    assert_false(other.is_known);
}

static void columns_behind_a_square_stand_alone(void **state) {
    (void)state;
    static const float square[2][2] = {{2.0f, 0.0f}, {1.0f, 6.0f}};
    imx_run_metric_from_square(&metric, &square[0][0], 2, 2);
    assert_true(metric.is_known);
    assert_true(metric.h[0][1] == 1.0f && metric.h[1][0] == 1.0f && metric.push[1][0] == 0.5f);
    for (int i = 2; i < IMX_COV_RUN; ++i) {
        for (int j = 0; j < IMX_COV_RUN; ++j) {
            assert_true(metric.h[i][j] == (i == j ? 4.0f : 0.0f));
        }
    }
}

// `metric` with H times `factor`.
static void scale_metric(float factor) {
    static float square[IMX_COV_RUN][IMX_COV_RUN];
    for (int i = 0; i < IMX_COV_RUN; ++i) {
        for (int j = 0; j < IMX_COV_RUN; ++j) {
            square[i][j] = metric.h[i][j] * factor;
        }
    }
    imx_run_metric_from_square(&other, &square[0][0], IMX_COV_RUN, IMX_COV_RUN);
    assert_true(other.is_known);
}

static void code(const imx_run_coder *coder, const imx_run_metric *with, imx_coded_run *run) {
    const imx_importance uniform = {IMX_IMPORTANCE_UNIFORM, NULL};
    const imx_encode_options options = {0};
    float x[IMX_COV_RUN];
    random_state = 9;
    for (int i = 0; i < IMX_COV_RUN; ++i) {
        x[i] = (float)random_normal();
    }
    coder->choose(coder, x, 0, IMX_COV_RUN, &uniform, &options, run);
    coder->feed_back(run, &coder->shape, x, with);
}

// Powers of two change no bit of what is chosen.
static void the_scale_of_a_square_does_not_count(void **state) {
    (void)state;
    static const float factors[2] = {0x1p-27f, 0x1p27f}; // 1e-8, 1e8
    random_products(products);
    imx_run_metric_init(&metric, products, imx_run_belief);
    for (int f = 0; f < 2; ++f) {
        scale_metric(factors[f]);
        for (uint32_t type = 0; type < IMX_TYPE_COUNT; ++type) {
            const imx_encoder *encoder = imx_encoder_of(type);
            if (encoder != NULL && encoder->runs != NULL) {
                imx_coded_run runs[2];
                code(encoder->runs, &metric, &runs[0]);
                code(encoder->runs, &other, &runs[1]);
                assert_memory_equal(&runs[0], &runs[1], sizeof runs[0]);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(factors_give_the_metric),
        cmocka_unit_test(scale_does_not_count),
        cmocka_unit_test(correlations_shrink),
        cmocka_unit_test(belief_decides),
        cmocka_unit_test(impossible_products_are_refused),
        cmocka_unit_test(dead_columns_cost_little),
        cmocka_unit_test(a_square_gives_the_same),
        cmocka_unit_test(columns_behind_a_square_stand_alone),
        cmocka_unit_test(the_scale_of_a_square_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
