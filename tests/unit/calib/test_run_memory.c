// SPDX-License-Identifier: MIT
//
// The memory that running a model takes. Golden bytes are those of the buffers that llama.cpp of
// 2026-08-18 allocates for GGUF files with these keys (F16 cache, one sequence, batches of 512).

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "calib/run_memory.h"

enum { MAX_KEYS = 12, MAX_ELEMS = 16 };

#define MIB (UINT64_C(1) << 20)

typedef struct key_row {
    const char *suffix;
    uint32_t value;
    uint32_t array[MAX_ELEMS]; // instead, when n_elems > 0
    uint32_t n_elems;
} key_row;

typedef struct model_row {
    const char *what;
    const char *architecture;
    key_row keys[MAX_KEYS]; // until one without a suffix
    uint64_t n_ctx;
    uint64_t cache_bytes;
    uint64_t n_cache_layers, n_window_layers, n_state_layers;
} model_row;

#define HEADS    "attention.head_count"
#define KV_HEADS "attention.head_count_kv"

static const model_row models[] = {
    {"Llama 3 8B",
     "llama",
     {{"block_count", 32}, {"embedding_length", 4096}, {HEADS, 32}, {KV_HEADS, 8}},
     8192,
     1024 * MIB,
     32,
     0,
     0},
    {"the same, a context that is no multiple of 256",
     "llama",
     {{"block_count", 32}, {"embedding_length", 4096}, {HEADS, 32}, {KV_HEADS, 8}},
     8000,
     1024 * MIB,
     32,
     0,
     0},
    {"heads longer than the embedding divided",
     "qwen3moe",
     {{"block_count", 48},
      {"embedding_length", 2048},
      {HEADS, 32},
      {KV_HEADS, 4},
      {"attention.key_length", 128},
      {"attention.value_length", 128}},
     32768,
     3072 * MIB,
     48,
     0,
     0},
    {"a window in 5 of 6 layers, by the architecture",
     "gemma3",
     {{"block_count", 34},
      {"embedding_length", 2560},
      {HEADS, 8},
      {KV_HEADS, 4},
      {"attention.key_length", 256},
      {"attention.value_length", 256},
      {"attention.sliding_window", 1024}},
     32768,
     814 * MIB,
     34,
     29,
     0},
    {"a window in every other layer",
     "gemma2",
     {{"block_count", 2}, {"embedding_length", 256}, {HEADS, 2}, {"attention.sliding_window", 16}},
     8192,
     8 * MIB + 768 * 1024,
     2,
     1,
     0},
    {"a window that clients ignore",
     "phi3",
     {{"block_count", 2}, {"embedding_length", 256}, {HEADS, 2}, {"attention.sliding_window", 16}},
     8192,
     16 * MIB,
     2,
     0,
     0},
    {"multi-head latent attention",
     "deepseek2",
     {{"block_count", 2},
      {"embedding_length", 128},
      {HEADS, 1},
      {"attention.key_length", 576},
      {"attention.value_length", 512},
      {"attention.key_length_mla", 192},
      {"attention.value_length_mla", 128}},
     8192,
     18 * MIB,
     2,
     0,
     0},
    {"states alone",
     "mamba",
     {{"block_count", 64},
      {"embedding_length", 2560},
      {HEADS, 0},
      {"ssm.conv_kernel", 4},
      {"ssm.inner_size", 5120},
      {"ssm.state_size", 16}},
     8192,
     23 * MIB + 768 * 1024,
     0,
     0,
     64},
    {"short convolutions between layers with heads",
     "lfm2",
     {{"block_count", 16},
      {"embedding_length", 2048},
      {HEADS, 32},
      {KV_HEADS, 0, {0, 0, 8, 0, 0, 8, 0, 0, 8, 0, 8, 0, 8, 0, 8, 0}, 16},
      {"shortconv.l_cache", 3}},
     8192,
     96 * MIB + 160 * 1024,
     6,
     0,
     10},
};

enum { N_MODELS = sizeof models / sizeof *models };

// A file of keys alone.
typedef struct key_file {
    uint8_t *header;
    imx_gguf *gguf;
} key_file;

static key_file open_keys(const char *architecture, const key_row *rows) {
    key_file file;
    imx_gguf_builder *builder;
    size_t size_bytes;
    char key[128];
    assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_str(builder, "general.architecture", architecture, NULL), IMX_OK);
    for (; rows->suffix != NULL; ++rows) {
        snprintf(key, sizeof key, "%s.%s", architecture, rows->suffix);
        const imx_status status =
            rows->n_elems > 0
                ? imx_gguf_set_array(builder, key, IMX_GGUF_U32, rows->array, rows->n_elems, NULL)
                : imx_gguf_set_u32(builder, key, rows->value, NULL);
        assert_int_equal(status, IMX_OK);
    }
    assert_int_equal(imx_gguf_builder_header(builder, &file.header, &size_bytes, NULL), IMX_OK);
    imx_gguf_builder_free(builder);
    assert_int_equal(imx_gguf_parse(&file.gguf, file.header, size_bytes, "keys.gguf", NULL),
                     IMX_OK);
    return file;
}

static void close_keys(key_file *file) {
    imx_gguf_close(file->gguf);
    free(file->header);
}

static imx_status measure(imx_run_memory *memory, const char *architecture, const key_row *rows,
                          uint64_t n_ctx) {
    key_file file = open_keys(architecture, rows);
    imx_error err = {IMX_OK, ""};
    const imx_status status = imx_run_memory_measure(memory, file.gguf, n_ctx, &err);
    assert_true((status == IMX_OK) == (err.message[0] == '\0'));
    close_keys(&file);
    return status;
}

static void test_cache_is_what_clients_allocate(void **state) {
    (void)state;
    for (size_t i = 0; i < N_MODELS; ++i) {
        const model_row *row = &models[i];
        imx_run_memory memory;
        assert_int_equal(measure(&memory, row->architecture, row->keys, row->n_ctx), IMX_OK);
        if (memory.cache_bytes != row->cache_bytes) {
            fail_msg("%s: %llu bytes instead of %llu", row->what,
                     (unsigned long long)memory.cache_bytes, (unsigned long long)row->cache_bytes);
        }
        assert_int_equal(memory.n_cache_layers, row->n_cache_layers);
        assert_int_equal(memory.n_window_layers, row->n_window_layers);
        assert_int_equal(memory.n_state_layers, row->n_state_layers);
    }
}

// The metadata's pattern goes before the architecture's: true is a layer with a window.
static void test_pattern_of_the_file_rules(void **state) {
    (void)state;
    const key_row by_array[] = {{"block_count", 4},
                                {"embedding_length", 256},
                                {HEADS, 2},
                                {"attention.sliding_window", 16},
                                {"attention.sliding_window_pattern", 0, {1, 1, 1, 0}, 4},
                                {NULL}};
    const key_row by_period[] = {{"block_count", 4},
                                 {"embedding_length", 256},
                                 {HEADS, 2},
                                 {"attention.sliding_window", 16},
                                 {"attention.sliding_window_pattern", 4},
                                 {NULL}};
    imx_run_memory memory;
    assert_int_equal(measure(&memory, "gemma2", by_array, 8192), IMX_OK);
    assert_int_equal(memory.n_window_layers, 3);
    assert_int_equal(measure(&memory, "gemma2", by_period, 8192), IMX_OK);
    assert_int_equal(memory.n_window_layers, 3);
}

static void test_layers_that_keep_nothing(void **state) {
    (void)state;
    const key_row shared[] = {{"block_count", 10},
                              {"embedding_length", 256},
                              {HEADS, 2},
                              {"attention.shared_kv_layers", 4},
                              {NULL}};
    const key_row encoder[] = {{"block_count", 10},
                               {"embedding_length", 256},
                               {HEADS, 2},
                               {"attention.causal", 0},
                               {NULL}};
    imx_run_memory memory;
    assert_int_equal(measure(&memory, "gemma4", shared, 256), IMX_OK);
    assert_int_equal(memory.n_cache_layers, 6);
    assert_int_equal(measure(&memory, "bert", encoder, 256), IMX_OK);
    assert_int_equal(memory.cache_bytes, 0);
}

// Qwen3-Next attends in every fourth layer and has a state in the others.
static void test_layers_take_turns(void **state) {
    (void)state;
    const key_row keys[] = {{"block_count", 8},
                            {"embedding_length", 256},
                            {HEADS, 2},
                            {"ssm.conv_kernel", 4},
                            {"ssm.inner_size", 512},
                            {"ssm.state_size", 16},
                            {"ssm.group_count", 2},
                            {NULL}};
    const uint64_t state_bytes = (3 * (512 + 2 * 2 * 16) + 16 * 512) * sizeof(float);
    imx_run_memory memory;
    assert_int_equal(measure(&memory, "qwen3next", keys, 256), IMX_OK);
    assert_int_equal(memory.n_cache_layers, 2);
    assert_int_equal(memory.n_state_layers, 6);
    assert_int_equal(memory.cache_bytes, 6 * state_bytes + 2 * 256 * 2 * 256 * 2);
}

static void test_context_and_buffers(void **state) {
    (void)state;
    const key_row keys[] = {{"block_count", 1},           {"embedding_length", 256},
                            {"feed_forward_length", 384}, {HEADS, 2},
                            {"context_length", 2048},     {NULL}};
    const uint64_t rows = 512 * (4 * 384 + 4 * 256) * sizeof(float);
    imx_run_memory memory;
    assert_int_equal(measure(&memory, "llama", keys, 0), IMX_OK);
    assert_int_equal(memory.n_ctx, 2048);
    assert_int_equal(memory.compute_bytes, rows + 512 * 2048 * 2);
    assert_int_equal(measure(&memory, "llama", keys, 1024), IMX_OK);
    assert_int_equal(memory.n_ctx, 1024);
    assert_int_equal(memory.compute_bytes, rows + 512 * 1024 * 2);
}

static void test_what_is_not_said_is_nothing(void **state) {
    (void)state;
    const key_row none[] = {{NULL}};
    imx_run_memory memory;
    assert_int_equal(measure(&memory, "llama", none, 0), IMX_OK);
    assert_int_equal(memory.n_ctx, 4096);
    assert_int_equal(memory.cache_bytes, 0);
}

static void test_absurd_numbers_are_refused(void **state) {
    (void)state;
    const key_row layers[] = {{"block_count", UINT32_MAX}, {NULL}};
    const key_row heads[] = {
        {"block_count", 1}, {"embedding_length", 256}, {HEADS, 2}, {KV_HEADS, UINT32_MAX}, {NULL}};
    const key_row window[] = {{"block_count", 1},
                              {"embedding_length", 256},
                              {HEADS, 2},
                              {"attention.sliding_window", UINT32_MAX},
                              {NULL}};
    const key_row product[] = {{"block_count", 4000},
                               {"embedding_length", 256},
                               {HEADS, 1000000},
                               {"attention.key_length", 1000000},
                               {NULL}};
    imx_run_memory memory;
    assert_int_equal(measure(&memory, "llama", layers, 0), IMX_ERR_FORMAT);
    assert_int_equal(measure(&memory, "llama", heads, 0), IMX_ERR_FORMAT);
    assert_int_equal(measure(&memory, "gemma2", window, 0), IMX_ERR_FORMAT);
    assert_int_equal(measure(&memory, "llama", product, UINT32_MAX), IMX_ERR_FORMAT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cache_is_what_clients_allocate),
        cmocka_unit_test(test_pattern_of_the_file_rules),
        cmocka_unit_test(test_layers_that_keep_nothing),
        cmocka_unit_test(test_layers_take_turns),
        cmocka_unit_test(test_context_and_buffers),
        cmocka_unit_test(test_what_is_not_said_is_nothing),
        cmocka_unit_test(test_absurd_numbers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
