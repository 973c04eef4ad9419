// SPDX-License-Identifier: MIT

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/system_memory.h"

static void test_resident_memory_grows_with_use(void **state) {
    (void)state;
    const size_t n_bytes = (size_t)64 << 20;
    const uint64_t before = imx_memory_resident();
    if (before == 0) {
        skip(); // the system does not say
    }
    char *memory = malloc(n_bytes);
    assert_non_null(memory);
    memset(memory, 1, n_bytes);
    const uint64_t after = imx_memory_resident();
    assert_in_range(after, before + n_bytes / 2, before + 2 * n_bytes);
    free(memory);
}

static void test_some_memory_is_available(void **state) {
    (void)state;
    assert_true(imx_memory_available() > imx_memory_resident() / 1024);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resident_memory_grows_with_use),
        cmocka_unit_test(test_some_memory_is_available),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
