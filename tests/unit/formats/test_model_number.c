// SPDX-License-Identifier: MIT
//
// Numbers under the architecture's name.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "formats/model_number.h"

typedef struct fixture {
    uint8_t *header;
    imx_gguf *gguf;
} fixture;

// Parses what `builder` holds, and frees it.
static fixture *parse_header(imx_gguf_builder *builder) {
    fixture *f = calloc(1, sizeof *f);
    size_t size_bytes;
    assert_non_null(f);
    assert_int_equal(imx_gguf_builder_header(builder, &f->header, &size_bytes, NULL), IMX_OK);
    imx_gguf_builder_free(builder);
    assert_int_equal(imx_gguf_parse(&f->gguf, f->header, size_bytes, "any.gguf", NULL), IMX_OK);
    return f;
}

static int set_up(void **state) {
    static const uint32_t per_layer[] = {4, 8};
    imx_gguf_builder *builder;
    assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_str(builder, "general.architecture", "any", NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_u32(builder, "any.scalar", 7, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_i32(builder, "any.negative", -7, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_str(builder, "any.text", "7", NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_array(builder, "any.array", IMX_GGUF_U32, per_layer, 2, NULL),
                     IMX_OK);
    assert_int_equal(imx_gguf_set_array(builder, "any.empty", IMX_GGUF_U32, per_layer, 0, NULL),
                     IMX_OK);
    *state = parse_header(builder);
    return 0;
}

static int set_up_nameless(void **state) {
    imx_gguf_builder *builder;
    assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_u32(builder, "general.architecture", 7, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_u32(builder, "any.scalar", 7, NULL), IMX_OK);
    *state = parse_header(builder);
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    imx_gguf_close(f->gguf);
    free(f->header);
    free(f);
    return 0;
}

static void test_numbers(void **state) {
    static const struct {
        const char *suffix;
        uint64_t layer;
        uint64_t expected;
    } rows[] = {
        {"scalar", 0, 7}, {"scalar", 5, 7}, {"negative", 0, 0}, {"array", 0, 4},   {"array", 1, 8},
        {"array", 2, 99}, {"empty", 0, 99}, {"text", 0, 99},    {"absent", 0, 99},
    };
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        assert_int_equal(imx_model_number(f->gguf, rows[i].suffix, rows[i].layer, 99),
                         rows[i].expected);
    }
}

static void test_architecture_and_keys(void **state) {
    const fixture *f = *state;
    assert_true(imx_str_equals(imx_model_architecture(f->gguf), "any"));
    assert_false(imx_str_equals(imx_model_architecture(f->gguf), "an"));
    assert_non_null(imx_model_key(f->gguf, "text"));
    assert_null(imx_model_key(f->gguf, "absent"));
}

// An architecture that is no text counts as none.
static void test_no_architecture(void **state) {
    const fixture *f = *state;
    assert_int_equal(imx_model_architecture(f->gguf).len, 0);
    assert_int_equal(imx_model_number(f->gguf, "scalar", 0, 99), 99);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_architecture_and_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_architecture, set_up_nameless, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
