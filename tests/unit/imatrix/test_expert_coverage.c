// SPDX-License-Identifier: MIT
//
// Which experts are counted, and which of them are named.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imatrix/expert_coverage.h"

static void add(imx_imatrix *imatrix, const char *name, size_t n_mats, const double *counts) {
    imx_imatrix_entry *entry;
    assert_int_equal(imx_imatrix_add(imatrix, name, 4, n_mats, false, &entry, NULL), IMX_OK);
    for (size_t i = 0; i < n_mats; ++i) {
        entry->counts[i] = counts[i];
    }
}

static void test_those_that_saw_least(void **state) {
    (void)state;
    static const double few[] = {9, 2, 16, 15, 0, 100};
    static const double fewer[] = {7, 3, 0, 2, 1, 15};
    imx_imatrix *imatrix;
    imatrix_collect_result result = {0};
    assert_int_equal(imx_imatrix_new(&imatrix, NULL), IMX_OK);
    add(imatrix, "blk.3.ffn_down_exps.weight", 6, few);
    add(imatrix, "blk.3.ffn_up_exps.weight", 6, few);
    add(imatrix, "blk.11.ffn_down_exps.weight", 6, fewer);
    add(imatrix, "blk.11.ffn_down_shexp.weight", 1, fewer);
    add(imatrix, "blk.11.ffn_down.weight", 1, fewer);
    imx_publish_coverage(imatrix, &result);
    static const imatrix_expert named[] = {
        {11, 2, 0}, {3, 4, 0}, {11, 4, 1}, {11, 3, 2}, {3, 1, 2}, {11, 1, 3}, {11, 0, 7}, {3, 0, 9},
    };
    assert_int_equal(result.n_experts, 12);
    assert_int_equal(result.n_starved_experts, 10);
    for (size_t i = 0; i < IMATRIX_N_NAMED_EXPERTS; ++i) {
        assert_int_equal(result.starved[i].layer, named[i].layer);
        assert_int_equal(result.starved[i].expert, named[i].expert);
        assert_int_equal(result.starved[i].n_tokens, named[i].n_tokens);
    }
    imx_imatrix_free(imatrix);
}

static void test_a_dense_model(void **state) {
    (void)state;
    static const double none[] = {0};
    imx_imatrix *imatrix;
    imatrix_collect_result result = {0};
    assert_int_equal(imx_imatrix_new(&imatrix, NULL), IMX_OK);
    add(imatrix, "blk.0.ffn_down.weight", 1, none);
    imx_publish_coverage(imatrix, &result);
    assert_int_equal(result.n_experts, 0);
    assert_int_equal(result.n_starved_experts, 0);
    imx_imatrix_free(imatrix);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_those_that_saw_least),
        cmocka_unit_test(test_a_dense_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
