// SPDX-License-Identifier: MIT
//
// The table of tensor types against ggml's: numbers, names, block lengths and bytes as printed by
// ggml_type_name, ggml_blck_size and ggml_type_size of llama.cpp of 2026-08-18.

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/tensor_type.h"

static const struct {
    uint32_t type;
    const char *name;
    uint32_t block_len;
    uint32_t block_bytes;
    bool decodes;
} golden[] = {
    {0, "F32", 1, 4, true},          {1, "F16", 1, 2, true},
    {2, "Q4_0", 32, 18, true},       {3, "Q4_1", 32, 20, true},
    {6, "Q5_0", 32, 22, true},       {7, "Q5_1", 32, 24, true},
    {8, "Q8_0", 32, 34, true},       {9, "Q8_1", 32, 36, false},
    {10, "Q2_K", 256, 84, true},     {11, "Q3_K", 256, 110, true},
    {12, "Q4_K", 256, 144, true},    {13, "Q5_K", 256, 176, true},
    {14, "Q6_K", 256, 210, true},    {15, "Q8_K", 256, 292, false},
    {16, "IQ2_XXS", 256, 66, false}, {17, "IQ2_XS", 256, 74, false},
    {18, "IQ3_XXS", 256, 98, false}, {19, "IQ1_S", 256, 50, false},
    {20, "IQ4_NL", 32, 18, true},    {21, "IQ3_S", 256, 110, false},
    {22, "IQ2_S", 256, 82, false},   {23, "IQ4_XS", 256, 136, true},
    {24, "I8", 1, 1, false},         {25, "I16", 1, 2, false},
    {26, "I32", 1, 4, false},        {27, "I64", 1, 8, false},
    {28, "F64", 1, 8, false},        {29, "IQ1_M", 256, 56, false},
    {30, "BF16", 1, 2, true},        {34, "TQ1_0", 256, 54, true},
    {35, "TQ2_0", 256, 66, true},    {39, "MXFP4", 32, 17, true},
    {40, "NVFP4", 64, 36, false},    {41, "Q1_0", 128, 18, false},
    {42, "Q2_0", 64, 18, false},
};

enum { N_GOLDEN = sizeof golden / sizeof golden[0] };

static void test_table(void **state) {
    (void)state;
    for (size_t i = 0; i < N_GOLDEN; ++i) {
        const imx_type_traits *traits = imx_type_traits_of(golden[i].type);
        assert_non_null(traits);
        assert_string_equal(traits->name, golden[i].name);
        assert_int_equal(traits->block_len, golden[i].block_len);
        assert_int_equal(traits->block_bytes, golden[i].block_bytes);
        assert_int_equal(traits->decode != NULL, golden[i].decodes);
        assert_int_equal(traits->is_quantized, golden[i].block_len > 1);
    }
}

static void test_no_other_types(void **state) {
    (void)state;
    size_t n = 0;
    for (uint32_t type = 0; type < 1000; ++type) {
        n += imx_type_traits_of(type) != NULL;
    }
    assert_int_equal(n, N_GOLDEN);
    assert_null(imx_type_traits_of(UINT32_MAX));
    assert_string_equal(imx_type_name(97), "type 97");
}

static void test_names(void **state) {
    (void)state;
    uint32_t type = 0;
    for (size_t i = 0; i < N_GOLDEN; ++i) {
        char lower[16] = {0};
        for (size_t k = 0; golden[i].name[k] != '\0'; ++k) {
            lower[k] = (char)tolower((unsigned char)golden[i].name[k]);
        }
        assert_true(imx_type_from_name(golden[i].name, &type));
        assert_int_equal(type, golden[i].type);
        assert_true(imx_type_from_name(lower, &type));
        assert_int_equal(type, golden[i].type);
    }
    assert_false(imx_type_from_name("Q4_K_M", &type));
    assert_false(imx_type_from_name("", &type));
}

static void test_row_bytes(void **state) {
    (void)state;
    assert_int_equal(imx_type_row_bytes(IMX_TYPE_F16, 7), 14);
    assert_int_equal(imx_type_row_bytes(IMX_TYPE_Q4_K, 4096), 16 * 144);
    assert_int_equal(imx_type_row_bytes(IMX_TYPE_Q4_K, 4096 + 32), 0);
    assert_int_equal(imx_type_row_bytes(4, 32), 0); // a number that ggml gave up
    assert_true(imx_type_row_bytes(IMX_TYPE_I8, UINT64_MAX) == UINT64_MAX);
    assert_int_equal(imx_type_row_bytes(IMX_TYPE_F32, UINT64_C(1) << 62), 0); // 2^64 bytes
    assert_int_equal(imx_type_row_bytes(IMX_TYPE_F32, (UINT64_C(1) << 62) + 1), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_no_other_types),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_row_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
