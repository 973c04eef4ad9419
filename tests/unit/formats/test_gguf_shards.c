// SPDX-License-Identifier: MIT
//
// Models in several files: what is joined, and what is refused.

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "file_fixture.h"
#include "formats/gguf.h"

// What is written into a shard's keys; -1 = no key.
typedef struct split_numbers {
    int no;
    int count;
    int n_tensors;
} split_numbers;

enum { N_COLS = 8, N_SHARDS = 3, N_TENSORS = 4 };

// The shards of a sound model, and their tensors.
static const struct {
    split_numbers numbers;
    const char *tensors[3]; // NULL-terminated
} shard_rows[N_SHARDS] = {
    {{0, N_SHARDS, N_TENSORS}, {"token_embd.weight", "blk.0.attn_q.weight"}},
    {{1, N_SHARDS, N_TENSORS}, {"blk.0.ffn_down.weight"}},
    {{2, N_SHARDS, N_TENSORS}, {"output.weight"}},
};

static const char *const paths[N_SHARDS] = {
    "m.gguf-00001-of-00003.gguf",
    "m.gguf-00002-of-00003.gguf",
    "m.gguf-00003-of-00003.gguf",
};

static float value_of(const char *tensor) {
    return (float)(unsigned char)tensor[strlen(tensor) - 9];
}

static void set_keys(imx_gguf_builder *builder, split_numbers numbers) {
    if (numbers.no == 0) {
        imx_gguf_set_str(builder, "general.architecture", "llama", NULL);
    }
    if (numbers.no >= 0) {
        imx_gguf_set_u16(builder, "split.no", (uint16_t)numbers.no, NULL);
    }
    if (numbers.count >= 0) {
        imx_gguf_set_u16(builder, "split.count", (uint16_t)numbers.count, NULL);
    }
    if (numbers.n_tensors >= 0) {
        imx_gguf_set_i32(builder, "split.tensors.count", numbers.n_tensors, NULL);
    }
    if (numbers.no == 1) { // its own affair
        imx_gguf_set_u32(builder, "general.alignment", 64, NULL);
    }
}

static void write_shard(const char *path, split_numbers numbers, const char *const *tensors) {
    static const uint64_t dims[1] = {N_COLS};
    imx_gguf_builder *builder;
    uint8_t *header;
    size_t header_bytes;
    size_t n_tensors = 0;
    assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
    set_keys(builder, numbers);
    for (; tensors[n_tensors] != NULL; ++n_tensors) {
        imx_gguf_add_tensor(builder, tensors[n_tensors], IMX_TYPE_F32, 1, dims, NULL);
    }
    const size_t stride = (size_t)imx_gguf_builder_alignment(builder); // >= the bytes of a tensor
    assert_int_equal(imx_gguf_builder_header(builder, &header, &header_bytes, NULL), IMX_OK);
    uint8_t *bytes = calloc(header_bytes + n_tensors * stride, 1);
    memcpy(bytes, header, header_bytes);
    for (size_t i = 0; i < n_tensors; ++i) {
        for (size_t j = 0; j < N_COLS; ++j) {
            const float value = value_of(tensors[i]);
            memcpy(bytes + header_bytes + i * stride + j * sizeof value, &value, sizeof value);
        }
    }
    write_bytes(path, bytes, header_bytes + n_tensors * stride);
    imx_gguf_builder_free(builder);
    free(header);
    free(bytes);
}

static void write_model(void) {
    for (size_t i = 0; i < N_SHARDS; ++i) {
        write_shard(paths[i], shard_rows[i].numbers, shard_rows[i].tensors);
    }
}

static void assert_refused(const char *path, imx_status status, const char *words) {
    imx_gguf *model;
    imx_error err = {0};
    assert_int_equal(imx_gguf_open_model(&model, path, &err), status);
    assert_null(model);
    if (strstr(err.message, words) == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, words);
    }
}

// ---- joining -----------------------------------------------------------------------------------

static void assert_joined(const imx_gguf *model) {
    size_t n = 0;
    assert_string_equal(model->path, paths[0]);
    assert_int_equal(model->n_kvs, 1); // no split.*
    assert_non_null(imx_gguf_find_kv(model, "general.architecture"));
    assert_int_equal(model->n_tensors, N_TENSORS);
    assert_int_equal(imx_gguf_n_files(model), N_SHARDS);
    for (size_t s = 0; s < N_SHARDS; ++s) {
        assert_string_equal(imx_gguf_file(model, s)->path, paths[s]);
        for (size_t i = 0; shard_rows[s].tensors[i] != NULL; ++i, ++n) {
            const imx_gguf_tensor *tensor = &model->tensors[n];
            const float expected = value_of(shard_rows[s].tensors[i]);
            float value;
            memcpy(&value, tensor->data + 7 * sizeof value, sizeof value);
            assert_string_equal(tensor->name, shard_rows[s].tensors[i]);
            assert_int_equal(tensor->shard, s);
            assert_true(value == expected);
            assert_ptr_equal(imx_gguf_find_tensor(model, tensor->name), tensor);
        }
    }
}

static void any_shard_opens_the_model(void **state) {
    (void)state;
    write_model();
    for (size_t i = 0; i < N_SHARDS; ++i) {
        imx_gguf *model;
        assert_int_equal(imx_gguf_open_model(&model, paths[i], NULL), IMX_OK);
        assert_joined(model);
        imx_gguf_close(model);
    }
}

static void one_file_is_a_model_too(void **state) {
    (void)state;
    static const split_numbers numbers[] = {{-1, -1, -1}, {0, 1, 2}};
    for (size_t i = 0; i < 2; ++i) {
        imx_gguf *model;
        write_shard("alone.gguf", numbers[i], shard_rows[0].tensors);
        assert_int_equal(imx_gguf_open_model(&model, "alone.gguf", NULL), IMX_OK);
        assert_int_equal(imx_gguf_n_files(model), 1);
        assert_ptr_equal(imx_gguf_file(model, 0), model);
        assert_int_equal(model->n_tensors, 2);
        imx_gguf_close(model);
    }
}

static void the_total_may_be_missing(void **state) {
    (void)state;
    imx_gguf *model;
    for (int i = 0; i < N_SHARDS; ++i) {
        write_shard(paths[i], (split_numbers){i, N_SHARDS, -1}, shard_rows[i].tensors);
    }
    assert_int_equal(imx_gguf_open_model(&model, paths[1], NULL), IMX_OK);
    assert_int_equal(model->n_tensors, N_TENSORS);
    imx_gguf_close(model);
}

static void names_of_shards(void **state) {
    (void)state;
    static const struct {
        const char *path;
        const char *expected;
    } rows[] = {
        {"dir.gguf/name.gguf", "dir.gguf/name-00002-of-00012.gguf"},
        {"name", "name-00002-of-00012.gguf"},
        {"a.gguf.gguf", "a.gguf-00002-of-00012.gguf"},
        {".gguf", ".gguf-00002-of-00012.gguf"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        char *path;
        assert_int_equal(imx_gguf_shard_path(&path, rows[i].path, 1, 12, NULL), IMX_OK);
        assert_string_equal(path, rows[i].expected);
        free(path);
    }
}

// ---- refusals ----------------------------------------------------------------------------------

static void a_missing_shard_is_named(void **state) {
    (void)state;
    write_model();
    assert_int_equal(unlink(paths[2]), 0);
    assert_refused(paths[0], IMX_ERR_IO, paths[2]);
    assert_refused(paths[1], IMX_ERR_IO, "shard 3 of the 3");
}

static void a_damaged_shard_is_named(void **state) {
    (void)state;
    size_t n_bytes;
    write_model();
    uint8_t *bytes = read_bytes(paths[1], &n_bytes);
    write_bytes(paths[1], bytes, n_bytes - 40);
    free(bytes);
    assert_refused(paths[0], IMX_ERR_FORMAT, paths[1]);
}

static void foreign_shards_are_refused(void **state) {
    (void)state;
    static const split_numbers foreign[] = {
        {2, 3, 4}, // another shard
        {1, 4, 4}, // of a model of four
        {-1, -1, -1},
    };
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; ++i) {
        write_model();
        write_shard(paths[1], foreign[i], shard_rows[1].tensors);
        assert_refused(paths[0], IMX_ERR_FORMAT, "is not shard 2 of 3");
    }
}

static void sums_must_add_up(void **state) {
    (void)state;
    static const char *const twice[] = {"output.weight", NULL};
    static const char *const more[] = {"blk.0.ffn_down.weight", "blk.0.ffn_up.weight", NULL};
    write_model();
    write_shard(paths[1], shard_rows[1].numbers, twice);
    assert_refused(paths[0], IMX_ERR_FORMAT, "'output.weight' is there twice");
    write_shard(paths[1], shard_rows[1].numbers, more);
    assert_refused(paths[0], IMX_ERR_FORMAT, "hold 5 tensors, not 4");
}

static void impossible_numbers_are_refused(void **state) {
    (void)state;
    static const struct {
        split_numbers numbers;
        const char *words;
    } rows[] = {
        {{3, 3, 4}, "cannot be shard 3 of 3"},
        {{-1, 3, 4}, "split.no"},
        {{0, 2, 4}, "-00001-of-00002.gguf"}, // the name says otherwise
        {{1, 3, 4}, "-00002-of-00003.gguf"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        write_shard(paths[0], rows[i].numbers, shard_rows[0].tensors);
        assert_refused(paths[0], IMX_ERR_FORMAT, rows[i].words);
    }
    write_shard("m", shard_rows[0].numbers, shard_rows[0].tensors);
    assert_refused("m", IMX_ERR_FORMAT, "-00001-of-00003.gguf");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_directory, leave_directory)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(any_shard_opens_the_model),      TEST(one_file_is_a_model_too),
        TEST(the_total_may_be_missing),       TEST(names_of_shards),
        TEST(a_missing_shard_is_named),       TEST(a_damaged_shard_is_named),
        TEST(foreign_shards_are_refused),     TEST(sums_must_add_up),
        TEST(impossible_numbers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
