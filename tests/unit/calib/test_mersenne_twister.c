// SPDX-License-Identifier: MIT
//
// Golden numbers: of C++'s standard library (GCC 12), whose document gives the 10000th, too.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/evaluation/mersenne_twister.h"

static void test_sequence(void **state) {
    (void)state;
    imx_twister twister = imx_twister_seed(1);
    assert_int_equal(imx_twister_next(&twister), 1791095845);
    assert_int_equal(imx_twister_next(&twister), 4282876139);
    assert_int_equal(imx_twister_next(&twister), 3093770124);
    twister = imx_twister_seed(5489);
    for (int i = 1; i < 10000; ++i) {
        imx_twister_next(&twister);
    }
    assert_int_equal(imx_twister_next(&twister), 4123659995);
}

// More than a quarter of all words is drawn again for this n.
static void test_numbers_below(void **state) {
    (void)state;
    static const uint32_t expected[] = {1251065995, 2991554425, 2160973468, 2797672084,
                                        384373343,  906997703,  440267677,  277015786,
                                        1189742178, 1036682175, 2009238121, 1190302406};
    imx_twister twister = imx_twister_seed(1);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; ++i) {
        assert_int_equal(imx_twister_below(&twister, 3000000001), expected[i]);
    }
    assert_int_equal(imx_twister_below(&twister, 1), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequence),
        cmocka_unit_test(test_numbers_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
