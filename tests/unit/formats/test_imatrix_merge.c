// SPDX-License-Identifier: MIT
//
// Merging imatrices: sums, weights, maxima, texts and origins, and what cannot be merged.

#include <math.h>
#include <stdlib.h>

#include "formats/imatrix_merge.h"
#include "imatrix_fixture.h"

static void set_origin(imx_imatrix *imatrix, const char *hash, uint64_t n_tokens,
                       uint32_t left_out) {
    imatrix->origin.model_name = strdup("model-f16.gguf");
    imatrix->origin.model_hash = strdup(hash);
    imatrix->origin.n_tokens = n_tokens;
    imatrix->origin.has_options = true;
    imatrix->origin.left_out_chunks = malloc(sizeof left_out);
    imatrix->origin.left_out_chunks[0] = left_out;
    imatrix->origin.n_left_out = 1;
}

// "a" with sums, "experts" without; a source.
static imx_imatrix *make_first(void) {
    const imx_imatrix_source source = {.hash = "11", .weight = 0.5, .n_tokens = 40, .n_chunks = 4};
    imx_imatrix *imatrix = new_imatrix(4, 512);
    add_entry(imatrix, "a", 3, 1, (double[]){1, 2, 3}, (double[]){10}, true);
    add_entry(imatrix, "experts", 2, 2, (double[]){1, 2, 3, 4}, (double[]){5, 0}, true);
    assert_int_equal(imx_imatrix_add_source(imatrix, "first.txt", &source, NULL), IMX_OK);
    set_origin(imatrix, "aa", 40, 3);
    return imatrix;
}

// "a" with sums, "b" which the first does not have, "experts" without sums; no source.
static imx_imatrix *make_second(void) {
    imx_imatrix *imatrix = new_imatrix(6, 512);
    const imx_imatrix_entry *a =
        add_entry(imatrix, "a", 3, 1, (double[]){10, 20, 30}, (double[]){100}, true);
    a->in_max[1] = 7;
    a->in_max[2] = 0.5;
    add_entry(imatrix, "b", 1, 1, (double[]){8}, (double[]){4}, true);
    add_entry(imatrix, "experts", 2, 2, (double[]){1, 1, 1, 1}, (double[]){1, 2}, false);
    assert_int_equal(imx_imatrix_add_dataset(imatrix, "second.txt", NULL), IMX_OK);
    set_origin(imatrix, "aa", 60, 0);
    return imatrix;
}

static imx_status merge_two(imx_imatrix **out, const imx_imatrix *first, double first_weight,
                            const imx_imatrix *second, double second_weight, imx_error *err) {
    const imx_merge_part parts[] = {
        {first, "first.imatrix", first_weight},
        {second, "second.imatrix", second_weight},
    };
    return imx_imatrix_merge(out, parts, 2, err);
}

static void assert_values(const double *values, const double *expected, size_t n) {
    for (size_t i = 0; i < n; ++i) {
        assert_true(values[i] == expected[i]);
    }
}

static void test_sums_add_up(void **state) {
    (void)state;
    imx_imatrix *first = make_first();
    imx_imatrix *second = make_second();
    imx_imatrix *out;
    assert_int_equal(merge_two(&out, first, 1, second, 0.5, NULL), IMX_OK);
    assert_int_equal(out->n_entries, 3);
    const imx_imatrix_entry *a = imx_imatrix_find(out, "a");
    assert_values(a->in_sum2, (double[]){6, 12, 18}, 3);
    assert_values(a->counts, (double[]){60}, 1);
    assert_values(a->in_sum, (double[]){1.5, 1.5, 1.5}, 3);
    assert_values(a->in_max, (double[]){2, 7, 2}, 3);
    const imx_imatrix_entry *b = imx_imatrix_find(out, "b");
    assert_values(b->in_sum2, (double[]){4}, 1);
    assert_values(b->in_max, (double[]){2}, 1);
    const imx_imatrix_entry *experts = imx_imatrix_find(out, "experts");
    assert_values(experts->in_sum2, (double[]){1.5, 2.5, 3.5, 4.5}, 4);
    assert_values(experts->counts, (double[]){5.5, 1}, 2);
    assert_null(experts->in_sum); // one of the parts does not have them
    assert_null(experts->in_max);
    imx_imatrix_free(out);
    imx_imatrix_free(second);
    imx_imatrix_free(first);
}

static void test_texts_and_origins(void **state) {
    (void)state;
    imx_imatrix *first = make_first();
    imx_imatrix *second = make_second();
    imx_imatrix *out;
    first->origin.digits = 5;
    second->origin.digits = 3;
    assert_int_equal(merge_two(&out, first, 1, second, 0.25, NULL), IMX_OK);
    assert_int_equal(out->chunk_count, 10);
    assert_int_equal(out->chunk_size, 512);
    assert_int_equal(out->n_datasets, 2);
    assert_int_equal(out->n_sources, 2);
    assert_string_equal(out->datasets[1], "second.txt");
    assert_string_equal(out->sources[0].hash, "11");
    assert_true(out->sources[0].weight == 0.5);
    assert_true(out->sources[1].weight == 0.25);
    assert_int_equal(out->origin.n_tokens, 100);
    assert_int_equal(out->origin.digits, 3);
    assert_string_equal(out->origin.model_hash, "aa");
    assert_null(out->origin.text_hash);
    assert_true(out->origin.has_options);
    assert_int_equal(out->origin.n_left_out, 2);
    assert_int_equal(out->origin.left_out_chunks[0], 3);
    assert_int_equal(out->origin.left_out_chunks[1], 4); // the first of the second part
    imx_imatrix_free(out);

    second->origin.model_hash[0] = 'b';
    second->origin.parse_special = true;
    assert_int_equal(merge_two(&out, first, 1, second, 1, NULL), IMX_OK);
    assert_null(out->origin.model_hash);
    assert_string_equal(out->origin.model_name, "model-f16.gguf");
    assert_false(out->origin.has_options);
    imx_imatrix_free(out);
    imx_imatrix_free(second);
    imx_imatrix_free(first);
}

// A .dat counts chunks: beside a file with chunks of 512 tokens each counts for so many.
static void test_counts_of_chunks(void **state) {
    (void)state;
    imx_imatrix *first = make_first();
    imx_imatrix *dat = new_imatrix(2, 1);
    imx_imatrix *out;
    add_entry(dat, "a", 3, 1, (double[]){2, 2, 2}, (double[]){2}, false);
    assert_int_equal(merge_two(&out, dat, 1, first, 1, NULL), IMX_OK);
    const imx_imatrix_entry *a = imx_imatrix_find(out, "a");
    assert_values(a->in_sum2, (double[]){1025, 1026, 1027}, 3);
    assert_values(a->counts, (double[]){1034}, 1);
    imx_imatrix_free(out);
    assert_int_equal(merge_two(&out, dat, 1, dat, 1, NULL), IMX_OK);
    assert_values(imx_imatrix_find(out, "a")->counts, (double[]){4}, 1);
    assert_int_equal(out->chunk_size, 1);
    assert_int_equal(out->n_sources, 0);
    imx_imatrix_free(out);
    imx_imatrix_free(dat);
    imx_imatrix_free(first);
}

static void assert_merge_fails(const imx_imatrix *second, double weight, imx_status expected,
                               const char *words) {
    imx_imatrix *first = make_first();
    imx_imatrix *out;
    imx_error err = {0};
    assert_int_equal(merge_two(&out, first, 1, second, weight, &err), expected);
    assert_null(out);
    if (strstr(err.message, words) == NULL || strstr(err.message, "second.imatrix") == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, words);
    }
    imx_imatrix_free(first);
}

static void test_what_cannot_be_merged(void **state) {
    (void)state;
    imx_imatrix *other = new_imatrix(1, 512);
    add_entry(other, "a", 4, 1, (double[]){1, 1, 1, 1}, (double[]){1}, false);
    assert_merge_fails(other, 1, IMX_ERR_MISMATCH, "different models");
    imx_imatrix_free(other);

    other = new_imatrix(1, 512);
    add_entry(other, "experts", 4, 1, (double[]){1, 1, 1, 1}, (double[]){1}, false);
    assert_merge_fails(other, 1, IMX_ERR_MISMATCH, "one count for all experts");
    assert_merge_fails(other, 0, IMX_ERR_ARGUMENT, "weight");
    assert_merge_fails(other, INFINITY, IMX_ERR_ARGUMENT, "weight");
    imx_imatrix_free(other);

    other = new_imatrix(UINT32_MAX, 512);
    assert_merge_fails(other, 1, IMX_ERR_UNSUPPORTED, "chunks");
    imx_imatrix_free(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_add_up),
        cmocka_unit_test(test_texts_and_origins),
        cmocka_unit_test(test_counts_of_chunks),
        cmocka_unit_test(test_what_cannot_be_merged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
