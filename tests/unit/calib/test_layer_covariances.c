// SPDX-License-Identifier: MIT
//
// Covariances of a layer: which rows are in which part, what the budget is spent on, and the same
// bits for any number of threads.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/statistics/column_products.h"
#include "calib/statistics/layer_covariances.h"
#include "tiny_model.h"

enum { N_CTX = 50, N_CHUNKS = 20, N_TOKENS = N_CTX * N_CHUNKS - 7, MAX_COLS = 600 };

static float x[N_TOKENS * MAX_COLS];

typedef struct fixture {
    imx_corpus corpus;
    bool left_out[N_CHUNKS];
} fixture;

static fixture shared;

static int make_rows(void **state) {
    (void)state;
    random_fill(x, N_TOKENS * MAX_COLS, 5);
    shared.corpus = tiny_corpus(N_TOKENS, N_CTX, 48);
    shared.left_out[4] = shared.left_out[15] = true;
    return 0;
}

static int free_rows(void **state) {
    (void)state;
    tiny_corpus_free(&shared.corpus);
    return 0;
}

static imx_layer_covariances *open_covariances(uint64_t budget_bytes, int n_threads) {
    imx_layer_covariances *covariances;
    const imx_layer_covariances_options options = {
        .corpus = &shared.corpus,
        .left_out = shared.left_out,
        .budget_bytes = budget_bytes,
        .n_threads = n_threads,
    };
    imx_error err;
    assert_int_equal(imx_layer_covariances_open(&covariances, &options, &err), IMX_OK);
    return covariances;
}

static void add(imx_layer_covariances *covariances, const imx_walk_input *input) {
    imx_error err;
    assert_int_equal(imx_layer_covariances_add(covariances, input, &err), IMX_OK);
}

// All tokens, in two calls that cut a chunk.
static void add_dense(imx_layer_covariances *covariances, const char *weight, size_t n_cols) {
    const char *const weights[] = {weight};
    imx_walk_input input = {
        .weights = weights, .n_weights = 1, .x = x, .n_rows = 120, .n_cols = n_cols, .n_mats = 1};
    add(covariances, &input);
    input.x += input.n_rows * n_cols;
    input.first_token = input.n_rows;
    input.n_rows = N_TOKENS - input.n_rows;
    add(covariances, &input);
}

static imx_input_covariance find(const imx_layer_covariances *covariances, const char *weight,
                                 uint64_t mat) {
    imx_input_covariance found;
    assert_true(imx_layer_covariances_find(covariances, weight, mat, &found));
    return found;
}

// ---- which rows --------------------------------------------------------------------------------

typedef enum { FITTED, HELD_OUT } part;

// Chunks 7, 15, … are held out.
static bool is_in(size_t token, part wanted) {
    const size_t chunk = token / N_CTX;
    return !shared.left_out[chunk] && (chunk % 8 == 7) == (wanted == HELD_OUT);
}

static void check_part(const float *triangle, double count, size_t n_cols, size_t n_pairs,
                       part wanted) {
    size_t n_rows = 0;
    for (size_t token = 0; token < N_TOKENS; ++token) {
        n_rows += is_in(token, wanted);
    }
    assert_true(count == (double)n_rows);
    for (size_t pair = 0; pair < n_pairs; ++pair) {
        const size_t i = (pair * 7919) % n_cols, j = (pair * 104729) % (i + 1);
        double sum = 0;
        for (size_t token = 0; token < N_TOKENS; ++token) {
            const float *row = x + token * n_cols;
            sum += is_in(token, wanted) ? (double)row[i] * (double)row[j] : 0;
        }
        assert_true(fabs((double)triangle[imx_triangle_len(i) + j] - sum) < 1e-3);
    }
}

static void test_parts(void **state) {
    (void)state;
    static const size_t lengths[] = {300, 40, 256};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; ++i) {
        imx_layer_covariances *covariances = open_covariances(UINT64_MAX, 2);
        add_dense(covariances, "a", lengths[i]);
        const imx_input_covariance c = find(covariances, "a", 0);
        assert_int_equal(c.n_cols, lengths[i]);
        assert_int_equal(c.run_len, lengths[i]);
        check_part(c.fitted, c.n_fitted, lengths[i], 200, FITTED);
        check_part(c.held_out, c.n_held_out, lengths[i], 200, HELD_OUT);
        imx_layer_covariances_close(covariances);
    }
}

// Of fewer than eight chunks the last is held out; of one none.
static void test_short_texts(void **state) {
    (void)state;
    static const struct {
        size_t n_chunks;
        double n_fitted, n_held_out;
    } cases[] = {{1, 1, 0}, {2, 1, 1}, {7, 6, 1}, {8, 7, 1}, {15, 14, 1}, {16, 14, 2}};
    static const size_t starts[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    static const bool left_out[16];
    const char *const weights[] = {"a"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        const size_t n = cases[i].n_chunks;
        const imx_corpus corpus = {
            .n_tokens = n, .n_chunks = n, .starts = (size_t *)(uintptr_t)starts};
        const imx_layer_covariances_options options = {
            .corpus = &corpus, .left_out = left_out, .n_threads = 1};
        const imx_walk_input input = {
            .weights = weights, .n_weights = 1, .x = x, .n_rows = n, .n_cols = 3, .n_mats = 1};
        imx_layer_covariances *covariances;
        imx_error err;
        assert_int_equal(imx_layer_covariances_open(&covariances, &options, &err), IMX_OK);
        add(covariances, &input);
        assert_true(find(covariances, "a", 0).n_fitted == cases[i].n_fitted);
        assert_true(find(covariances, "a", 0).n_held_out == cases[i].n_held_out);
        imx_layer_covariances_close(covariances);
    }
}

static void test_experts(void **state) {
    (void)state;
    static const uint32_t tokens[] = {3, 60, 349, 350, 399, 400, 760, 990}; // two are held out
    const char *const weights[] = {"up", "gate"};
    imx_layer_covariances *covariances = open_covariances(0, 2);
    imx_walk_input input = {.weights = weights,
                            .n_weights = 2,
                            .x = x,
                            .n_rows = 8,
                            .n_cols = 5,
                            .tokens = tokens,
                            .mat = 2,
                            .n_mats = 4};
    add(covariances, &input);
    input.mat = 0;
    input.n_rows = 3;
    add(covariances, &input);
    const imx_input_covariance third = find(covariances, "gate", 2);
    assert_true(third.n_fitted == 5 && third.n_held_out == 2); // chunk 15 is left out
    assert_true(fabsf(third.held_out[0] - x[3 * 5] * x[3 * 5] - x[4 * 5] * x[4 * 5]) < 1e-6f);
    assert_true(find(covariances, "up", 0).n_fitted == 3);
    assert_true(find(covariances, "up", 1).n_fitted == 0);
    assert_true(find(covariances, "up", 1).fitted[0] == 0);
    imx_input_covariance none;
    assert_false(imx_layer_covariances_find(covariances, "up", 4, &none));
    assert_false(imx_layer_covariances_find(covariances, "down", 0, &none));
    imx_layer_covariances_close(covariances);
}

static void test_same_bits_for_any_thread_count(void **state) {
    (void)state;
    imx_layer_covariances *one = open_covariances(UINT64_MAX, 1);
    imx_layer_covariances *three = open_covariances(UINT64_MAX, 3);
    add_dense(one, "a", MAX_COLS);
    add_dense(three, "a", MAX_COLS);
    const imx_input_covariance a = find(one, "a", 0), b = find(three, "a", 0);
    const size_t n_bytes = imx_triangle_len(MAX_COLS) * sizeof(float);
    assert_memory_equal(a.fitted, b.fitted, n_bytes);
    assert_memory_equal(a.held_out, b.held_out, n_bytes);
    imx_layer_covariances_close(one);
    imx_layer_covariances_close(three);
}

// ---- budget ------------------------------------------------------------------------------------

// What does not fit gets runs; rows of one run are never cut, and another layer starts anew.
static void test_budget(void **state) {
    (void)state;
    const uint64_t budget = 2 * imx_triangle_len(MAX_COLS) * sizeof(float);
    imx_layer_covariances *covariances = open_covariances(budget, 1);
    for (int layer = 0; layer < 2; ++layer) {
        add_dense(covariances, "fits", MAX_COLS);
        add_dense(covariances, "does not", 570);
        add_dense(covariances, "is one run", IMX_COV_RUN);
        assert_int_equal(find(covariances, "fits", 0).run_len, MAX_COLS);
        assert_int_equal(find(covariances, "does not", 0).run_len, IMX_COV_RUN);
        assert_int_equal(find(covariances, "is one run", 0).run_len, IMX_COV_RUN);
        assert_int_equal(imx_layer_covariances_n_inputs(covariances), 3);
        imx_layer_covariances_clear(covariances);
        assert_int_equal(imx_layer_covariances_n_inputs(covariances), 0);
    }
    imx_layer_covariances_close(covariances);
}

// The second run of columns starts behind the triangle of the first.
static void test_runs(void **state) {
    (void)state;
    imx_layer_covariances *whole = open_covariances(UINT64_MAX, 1);
    imx_layer_covariances *cut = open_covariances(0, 1);
    add_dense(whole, "a", MAX_COLS);
    add_dense(cut, "a", MAX_COLS);
    const float *all = find(whole, "a", 0).fitted, *runs = find(cut, "a", 0).fitted;
    for (size_t i = 0; i < IMX_COV_RUN; ++i) {
        const float *row = all + imx_triangle_len(IMX_COV_RUN + i) + IMX_COV_RUN;
        for (size_t j = 0; j <= i; ++j) {
            const float got = runs[IMX_COV_PAIRS + imx_triangle_len(i) + j];
            assert_true(fabsf(got - row[j]) < 1e-3f);
        }
    }
    imx_layer_covariances_close(whole);
    imx_layer_covariances_close(cut);
}

// ---- a model's layers --------------------------------------------------------------------------

// What a walk shows, layer by layer.
typedef struct watcher {
    imx_layer_covariances *covariances;
    size_t n_cut; // inputs of which not all products are known
} watcher;

static imx_status add_input(void *context, const imx_walk_input *input, imx_error *err) {
    return imx_layer_covariances_add(((watcher *)context)->covariances, input, err);
}

static imx_status finish_layer(void *context, uint32_t layer, imx_error *err) {
    (void)layer;
    (void)err;
    watcher *w = context;
    for (size_t i = 0; i < imx_layer_covariances_n_inputs(w->covariances); ++i) {
        const char *const *weights;
        size_t n_weights;
        uint64_t n_mats;
        imx_layer_covariances_input(w->covariances, i, &weights, &n_weights, &n_mats);
        const imx_input_covariance last = find(w->covariances, weights[n_weights - 1], n_mats - 1);
        w->n_cut += last.run_len < last.n_cols;
    }
    imx_layer_covariances_clear(w->covariances);
    return IMX_OK;
}

static size_t count_cut(const imx_model *model, uint64_t budget_bytes) {
    watcher w = {.covariances = open_covariances(budget_bytes, 1)};
    const imx_walk_hook hook = {.on_input = add_input, .on_layer = finish_layer, .context = &w};
    const imx_walk_options options = {.n_threads = 1, .hook = &hook};
    imx_error err;
    assert_int_equal(imx_walk_run(model, &shared.corpus, &options, NULL, &err), IMX_OK);
    imx_layer_covariances_close(w.covariances);
    return w.n_cut;
}

// The most bytes are just enough for everything, in a dense layer and with experts.
static void test_most_bytes(void **state) {
    (void)state;
    tiny_model spec = tiny_default;
    spec.n_embd = 312;
    spec.n_ff = 400;
    for (uint32_t n_experts = 0; n_experts <= 3; n_experts += 3) {
        spec.n_experts = n_experts;
        spec.n_experts_used = n_experts / 2;
        imx_model *model = tiny_open(&spec);
        const uint64_t most = imx_layer_covariances_most_bytes(model, true);
        assert_int_equal(count_cut(model, most), 0);
        assert_int_equal(count_cut(model, most - 1), spec.n_layers);
        assert_true(imx_layer_covariances_least_bytes(model, true) < most);
        imx_model_close(model);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),      cmocka_unit_test(test_short_texts),
        cmocka_unit_test(test_experts),    cmocka_unit_test(test_same_bits_for_any_thread_count),
        cmocka_unit_test(test_budget),     cmocka_unit_test(test_runs),
        cmocka_unit_test(test_most_bytes),
    };
    return cmocka_run_group_tests(tests, make_rows, free_rows);
}
