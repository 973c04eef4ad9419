// SPDX-License-Identifier: MIT
//
// The imatrix in memory and in its three formats. Damaged files lie in memory blocks of exactly
// their size, so that a sanitizer sees a read behind the end.

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zstd.h>

#include "formats/gguf.h"
#include "formats/imatrix_file.h"

enum { N_FORMATS = IMX_IMATRIX_DAT + 1 };

// ---------------------------------------------------------------------------------------------
// A small imatrix: a dense weight, four experts of which the third has seen nothing, and an entry
// without any data

static imx_imatrix_entry *add(imx_imatrix *imatrix, const char *name, uint64_t n_cols,
                              uint64_t n_mats, bool with_sums) {
    imx_imatrix_entry *entry;
    assert_int_equal(imx_imatrix_add(imatrix, name, n_cols, n_mats, with_sums, &entry, NULL),
                     IMX_OK);
    return entry;
}

static imx_imatrix *make_imatrix(void) {
    imx_imatrix *imatrix;
    assert_int_equal(imx_imatrix_new(&imatrix, NULL), IMX_OK);
    imx_imatrix_entry *experts = add(imatrix, "blk.0.ffn_up_exps.weight", 3, 4, false);
    imx_imatrix_entry *dense = add(imatrix, "blk.0.attn_q.weight", 5, 1, true);
    add(imatrix, "blk.1.attn_q.weight", 2, 1, false);
    experts = imx_imatrix_find(imatrix, "blk.0.ffn_up_exps.weight");
    dense = imx_imatrix_find(imatrix, "blk.0.attn_q.weight");
    dense->counts[0] = 1000;
    for (int j = 0; j < 5; ++j) {
        dense->in_sum2[j] = 0.1 * j + 1e-9;
        dense->in_sum[j] = 0.3 - 0.2 * j;
        dense->in_max[j] = 0.7 * j;
    }
    for (int m = 0; m < 4; ++m) {
        experts->counts[m] = m == 2 ? 0 : 100 * (m + 1);
        for (int j = 0; j < 3; ++j) {
            experts->in_sum2[3 * m + j] = m == 2 ? 0 : 1000.0 / (m + j + 1);
        }
    }
    assert_int_equal(imx_imatrix_add_dataset(imatrix, "first.txt", NULL), IMX_OK);
    assert_int_equal(imx_imatrix_add_dataset(imatrix, "second.txt", NULL), IMX_OK);
    imatrix->chunk_count = 7;
    imatrix->chunk_size = 256;
    return imatrix;
}

static void set_origin(imx_imatrix *imatrix) {
    static const uint32_t left_out[] = {3, 17};
    uint32_t *left_out_chunks = malloc(sizeof left_out);
    memcpy(left_out_chunks, left_out, sizeof left_out);
    imatrix->origin = (imx_imatrix_origin){
        .program = strdup("imatrix 0.1"),
        .model_name = strdup("model-f16.gguf"),
        .model_hash = strdup("0123456789abcdef0123456789abcdef"),
        .text_hash = strdup("fedcba9876543210fedcba9876543210"),
        .n_tokens = UINT64_C(1) << 40,
        .has_options = true,
        .parse_special = true,
        .process_output = false,
        .left_out_chunks = left_out_chunks,
        .n_left_out = 2,
    };
}

static void serialize(const imx_imatrix *imatrix, imx_imatrix_format format, uint8_t **bytes,
                      size_t *n) {
    imx_error err = {0};
    if (imx_imatrix_serialize(imatrix, format, bytes, n, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
}

// Parses a copy of exactly n bytes.
static imx_status parse(imx_imatrix **imatrix, const uint8_t *data, size_t n,
                        imx_imatrix_format *format, imx_error *err) {
    uint8_t *copy = malloc(n > 0 ? n : 1);
    memcpy(copy, data, n);
    const imx_status status = imx_imatrix_parse(imatrix, copy, n, "test.imatrix", format, err);
    free(copy);
    return status;
}

static void assert_refused(const uint8_t *data, size_t n, const char *words) {
    imx_imatrix *imatrix;
    imx_error err = {0};
    const imx_status status = parse(&imatrix, data, n, NULL, &err);
    assert_null(imatrix);
    assert_true(status == IMX_ERR_FORMAT);
    if (strstr(err.message, words) == NULL || strstr(err.message, "test.imatrix") == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, words);
    }
}

static void assert_same_string(const char *a, const char *b) {
    assert_int_equal(a != NULL, b != NULL);
    if (a != NULL) {
        assert_string_equal(a, b);
    }
}

static void assert_floats(const double *read, const double *written, uint64_t n) {
    assert_int_equal(read != NULL, written != NULL);
    for (uint64_t i = 0; written != NULL && i < n; ++i) {
        assert_true(read[i] == (double)(float)written[i]);
    }
}

static void assert_same_to_f32(const imx_imatrix *read, const imx_imatrix *written) {
    assert_int_equal(read->n_entries, written->n_entries);
    for (size_t i = 0; i < read->n_entries; ++i) {
        const imx_imatrix_entry *a = &read->entries[i];
        const imx_imatrix_entry *b = &written->entries[i];
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->n_cols, b->n_cols);
        assert_int_equal(a->n_mats, b->n_mats);
        assert_floats(a->in_sum2, b->in_sum2, b->n_cols * b->n_mats);
        assert_floats(a->in_sum, b->in_sum, b->n_cols * b->n_mats);
        assert_floats(a->in_max, b->in_max, b->n_cols * b->n_mats);
        assert_floats(a->counts, b->counts, b->n_mats);
    }
    assert_int_equal(read->n_datasets, written->n_datasets);
    for (size_t i = 0; i < read->n_datasets; ++i) {
        assert_string_equal(read->datasets[i], written->datasets[i]);
    }
    assert_int_equal(read->chunk_count, written->chunk_count);
    assert_int_equal(read->chunk_size, written->chunk_size);
    assert_same_string(read->origin.program, written->origin.program);
    assert_same_string(read->origin.model_name, written->origin.model_name);
    assert_same_string(read->origin.model_hash, written->origin.model_hash);
    assert_same_string(read->origin.text_hash, written->origin.text_hash);
    assert_true(read->origin.n_tokens == written->origin.n_tokens);
    assert_int_equal(read->origin.has_options, written->origin.has_options);
    assert_int_equal(read->origin.parse_special, written->origin.parse_special);
    assert_int_equal(read->origin.process_output, written->origin.process_output);
    assert_int_equal(read->origin.n_left_out, written->origin.n_left_out);
    for (size_t i = 0; i < written->origin.n_left_out; ++i) {
        assert_int_equal(read->origin.left_out_chunks[i], written->origin.left_out_chunks[i]);
    }
}

// ---------------------------------------------------------------------------------------------
// In memory

static void test_entries_are_sorted_and_unique(void **state) {
    (void)state;
    static const char *const names[] = {"m", "b", "z", "a", "b.x", "b-x", "q", "c"};
    imx_imatrix *imatrix;
    imx_imatrix_entry *entry;
    assert_int_equal(imx_imatrix_new(&imatrix, NULL), IMX_OK);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        entry = add(imatrix, names[i], 1, 1, false);
        assert_string_equal(entry->name, names[i]);
        entry->counts[0] = (double)i;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        assert_true(imx_imatrix_find(imatrix, names[i])->counts[0] == (double)i);
        assert_int_equal(imx_imatrix_add(imatrix, names[i], 1, 1, false, &entry, NULL),
                         IMX_ERR_ARGUMENT);
    }
    for (size_t i = 1; i < imatrix->n_entries; ++i) {
        assert_true(strcmp(imatrix->entries[i - 1].name, imatrix->entries[i].name) < 0);
    }
    assert_null(imx_imatrix_find(imatrix, "nowhere"));
    assert_int_equal(imx_imatrix_add(imatrix, "none", 0, 1, false, &entry, NULL), IMX_ERR_ARGUMENT);
    assert_int_equal(
        imx_imatrix_add(imatrix, "huge", UINT64_C(1) << 33, UINT64_C(1) << 33, false, &entry, NULL),
        IMX_ERR_ARGUMENT);
    imx_imatrix_free(imatrix);
    imx_imatrix_free(NULL);
}

static void test_mean_squares(void **state) {
    (void)state;
    float mean[3];
    imx_imatrix *imatrix = make_imatrix();
    imx_imatrix_entry *experts = imx_imatrix_find(imatrix, "blk.0.ffn_up_exps.weight");
    assert_true(imx_imatrix_mean_squares(experts, 1, mean));
    for (int j = 0; j < 3; ++j) {
        assert_true(mean[j] == (float)(1000.0 / (j + 2) / 200));
    }
    assert_false(imx_imatrix_mean_squares(experts, 2, mean));
    assert_true(mean[0] == 1 && mean[1] == 1 && mean[2] == 1);
    experts->in_sum2[0] = 1e300; // more than a float holds
    assert_true(imx_imatrix_mean_squares(experts, 0, mean));
    assert_true(mean[0] == FLT_MAX);
    imx_imatrix_free(imatrix);
}

// ---------------------------------------------------------------------------------------------
// Round trips

static void test_gguf_and_zst_round_trip(void **state) {
    (void)state;
    static const imx_imatrix_format formats[] = {IMX_IMATRIX_GGUF, IMX_IMATRIX_ZST};
    for (int with_origin = 0; with_origin < 2; ++with_origin) {
        imx_imatrix *imatrix = make_imatrix();
        if (with_origin) {
            set_origin(imatrix);
        }
        for (size_t f = 0; f < 2; ++f) {
            uint8_t *bytes;
            size_t n;
            imx_imatrix *read;
            imx_imatrix_format format;
            serialize(imatrix, formats[f], &bytes, &n);
            assert_int_equal(parse(&read, bytes, n, &format, NULL), IMX_OK);
            assert_int_equal(format, formats[f]);
            assert_same_to_f32(read, imatrix);
            imx_imatrix_free(read);
            free(bytes);
        }
        imx_imatrix_free(imatrix);
    }
}

static void test_sources_round_trip(void **state) {
    (void)state;
    static const imx_imatrix_source written[] = {
        {"0123456789abcdef0123456789abcdef", 1, UINT64_C(1) << 40, 3},
        {"fedcba9876543210fedcba9876543210", 0.3, 0, 0},
    };
    static const imx_imatrix_format formats[] = {IMX_IMATRIX_GGUF, IMX_IMATRIX_ZST};
    for (size_t f = 0; f < 2; ++f) {
        imx_imatrix *imatrix;
        imx_imatrix *read;
        uint8_t *bytes;
        size_t n;
        assert_int_equal(imx_imatrix_new(&imatrix, NULL), IMX_OK);
        add(imatrix, "w", 1, 1, false)->counts[0] = 1;
        assert_int_equal(imx_imatrix_add_source(imatrix, "a.txt", &written[0], NULL), IMX_OK);
        assert_int_equal(imx_imatrix_add_source(imatrix, "b.txt", &written[1], NULL), IMX_OK);
        serialize(imatrix, formats[f], &bytes, &n);
        assert_int_equal(parse(&read, bytes, n, NULL, NULL), IMX_OK);
        assert_int_equal(read->n_sources, 2);
        assert_string_equal(read->datasets[1], "b.txt");
        for (size_t i = 0; i < 2; ++i) {
            assert_string_equal(read->sources[i].hash, written[i].hash);
            assert_true(read->sources[i].weight == written[i].weight);
            assert_true(read->sources[i].n_tokens == written[i].n_tokens);
            assert_true(read->sources[i].n_chunks == written[i].n_chunks);
        }
        assert_int_equal(imx_imatrix_add_dataset(read, "c.txt", NULL), IMX_OK);
        assert_int_equal(imx_imatrix_add_source(read, "d.txt", &written[0], NULL),
                         IMX_ERR_ARGUMENT);
        imx_imatrix_free(read);
        imx_imatrix_free(imatrix);
        free(bytes);
    }
}

// Arrays of the sources that do not belong together.
static void test_bad_sources(void **state) {
    (void)state;
    static const struct {
        const char *hash;
        size_t n_hashes, n_weights;
        const char *words;
    } cases[] = {
        {"0123456789abcdef0123456789abcdef", 2, 1, "source_hashes does not fit imatrix.datasets"},
        {"0123456789abcdef0123456789abcdef", 1, 2, "source_weights does not fit imatrix.datasets"},
        {"0123456789abcdef0123456789abcdef0", 1, 1, "source_hashes: element 0 is no hash"},
        {"0123456789abcdef0123456789abcdef", 1, 1, "source_tokens"}, // is not there
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        static const double weights[] = {1, 1};
        const char *const hashes[] = {cases[i].hash, cases[i].hash};
        const char *const names[] = {"a.txt"};
        imx_gguf_builder *builder;
        uint8_t *bytes;
        size_t n;
        imx_gguf_builder_new(&builder, NULL);
        imx_gguf_set_str_array(builder, "imatrix.datasets", names, 1, NULL);
        imx_gguf_set_str_array(builder, "imatrix.calibration.source_hashes", hashes,
                               cases[i].n_hashes, NULL);
        imx_gguf_set_array(builder, "imatrix.calibration.source_weights", IMX_GGUF_F64, weights,
                           cases[i].n_weights, NULL);
        imx_gguf_builder_header(builder, &bytes, &n, NULL);
        assert_refused(bytes, n, cases[i].words);
        imx_gguf_builder_free(builder);
        free(bytes);
    }
}

// What has been through a format once comes out of it as the same bytes.
static void test_bytes_are_stable(void **state) {
    (void)state;
    imx_imatrix *imatrix = make_imatrix();
    set_origin(imatrix);
    for (int f = 0; f < N_FORMATS; ++f) {
        uint8_t *bytes;
        uint8_t *again;
        size_t n;
        size_t n_again;
        imx_imatrix *read;
        serialize(imatrix, (imx_imatrix_format)f, &bytes, &n);
        assert_int_equal(parse(&read, bytes, n, NULL, NULL), IMX_OK);
        serialize(read, (imx_imatrix_format)f, &again, &n_again);
        assert_int_equal(n_again, n);
        assert_memory_equal(again, bytes, n);
        imx_imatrix_free(read);
        free(again);
        free(bytes);
    }
    imx_imatrix_free(imatrix);
}

// What llama.cpp's common_imatrix_load asks for: the three keys with these types, F32 tensors in
// pairs, names below 64 bytes.
static void test_gguf_is_what_llama_reads(void **state) {
    (void)state;
    uint8_t *bytes;
    size_t n;
    imx_gguf *gguf;
    imx_imatrix *imatrix = make_imatrix();
    serialize(imatrix, IMX_IMATRIX_GGUF, &bytes, &n);
    assert_int_equal(imx_gguf_parse(&gguf, bytes, n, "test.gguf", NULL), IMX_OK);
    assert_int_equal(imx_gguf_find_kv(gguf, "imatrix.chunk_count")->type, IMX_GGUF_U32);
    assert_int_equal(imx_gguf_find_kv(gguf, "imatrix.chunk_size")->type, IMX_GGUF_U32);
    const imx_gguf_kv *datasets = imx_gguf_find_kv(gguf, "imatrix.datasets");
    assert_int_equal(datasets->type, IMX_GGUF_ARRAY);
    assert_int_equal(datasets->elem_type, IMX_GGUF_STRING);
    static const struct {
        const char *name;
        uint64_t dims[2];
    } expected[] = {
        {"blk.0.attn_q.weight.in_sum2", {5, 1}},      {"blk.0.attn_q.weight.counts", {1, 1}},
        {"blk.0.attn_q.weight.in_sum", {5, 1}},       {"blk.0.attn_q.weight.in_max", {5, 1}},
        {"blk.0.ffn_up_exps.weight.in_sum2", {3, 4}}, {"blk.0.ffn_up_exps.weight.counts", {1, 4}},
        {"blk.1.attn_q.weight.in_sum2", {2, 1}},      {"blk.1.attn_q.weight.counts", {1, 1}},
    };
    assert_int_equal(gguf->n_tensors, sizeof expected / sizeof expected[0]);
    uint64_t offset = 0;
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        const imx_gguf_tensor *tensor = &gguf->tensors[i];
        assert_string_equal(tensor->name, expected[i].name);
        assert_int_equal(tensor->type, IMX_TYPE_F32);
        assert_int_equal(tensor->dims[0], expected[i].dims[0]);
        assert_int_equal(tensor->dims[1], expected[i].dims[1]);
        assert_int_equal(tensor->offset, offset); // no gaps
        offset += (tensor->size_bytes + 31) / 32 * 32;
    }
    assert_int_equal(n, gguf->data_offset + offset);
    imx_gguf_close(gguf);
    imx_imatrix_free(imatrix);
    free(bytes);
}

static void test_long_names(void **state) {
    (void)state;
    char name[57];
    uint8_t *bytes;
    size_t n;
    imx_imatrix *imatrix;
    imx_imatrix *read;
    imx_error err = {0};
    for (size_t len = 55; len <= 56; ++len) {
        memset(name, 'n', len);
        name[len] = '\0';
        assert_int_equal(imx_imatrix_new(&imatrix, NULL), IMX_OK);
        add(imatrix, name, 1, 1, true)->counts[0] = 1;
        const imx_status expected = len == 55 ? IMX_OK : IMX_ERR_UNSUPPORTED;
        for (int f = 0; f < IMX_IMATRIX_DAT; ++f) {
            assert_int_equal(
                imx_imatrix_serialize(imatrix, (imx_imatrix_format)f, &bytes, &n, &err), expected);
            free(bytes);
        }
        assert_true(len == 55 || strstr(err.message, name) != NULL);
        serialize(imatrix, IMX_IMATRIX_DAT, &bytes, &n);
        assert_int_equal(parse(&read, bytes, n, NULL, NULL), IMX_OK);
        assert_string_equal(read->entries[0].name, name);
        imx_imatrix_free(read);
        imx_imatrix_free(imatrix);
        free(bytes);
    }
}

static void test_files(void **state) {
    (void)state;
    char path[] = "/tmp/imatrix-test-file-XXXXXX";
    close(mkstemp(path));
    imx_imatrix *imatrix = make_imatrix();
    for (int f = 0; f < N_FORMATS; ++f) {
        imx_imatrix *read;
        imx_imatrix_format format;
        assert_int_equal(imx_imatrix_write(imatrix, path, (imx_imatrix_format)f, NULL), IMX_OK);
        assert_int_equal(imx_imatrix_read(&read, path, &format, NULL), IMX_OK);
        assert_int_equal(format, f);
        assert_int_equal(read->chunk_count, 7);
        imx_imatrix_free(read);
    }
    unlink(path);
    imx_error err = {0};
    imx_imatrix *read;
    assert_int_equal(imx_imatrix_read(&read, path, NULL, &err), IMX_ERR_IO);
    assert_null(read);
    assert_int_equal(imx_imatrix_write(imatrix, "/nowhere/at/all", IMX_IMATRIX_ZST, &err),
                     IMX_ERR_IO);
    imx_imatrix_free(imatrix);
}

// ---------------------------------------------------------------------------------------------
// The legacy format, byte by byte

typedef struct bytes {
    uint8_t data[4096];
    size_t n;
} bytes;

static void put(bytes *b, const void *data, size_t n) {
    assert_true(b->n + n <= sizeof b->data);
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void put_i32(bytes *b, int32_t value) {
    put(b, &value, sizeof value);
}

static void put_name(bytes *b, const char *name) {
    put_i32(b, (int32_t)strlen(name));
    put(b, name, strlen(name));
}

static void put_dat_entry(bytes *b, const char *name, int32_t n_calls, const float *values,
                          int32_t n_values) {
    put_name(b, name);
    put_i32(b, n_calls);
    put_i32(b, n_values);
    put(b, values, (size_t)n_values * sizeof *values);
}

static void test_dat_reading(void **state) {
    (void)state;
    static const float values[] = {3.0f, 0.1f, 7.0f};
    float mean[3];
    imx_imatrix *imatrix;
    imx_imatrix_format format;
    bytes b = {.n = 0};
    put_i32(&b, 2);
    put_dat_entry(&b, "second", 7, values, 3);
    put_dat_entry(&b, "first", 0, values, 2); // no calls: the values are the means
    const size_t without_trailer = b.n;
    put_i32(&b, 123);
    put_name(&b, "text.txt");
    assert_int_equal(parse(&imatrix, b.data, b.n, &format, NULL), IMX_OK);
    assert_int_equal(format, IMX_IMATRIX_DAT);
    assert_int_equal(imatrix->chunk_count, 123);
    assert_int_equal(imatrix->chunk_size, 1);
    assert_int_equal(imatrix->n_datasets, 1);
    assert_string_equal(imatrix->datasets[0], "text.txt");
    assert_string_equal(imatrix->entries[0].name, "first");
    assert_int_equal(imatrix->entries[1].n_cols, 3);
    assert_int_equal(imatrix->entries[1].n_mats, 1);
    assert_true(imx_imatrix_mean_squares(&imatrix->entries[0], 0, mean));
    assert_true(mean[0] == 3.0f && mean[1] == 0.1f);
    assert_true(imx_imatrix_mean_squares(&imatrix->entries[1], 0, mean));
    assert_true(mean[0] == 3.0f / 7.0f && mean[1] == 0.1f / 7.0f && mean[2] == 1.0f);
    imx_imatrix_free(imatrix);

    assert_int_equal(parse(&imatrix, b.data, without_trailer, NULL, NULL), IMX_OK);
    assert_int_equal(imatrix->chunk_count, 0);
    assert_int_equal(imatrix->n_datasets, 0);
    imx_imatrix_free(imatrix);
}

// n_calls = ceil(max count / chunk_size), value = mean · n_calls, 1 as the mean of an expert that
// has seen nothing; an entry without any data is left out.
static void test_dat_writing(void **state) {
    (void)state;
    uint8_t *file;
    size_t n;
    imx_imatrix *imatrix = make_imatrix();
    float dense[5];
    float experts[12];
    for (int j = 0; j < 5; ++j) {
        dense[j] = (float)((0.1 * j + 1e-9) / 1000 * 4); // ceil(1000 / 256) calls
    }
    for (int i = 0; i < 12; ++i) {
        const int m = i / 3;
        // ceil(400 / 256) calls
        experts[i] = m == 2 ? 2.0f : (float)(1000.0 / (m + i % 3 + 1) / (100 * (m + 1)) * 2);
    }
    bytes b = {.n = 0};
    put_i32(&b, 2);
    put_dat_entry(&b, "blk.0.attn_q.weight", 4, dense, 5);
    put_dat_entry(&b, "blk.0.ffn_up_exps.weight", 2, experts, 12);
    put_i32(&b, 7);
    put_name(&b, "second.txt");
    serialize(imatrix, IMX_IMATRIX_DAT, &file, &n);
    assert_int_equal(n, b.n);
    assert_memory_equal(file, b.data, n);
    free(file);

    imx_imatrix_find(imatrix, "blk.0.attn_q.weight")->counts[0] = 1e13;
    imx_error err = {0};
    assert_int_equal(imx_imatrix_serialize(imatrix, IMX_IMATRIX_DAT, &file, &n, &err),
                     IMX_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "blk.0.attn_q.weight"));
    imx_imatrix_free(imatrix);
}

static void test_dat_refuses(void **state) {
    (void)state;
    static const float one = 1.0f;
    bytes b = {.n = 0};
    put_i32(&b, 2);
    put_dat_entry(&b, "same", 1, &one, 1);
    put_dat_entry(&b, "same", 1, &one, 1);
    assert_refused(b.data, b.n, "same is there twice");

    b.n = 0;
    put_i32(&b, 1);
    put_dat_entry(&b, "name", -1, &one, 1);
    assert_refused(b.data, b.n, "byte 12: the number of calls is -1");

    b.n = 0;
    put_i32(&b, 1);
    put_dat_entry(&b, "name", 1, &one, 0);
    assert_refused(b.data, b.n, "byte 16: the number of values is 0");

    b.n = 0;
    put_i32(&b, 1);
    put_dat_entry(&b, "name", 1, &one, 1);
    b.data[10] = '\0';
    assert_refused(b.data, b.n, "byte 8: a name holds a NUL");

    b.n = 0;
    put_i32(&b, 1);
    put_name(&b, "name");
    put_i32(&b, 1);
    put_i32(&b, INT32_MAX);
    put(&b, &one, sizeof one);
    assert_refused(b.data, b.n, "byte 20");

    b.n = 0;
    put_i32(&b, 1);
    put_dat_entry(&b, "name", 1, &one, 1);
    put_i32(&b, 1);
    put_name(&b, "text");
    put_name(&b, "garbage");
    assert_refused(b.data, b.n, "11 bytes follow");

    assert_refused((const uint8_t *)"", 0, "not an imatrix");
    assert_refused((const uint8_t *)"a text file", 11, "not an imatrix");
}

// ---------------------------------------------------------------------------------------------
// Values that no sum can be

static void test_bad_values(void **state) {
    (void)state;
    static const double bad[] = {-1.0, NAN, INFINITY, -INFINITY, 1e39};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        for (int where = 0; where < 4; ++where) {
            uint8_t *file;
            size_t n;
            imx_error err = {0};
            imx_imatrix *imatrix = make_imatrix();
            imx_imatrix_entry *entry = imx_imatrix_find(imatrix, "blk.0.attn_q.weight");
            double *const fields[] = {&entry->in_sum2[3], &entry->counts[0], &entry->in_sum[3],
                                      &entry->in_max[3]};
            *fields[where] = bad[i];
            const bool allowed = where == 2 && bad[i] == -1.0; // a sum of inputs has a sign
            for (int f = 0; f < N_FORMATS; ++f) {
                assert_int_equal(
                    imx_imatrix_serialize(imatrix, (imx_imatrix_format)f, &file, &n, &err),
                    allowed ? IMX_OK : IMX_ERR_FORMAT);
                free(file);
            }
            assert_true(allowed || strstr(err.message, "blk.0.attn_q.weight.") != NULL);
            imx_imatrix_free(imatrix);
        }
    }
}

// The same values put into a file by hand: `marker` is the only place with its bits.
static void test_bad_values_in_files(void **state) {
    (void)state;
    static const float bad[] = {-1.0f, NAN, INFINITY};
    static const float marker = 12345.678f;
    static const imx_imatrix_format formats[] = {IMX_IMATRIX_GGUF, IMX_IMATRIX_DAT};
    for (size_t f = 0; f < 2; ++f) {
        uint8_t *file;
        size_t n;
        imx_imatrix *imatrix = make_imatrix();
        imx_imatrix_entry *entry = imx_imatrix_find(imatrix, "blk.0.attn_q.weight");
        entry->in_sum2[3] = (double)marker;
        entry->counts[0] = 256; // one call: the value stands in the dat as it is
        if (formats[f] == IMX_IMATRIX_DAT) {
            imatrix->chunk_size = 1;
        }
        serialize(imatrix, formats[f], &file, &n);
        uint8_t *place = memmem(file, n, &marker, sizeof marker);
        assert_non_null(place);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
            memcpy(place, &bad[i], sizeof bad[i]);
            assert_refused(file, n, "blk.0.attn_q.weight.in_sum2: value 3");
        }
        imx_imatrix_free(imatrix);
        free(file);
    }
}

// ---------------------------------------------------------------------------------------------
// Tensors that do not belong together

static void test_gguf_partners(void **state) {
    (void)state;
    static const struct {
        const char *names[2];
        uint64_t n[2];
        uint32_t type;
        const char *words;
    } cases[] = {
        {{"w.in_sum2", "other"}, {4, 1}, IMX_TYPE_F32, "w.in_sum2 is there without its .counts"},
        {{"other", "w.counts"}, {4, 1}, IMX_TYPE_F32, "w.counts is there without its .in_sum2"},
        {{"w.in_sum", "other"}, {4, 1}, IMX_TYPE_F32, "w.in_sum is there without its .in_sum2"},
        {{"w.in_max", "other"}, {4, 1}, IMX_TYPE_F32, "w.in_max is there without its .in_sum2"},
        {{"w.in_sum2", "w.counts"}, {4, 3}, IMX_TYPE_F32, "does not fit"},
        {{"w.in_sum2", "w.counts"}, {4, 8}, IMX_TYPE_F32, "does not fit"},
        {{"w.in_sum2", "w.counts"}, {4, 1}, IMX_TYPE_F16, "must be F32"},
        {{"other", "another"}, {4, 1}, IMX_TYPE_F32, "not an imatrix"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        imx_gguf_builder *builder;
        uint8_t *header;
        size_t n;
        bytes b = {.n = 0};
        assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
        for (int t = 0; t < 2; ++t) {
            assert_int_equal(imx_gguf_add_tensor(builder, cases[i].names[t], cases[i].type, 1,
                                                 &cases[i].n[t], NULL),
                             IMX_OK);
        }
        assert_int_equal(imx_gguf_builder_header(builder, &header, &n, NULL), IMX_OK);
        put(&b, header, n);
        b.n += 64;
        assert_refused(b.data, b.n, cases[i].words);
        imx_gguf_builder_free(builder);
        free(header);
    }
}

// ---------------------------------------------------------------------------------------------
// Damage

// A dat without its trailer is whole; every other beginning of a file is an error.
static void test_every_truncation(void **state) {
    (void)state;
    imx_imatrix *imatrix = make_imatrix();
    for (int f = 0; f < N_FORMATS; ++f) {
        uint8_t *file;
        size_t n;
        serialize(imatrix, (imx_imatrix_format)f, &file, &n);
        const size_t trailer = f == IMX_IMATRIX_DAT ? 8 + strlen("second.txt") : 0;
        const size_t padding = f == IMX_IMATRIX_GGUF ? 28 : 0; // behind the last count
        for (size_t cut = 0; cut < n - padding; ++cut) {
            if (trailer == 0 || cut != n - trailer) {
                assert_refused(file, cut, "test.imatrix");
            }
        }
        free(file);
    }
    imx_imatrix_free(imatrix);
}

// Any answer but a crash. The checksum of zstd lets only damage pass that changes nothing.
static void test_every_damaged_byte(void **state) {
    (void)state;
    static const uint8_t masks[] = {0x01, 0x80, 0xff};
    imx_imatrix *imatrix = make_imatrix();
    for (int f = 0; f < N_FORMATS; ++f) {
        uint8_t *file;
        size_t n;
        serialize(imatrix, (imx_imatrix_format)f, &file, &n);
        for (size_t at = 0; at < n; ++at) {
            for (size_t m = 0; m < sizeof masks; ++m) {
                imx_imatrix *read;
                file[at] ^= masks[m];
                const imx_status status = parse(&read, file, n, NULL, NULL);
                if (status == IMX_OK && f == IMX_IMATRIX_ZST) {
                    assert_same_to_f32(read, imatrix);
                }
                imx_imatrix_free(read);
                file[at] ^= masks[m];
            }
        }
        free(file);
    }
    imx_imatrix_free(imatrix);
}

// ---------------------------------------------------------------------------------------------
// zstd frames of others

static void test_zst_variants(void **state) {
    (void)state;
    uint8_t *gguf;
    size_t n_gguf;
    imx_imatrix *read;
    uint8_t frame[8192];
    imx_imatrix *imatrix = make_imatrix();
    serialize(imatrix, IMX_IMATRIX_GGUF, &gguf, &n_gguf);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0); // as a pipe through zstd
    const size_t n = ZSTD_compress2(context, frame, sizeof frame, gguf, n_gguf);
    assert_false(ZSTD_isError(n));
    assert_true(ZSTD_getFrameContentSize(frame, n) == ZSTD_CONTENTSIZE_UNKNOWN);
    assert_int_equal(parse(&read, frame, n, NULL, NULL), IMX_OK);
    assert_same_to_f32(read, imatrix);
    imx_imatrix_free(read);

    frame[n] = 0;
    assert_refused(frame, n + 1, "1 bytes follow the zstd frame");

    const size_t n_text = ZSTD_compress2(context, frame, sizeof frame, "no imatrix", 10);
    assert_refused(frame, n_text, "not a GGUF");
    ZSTD_freeCCtx(context);
    imx_imatrix_free(imatrix);
    free(gguf);
}

// A frame of `n_blocks` blocks that each repeat one byte 128 KiB long; `declared` is its content
// size, 0 = not declared. See RFC 8878.
static void put_bomb(bytes *b, uint64_t declared, int n_blocks) {
    static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    static const uint8_t undeclared[] = {0x00, 0x50}; // window of 1 MiB
    static const uint8_t eight_bytes = 0xe0;          // content size in eight bytes, one segment
    b->n = 0;
    put(b, magic, sizeof magic);
    if (declared > 0) {
        put(b, &eight_bytes, 1);
        put(b, &declared, sizeof declared);
    } else {
        put(b, undeclared, sizeof undeclared);
    }
    for (int i = 0; i < n_blocks; ++i) {
        const uint32_t block = (131072u << 3) | 1u << 1 | (i + 1 == n_blocks); // RLE of zeros
        put(b, &block, 4);
    }
}

static void test_zst_bombs(void **state) {
    (void)state;
    bytes b;
    put_bomb(&b, UINT64_C(1) << 40, 10);
    assert_refused(b.data, b.n, "announces 1099511627776 bytes");
    put_bomb(&b, 131072, 10);
    assert_refused(b.data, b.n, "zstd frame");
    put_bomb(&b, 2 * 131072, 2);
    assert_refused(b.data, b.n, "not a GGUF");
}

// ---------------------------------------------------------------------------------------------
// Files of others, from ../shared

static bool read_shared(const char *name, uint8_t **bytes_out, size_t *n) {
    char path[4096];
    const char *shared = getenv("IMATRIX_SHARED");
    snprintf(path, sizeof path, "%s/%s", shared != NULL ? shared : "../shared", name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        print_message("%s is absent: skipped\n", path);
        return false;
    }
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *n = (size_t)ftell(file);
    rewind(file);
    *bytes_out = malloc(*n);
    assert_int_equal(fread(*bytes_out, 1, *n, file), *n);
    fclose(file);
    return true;
}

// llama-imatrix's own file comes back byte for byte, also through zstd.
static void test_llama_sample(void **state) {
    (void)state;
    uint8_t *file;
    uint8_t *again;
    size_t n;
    size_t n_again;
    imx_imatrix *imatrix;
    if (!read_shared("models/prose-and-manuals-11M.llama-imatrix.gguf", &file, &n)) {
        skip();
    }
    assert_int_equal(parse(&imatrix, file, n, NULL, NULL), IMX_OK);
    assert_int_equal(imatrix->n_entries, 21);
    assert_int_equal(imatrix->chunk_count, 229);
    assert_int_equal(imatrix->chunk_size, 256);
    serialize(imatrix, IMX_IMATRIX_GGUF, &again, &n_again);
    assert_int_equal(n_again, n);
    assert_memory_equal(again, file, n);
    free(again);
    serialize(imatrix, IMX_IMATRIX_ZST, &again, &n_again);
    memset(file, 0, n);
    assert_int_equal(ZSTD_decompress(file, n, again, n_again), n);
    free(again);
    serialize(imatrix, IMX_IMATRIX_GGUF, &again, &n_again);
    assert_memory_equal(again, file, n);
    free(again);
    imx_imatrix_free(imatrix);
    free(file);
}

// Serializes `imatrix` as `format`, releases it and parses the bytes again.
static imx_imatrix *pass_through(imx_imatrix *imatrix, imx_imatrix_format format) {
    uint8_t *written;
    size_t n;
    serialize(imatrix, format, &written, &n);
    imx_imatrix_free(imatrix);
    assert_int_equal(parse(&imatrix, written, n, NULL, NULL), IMX_OK);
    free(written);
    return imatrix;
}

// The samples have the order of a hash table, and keep it on their way through another format.
static void test_dat_samples(void **state) {
    (void)state;
    static const struct {
        const char *name;
        size_t n_entries;
        uint32_t n_chunks;
    } samples[] = {
        {"imatrix-samples/three-sixty-five-chunks.dat", 154, 365},
        {"imatrix-samples/three-twenty-chunks.dat", 238, 320},
    };
    for (size_t i = 0; i < 2; ++i) {
        uint8_t *file;
        uint8_t *again;
        size_t n;
        size_t n_again;
        imx_imatrix *imatrix;
        if (!read_shared(samples[i].name, &file, &n)) {
            skip();
        }
        assert_int_equal(parse(&imatrix, file, n, NULL, NULL), IMX_OK);
        imatrix = pass_through(pass_through(imatrix, IMX_IMATRIX_GGUF), IMX_IMATRIX_ZST);
        assert_int_equal(imatrix->n_entries, samples[i].n_entries);
        assert_int_equal(imatrix->chunk_count, samples[i].n_chunks);
        assert_string_equal(imatrix->datasets[0], "imatrix-training-full-3");
        serialize(imatrix, IMX_IMATRIX_DAT, &again, &n_again);
        assert_int_equal(n_again, n);
        assert_memory_equal(again, file, n);
        imx_imatrix_free(imatrix);
        free(again);
        free(file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries_are_sorted_and_unique),
        cmocka_unit_test(test_mean_squares),
        cmocka_unit_test(test_gguf_and_zst_round_trip),
        cmocka_unit_test(test_sources_round_trip),
        cmocka_unit_test(test_bad_sources),
        cmocka_unit_test(test_bytes_are_stable),
        cmocka_unit_test(test_gguf_is_what_llama_reads),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_dat_reading),
        cmocka_unit_test(test_dat_writing),
        cmocka_unit_test(test_dat_refuses),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_bad_values_in_files),
        cmocka_unit_test(test_gguf_partners),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_every_damaged_byte),
        cmocka_unit_test(test_zst_variants),
        cmocka_unit_test(test_zst_bombs),
        cmocka_unit_test(test_llama_sample),
        cmocka_unit_test(test_dat_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
