// SPDX-License-Identifier: MIT
//
// Keys that the user sets.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "key_fixture.h"

static void overrides_that_are_taken(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *key;
        imx_gguf_type type;
        int64_t value;
    } rows[] = {
        {"deci.wide=int:7", "deci.wide", IMX_GGUF_U64, 7},
        {"deci.signed=int:-9", "deci.signed", IMX_GGUF_I32, -9},
        {"deci.signed=int:3000000000", "deci.signed", IMX_GGUF_U32, 3000000000},
        {"deci.block_count=int:-2", "deci.block_count", IMX_GGUF_I32, -2},
        {"new=int:4294967295", "new", IMX_GGUF_U32, 4294967295},
        {"new=int:4294967296", "new", IMX_GGUF_U64, 4294967296},
        {"new=int:-2147483648", "new", IMX_GGUF_I32, INT32_MIN},
        {"new=int:-2147483649", "new", IMX_GGUF_I64, -2147483649},
        {"new=int:-0", "new", IMX_GGUF_U32, 0},
        {"deci.rope.freq_base=int:5", "deci.rope.freq_base", IMX_GGUF_U32, 5},
        {"deci.rope.freq_base=float:5", "deci.rope.freq_base", IMX_GGUF_F32, 5},
        {"new=float:1e300", "new", IMX_GGUF_F64, INT64_MAX},
        {"new=u8:255", "new", IMX_GGUF_U8, 255},
        {"new=i8:-128", "new", IMX_GGUF_I8, -128},
        {"new=u16:65535", "new", IMX_GGUF_U16, 65535},
        {"new=i16:-32768", "new", IMX_GGUF_I16, -32768},
        {"new=u32:1", "new", IMX_GGUF_U32, 1},
        {"new=i32:-1", "new", IMX_GGUF_I32, -1},
        {"new=u64:9223372036854775808", "new", IMX_GGUF_U64, INT64_MIN},
        {"new=i64:-9223372036854775808", "new", IMX_GGUF_I64, INT64_MIN},
        {"new=f32:-2", "new", IMX_GGUF_F32, -2},
        {"new=f64:2e2", "new", IMX_GGUF_F64, 200},
        {"deci.wide=bool:true", "deci.wide", IMX_GGUF_BOOL, 1},
        {"deci.wide=bool:false", "deci.wide", IMX_GGUF_BOOL, 0},
    };
    key_file source = make_source();
    const imx_plan_options plan_options = options_of("Q8_0");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        imx_key_override override;
        imx_error err = {IMX_OK, ""};
        if (imx_key_override_parse(&override, rows[i].text, &err) != IMX_OK) {
            fail_msg("%s", err.message);
        }
        const imx_key_options options = {.overrides = &override, .n_overrides = 1};
        key_file keys = keys_of(source.gguf, &plan_options, &options);
        const imx_gguf_kv *kv = imx_gguf_find_kv(keys.gguf, rows[i].key);
        assert_non_null(kv);
        if (kv->type != rows[i].type || imx_gguf_elem_i64(kv, 0) != rows[i].value) {
            fail_msg("%s: type %d, value %lld", rows[i].text, (int)kv->type,
                     (long long)imx_gguf_elem_i64(kv, 0));
        }
        close_keys(&keys);
    }
    close_keys(&source);
}

static void overridden_strings(void **state) {
    (void)state;
    static const char *const texts[] = {"general.name=str:a=b:c",
                                        "general.empty=str:", "general.architecture=str:llama"};
    key_file source = make_source();
    const imx_plan_options plan_options = options_of("Q8_0");
    imx_key_override overrides[3];
    for (size_t i = 0; i < 3; ++i) {
        assert_int_equal(imx_key_override_parse(&overrides[i], texts[i], NULL), IMX_OK);
    }
    const imx_key_options options = {.overrides = overrides, .n_overrides = 3};
    key_file keys = keys_of(source.gguf, &plan_options, &options);
    assert_str(keys.gguf, "general.name", "a=b:c");
    assert_str(keys.gguf, "general.empty", "");
    assert_str(keys.gguf, "general.architecture", "llama");
    close_keys(&keys);
    close_keys(&source);
}

static void overrides_that_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *words;
    } rows[] = {
        {"", "write KEY=TYPE:VALUE"},
        {"key", "write KEY=TYPE:VALUE"},
        {"key=int", "write KEY=TYPE:VALUE"},
        {"=int:1", "write KEY=TYPE:VALUE"},
        {"key=integer:1", "write KEY=TYPE:VALUE"},
        {"key=in:1", "write KEY=TYPE:VALUE"},
        {"key=INT:1", "write KEY=TYPE:VALUE"},
        {"key=int:", "'' is not a value of type int"},
        {"key=int:1x", "'1x' is not a value of type int"},
        {"key=int: 1", "' 1' is not"},
        {"key=int:+1", "'+1' is not"},
        {"key=int:--1", "'--1' is not"},
        {"key=int:1.5", "'1.5' is not"},
        {"key=int:18446744073709551616", "is not a value of type int"},
        {"key=int:-9223372036854775809", "is not a value of type int"},
        {"key=u8:256", "'256' is not a value of type u8"},
        {"key=u8:-1", "'-1' is not"},
        {"key=i8:128", "'128' is not"},
        {"key=i8:-129", "'-129' is not"},
        {"key=i16:32768", "'32768' is not"},
        {"key=u32:4294967296", "'4294967296' is not"},
        {"key=i64:9223372036854775808", "is not"},
        {"key=float:", "'' is not a value of type float"},
        {"key=float:nan", "'nan' is not"},
        {"key=f32:1e39", "'1e39' is not a value of type f32"},
        {"key=f64:1e309", "'1e309' is not"},
        {"key=bool:1", "'1' is not a value of type bool"},
        {"general.alignment=u32:64", "describes the file itself"},
        {"split.count=u16:2", "describes the file itself"},
        {"imatrix.quantize.source_hash=str:x", "describes the file itself"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        imx_key_override override;
        imx_error err = {IMX_OK, ""};
        if (imx_key_override_parse(&override, rows[i].text, &err) != IMX_ERR_ARGUMENT ||
            strstr(err.message, rows[i].words) == NULL ||
            strstr(err.message, rows[i].text) == NULL) {
            fail_msg("%s: '%s'", rows[i].text, err.message);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overrides_that_are_taken),
        cmocka_unit_test(overridden_strings),
        cmocka_unit_test(overrides_that_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
