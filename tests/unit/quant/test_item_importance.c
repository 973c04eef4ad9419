// SPDX-License-Identifier: MIT

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quant/plan/item_importance.h"

enum { N_COLS = 3, N_MATS = 4 };

// The importance of experts that saw `counts` tokens with these mean squares.
static void run(const double means[N_MATS][N_COLS], const double *counts, uint32_t prior,
                float q[N_MATS][N_COLS]) {
    double sums[N_MATS * N_COLS];
    double counts_copy[N_MATS];
    for (size_t e = 0; e < N_MATS; ++e) {
        counts_copy[e] = counts[e];
        for (size_t j = 0; j < N_COLS; ++j) {
            sums[e * N_COLS + j] = means[e][j] * counts[e];
        }
    }
    imx_imatrix_entry entry = {
        .n_cols = N_COLS, .n_mats = N_MATS, .in_sum2 = sums, .counts = counts_copy};
    const imx_plan_item item = {.statistics = &entry, .prior_tokens = prior};
    imx_item_importance(&item, &q[0][0]);
}

static void assert_row(const float *row, double a, double b, double c) {
    const double expected[N_COLS] = {a, b, c};
    for (size_t j = 0; j < N_COLS; ++j) {
        if (!(fabs((double)row[j] - expected[j]) <= 1e-6 * expected[j])) {
            fail_msg("column %zu: %g instead of %g", j, (double)row[j], expected[j]);
        }
    }
}

// Two experts of equal profile (1, 2, 3) but levels 2 and 200, one of another that saw little, and
// one that saw nothing.
static const double four_means[N_MATS][N_COLS] = {{1, 2, 3}, {100, 200, 300}, {6, 0, 0}};

static void no_prior_leaves_means(void **state) {
    (void)state;
    float q[N_MATS][N_COLS];
    run(four_means, (double[]){100, 100, 50, 0}, 0, q);
    for (size_t e = 0; e < 3; ++e) {
        for (size_t j = 0; j < N_COLS; ++j) {
            assert_true(q[e][j] == (float)four_means[e][j]);
        }
    }
}

static void starved_experts_lean_on_the_profile(void **state) {
    (void)state;
    float q[N_MATS][N_COLS];
    run(four_means, (double[]){100, 100, 50, 0}, 50, q);
    // The profile is (100 + 100) / 250 of (1, 2, 3) / 2 and 50 / 250 of (3, 0, 0).
    const double p[N_COLS] = {0.8 * 0.5 + 0.2 * 3.0, 0.8 * 1.0, 0.8 * 1.5};
    assert_row(q[0], (100 * 1 + 50 * 2 * p[0]) / 150, (100 * 2 + 50 * 2 * p[1]) / 150,
               (100 * 3 + 50 * 2 * p[2]) / 150);
    assert_row(q[1], (100 * 100 + 50 * 200 * p[0]) / 150, (100 * 200 + 50 * 200 * p[1]) / 150,
               (100 * 300 + 50 * 200 * p[2]) / 150);
    assert_row(q[2], (6 + 2 * p[0]) / 2, 2 * p[1] / 2, 2 * p[2] / 2);
    const double level = (100 * 2 + 100 * 200 + 50 * 2) / 250.0;
    assert_row(q[3], level * p[0], level * p[1], level * p[2]);
}

// A model whose activations are a thousand times larger is shrunk the same way.
static void shrinking_has_no_scale(void **state) {
    (void)state;
    double large[N_MATS][N_COLS];
    float q[N_MATS][N_COLS];
    float q_large[N_MATS][N_COLS];
    for (size_t e = 0; e < N_MATS; ++e) {
        for (size_t j = 0; j < N_COLS; ++j) {
            large[e][j] = 1024.0 * four_means[e][j];
        }
    }
    run(four_means, (double[]){100, 1, 3, 0}, 8, q);
    run(large, (double[]){100, 1, 3, 0}, 8, q_large);
    for (size_t e = 0; e < N_MATS; ++e) {
        for (size_t j = 0; j < N_COLS; ++j) {
            assert_true(q_large[e][j] == 1024.0f * q[e][j]);
        }
    }
}

static void experts_keep_their_level(void **state) {
    (void)state;
    float q[N_MATS][N_COLS];
    run(four_means, (double[]){5, 6, 7, 0}, 1000, q);
    assert_true(fabsf(q[0][0] + q[0][1] + q[0][2] - 6.0f) < 1e-4f);
    assert_true(fabsf(q[1][0] + q[1][1] + q[1][2] - 600.0f) < 1e-2f);
    assert_true(fabsf(q[2][0] + q[2][1] + q[2][2] - 6.0f) < 1e-4f);
}

static void nothing_and_zeros_are_never_nan(void **state) {
    (void)state;
    static const double zeros[N_MATS][N_COLS] = {{0}};
    static const double one_zero[N_MATS][N_COLS] = {{1, 2, 3}, {0, 0, 0}, {1, 2, 3}, {1, 2, 3}};
    float q[N_MATS][N_COLS];
    for (uint32_t prior = 0; prior <= 4; prior += 4) {
        run(zeros, (double[]){0, 0, 0, 0}, prior, q);
        for (size_t e = 0; e < N_MATS; ++e) {
            assert_row(q[e], 1, 1, 1);
        }
        run(zeros, (double[]){9, 9, 0, 0}, prior, q);
        assert_row(q[0], 1, 1, 1);
        run(one_zero, (double[]){9, 9, 9, 9}, prior, q); // inputs, but all of them zero
        assert_row(q[1], 1, 2, 3);
    }
}

static void one_count_for_all_matrices(void **state) {
    (void)state;
    double sums[6] = {2, 4, 6, 8, 10, 12};
    double count = 2;
    float q[6];
    imx_imatrix_entry entry = {.n_cols = 6, .n_mats = 1, .in_sum2 = sums, .counts = &count};
    const imx_plan_item item = {.statistics = &entry, .prior_tokens = 100};
    imx_item_importance(&item, q);
    for (size_t i = 0; i < 6; ++i) {
        assert_true(q[i] == (float)(i + 1));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_prior_leaves_means),
        cmocka_unit_test(starved_experts_lean_on_the_profile),
        cmocka_unit_test(shrinking_has_no_scale),
        cmocka_unit_test(experts_keep_their_level),
        cmocka_unit_test(nothing_and_zeros_are_never_nan),
        cmocka_unit_test(one_count_for_all_matrices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
