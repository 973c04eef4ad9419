// SPDX-License-Identifier: MIT
//
// Traces: a file holds what was run, a comparison finds what differs.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "calib/forward/trace.h"
#include "tiny_model.h"

static const char path[] = "/tmp/imatrix-test-trace.gguf";

static const int32_t tokens[] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 35, 8, 9, 7};

enum { N_TOKENS = sizeof tokens / sizeof *tokens };

static imx_trace run(const tiny_model *spec) {
    imx_model *model = tiny_open(spec);
    imx_trace trace;
    imx_error err;
    assert_int_equal(imx_trace_run(&trace, model, tokens, N_TOKENS, 2, NULL, &err), IMX_OK);
    imx_model_close(model);
    return trace;
}

static imx_trace reread(const imx_trace *trace) {
    imx_trace copy;
    imx_error err;
    assert_int_equal(imx_trace_write(trace, path, "tiny.gguf", &err), IMX_OK);
    assert_int_equal(imx_trace_read(&copy, path, &err), IMX_OK);
    unlink(path);
    return copy;
}

static imx_trace_comparison compare(const imx_trace *trace, const imx_trace *reference) {
    imx_trace_comparison comparison;
    imx_error err;
    assert_int_equal(imx_trace_compare(&comparison, trace, reference, &err), IMX_OK);
    return comparison;
}

// Sums are f32 in the file and f64 in memory, logits f32 in both.
static void test_file_holds_the_trace(void **state) {
    (void)state;
    imx_trace trace = run(&tiny_default);
    imx_trace copy = reread(&trace);
    assert_int_equal(copy.n_vocab, tiny_default.n_vocab);
    assert_memory_equal(copy.tokens, tokens, sizeof tokens);
    assert_memory_equal(copy.logits, trace.logits, N_TOKENS * copy.n_vocab * sizeof(float));
    imx_trace_comparison comparison = compare(&trace, &copy);
    assert_true(comparison.logits_error == 0 && comparison.same_top == 1);
    assert_int_equal(comparison.n_products, 2 * 7 + 1); // seven a layer, and the head
    for (size_t i = 0; i < comparison.n_products; ++i) {
        const imx_trace_difference *d = &comparison.products[i];
        assert_true(d->has_shape && d->has_counts && !d->is_missing && !d->is_extra);
        assert_true(d->worst < 1e-7);
    }
    free(comparison.products);
    imx_trace_free(&copy);
    imx_trace_free(&trace);
}

static const imx_trace_difference *find(const imx_trace_comparison *comparison, const char *name) {
    for (size_t i = 0; i < comparison->n_products; ++i) {
        if (strcmp(comparison->products[i].name, name) == 0) {
            return &comparison->products[i];
        }
    }
    fail_msg("no product %s", name);
    return NULL;
}

// A tensor of zeros shows behind it, not before.
static void test_differences_are_found(void **state) {
    (void)state;
    tiny_model spec = tiny_default;
    spec.zeroed = "blk.1.attn_output.weight";
    imx_trace reference = run(&tiny_default), other = run(&spec);
    imx_trace_comparison comparison = compare(&other, &reference);
    assert_true(comparison.logits_error > 1e-4);
    assert_true(find(&comparison, "blk.1.attn_q.weight")->worst == 0);
    assert_true(find(&comparison, "blk.1.attn_output.weight")->worst == 0);
    assert_true(find(&comparison, "blk.1.ffn_up.weight")->worst > 1e-3);
    free(comparison.products);
    imx_trace_free(&reference);
    imx_trace_free(&other);
}

static void test_products_that_do_not_match(void **state) {
    (void)state;
    tiny_model tied = tiny_default;
    tied.has_output = false;
    imx_trace reference = run(&tiny_default), other = run(&tied);
    reference.products->entries[0].counts[0] += 1;
    other.products->entries[1].n_cols -= 1;
    imx_trace_comparison comparison = compare(&other, &reference);
    assert_int_equal(comparison.n_products, 2 * 7 + 2);
    assert_false(find(&comparison, reference.products->entries[0].name)->has_counts);
    assert_false(find(&comparison, reference.products->entries[1].name)->has_shape);
    assert_true(find(&comparison, "output.weight")->is_missing);
    assert_true(find(&comparison, "token_embd.weight")->is_extra);
    free(comparison.products);
    imx_trace_free(&reference);
    imx_trace_free(&other);
}

static void test_not_a_number_is_no_match(void **state) {
    (void)state;
    imx_trace reference = run(&tiny_default), other = run(&tiny_default);
    other.products->entries[3].in_sum2[5] = NAN;
    other.logits[7] = NAN;
    imx_trace_comparison comparison = compare(&other, &reference);
    assert_true(isnan(comparison.logits_error) && isnan(comparison.products[3].worst));
    free(comparison.products);
    imx_trace_free(&reference);
    imx_trace_free(&other);
}

static void test_other_tokens_are_refused(void **state) {
    (void)state;
    imx_trace reference = run(&tiny_default), other = run(&tiny_default);
    imx_trace_comparison comparison;
    imx_error err;
    other.tokens[4] ^= 1;
    assert_int_equal(imx_trace_compare(&comparison, &other, &reference, &err), IMX_ERR_MISMATCH);
    assert_null(comparison.products);
    imx_trace_free(&reference);
    imx_trace_free(&other);
}

// A model is no trace.
static void test_other_files_are_refused(void **state) {
    (void)state;
    imx_trace trace;
    imx_error err;
    char model_path[64];
    assert_true(tiny_write(&tiny_default, model_path));
    assert_int_equal(imx_trace_read(&trace, model_path, &err), IMX_ERR_FORMAT);
    assert_non_null(strstr(err.message, "'tokens'"));
    imx_trace_free(&trace);
    unlink(model_path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_holds_the_trace),
        cmocka_unit_test(test_differences_are_found),
        cmocka_unit_test(test_products_that_do_not_match),
        cmocka_unit_test(test_not_a_number_is_no_match),
        cmocka_unit_test(test_other_tokens_are_refused),
        cmocka_unit_test(test_other_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
