// SPDX-License-Identifier: MIT

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "plan_fixture.h"
#include "quant/plan/model_keys.h"

// A file of keys alone, parsed from its bytes.
typedef struct key_file {
    uint8_t *bytes;
    imx_gguf *gguf;
} key_file;

static key_file close_builder(imx_gguf_builder *builder) {
    key_file file;
    size_t size;
    assert_int_equal(imx_gguf_builder_header(builder, &file.bytes, &size, NULL), IMX_OK);
    assert_int_equal(imx_gguf_parse(&file.gguf, file.bytes, size, "keys.gguf", NULL), IMX_OK);
    imx_gguf_builder_free(builder);
    return file;
}

static void close_keys(key_file *file) {
    imx_gguf_close(file->gguf);
    free(file->bytes);
}

// Four layers, with what an earlier quantization and the shards have left.
static key_file make_source(void) {
    static const int32_t heads[4] = {8, 4, 2, 1};
    static const uint8_t flags[4] = {1, 0, 0, 1};
    static const float three[3] = {1.0f, 2.0f, 3.0f};
    static const char *const names[4] = {"a", "b", "c", "d"};
    imx_gguf_builder *b;
    assert_int_equal(imx_gguf_builder_new(&b, NULL), IMX_OK);
    imx_gguf_set_str(b, "general.architecture", "deci", NULL);
    imx_gguf_set_str(b, "general.name", "source", NULL);
    imx_gguf_set_u32(b, "general.file_type", 1, NULL);
    imx_gguf_set_u16(b, "split.no", 0, NULL);
    imx_gguf_set_u16(b, "split.count", 2, NULL);
    imx_gguf_set_i32(b, "split.tensors.count", 9, NULL);
    imx_gguf_set_str(b, "quantize.imatrix.file", "/home/me/old.dat", NULL);
    imx_gguf_set_u32(b, "quantize.imatrix.chunks_count", 7, NULL);
    imx_gguf_set_str(b, "imatrix.quantize.imatrix_hash", "old", NULL);
    imx_gguf_set_u32(b, "deci.block_count", 4, NULL);
    imx_gguf_set_u32(b, "deci.leading_dense_block_count", 2, NULL);
    imx_gguf_set_f32(b, "deci.rope.freq_base", 10000.0f, NULL);
    imx_gguf_set_u64(b, "deci.wide", 5, NULL);
    imx_gguf_set_i32(b, "deci.signed", -1, NULL);
    imx_gguf_set_array(b, "deci.attention.head_count_kv", IMX_GGUF_I32, heads, 4, NULL);
    imx_gguf_set_array(b, "deci.flags", IMX_GGUF_BOOL, flags, 4, NULL);
    imx_gguf_set_array(b, "deci.three", IMX_GGUF_F32, three, 3, NULL);
    imx_gguf_set_str_array(b, "deci.names", names, 4, NULL);
    imx_gguf_set_array(b, "tokenizer.four", IMX_GGUF_I32, heads, 4, NULL);
    return close_builder(b);
}

static key_file keys_of(const imx_gguf *source, const imx_plan_options *plan_options,
                        const imx_key_options *options) {
    imx_plan *plan;
    imx_gguf_builder *builder;
    assert_int_equal(imx_plan_new(&plan, source, plan_options, NULL), IMX_OK);
    assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
    assert_int_equal(imx_model_keys_set(builder, source, plan, options, NULL), IMX_OK);
    imx_plan_free(plan);
    return close_builder(builder);
}

static void assert_u32(const imx_gguf *gguf, const char *key, uint32_t expected) {
    const imx_gguf_kv *kv = imx_gguf_find_kv(gguf, key);
    assert_non_null(kv);
    assert_int_equal(kv->type, IMX_GGUF_U32);
    assert_int_equal(imx_gguf_elem_i64(kv, 0), expected);
}

static void assert_str(const imx_gguf *gguf, const char *key, const char *expected) {
    imx_str value;
    assert_int_equal(imx_gguf_get_str(gguf, key, true, &value, NULL), IMX_OK);
    assert_int_equal(value.len, strlen(expected));
    assert_memory_equal(value.data, expected, value.len);
}

static void assert_absent(const imx_gguf *gguf, const char *key) {
    assert_null(imx_gguf_find_kv(gguf, key));
}

static void assert_elems(const imx_gguf *gguf, const char *key, const int64_t *expected, size_t n) {
    const imx_gguf_kv *kv = imx_gguf_find_kv(gguf, key);
    assert_non_null(kv);
    assert_int_equal(kv->type, IMX_GGUF_ARRAY);
    assert_int_equal(kv->n_elems, n);
    for (size_t i = 0; i < n; ++i) {
        assert_int_equal(imx_gguf_elem_i64(kv, i), expected[i]);
    }
}

// ---- the model's keys --------------------------------------------------------------------------

static void keys_without_an_imatrix(void **state) {
    (void)state;
    key_file source = make_source();
    const imx_plan_options plan_options = options_of("Q4_K_M");
    const imx_key_options options = {.encode = {IMX_EFFORT_BEST, IMX_WEIGHTING_SQRT}};
    key_file keys = keys_of(source.gguf, &plan_options, &options);
    assert_str(keys.gguf, "general.name", "source");
    assert_u32(keys.gguf, "general.quantization_version", 2);
    assert_u32(keys.gguf, "general.file_type", 15);
    assert_u32(keys.gguf, "deci.block_count", 4);
    assert_str(keys.gguf, "imatrix.quantize.version", IMX_VERSION);
    assert_str(keys.gguf, "imatrix.quantize.recipe", "Q4_K_M");
    assert_str(keys.gguf, "imatrix.quantize.effort", "best");
    assert_str(keys.gguf, "imatrix.quantize.weighting", "sqrt");
    assert_str(keys.gguf, IMX_KEY_SOURCE_HASH, "00000000000000000000000000000000");
    assert_absent(keys.gguf, "imatrix.quantize.imatrix_hash");
    assert_absent(keys.gguf, "imatrix.quantize.tensor_types");
    assert_absent(keys.gguf, "split.no");
    assert_absent(keys.gguf, "split.count");
    assert_absent(keys.gguf, "split.tensors.count");
    // What guided an earlier quantization still did.
    assert_str(keys.gguf, "quantize.imatrix.file", "/home/me/old.dat");
    close_keys(&keys);
    close_keys(&source);
}

static void keys_of_the_imatrix(void **state) {
    (void)state;
    static const char hash[] = "0123456789abcdef0123456789abcdef";
    static const char *const excluded[] = {"ffn"};
    key_file source = make_source();
    imx_imatrix *imatrix;
    assert_int_equal(imx_imatrix_new(&imatrix, NULL), IMX_OK);
    imx_imatrix_add_dataset(imatrix, "/home/me/secret/wiki.txt", NULL);
    add_statistics(imatrix, "blk.0.attn_q.weight", 4, 1, 1.0);
    add_statistics(imatrix, "blk.0.ffn_up.weight", 4, 1, 1.0);
    add_statistics(imatrix, "blk.0.attn_k.weight", 4, 1, 1.0);
    imatrix->chunk_count = 100;
    imx_plan_options plan_options = options_of("Q4_K_M");
    plan_options.imatrix = imatrix;
    plan_options.exclude_weights = excluded;
    plan_options.n_excluded = 1;
    imx_key_options options = {.imatrix_name = "m.imatrix", .imatrix_hash = hash};
    key_file keys = keys_of(source.gguf, &plan_options, &options);
    assert_str(keys.gguf, "quantize.imatrix.file", "m.imatrix");
    assert_str(keys.gguf, "quantize.imatrix.dataset", "wiki.txt");
    assert_u32(keys.gguf, "quantize.imatrix.entries_count", 2);
    assert_u32(keys.gguf, "quantize.imatrix.chunks_count", 100);
    assert_str(keys.gguf, "imatrix.quantize.imatrix_hash", hash);
    close_keys(&keys);

    options.hide_imatrix = true;
    keys = keys_of(source.gguf, &plan_options, &options);
    assert_u32(keys.gguf, "quantize.imatrix.entries_count", 2);
    assert_absent(keys.gguf, "quantize.imatrix.file");
    assert_absent(keys.gguf, "quantize.imatrix.dataset");
    assert_absent(keys.gguf, "quantize.imatrix.chunks_count");
    assert_absent(keys.gguf, "imatrix.quantize.imatrix_hash");
    close_keys(&keys);
    imx_imatrix_free(imatrix);
    close_keys(&source);
}

static void keys_of_pruned_layers(void **state) {
    (void)state;
    static const uint32_t pruned[] = {2, 1};
    key_file source = make_source();
    imx_plan_options plan_options = options_of("Q8_0");
    plan_options.pruned_layers = pruned;
    plan_options.n_pruned = 2;
    const imx_key_options options = {0};
    key_file keys = keys_of(source.gguf, &plan_options, &options);
    assert_u32(keys.gguf, "deci.block_count", 2);
    assert_u32(keys.gguf, "deci.leading_dense_block_count", 1);
    assert_elems(keys.gguf, "deci.attention.head_count_kv", (int64_t[]){8, 1}, 2);
    assert_elems(keys.gguf, "deci.flags", (int64_t[]){1, 1}, 2);
    assert_elems(keys.gguf, "deci.three", (int64_t[]){1, 2, 3}, 3);
    assert_int_equal(imx_gguf_find_kv(keys.gguf, "deci.names")->n_elems, 4);
    assert_elems(keys.gguf, "tokenizer.four", (int64_t[]){8, 4, 2, 1}, 4);
    close_keys(&keys);
    close_keys(&source);
}

static void copies_keep_their_file_type(void **state) {
    (void)state;
    key_file source = make_source();
    const imx_plan_options plan_options = options_of("COPY");
    const imx_key_options options = {0};
    key_file keys = keys_of(source.gguf, &plan_options, &options);
    assert_u32(keys.gguf, "general.file_type", 1);
    close_keys(&keys);
    close_keys(&source);
}

static void keys_of_overridden_types(void **state) {
    (void)state;
    static const imx_type_override overrides[] = {{"attn_q$", IMX_TYPE_Q8_0},
                                                  {"ffn", IMX_TYPE_Q5_K}};
    key_file source = make_source();
    imx_plan plan = {.options = options_of("Q8_0")};
    plan.options.overrides = overrides;
    plan.options.n_overrides = 2;
    imx_gguf_builder *builder;
    const imx_key_options options = {0};
    assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
    assert_int_equal(imx_model_keys_set(builder, source.gguf, &plan, &options, NULL), IMX_OK);
    key_file keys = close_builder(builder);
    const imx_gguf_kv *kv = imx_gguf_find_kv(keys.gguf, "imatrix.quantize.tensor_types");
    assert_non_null(kv);
    assert_int_equal(kv->n_elems, 2);
    const uint8_t *cursor = kv->elems;
    imx_str row = imx_gguf_next_str(&cursor);
    assert_memory_equal(row.data, "attn_q$=Q8_0", row.len);
    row = imx_gguf_next_str(&cursor);
    assert_memory_equal(row.data, "ffn=Q5_K", row.len);
    close_keys(&keys);
    close_keys(&source);
}

// ---- overrides ---------------------------------------------------------------------------------

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
        cmocka_unit_test(keys_without_an_imatrix),  cmocka_unit_test(keys_of_the_imatrix),
        cmocka_unit_test(keys_of_pruned_layers),    cmocka_unit_test(copies_keep_their_file_type),
        cmocka_unit_test(keys_of_overridden_types), cmocka_unit_test(overrides_that_are_taken),
        cmocka_unit_test(overridden_strings),       cmocka_unit_test(overrides_that_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
