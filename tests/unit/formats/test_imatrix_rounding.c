// SPDX-License-Identifier: MIT
//
// Rounding to significant digits: how far values move, what stays, what gets smaller.

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "formats/imatrix_rounding.h"
#include "imatrix_fixture.h"

enum { N_COLS = 4096 };

// Values over thirty decades.
static imx_imatrix *make_spread(void) {
    static double sums[N_COLS];
    const double count = 12345678;
    imx_imatrix *imatrix = new_imatrix(3, 512);
    for (int i = 0; i < N_COLS; ++i) {
        sums[i] = pow(10.0, -15.0 + 30.0 * fmod(0.6180339887 * i, 1.0));
    }
    imx_imatrix_entry *entry = add_entry(imatrix, "w", N_COLS, 1, sums, &count, true);
    for (int i = 0; i < N_COLS; ++i) {
        entry->in_sum[i] = (i % 2 != 0 ? -1 : 1) * sums[N_COLS - 1 - i];
        entry->in_max[i] = sqrt(sums[i]);
    }
    return imatrix;
}

static void test_error_is_bounded(void **state) {
    (void)state;
    for (uint32_t digits = 1; digits <= IMX_MAX_DIGITS; ++digits) {
        imx_imatrix *exact = make_spread();
        imx_imatrix *rounded = make_spread();
        imx_imatrix_round(rounded, digits);
        const double most = 5 * pow(10.0, -(double)digits);
        double largest = 0;
        for (int i = 0; i < N_COLS; ++i) {
            const imx_imatrix_entry *a = &exact->entries[0];
            const imx_imatrix_entry *b = &rounded->entries[0];
            largest = fmax(largest, fabs(b->in_sum2[i] / a->in_sum2[i] - 1));
            assert_true(fabs(b->in_sum[i] / a->in_sum[i] - 1) <= most);
            assert_true(fabs(b->in_max[i] / a->in_max[i] - 1) <= most);
        }
        assert_true(largest <= most);
        assert_true(largest > 0.55 * most); // a bit more, which would cost bytes, halves it
        assert_true(rounded->entries[0].counts[0] == 12345678);
        assert_int_equal(rounded->origin.digits, digits);
        imx_imatrix_free(rounded);
        imx_imatrix_free(exact);
    }
}

static void test_fewer_digits_stay(void **state) {
    (void)state;
    imx_imatrix *imatrix = make_spread();
    imx_imatrix_round(imatrix, 0);
    assert_int_equal(imatrix->origin.digits, 0);
    imx_imatrix_round(imatrix, 3);
    imx_imatrix_round(imatrix, 6);
    assert_int_equal(imatrix->origin.digits, 3);
    imx_imatrix_free(imatrix);
    assert_int_equal(imx_check_digits(IMX_MAX_DIGITS, NULL), IMX_OK);
    assert_int_equal(imx_check_digits(IMX_MAX_DIGITS + 1, NULL), IMX_ERR_ARGUMENT);
}

// Zero, the smallest and the largest: what is rounded can still be written and read.
static void test_extremes(void **state) {
    (void)state;
    const double sums[] = {0, (double)FLT_TRUE_MIN, (double)FLT_MAX, 1};
    const double count = 1;
    imx_imatrix *imatrix = new_imatrix(1, 512);
    const imx_imatrix_entry *entry = add_entry(imatrix, "w", 4, 1, sums, &count, false);
    imx_imatrix_round(imatrix, 1);
    assert_true(entry->in_sum2[0] == 0);
    assert_true(entry->in_sum2[2] == (double)FLT_MAX);
    assert_true(entry->in_sum2[3] == 1);
    uint8_t *bytes;
    size_t n;
    assert_int_equal(imx_imatrix_serialize(imatrix, IMX_IMATRIX_ZST, &bytes, &n, NULL), IMX_OK);
    imx_imatrix_free(imatrix);
    assert_int_equal(imx_imatrix_parse(&imatrix, bytes, n, "rounded", NULL, NULL), IMX_OK);
    assert_int_equal(imatrix->origin.digits, 1);
    imx_imatrix_free(imatrix);
    free(bytes);
}

static size_t zst_bytes(uint32_t digits) {
    imx_imatrix *imatrix = make_spread();
    uint8_t *bytes;
    size_t n;
    imx_imatrix_round(imatrix, digits);
    assert_int_equal(imx_imatrix_serialize(imatrix, IMX_IMATRIX_ZST, &bytes, &n, NULL), IMX_OK);
    free(bytes);
    imx_imatrix_free(imatrix);
    return n;
}

static void test_files_get_smaller(void **state) {
    (void)state;
    for (uint32_t digits = 1; digits < IMX_MAX_DIGITS; ++digits) {
        assert_true(zst_bytes(digits) < zst_bytes(digits + 1));
    }
    assert_true(zst_bytes(3) < zst_bytes(0) * 2 / 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_is_bounded),
        cmocka_unit_test(test_fewer_digits_stay),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_files_get_smaller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
