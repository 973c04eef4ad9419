// SPDX-License-Identifier: MIT
//
// The keys of a model to be quantized, and those that it then has.

#ifndef IMX_TESTS_KEY_FIXTURE_H
#define IMX_TESTS_KEY_FIXTURE_H

#include <stdlib.h>

#include "plan_fixture.h"
#include "quant/plan/model_keys.h"

// A file of keys alone, parsed from its bytes.
typedef struct key_file {
    uint8_t *bytes;
    imx_gguf *gguf;
} key_file;

static inline key_file close_builder(imx_gguf_builder *builder) {
    key_file file;
    size_t size;
    assert_int_equal(imx_gguf_builder_header(builder, &file.bytes, &size, NULL), IMX_OK);
    assert_int_equal(imx_gguf_parse(&file.gguf, file.bytes, size, "keys.gguf", NULL), IMX_OK);
    imx_gguf_builder_free(builder);
    return file;
}

static inline void close_keys(key_file *file) {
    imx_gguf_close(file->gguf);
    free(file->bytes);
}

// Four layers, with what an earlier quantization and the shards have left.
static inline key_file make_source(void) {
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

static inline key_file keys_of(const imx_gguf *source, const imx_plan_options *plan_options,
                               const imx_key_options *options) {
    imx_plan *plan;
    imx_gguf_builder *builder;
    assert_int_equal(imx_plan_new(&plan, source, plan_options, NULL), IMX_OK);
    assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
    assert_int_equal(imx_model_keys_set(builder, source, plan, options, NULL), IMX_OK);
    imx_plan_free(plan);
    return close_builder(builder);
}

static inline void assert_u32(const imx_gguf *gguf, const char *key, uint32_t expected) {
    const imx_gguf_kv *kv = imx_gguf_find_kv(gguf, key);
    assert_non_null(kv);
    assert_int_equal(kv->type, IMX_GGUF_U32);
    assert_int_equal(imx_gguf_elem_i64(kv, 0), expected);
}

static inline void assert_str(const imx_gguf *gguf, const char *key, const char *expected) {
    imx_str value;
    assert_int_equal(imx_gguf_get_str(gguf, key, true, &value, NULL), IMX_OK);
    assert_int_equal(value.len, strlen(expected));
    assert_memory_equal(value.data, expected, value.len);
}

#endif
