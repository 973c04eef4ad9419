// SPDX-License-Identifier: MIT
//
// GGUF: what is written is read back, and a damaged file is an error, never a crash. Hostile files
// lie in memory blocks of exactly their size, so that a sanitizer sees a read behind the end.

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

#include "formats/gguf.h"
#include "formats/memory.h"

// ---------------------------------------------------------------------------------------------
// Bytes of a file, put together by hand

typedef struct bytes {
    uint8_t data[4096];
    size_t n;
} bytes;

static void put(bytes *b, const void *data, size_t n) {
    assert_true(b->n + n <= sizeof b->data);
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void put_u32(bytes *b, uint32_t value) {
    put(b, &value, sizeof value);
}

static void put_u64(bytes *b, uint64_t value) {
    put(b, &value, sizeof value);
}

static void put_str(bytes *b, const char *s) {
    put_u64(b, strlen(s));
    put(b, s, strlen(s));
}

static void put_head(bytes *b, uint64_t n_tensors, uint64_t n_kvs) {
    put(b, "GGUF", 4);
    put_u32(b, 3);
    put_u64(b, n_tensors);
    put_u64(b, n_kvs);
}

static void put_u32_kv(bytes *b, const char *key, uint32_t value) {
    put_str(b, key);
    put_u32(b, IMX_GGUF_U32);
    put_u32(b, value);
}

static void put_tensor(bytes *b, const char *name, uint32_t type, uint64_t n_cols,
                       uint64_t offset) {
    put_str(b, name);
    put_u32(b, 1);
    put_u64(b, n_cols);
    put_u32(b, type);
    put_u64(b, offset);
}

static void put_data(bytes *b, size_t n) {
    const uint8_t zero = 0;
    while (b->n % IMX_GGUF_DEFAULT_ALIGNMENT != 0) {
        put(b, &zero, 1);
    }
    for (size_t i = 0; i < n; ++i) {
        put(b, &zero, 1);
    }
}

static imx_status parse_copy(const uint8_t *data, size_t n, imx_error *err) {
    imx_gguf *gguf;
    uint8_t *copy = malloc(n > 0 ? n : 1);
    memcpy(copy, data, n);
    const imx_status status = imx_gguf_parse(&gguf, copy, n, "test.gguf", err);
    imx_gguf_close(gguf);
    free(copy);
    return status;
}

static void assert_refused(const bytes *b, imx_status status, const char *words) {
    imx_error err = {0};
    assert_int_equal(parse_copy(b->data, b->n, &err), status);
    if (strstr(err.message, words) == NULL || strstr(err.message, "test.gguf") == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, words);
    }
}

// ---------------------------------------------------------------------------------------------
// A file with a key of every type and three tensors

static const char *const words[] = {"alpha", "", "gamma"};
static const int16_t shorts[] = {-3, 7, 300};

static void set_all_keys(imx_gguf_builder *builder) {
    assert_int_equal(imx_gguf_set_str(builder, "general.name", "test", NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_u16(builder, "u16", 65535, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_u32(builder, "u32", UINT32_MAX, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_i32(builder, "i32", -5, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_u64(builder, "u64", UINT64_MAX, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_f32(builder, "f32", 0.1f, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_bool(builder, "bool", true, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_str_array(builder, "words", words, 3, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_array(builder, "shorts", IMX_GGUF_I16, shorts, 3, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_str_array(builder, "nothing", NULL, 0, NULL), IMX_OK);
}

static const struct {
    const char *name;
    uint32_t type;
    uint32_t n_dims;
    uint64_t dims[IMX_GGUF_MAX_DIMS];
    size_t size_bytes;
} tensors[] = {
    {"b.weight", IMX_TYPE_F32, 1, {5, 1, 1, 1}, 20},
    {"a.weight", IMX_TYPE_Q8_0, 2, {64, 3, 1, 1}, 204},
    {"c.weight", IMX_TYPE_F16, 4, {2, 3, 2, 2}, 48},
};

enum { N_TENSORS = sizeof tensors / sizeof tensors[0] };

// Header and data of the builder, tensor t filled with bytes t + 1, 2t + 2, ...
static void finish_file(const imx_gguf_builder *builder, uint8_t **file, size_t *n) {
    uint8_t *header;
    size_t header_bytes;
    assert_int_equal(imx_gguf_builder_header(builder, &header, &header_bytes, NULL), IMX_OK);
    const uint64_t alignment = imx_gguf_builder_alignment(builder);
    assert_int_equal(header_bytes % alignment, 0);
    *n = header_bytes;
    for (size_t t = 0; t < N_TENSORS; ++t) {
        *n += imx_align_up(tensors[t].size_bytes, alignment);
    }
    *file = calloc(*n, 1);
    memcpy(*file, header, header_bytes);
    free(header);
    size_t at = header_bytes;
    for (size_t t = 0; t < N_TENSORS; ++t) {
        for (size_t i = 0; i < tensors[t].size_bytes; ++i) {
            (*file)[at + i] = (uint8_t)((t + 1) * (i + 1));
        }
        at += imx_align_up(tensors[t].size_bytes, alignment);
    }
}

static void add_all_tensors(imx_gguf_builder *builder) {
    for (size_t t = 0; t < N_TENSORS; ++t) {
        assert_int_equal(imx_gguf_add_tensor(builder, tensors[t].name, tensors[t].type,
                                             tensors[t].n_dims, tensors[t].dims, NULL),
                         IMX_OK);
    }
}

static void make_file(uint8_t **file, size_t *n) {
    imx_gguf_builder *builder;
    assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
    set_all_keys(builder);
    add_all_tensors(builder);
    finish_file(builder, file, n);
    imx_gguf_builder_free(builder);
}

// ---------------------------------------------------------------------------------------------
// Round trip

static void test_tensors_read_back(void **state) {
    (void)state;
    uint8_t *file;
    size_t n;
    imx_gguf *gguf;
    make_file(&file, &n);
    assert_int_equal(imx_gguf_parse(&gguf, file, n, "test.gguf", NULL), IMX_OK);
    assert_int_equal(gguf->version, 3);
    assert_int_equal(gguf->n_tensors, N_TENSORS);
    for (size_t t = 0; t < N_TENSORS; ++t) {
        const imx_gguf_tensor *tensor = imx_gguf_find_tensor(gguf, tensors[t].name);
        assert_ptr_equal(tensor, &gguf->tensors[t]);
        assert_int_equal(tensor->type, tensors[t].type);
        assert_int_equal(tensor->n_dims, tensors[t].n_dims);
        assert_memory_equal(tensor->dims, tensors[t].dims, sizeof tensor->dims);
        assert_int_equal(tensor->size_bytes, tensors[t].size_bytes);
        for (size_t i = 0; i < tensors[t].size_bytes; ++i) {
            assert_int_equal(tensor->data[i], (uint8_t)((t + 1) * (i + 1)));
        }
    }
    assert_int_equal(imx_gguf_tensor_cols(&gguf->tensors[2]), 2);
    assert_int_equal(imx_gguf_tensor_rows(&gguf->tensors[2]), 12);
    assert_int_equal(imx_gguf_tensor_mats(&gguf->tensors[2]), 4);
    assert_null(imx_gguf_find_tensor(gguf, "d.weight"));
    imx_gguf_close(gguf);
    free(file);
}

static void test_keys_read_back(void **state) {
    (void)state;
    uint8_t *file;
    size_t n;
    imx_gguf *gguf;
    uint32_t u32 = 0;
    float f32 = 0;
    bool flag = false;
    imx_str str;
    const imx_gguf_kv *kv;
    make_file(&file, &n);
    assert_int_equal(imx_gguf_parse(&gguf, file, n, "test.gguf", NULL), IMX_OK);
    assert_int_equal(imx_gguf_get_u32(gguf, "u16", true, &u32, NULL), IMX_OK);
    assert_int_equal(u32, 65535);
    assert_int_equal(imx_gguf_get_u32(gguf, "u32", true, &u32, NULL), IMX_OK);
    assert_int_equal(u32, UINT32_MAX);
    assert_int_equal(imx_gguf_get_f32(gguf, "f32", true, &f32, NULL), IMX_OK);
    assert_true(f32 == 0.1f);
    assert_int_equal(imx_gguf_get_bool(gguf, "bool", true, &flag, NULL), IMX_OK);
    assert_true(flag);
    assert_int_equal(imx_gguf_get_str(gguf, "general.name", true, &str, NULL), IMX_OK);
    assert_int_equal(str.len, 4);
    assert_memory_equal(str.data, "test", 4);
    assert_int_equal(imx_gguf_elem_i64(imx_gguf_find_kv(gguf, "i32"), 0), -5);
    assert_true(imx_gguf_elem_f64(imx_gguf_find_kv(gguf, "u64"), 0) == 0x1p64);
    assert_int_equal(imx_gguf_get_array(gguf, "shorts", true, IMX_GGUF_I16, &kv, NULL), IMX_OK);
    assert_int_equal(kv->n_elems, 3);
    for (uint64_t i = 0; i < 3; ++i) {
        assert_int_equal(imx_gguf_elem_i64(kv, i), shorts[i]);
        assert_true(imx_gguf_elem_f64(kv, i) == shorts[i]);
    }
    assert_int_equal(imx_gguf_get_array(gguf, "words", true, IMX_GGUF_STRING, &kv, NULL), IMX_OK);
    const uint8_t *cursor = kv->elems;
    for (uint64_t i = 0; i < kv->n_elems; ++i) {
        str = imx_gguf_next_str(&cursor);
        assert_int_equal(str.len, strlen(words[i]));
        assert_memory_equal(str.data, words[i], str.len);
    }
    imx_gguf_close(gguf);
    free(file);
}

static void test_floats_as_integers(void **state) {
    (void)state;
    static const double values[] = {-2.9, 1e300, -1e300, NAN, 0x1p63, -0x1p63};
    static const int64_t expected[] = {-2, INT64_MAX, INT64_MIN, 0, INT64_MAX, INT64_MIN};
    const imx_gguf_kv kv = {.type = IMX_GGUF_ARRAY,
                            .elem_type = IMX_GGUF_F64,
                            .n_elems = 6,
                            .elems = (const uint8_t *)values};
    for (uint64_t i = 0; i < kv.n_elems; ++i) {
        assert_true(imx_gguf_elem_i64(&kv, i) == expected[i]);
    }
}

static void test_getters_refuse(void **state) {
    (void)state;
    uint8_t *file;
    size_t n;
    imx_gguf *gguf;
    uint32_t u32 = 17;
    bool flag = false;
    imx_str str;
    const imx_gguf_kv *kv;
    imx_error err = {0};
    make_file(&file, &n);
    assert_int_equal(imx_gguf_parse(&gguf, file, n, "test.gguf", NULL), IMX_OK);
    assert_int_equal(imx_gguf_get_u32(gguf, "absent", false, &u32, &err), IMX_OK);
    assert_int_equal(u32, 17);
    assert_int_equal(imx_gguf_get_u32(gguf, "absent", true, &u32, &err), IMX_ERR_FORMAT);
    assert_non_null(strstr(err.message, "absent"));
    assert_int_equal(imx_gguf_get_u32(gguf, "u64", true, &u32, &err), IMX_ERR_FORMAT);
    assert_int_equal(imx_gguf_get_u32(gguf, "i32", true, &u32, &err), IMX_ERR_FORMAT);
    assert_int_equal(imx_gguf_get_u32(gguf, "f32", true, &u32, &err), IMX_ERR_FORMAT);
    assert_int_equal(imx_gguf_get_u32(gguf, "shorts", true, &u32, &err), IMX_ERR_FORMAT);
    assert_int_equal(imx_gguf_get_bool(gguf, "u32", true, &flag, &err), IMX_ERR_FORMAT);
    assert_int_equal(imx_gguf_get_str(gguf, "words", true, &str, &err), IMX_ERR_FORMAT);
    assert_int_equal(imx_gguf_get_array(gguf, "shorts", true, IMX_GGUF_I32, &kv, &err),
                     IMX_ERR_FORMAT);
    assert_int_equal(imx_gguf_get_array(gguf, "u32", true, IMX_GGUF_U32, &kv, &err),
                     IMX_ERR_FORMAT);
    assert_int_equal(imx_gguf_get_array(gguf, "absent", false, IMX_GGUF_U32, &kv, &err), IMX_OK);
    assert_null(kv);
    assert_int_equal(u32, 17);
    imx_gguf_close(gguf);
    free(file);
}

// Every key and record copied from a file read makes the same file again.
static void test_copy_is_exact(void **state) {
    (void)state;
    uint8_t *file;
    uint8_t *again;
    size_t n;
    size_t n_again;
    imx_gguf *gguf;
    imx_gguf_builder *builder;
    make_file(&file, &n);
    assert_int_equal(imx_gguf_parse(&gguf, file, n, "test.gguf", NULL), IMX_OK);
    assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
    for (size_t i = 0; i < gguf->n_kvs; ++i) {
        assert_int_equal(imx_gguf_copy_kv(builder, &gguf->kvs[i], NULL), IMX_OK);
    }
    add_all_tensors(builder);
    finish_file(builder, &again, &n_again);
    assert_int_equal(n_again, n);
    assert_memory_equal(again, file, n);
    imx_gguf_builder_free(builder);
    imx_gguf_close(gguf);
    free(again);
    free(file);
}

static void test_set_replaces_in_place(void **state) {
    (void)state;
    uint8_t *file;
    uint8_t *again;
    size_t n;
    size_t n_again;
    imx_gguf_builder *builder;
    make_file(&file, &n);
    assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_u32(builder, "gone", 1, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_u32(builder, "general.name", 1, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_str(builder, "u16", "longer than before", NULL), IMX_OK);
    set_all_keys(builder);
    imx_gguf_unset(builder, "gone");
    imx_gguf_unset(builder, "never there");
    add_all_tensors(builder);
    finish_file(builder, &again, &n_again);
    assert_int_equal(n_again, n);
    assert_memory_equal(again, file, n);
    imx_gguf_builder_free(builder);
    free(again);
    free(file);
}

static void test_alignment(void **state) {
    (void)state;
    uint8_t *file;
    size_t n;
    imx_gguf *gguf;
    imx_gguf_builder *builder;
    assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_u32(builder, "general.alignment", 128, NULL), IMX_OK);
    add_all_tensors(builder);
    finish_file(builder, &file, &n);
    assert_int_equal(imx_gguf_parse(&gguf, file, n, "test.gguf", NULL), IMX_OK);
    assert_int_equal(gguf->alignment, 128);
    for (size_t t = 0; t < N_TENSORS; ++t) {
        assert_int_equal((gguf->tensors[t].data - file) % 128, 0);
        assert_int_equal(gguf->tensors[t].data[0], t + 1);
    }
    imx_gguf_close(gguf);
    imx_gguf_builder_free(builder);
    free(file);
}

static void test_add_tensor_refuses(void **state) {
    (void)state;
    imx_gguf_builder *builder;
    assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
    const uint64_t odd[] = {33, 2};
    const uint64_t huge[] = {UINT64_C(1) << 40, UINT64_C(1) << 40};
    assert_int_equal(imx_gguf_add_tensor(builder, "t", IMX_TYPE_Q4_0, 2, odd, NULL),
                     IMX_ERR_ARGUMENT);
    assert_int_equal(imx_gguf_add_tensor(builder, "t", IMX_TYPE_F32, 2, huge, NULL),
                     IMX_ERR_ARGUMENT);
    assert_int_equal(imx_gguf_add_tensor(builder, "t", 999, 1, odd, NULL), IMX_ERR_ARGUMENT);
    assert_int_equal(imx_gguf_add_tensor(builder, "t", IMX_TYPE_F32, 0, odd, NULL),
                     IMX_ERR_ARGUMENT);
    assert_int_equal(imx_gguf_add_tensor(builder, "t", IMX_TYPE_F32, 5, odd, NULL),
                     IMX_ERR_ARGUMENT);
    imx_gguf_builder_free(builder);
}

static void test_open(void **state) {
    (void)state;
    uint8_t *file;
    size_t n;
    imx_gguf *gguf;
    imx_error err = {0};
    char path[] = "/tmp/imatrix-test-gguf-XXXXXX";
    make_file(&file, &n);
    const int fd = mkstemp(path);
    assert_int_equal(write(fd, file, n), n);
    assert_int_equal(imx_gguf_open(&gguf, path, &err), IMX_OK);
    assert_string_equal(gguf->path, path);
    assert_non_null(imx_gguf_find_tensor(gguf, "a.weight"));
    imx_gguf_close(gguf);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(imx_gguf_open(&gguf, path, &err), IMX_ERR_FORMAT);
    assert_null(gguf);
    close(fd);
    unlink(path);
    assert_int_equal(imx_gguf_open(&gguf, path, &err), IMX_ERR_IO);
    assert_non_null(strstr(err.message, path));
    free(file);
}

// ---------------------------------------------------------------------------------------------
// Versions

static void test_versions(void **state) {
    (void)state;
    imx_error err = {0};
    bytes b = {.n = 0};
    put_head(&b, 0, 1);
    put_u32_kv(&b, "k", 1);
    b.data[4] = 2;
    assert_int_equal(parse_copy(b.data, b.n, &err), IMX_OK);
    b.data[4] = 1;
    assert_refused(&b, IMX_ERR_UNSUPPORTED, "version 1");
    b.data[4] = 4;
    assert_refused(&b, IMX_ERR_UNSUPPORTED, "version 4");
    memcpy(b.data + 4, "\0\0\0\3", 4);
    assert_refused(&b, IMX_ERR_UNSUPPORTED, "big-endian");
    b.data[0] = 'g';
    assert_refused(&b, IMX_ERR_FORMAT, "not a GGUF");
}

// ---------------------------------------------------------------------------------------------
// Damage

// The last bytes of a file may be padding behind the data, which no reader needs.
static void test_every_truncation(void **state) {
    (void)state;
    uint8_t *file;
    size_t n;
    imx_error err;
    make_file(&file, &n);
    const size_t needed = n - (imx_align_up(tensors[2].size_bytes, 32) - tensors[2].size_bytes);
    for (size_t cut = 0; cut < needed; ++cut) {
        err = (imx_error){0};
        assert_int_equal(parse_copy(file, cut, &err), IMX_ERR_FORMAT);
        assert_int_equal(err.status, IMX_ERR_FORMAT);
        assert_non_null(strstr(err.message, "test.gguf"));
    }
    assert_int_equal(parse_copy(file, needed, &err), IMX_OK);
    free(file);
}

// Any answer but a crash; the getters walk over what was accepted.
static void test_every_damaged_byte(void **state) {
    (void)state;
    static const uint8_t masks[] = {0x01, 0x80, 0xff};
    uint8_t *file;
    size_t n;
    make_file(&file, &n);
    for (size_t at = 0; at < n; ++at) {
        for (size_t m = 0; m < sizeof masks; ++m) {
            imx_gguf *gguf;
            file[at] ^= masks[m];
            if (imx_gguf_parse(&gguf, file, n, "test.gguf", NULL) == IMX_OK) {
                const imx_gguf_kv *kv = imx_gguf_find_kv(gguf, "words");
                const uint8_t *cursor = kv != NULL ? kv->elems : NULL;
                for (uint64_t i = 0;
                     kv != NULL && kv->elem_type == IMX_GGUF_STRING && i < kv->n_elems; ++i) {
                    imx_gguf_next_str(&cursor);
                }
            }
            imx_gguf_close(gguf);
            file[at] ^= masks[m];
        }
    }
    free(file);
}

static void test_huge_counts(void **state) {
    (void)state;
    static const uint64_t huge[] = {1u << 20, UINT64_C(1) << 32, UINT64_C(1) << 61,
                                    UINT64_C(1) << 63, UINT64_MAX};
    for (size_t i = 0; i < sizeof huge / sizeof huge[0]; ++i) {
        bytes b = {.n = 0};
        put_head(&b, huge[i], 0);
        put_data(&b, 64);
        assert_refused(&b, IMX_ERR_FORMAT, "too short");

        b.n = 0;
        put_head(&b, 0, huge[i]);
        put_data(&b, 64);
        assert_refused(&b, IMX_ERR_FORMAT, "too short");

        b.n = 0;
        put_head(&b, 0, 1);
        put_u64(&b, huge[i]); // length of the key
        put_data(&b, 64);
        assert_refused(&b, IMX_ERR_FORMAT, "byte 32");

        b.n = 0;
        put_head(&b, 0, 1);
        put_str(&b, "k");
        put_u32(&b, IMX_GGUF_ARRAY);
        put_u32(&b, IMX_GGUF_U64);
        put_u64(&b, huge[i]);
        put_data(&b, 64);
        assert_refused(&b, IMX_ERR_FORMAT, "byte ");

        b.n = 0;
        put_head(&b, 0, 1);
        put_str(&b, "k");
        put_u32(&b, IMX_GGUF_ARRAY);
        put_u32(&b, IMX_GGUF_STRING);
        put_u64(&b, huge[i]);
        put_u64(&b, 0);
        assert_refused(&b, IMX_ERR_FORMAT, "byte ");

        b.n = 0;
        put_head(&b, 1, 0);
        put_tensor(&b, "t", IMX_TYPE_F32, huge[i], 0);
        put_data(&b, 64);
        assert_refused(&b, IMX_ERR_FORMAT, "'t'");

        b.n = 0;
        put_head(&b, 1, 0);
        put_tensor(&b, "t", IMX_TYPE_F32, 4, huge[i] & ~UINT64_C(31));
        put_data(&b, 64);
        assert_refused(&b, IMX_ERR_FORMAT, "beyond the end");
    }
}

static void test_bad_keys(void **state) {
    (void)state;
    bytes b = {.n = 0};
    put_head(&b, 0, 2);
    put_u32_kv(&b, "twice", 1);
    put_u32_kv(&b, "twice", 2);
    assert_refused(&b, IMX_ERR_FORMAT, "twice");

    b.n = 0;
    put_head(&b, 0, 1);
    put_u32_kv(&b, "", 1);
    assert_refused(&b, IMX_ERR_FORMAT, "empty");

    b.n = 0;
    put_head(&b, 0, 1);
    put_str(&b, "k");
    put_u32(&b, 13);
    put_u64(&b, 0);
    assert_refused(&b, IMX_ERR_UNSUPPORTED, "type 13");

    b.n = 0;
    put_head(&b, 0, 1);
    put_str(&b, "k");
    put_u32(&b, IMX_GGUF_ARRAY);
    put_u32(&b, IMX_GGUF_ARRAY);
    put_u64(&b, 1);
    assert_refused(&b, IMX_ERR_UNSUPPORTED, "type 9");
}

static void test_bad_tensors(void **state) {
    (void)state;
    bytes b = {.n = 0};
    put_head(&b, 2, 0);
    put_tensor(&b, "same", IMX_TYPE_F32, 8, 0);
    put_tensor(&b, "same", IMX_TYPE_F32, 8, 32);
    put_data(&b, 64);
    assert_refused(&b, IMX_ERR_FORMAT, "same");

    b.n = 0;
    put_head(&b, 2, 0);
    put_tensor(&b, "a", IMX_TYPE_F32, 16, 0);
    put_tensor(&b, "b", IMX_TYPE_F32, 8, 32);
    put_data(&b, 96);
    assert_refused(&b, IMX_ERR_FORMAT, "overlaps");

    b.n = 0;
    put_head(&b, 1, 0);
    put_tensor(&b, "t", IMX_TYPE_F32, 8, 4);
    put_data(&b, 64);
    assert_refused(&b, IMX_ERR_FORMAT, "aligned");

    b.n = 0;
    put_head(&b, 1, 0);
    put_tensor(&b, "t", IMX_TYPE_F32, 8, 64);
    put_data(&b, 64);
    assert_refused(&b, IMX_ERR_FORMAT, "beyond the end");

    b.n = 0;
    put_head(&b, 1, 0);
    put_tensor(&b, "t", 33, 8, 0);
    put_data(&b, 64);
    assert_refused(&b, IMX_ERR_UNSUPPORTED, "type 33");

    b.n = 0;
    put_head(&b, 1, 0);
    put_tensor(&b, "t", IMX_TYPE_Q4_0, 8, 0);
    put_data(&b, 64);
    assert_refused(&b, IMX_ERR_FORMAT, "Q4_0");

    b.n = 0;
    put_head(&b, 1, 0);
    put_tensor(&b, "t", IMX_TYPE_F32, 0, 0);
    put_data(&b, 64);
    assert_refused(&b, IMX_ERR_FORMAT, "shape");
}

static void test_bad_dims(void **state) {
    (void)state;
    static const uint32_t n_dims[] = {0, 5, UINT32_MAX};
    for (size_t i = 0; i < sizeof n_dims / sizeof n_dims[0]; ++i) {
        bytes b = {.n = 0};
        put_head(&b, 1, 0);
        put_str(&b, "t");
        put_u32(&b, n_dims[i]);
        put_data(&b, 256);
        assert_refused(&b, IMX_ERR_FORMAT, "dimensions");
    }
    bytes b = {.n = 0};
    put_head(&b, 1, 0);
    put_str(&b, "t");
    put_u32(&b, 4);
    for (int d = 0; d < 4; ++d) {
        put_u64(&b, UINT64_C(1) << 16); // 2^64 weights
    }
    put_u32(&b, IMX_TYPE_I8);
    put_u64(&b, 0);
    put_data(&b, 256);
    assert_refused(&b, IMX_ERR_FORMAT, "'t'");
}

static void test_bad_alignment(void **state) {
    (void)state;
    static const uint32_t alignments[] = {0, 3, 48, 1u << 31};
    for (size_t i = 0; i < sizeof alignments / sizeof alignments[0]; ++i) {
        bytes b = {.n = 0};
        put_head(&b, 0, 1);
        put_u32_kv(&b, "general.alignment", alignments[i]);
        assert_refused(&b, IMX_ERR_FORMAT, "general.alignment");
    }
    bytes b = {.n = 0};
    put_head(&b, 0, 1);
    put_str(&b, "general.alignment");
    put_u32(&b, IMX_GGUF_STRING);
    put_str(&b, "32");
    assert_refused(&b, IMX_ERR_FORMAT, "general.alignment");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors_read_back),
        cmocka_unit_test(test_keys_read_back),
        cmocka_unit_test(test_floats_as_integers),
        cmocka_unit_test(test_getters_refuse),
        cmocka_unit_test(test_copy_is_exact),
        cmocka_unit_test(test_set_replaces_in_place),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_add_tensor_refuses),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_every_damaged_byte),
        cmocka_unit_test(test_huge_counts),
        cmocka_unit_test(test_bad_keys),
        cmocka_unit_test(test_bad_tensors),
        cmocka_unit_test(test_bad_dims),
        cmocka_unit_test(test_bad_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
