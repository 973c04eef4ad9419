// SPDX-License-Identifier: MIT

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "key_fixture.h"

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

static void assert_strs(const imx_gguf *gguf, const char *key, const char *const *expected,
                        size_t n) {
    const imx_gguf_kv *kv = imx_gguf_find_kv(gguf, key);
    assert_non_null(kv);
    assert_int_equal(kv->n_elems, n);
    const uint8_t *cursor = kv->elems;
    for (size_t i = 0; i < n; ++i) {
        const imx_str text = imx_gguf_next_str(&cursor);
        assert_int_equal(text.len, strlen(expected[i]));
        assert_memory_equal(text.data, expected[i], text.len);
    }
}

static void assert_hidden(const imx_gguf *gguf) {
    static const char *const hidden[] = {
        "quantize.imatrix.file",
        "quantize.imatrix.dataset",
        "quantize.imatrix.chunks_count",
        "imatrix.quantize.imatrix_hash",
        "imatrix.quantize.calibration.texts",
        "imatrix.quantize.calibration.text_hashes",
        "imatrix.quantize.calibration.n_tokens",
    };
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; ++i) {
        assert_absent(gguf, hidden[i]);
    }
}

// ---- tests -------------------------------------------------------------------------------------

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
    assert_hidden(keys.gguf);
    close_keys(&keys);
    imx_imatrix_free(imatrix);
    close_keys(&source);
}

static void keys_of_a_calibrated_model(void **state) {
    (void)state;
    static const char *const texts[] = {"wiki.txt", "code.txt"};
    static const char *const hashes[] = {"0123456789abcdef0123456789abcdef",
                                         "fedcba9876543210fedcba9876543210"};
    key_file source = make_source();
    imx_imatrix *imatrix;
    assert_int_equal(imx_imatrix_new(&imatrix, NULL), IMX_OK);
    add_statistics(imatrix, "blk.0.attn_q.weight", 4, 1, 0.0);
    imx_plan_options plan_options = options_of("Q4_K_M");
    plan_options.imatrix = imatrix;
    plan_options.statistics_follow = true;
    const imx_calibration_keys calibration = {
        texts, hashes, 2, UINT64_C(1) << 33, 1000, IMX_INPUTS_QUANTIZED, true};
    imx_key_options options = {.calibration = &calibration};
    key_file keys = keys_of(source.gguf, &plan_options, &options);
    assert_absent(keys.gguf, "quantize.imatrix.file");
    assert_str(keys.gguf, "quantize.imatrix.dataset", "wiki.txt");
    assert_u32(keys.gguf, "quantize.imatrix.entries_count", 1);
    assert_u32(keys.gguf, "quantize.imatrix.chunks_count", 1000);
    assert_absent(keys.gguf, "imatrix.quantize.imatrix_hash");
    assert_str(keys.gguf, "imatrix.quantize.calibration.inputs", "quantized");
    assert_strs(keys.gguf, "imatrix.quantize.calibration.texts", texts, 2);
    assert_strs(keys.gguf, "imatrix.quantize.calibration.text_hashes", hashes, 2);
    assert_int_equal(
        imx_gguf_elem_i64(imx_gguf_find_kv(keys.gguf, "imatrix.quantize.calibration.n_tokens"), 0),
        UINT64_C(1) << 33);
    assert_int_equal(
        imx_gguf_elem_i64(
            imx_gguf_find_kv(keys.gguf, "imatrix.quantize.calibration.process_output"), 0),
        1);
    close_keys(&keys);

    options.hide_imatrix = true;
    keys = keys_of(source.gguf, &plan_options, &options);
    assert_hidden(keys.gguf);
    assert_u32(keys.gguf, "quantize.imatrix.entries_count", 1);
    assert_str(keys.gguf, "imatrix.quantize.calibration.inputs", "quantized"); // another job
    assert_non_null(imx_gguf_find_kv(keys.gguf, "imatrix.quantize.calibration.process_output"));
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
    assert_strs(keys.gguf, "imatrix.quantize.tensor_types",
                (const char *const[]){"attn_q$=Q8_0", "ffn=Q5_K"}, 2);
    close_keys(&keys);
    close_keys(&source);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_without_an_imatrix),     cmocka_unit_test(keys_of_the_imatrix),
        cmocka_unit_test(keys_of_a_calibrated_model),  cmocka_unit_test(keys_of_pruned_layers),
        cmocka_unit_test(copies_keep_their_file_type), cmocka_unit_test(keys_of_overridden_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
