// SPDX-License-Identifier: MIT
//
// Half floats against their definition: every value, and the rounding at every tie.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "formats/half.h"

// The value of a finite non-negative half: fraction bits, exponent bias as parameters.
static double value_of(unsigned magnitude, int fraction_bits, int bias) {
    const int exponent = (int)(magnitude >> fraction_bits);
    const int fraction = (int)(magnitude & ((1u << fraction_bits) - 1));
    if (exponent == 0) {
        return ldexp(fraction, 1 - bias - fraction_bits);
    }
    return ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

static double f16_value(unsigned magnitude) {
    return value_of(magnitude, 10, 15);
}

static double bf16_value(unsigned magnitude) {
    return value_of(magnitude, 7, 127);
}

enum { F16_INFINITY = 0x7c00, BF16_INFINITY = 0x7f80, SIGN = 0x8000 };

static void test_f16_to_f32_is_exact(void **state) {
    (void)state;
    for (unsigned h = 0; h < F16_INFINITY; ++h) {
        assert_true((double)imx_f16_to_f32((imx_f16)h) == f16_value(h));
        assert_true((double)imx_f16_to_f32((imx_f16)(h | SIGN)) == -f16_value(h));
    }
    assert_true(imx_f16_to_f32(F16_INFINITY) == INFINITY);
    assert_true(imx_f16_to_f32(F16_INFINITY | SIGN) == -INFINITY);
    assert_int_equal(imx_f32_to_bits(imx_f16_to_f32(SIGN)), 0x80000000u);
    for (unsigned h = F16_INFINITY + 1; h < SIGN; ++h) {
        assert_true(isnan(imx_f16_to_f32((imx_f16)h)));
    }
}

static void test_f16_round_trip(void **state) {
    (void)state;
    for (unsigned h = 0; h <= F16_INFINITY; ++h) {
        assert_int_equal(imx_f16_from_f32(imx_f16_to_f32((imx_f16)h)), h);
        assert_int_equal(imx_f16_from_f32(imx_f16_to_f32((imx_f16)(h | SIGN))), h | SIGN);
    }
    for (unsigned h = F16_INFINITY + 1; h < SIGN; ++h) {
        assert_true(isnan(imx_f16_to_f32(imx_f16_from_f32(imx_f16_to_f32((imx_f16)h)))));
    }
}

// Between neighbours the midpoint goes to the even one, and its float neighbours to the nearer one.
// The neighbour above the largest half is the value that infinity would have.
static void check_ties(uint16_t (*from_f32)(float), double (*value)(unsigned), unsigned infinity) {
    for (unsigned h = 0; h < infinity; ++h) {
        const float middle = (float)((value(h) + value(h + 1)) / 2);
        const unsigned even = h % 2 == 0 ? h : h + 1;
        assert_int_equal(from_f32(middle), even);
        assert_int_equal(from_f32(-middle), even | SIGN);
        assert_int_equal(from_f32(nextafterf(middle, 0)), h);
        assert_int_equal(from_f32(nextafterf(middle, INFINITY)), h + 1);
    }
    assert_int_equal(from_f32(INFINITY), infinity);
    assert_int_equal(from_f32(-INFINITY), infinity | SIGN);
}

static void test_f16_ties(void **state) {
    (void)state;
    check_ties(imx_f16_from_f32, f16_value, F16_INFINITY);
    assert_int_equal(imx_f16_from_f32(0x1p-149f), 0);
    assert_int_equal(imx_f16_from_f32(-0x1p-149f), SIGN);
    assert_int_equal(imx_f16_from_f32(3.4e38f), F16_INFINITY);
}

static void test_bf16(void **state) {
    (void)state;
    for (unsigned h = 0; h < BF16_INFINITY; ++h) {
        assert_true((double)imx_bf16_to_f32((imx_bf16)h) == bf16_value(h));
        assert_int_equal(imx_bf16_from_f32(imx_bf16_to_f32((imx_bf16)h)), h);
    }
    check_ties(imx_bf16_from_f32, bf16_value, BF16_INFINITY);
    // A NaN whose payload lies in the bits that are cut stays a NaN.
    assert_true(isnan(imx_bf16_to_f32(imx_bf16_from_f32(imx_f32_from_bits(0x7f800001u)))));
}

// Any float, against the compiler's own conversion where it has one.
static void test_f16_against_compiler(void **state) {
    (void)state;
#ifdef __FLT16_MAX__
    for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += 9973) {
        const float value = imx_f32_from_bits((uint32_t)bits);
        const _Float16 half = (_Float16)value;
        uint16_t half_bits;
        memcpy(&half_bits, &half, sizeof half_bits);
        if (!isnan(value)) {
            assert_int_equal(imx_f16_from_f32(value), half_bits);
        }
    }
#else
    skip();
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f16_to_f32_is_exact),
        cmocka_unit_test(test_f16_round_trip),
        cmocka_unit_test(test_f16_ties),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_f16_against_compiler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
