// SPDX-License-Identifier: MIT
//
// The order of measured models, the Pareto front, and who is held against whom.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imatrix/compare_ranking.h"

static imatrix_compared_model model(size_t index, uint64_t file_bytes, double kl) {
    imatrix_compared_model m = {.index = index, .file_bytes = file_bytes};
    m.evaluation.kl_mean.value = kl;
    return m;
}

enum { N = 6 };

// Ranked: 50 bytes with 1, 40 with 5, 30 with 2, 30 with 3, 20 with 4, 10 with 9.
static void make_models(imatrix_compared_model models[N]) {
    models[0] = model(0, 30, 3);
    models[1] = model(1, 10, 9);
    models[2] = model(2, 50, 1);
    models[3] = model(3, 30, 2);
    models[4] = model(4, 40, 5);
    models[5] = model(5, 20, 4);
    imx_rank_by_size(models, N);
}

static void test_order_and_front(void **state) {
    (void)state;
    static const size_t ranked[N] = {2, 4, 3, 0, 5, 1};
    static const bool on_front[N] = {true, false, true, false, true, true};
    imatrix_compared_model models[N];
    make_models(models);
    imx_mark_front(models, N);
    for (size_t i = 0; i < N; ++i) {
        assert_int_equal(models[i].index, ranked[i]);
        assert_int_equal(models[i].on_front, on_front[i]);
    }
}

static void test_equals_share_the_front(void **state) {
    (void)state;
    imatrix_compared_model models[] = {model(0, 10, 1), model(1, 10, 1), model(2, 20, 1)};
    imx_rank_by_size(models, 3);
    imx_mark_front(models, 3);
    assert_int_equal(models[0].index, 2);
    assert_false(models[0].on_front);
    assert_int_equal(models[1].index, 0);
    assert_true(models[1].on_front && models[2].on_front);
}

// A thousandth more is no more: the first file is beaten by the second, which is larger by its
// keys.
static void test_keys_buy_nothing(void **state) {
    (void)state;
    imatrix_compared_model models[] = {model(0, 10000, 2), model(1, 10010, 1), model(2, 9900, 3)};
    imx_mark_front(models, 3);
    assert_false(models[0].on_front);
    assert_true(models[1].on_front && models[2].on_front);
}

static void assert_pairs(size_t against, const size_t (*wanted)[2], size_t n_wanted) {
    imatrix_compared_model models[N];
    imatrix_model_difference pairs[2 * N];
    make_models(models);
    assert_int_equal(imx_choose_pairs(pairs, models, N, against), n_wanted);
    for (size_t i = 0; i < n_wanted; ++i) {
        assert_int_equal(pairs[i].model, wanted[i][0]);
        assert_int_equal(pairs[i].against, wanted[i][1]);
    }
}

static void test_pairs(void **state) {
    (void)state;
    static const size_t best[][2] = {{0, 1}, {0, 2}, {1, 2}, {2, 3}, {3, 4}, {4, 5}};
    static const size_t chosen[][2] = {{0, 1}, {0, 3}, {1, 2}, {1, 3},
                                       {2, 3}, {3, 4}, {4, 5}, {5, 3}};
    assert_pairs(N, best, 6);
    assert_pairs(3, chosen, 8);
    imatrix_model_difference pairs[2];
    const imatrix_compared_model alone = model(0, 10, 1);
    assert_int_equal(imx_choose_pairs(pairs, &alone, 1, 1), 0);
    assert_int_equal(imx_choose_pairs(pairs, &alone, 1, 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_front),
        cmocka_unit_test(test_equals_share_the_front),
        cmocka_unit_test(test_keys_buy_nothing),
        cmocka_unit_test(test_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
