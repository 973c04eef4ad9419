// SPDX-License-Identifier: MIT

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quant/encode/run_metric.h"
#include "random_products.h"

static float products[IMX_COV_PAIRS];
static imx_run_metric metric;

// The entry of L D Lᵀ, where D follows from H's diagonal.
static void factors_give_the_metric(void **state) {
    (void)state;
    static double d[IMX_COV_RUN];
    random_products(products);
    imx_run_metric_init(&metric, products);
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
    imx_run_metric_init(&metric, products);
    for (int p = 0; p < IMX_COV_PAIRS; ++p) {
        products[p] *= 0x1p40f;
    }
    imx_run_metric_init(&scaled, products);
    assert_memory_equal(metric.h, scaled.h, sizeof metric.h);
    assert_memory_equal(metric.push, scaled.push, sizeof metric.push);
}

static void correlations_shrink(void **state) {
    (void)state;
    double trace = 0.0;
    random_products(products);
    imx_run_metric_init(&metric, products);
    for (int i = 0; i < IMX_COV_RUN; ++i) {
        trace += (double)metric.h[i][i];
    }
    assert_true(fabs(trace / IMX_COV_RUN - 1.0) < 1e-5);
    const double full = (double)products[1] / sqrt((double)products[0] * (double)products[2]);
    const double left =
        (double)metric.h[1][0] / sqrt((double)metric.h[0][0] * (double)metric.h[1][1]);
    assert_true(left / full > 0.5 && left / full < 0.9);
}

static void impossible_products_are_refused(void **state) {
    (void)state;
    for (int p = 0; p < IMX_COV_PAIRS; ++p) {
        products[p] = 0.0f;
    }
    imx_run_metric_init(&metric, products);
    assert_false(metric.is_known);
    for (int i = 0, p = 0; i < IMX_COV_RUN; ++i) { // correlations of -1 between all pairs
        for (int j = 0; j <= i; ++j) {
            products[p++] = i == j ? 1.0f : -1.0f;
        }
    }
    imx_run_metric_init(&metric, products);
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
    imx_run_metric_init(&metric, products);
    assert_true(metric.is_known);
    assert_true(metric.h[7][7] > 0.0f && metric.h[7][7] < 0.1f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(factors_give_the_metric),
        cmocka_unit_test(scale_does_not_count),
        cmocka_unit_test(correlations_shrink),
        cmocka_unit_test(impossible_products_are_refused),
        cmocka_unit_test(dead_columns_cost_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
