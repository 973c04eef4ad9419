// SPDX-License-Identifier: MIT
//
// Checked sizes, and errors that fit their buffer.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/error.h"
#include "formats/memory.h"

static void test_arithmetic(void **state) {
    (void)state;
    uint64_t out;
    assert_true(imx_mul_u64(UINT64_C(1) << 32, (UINT64_C(1) << 32) - 1, &out));
    assert_true(out == UINT64_MAX - UINT32_MAX);
    assert_false(imx_mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 32, &out));
    assert_true(imx_add_u64(UINT64_MAX, 0, &out));
    assert_false(imx_add_u64(UINT64_MAX, 1, &out));
    assert_int_equal(imx_align_up(0, 32), 0);
    assert_int_equal(imx_align_up(1, 32), 32);
    assert_int_equal(imx_align_up(32, 32), 32);
}

static void test_overflowing_sizes_fail(void **state) {
    (void)state;
    imx_error err = {0};
    void *memory = &err;
    assert_int_equal(imx_alloc_zeroed(&memory, SIZE_MAX / 2, 3, &err), IMX_ERR_MEMORY);
    assert_null(memory);
    assert_non_null(strstr(err.message, "18446744073709551615 bytes"));
    memory = &err;
    assert_int_equal(imx_alloc_aligned(&memory, SIZE_MAX / 2 + 1, 2, &err), IMX_ERR_MEMORY);
    assert_null(memory);
    assert_int_equal(imx_alloc_aligned(&memory, SIZE_MAX, 1, &err), IMX_ERR_MEMORY);
    assert_int_equal(imx_alloc_zeroed(&memory, SIZE_MAX, 1, NULL), IMX_ERR_MEMORY);
    assert_int_equal(imx_alloc_aligned(&memory, PTRDIFF_MAX, 1, &err), IMX_ERR_MEMORY);
}

static void test_empty_allocations(void **state) {
    (void)state;
    void *memory;
    assert_int_equal(imx_alloc_zeroed(&memory, 0, 8, NULL), IMX_OK);
    assert_non_null(memory);
    free(memory);
    assert_int_equal(imx_alloc_aligned(&memory, 0, 8, NULL), IMX_OK);
    assert_non_null(memory);
    assert_int_equal((uintptr_t)memory % 64, 0);
    free(memory);
}

static void test_grow(void **state) {
    (void)state;
    uint32_t *array = NULL;
    size_t capacity = 0;
    for (uint32_t n = 0; n < 1000; ++n) {
        assert_int_equal(imx_grow(&array, &capacity, n + 1, sizeof *array, NULL), IMX_OK);
        assert_true(capacity > n);
        array[n] = n;
    }
    assert_true(capacity < 2 * 1024);
    assert_int_equal(imx_grow(&array, &capacity, SIZE_MAX / 2, sizeof *array, NULL),
                     IMX_ERR_MEMORY);
    for (uint32_t n = 0; n < 1000; ++n) {
        assert_int_equal(array[n], n);
    }
    free(array);
}

static void test_long_messages_are_cut(void **state) {
    (void)state;
    imx_error err;
    char path[3000];
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(imx_fail(&err, IMX_ERR_IO, "%s: gone", path), IMX_ERR_IO);
    assert_int_equal(err.status, IMX_ERR_IO);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_int_equal(imx_fail(NULL, IMX_ERR_IO, "%s", path), IMX_ERR_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_overflowing_sizes_fail),
        cmocka_unit_test(test_empty_allocations),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_long_messages_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
