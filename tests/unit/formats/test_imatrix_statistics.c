// SPDX-License-Identifier: MIT
//
// Statistics of an entry and the difference between two, against values worked out by hand and
// against what `llama-imatrix --show-statistics` prints.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "formats/imatrix_compare.h"
#include "formats/imatrix_statistics.h"
#include "imatrix_fixture.h"

static void assert_near(double value, double expected, double tolerance) {
    if (!(fabs(value - expected) <= tolerance)) {
        fail_msg("%.9g instead of %.9g", value, expected);
    }
}

static imx_entry_statistics statistics_of(const imx_imatrix_entry *entry) {
    imx_entry_statistics out;
    assert_int_equal(imx_entry_statistics_compute(entry, &out, NULL), IMX_OK);
    return out;
}

static void test_dense(void **state) {
    (void)state;
    imx_imatrix *imatrix = new_imatrix(1, 512);
    // Means 1, 1, 2, 4, 0.
    const imx_imatrix_entry *entry =
        add_entry(imatrix, "w", 5, 1, (double[]){10, 10, 20, 40, 0}, (double[]){10}, false);
    const imx_entry_statistics s = statistics_of(entry);
    assert_int_equal(s.n_values, 5);
    assert_near(s.sum, 8, 1e-12);
    assert_near(s.min, 0, 0);
    assert_near(s.max, 4, 1e-12);
    assert_near(s.mean, 1.6, 1e-12);
    assert_near(s.sigma, sqrt(22 / 5.0 - 1.6 * 1.6), 1e-12);
    assert_near(s.active, 0.8, 1e-12);
    assert_near(s.entropy, 1.75, 1e-12); // of 1/8, 1/8, 1/4, 1/2
    assert_near(s.evenness, 1.75 / log2(5), 1e-12);
    assert_near(s.above_sigma, 0.2, 1e-12);
    assert_near(s.top_share, 0.5, 1e-12); // one column is the largest hundredth
    assert_near(s.rows, 10, 0);
    assert_int_equal(s.n_unseen, 0);
    imx_imatrix_free(imatrix);
}

static void test_top_share_rounds_up(void **state) {
    (void)state;
    static double sums[101];
    imx_imatrix *imatrix = new_imatrix(1, 512);
    for (int i = 0; i < 101; ++i) {
        sums[i] = i;
    }
    const imx_imatrix_entry *entry = add_entry(imatrix, "w", 101, 1, sums, (double[]){1}, false);
    assert_near(statistics_of(entry).top_share, (100.0 + 99.0) / 5050.0, 1e-12);
    imx_imatrix_free(imatrix);
}

static void test_experts(void **state) {
    (void)state;
    imx_imatrix *imatrix = new_imatrix(1, 512);
    const imx_imatrix_entry *entry = add_entry(
        imatrix, "w", 2, 4, (double[]){1, 3, 0, 0, 4, 4, 9, 9}, (double[]){1, 0, 2, 9}, false);
    const imx_entry_statistics s = statistics_of(entry);
    assert_int_equal(s.n_values, 6); // the second expert has seen nothing
    assert_near(s.sum, 1 + 3 + 2 + 2 + 1 + 1, 1e-12);
    assert_near(s.rows, 12, 0);
    assert_near(s.rows_min, 0, 0);
    assert_near(s.rows_median, 1, 0);
    assert_near(s.rows_max, 9, 0);
    assert_int_equal(s.n_unseen, 1);
    imx_imatrix_free(imatrix);
}

static void test_nothing_to_tell(void **state) {
    (void)state;
    imx_imatrix *imatrix = new_imatrix(1, 512);
    const imx_imatrix_entry *unseen =
        add_entry(imatrix, "w", 2, 1, (double[]){0, 0}, (double[]){0}, false);
    const imx_entry_statistics nothing = statistics_of(unseen);
    assert_int_equal(nothing.n_values, 0);
    assert_true(isnan(nothing.mean));
    assert_true(isnan(nothing.entropy));
    assert_int_equal(nothing.n_unseen, 1);
    const imx_imatrix_entry *zeros =
        add_entry(imatrix, "z", 2, 1, (double[]){0, 0}, (double[]){5}, false);
    const imx_entry_statistics zero = statistics_of(zeros);
    assert_near(zero.sum, 0, 0);
    assert_near(zero.active, 0, 0);
    assert_true(isnan(zero.top_share));
    imx_imatrix_free(imatrix);
}

static void test_cosine(void **state) {
    (void)state;
    const double a[] = {1, 2, 2};
    const double b[] = {2, 1, -2};
    const double zero[] = {0, 0, 0};
    assert_near(imx_cosine(a, b, 3), 0, 1e-15);
    assert_near(imx_cosine(a, a, 3), 1, 1e-15);
    assert_true(isnan(imx_cosine(a, zero, 3)));
}

static imx_entry_difference difference_of(const imx_imatrix_entry *a, const imx_imatrix_entry *b) {
    imx_entry_difference out;
    assert_int_equal(imx_entry_compare(a, b, &out, NULL), IMX_OK);
    return out;
}

static void test_difference(void **state) {
    (void)state;
    imx_imatrix *a = new_imatrix(1, 512);
    imx_imatrix *b = new_imatrix(1, 512);
    const imx_imatrix_entry *x =
        add_entry(a, "w", 4, 1, (double[]){2, 4, 6, 8}, (double[]){2}, false);
    const imx_imatrix_entry *y =
        add_entry(b, "w", 4, 1, (double[]){40, 40, 20, 80}, (double[]){20}, false);
    const imx_entry_difference d = difference_of(x, y);
    assert_true(d.comparable);
    // (1 2 3 4) and (2 2 1 4).
    assert_near(d.cosine, 25 / (sqrt(30) * 5), 1e-12);
    assert_near(d.sum_ratio, 0.9, 1e-12);
    // Ranks (1 2 3 4) and (2.5 2.5 1 4): covariance 1.5, variances 5 and 4.5.
    assert_near(d.rank_correlation, 1.5 / sqrt(5 * 4.5), 1e-12);
    imx_imatrix_free(b);
    imx_imatrix_free(a);
}

static void test_difference_of_experts(void **state) {
    (void)state;
    imx_imatrix *a = new_imatrix(1, 512);
    imx_imatrix *b = new_imatrix(1, 512);
    const imx_imatrix_entry *experts =
        add_entry(a, "w", 2, 2, (double[]){1, 2, 7, 7}, (double[]){1, 0}, false);
    const imx_imatrix_entry *row =
        add_entry(b, "w", 4, 1, (double[]){10, 20, 1, 9}, (double[]){10}, false);
    const imx_entry_difference d = difference_of(experts, row);
    assert_true(d.comparable);
    assert_near(d.cosine, 1, 1e-12); // the second expert of a has seen nothing
    const imx_imatrix_entry *other =
        add_entry(b, "v", 3, 1, (double[]){1, 1, 1}, (double[]){10}, false);
    assert_false(difference_of(experts, other).comparable);
    const imx_imatrix_entry *swapped =
        add_entry(b, "u", 1, 4, (double[]){1, 1, 1, 1}, (double[]){1, 1, 1, 1}, false);
    assert_false(difference_of(experts, swapped).comparable);
    imx_imatrix_free(b);
    imx_imatrix_free(a);
}

// Printed by llama-imatrix of 2026-08-18, --in-file FILE --show-statistics.
static void test_what_llama_prints(void **state) {
    (void)state;
    static const struct {
        const char *name;
        double sum, min, max, mean, sigma, entropy, evenness, above_sigma;
    } rows[] = {
        {"blk.0.ffn_down.weight", 7420.88, 0.0581, 148.9699, 7.25, 10.22, 9.2404, 92.40, 7.32},
        {"blk.1.attn_q.weight", 369.35, 0.2407, 26.7480, 0.72, 2.00, 7.9251, 88.06, 1.17},
        {"blk.1.ffn_down.weight", 2396.83, 0.0451, 30.8403, 2.34, 2.50, 9.4304, 94.30, 10.84},
        {"blk.2.ffn_up.weight", 486.13, 0.4181, 34.0156, 0.95, 2.12, 8.2202, 91.34, 1.76},
    };
    char path[4096];
    const char *shared = getenv("IMATRIX_SHARED");
    imx_imatrix *imatrix;
    snprintf(path, sizeof path, "%s/models/prose-and-manuals-11M.llama-imatrix.gguf",
             shared != NULL ? shared : "../shared");
    if (imx_imatrix_read(&imatrix, path, NULL, NULL) != IMX_OK) {
        print_message("%s is absent: skipped\n", path);
        skip();
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        const imx_entry_statistics s = statistics_of(imx_imatrix_find(imatrix, rows[i].name));
        assert_near(s.sum, rows[i].sum, 0.011); // they sum in single precision
        assert_near(s.min, rows[i].min, 0.51e-4);
        assert_near(s.max, rows[i].max, 0.6e-4);
        assert_near(s.mean, rows[i].mean, 0.51e-2);
        assert_near(s.sigma, rows[i].sigma, 0.51e-2);
        assert_near(s.entropy, rows[i].entropy, 0.6e-4);
        assert_near(100 * s.evenness, rows[i].evenness, 0.51e-2);
        assert_near(100 * s.above_sigma, rows[i].above_sigma, 0.51e-2);
    }
    const imx_imatrix_entry *below = imx_imatrix_find(imatrix, "blk.0.ffn_down.weight");
    const imx_imatrix_entry *above = imx_imatrix_find(imatrix, "blk.1.ffn_down.weight");
    assert_near(imx_cosine(below->in_sum2, above->in_sum2, below->n_cols), 0.3942, 0.51e-4);
    imx_imatrix_free(imatrix);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense),
        cmocka_unit_test(test_top_share_rounds_up),
        cmocka_unit_test(test_experts),
        cmocka_unit_test(test_nothing_to_tell),
        cmocka_unit_test(test_cosine),
        cmocka_unit_test(test_difference),
        cmocka_unit_test(test_difference_of_experts),
        cmocka_unit_test(test_what_llama_prints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
