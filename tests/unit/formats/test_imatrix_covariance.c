// SPDX-License-Identifier: MIT
//
// Products of columns in files: what a round trip keeps, who shares them, what a merge makes of
// them, and files that do not fit.

#include <math.h>
#include <stdlib.h>

#include "formats/gguf.h"
#include "formats/imatrix_covariance.h"
#include "formats/imatrix_merge.h"
#include "imatrix_fixture.h"

enum { N_COLS = IMX_COV_RUN + 5, N_MATS = 2 };

static size_t pair_at(size_t i, size_t j) {
    return i * (i + 1) / 2 + j;
}

// Products of two hidden values: positive definite, and different for each `seed`.
static void fill_products(const imx_imatrix_entry *entry, double seed) {
    for (uint64_t mat = 0; mat < entry->n_mats; ++mat) {
        float *products = imx_covariance_of(entry, mat);
        for (size_t i = 0; i < IMX_COV_RUN; ++i) {
            for (size_t j = 0; j <= i; ++j) {
                const double x = (double)i + seed, y = (double)j + seed;
                products[pair_at(i, j)] =
                    (float)(4 * (sin(x) * sin(y) + 0.5 * cos(x) * cos(y) + (i == j ? 0.1 : 0)));
            }
            entry->in_sum2[mat * entry->n_cols + i] =
                (double)products[pair_at(i, i)] * entry->counts[mat];
        }
    }
}

static imx_imatrix_entry *add(imx_imatrix *imatrix, const char *name, double count, double seed) {
    const double zeros[N_COLS * N_MATS] = {0};
    const double counts[N_MATS] = {count, 2 * count};
    imx_imatrix_entry *entry = add_entry(imatrix, name, N_COLS, N_MATS, zeros, counts, false);
    assert_int_equal(imx_imatrix_add_covariance(imatrix, entry, NULL), IMX_OK);
    fill_products(entry, seed);
    return entry;
}

// "k" and "q" share their products, "down" has its own, "plain" none.
static imx_imatrix *make(double count, double seed) {
    const double zeros[N_COLS * N_MATS] = {0};
    const double counts[N_MATS] = {count, 2 * count};
    imx_imatrix *imatrix = new_imatrix(1, 512);
    add(imatrix, "down", count, seed + 1);
    add(imatrix, "q", count, seed);
    imx_imatrix_entry *k = add_entry(imatrix, "k", N_COLS, N_MATS, zeros, counts, false);
    const imx_imatrix_entry *q = imx_imatrix_find(imatrix, "q");
    memcpy(k->in_sum2, q->in_sum2, sizeof zeros);
    k->in_cov = q->in_cov;
    add_entry(imatrix, "plain", N_COLS, N_MATS, zeros, counts, false);
    return imatrix;
}

typedef struct file_bytes {
    uint8_t *bytes;
    size_t n;
} file_bytes;

static file_bytes serialize(const imx_imatrix *imatrix, imx_imatrix_format format) {
    file_bytes file;
    assert_int_equal(imx_imatrix_serialize(imatrix, format, &file.bytes, &file.n, NULL), IMX_OK);
    return file;
}

static imx_imatrix *parse(file_bytes file) {
    imx_imatrix *imatrix;
    imx_error err;
    if (imx_imatrix_parse(&imatrix, file.bytes, file.n, "file", NULL, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
    return imatrix;
}

// Within half a step of 1/127 of the root of both squares.
static void assert_close(const imx_imatrix_entry *a, const imx_imatrix_entry *b) {
    for (uint64_t mat = 0; mat < N_MATS; ++mat) {
        const float *x = imx_covariance_of(a, mat), *y = imx_covariance_of(b, mat);
        for (size_t i = 0; i < IMX_COV_RUN; ++i) {
            for (size_t j = 0; j <= i; ++j) {
                const double size = sqrt((double)x[pair_at(i, i)]) * sqrt((double)x[pair_at(j, j)]);
                const double difference = (double)x[pair_at(i, j)] - (double)y[pair_at(i, j)];
                assert_true(fabs(difference) <= size * (0.5 / 127 + 1e-6));
            }
        }
    }
}

static void test_round_trip(void **state) {
    (void)state;
    imx_imatrix *imatrix = make(10, 0);
    for (int format = IMX_IMATRIX_ZST; format <= IMX_IMATRIX_GGUF; ++format) {
        const file_bytes file = serialize(imatrix, (imx_imatrix_format)format);
        imx_imatrix *read = parse(file);
        const imx_imatrix_entry *q = imx_imatrix_find(read, "q");
        assert_close(imx_imatrix_find(imatrix, "q"), q);
        assert_close(imx_imatrix_find(imatrix, "down"), imx_imatrix_find(read, "down"));
        assert_ptr_equal(imx_imatrix_find(read, "k")->in_cov, q->in_cov);
        assert_null(imx_imatrix_find(read, "plain")->in_cov);
        assert_int_equal(read->n_covariances, 2);
        const file_bytes again = serialize(read, (imx_imatrix_format)format);
        assert_int_equal(again.n, file.n);
        assert_memory_equal(again.bytes, file.bytes, file.n);
        free(again.bytes);
        free(file.bytes);
        imx_imatrix_free(read);
    }
    imx_imatrix_free(imatrix);
}

// The products of a merge are the means over the rows of both.
static void test_merge(void **state) {
    (void)state;
    imx_imatrix *first = make(10, 0), *second = make(30, 7), *merged;
    const imx_merge_part parts[] = {{first, "first", 1}, {second, "second", 2}};
    assert_int_equal(imx_imatrix_merge(&merged, parts, 2, NULL), IMX_OK);
    const imx_imatrix_entry *q = imx_imatrix_find(merged, "q");
    const imx_imatrix_entry *a = imx_imatrix_find(first, "q"), *b = imx_imatrix_find(second, "q");
    for (size_t i = 0; i < IMX_COV_PAIRS; ++i) {
        const double wanted = (10 * (double)a->in_cov[i] + 60 * (double)b->in_cov[i]) / 70;
        assert_true(fabs((double)q->in_cov[i] - wanted) < 1e-5);
    }
    assert_ptr_equal(imx_imatrix_find(merged, "k")->in_cov, q->in_cov);
    assert_ptr_not_equal(imx_imatrix_find(merged, "down")->in_cov, q->in_cov);
    assert_null(imx_imatrix_find(merged, "plain")->in_cov);
    imx_imatrix_free(merged);

    imx_imatrix_find(second, "k")->in_cov = NULL; // as if the second did not have them
    assert_int_equal(imx_imatrix_merge(&merged, parts, 2, NULL), IMX_OK);
    assert_null(imx_imatrix_find(merged, "k")->in_cov);
    assert_non_null(imx_imatrix_find(merged, "q")->in_cov);
    imx_imatrix_free(merged);
    imx_imatrix_free(first);
    imx_imatrix_free(second);
}

// One byte of a file that is sound otherwise, `behind` the end of the first `text`.
typedef struct damage {
    const char *text;
    size_t behind;
    uint8_t byte;
    const char *message;
} damage;

// In a key of strings: type, type of the elements and count, length of the first string, string.
// In a record of a tensor: number of dimensions, dimensions.
enum { FIRST_STRING = 4 + 4 + 8 + 8, THIRD_DIM = 4 + 2 * 8 };

static const damage damages[] = {
    {"down.in_cov", THIRD_DIM, 1, "down.in_cov does not fit the sizes of its partners"},
    {"dow", 0, 'm', "is there without its "},
    {"covariance_owner", 0, 'z', "covariance_owners"},
    {"covariance_sharers", FIRST_STRING, 'z', "element 0 names no weight"},
    {"covariance_sharers", FIRST_STRING, 'k', "element 0 names no weight"},
    {"covariance_sharers", FIRST_STRING, 'w', "element 0 names no weight"},
    {"covariance_owners", FIRST_STRING, 'z', "element 0 names no weight"},
    {"covariance_owners", FIRST_STRING, 'v', "element 0 names no weight"},
};

static void test_damaged(void **state) {
    (void)state;
    imx_imatrix *imatrix = make(10, 0);
    add_entry(imatrix, "v", N_COLS, N_MATS, (double[N_COLS * N_MATS]){1}, (double[]){1, 1}, false);
    add_entry(imatrix, "w", N_COLS, 1, (double[N_COLS]){1}, (double[]){1}, false);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; ++i) {
        const damage *d = &damages[i];
        const file_bytes file = serialize(imatrix, IMX_IMATRIX_GGUF);
        uint8_t *text = memmem(file.bytes, file.n, d->text, strlen(d->text));
        imx_imatrix *read;
        imx_error err = {0};
        assert_non_null(text);
        text[strlen(d->text) + d->behind] = d->byte;
        assert_int_equal(imx_imatrix_parse(&read, file.bytes, file.n, "file", NULL, &err),
                         IMX_ERR_FORMAT);
        if (strstr(err.message, d->message) == NULL) {
            fail_msg("%zu: %s", i, err.message);
        }
        free(file.bytes);
    }
    imx_imatrix_free(imatrix);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
