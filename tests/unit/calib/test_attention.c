// SPDX-License-Identifier: MIT
//
// Attention against its definition in f64: several chunks, short ones too, more heads than key
// heads, values of another length than keys, chunks longer and shorter than a block of queries,
// and what some families do to the scores.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/forward/attention.h"
#include "../random_values.h"

typedef struct case_data {
    imx_attention attention;
    float *q, *k, *v, *out;
    size_t *starts; // (n_chunks + 1)
    size_t out_len;
} case_data;

static float *random_rows(size_t n, uint64_t seed) {
    float *rows = malloc(n * sizeof *rows);
    random_fill(rows, n, seed);
    return rows;
}

// The first chunks have n_ctx, n_ctx − step, n_ctx − 2 · step ... rows, the last what is left. They
// are the second part of a corpus: starts[0] is not 0.
static case_data make_ragged_case(size_t n_ctx, size_t step, size_t n_rows) {
    case_data c = {.attention = {.n_heads = 6,
                                 .n_kv_heads = 2,
                                 .head_dim_k = 10,
                                 .head_dim_v = 7,
                                 .scale = 1.5f,
                                 .q_stride = 6 * 10,
                                 .k_stride = 2 * 10,
                                 .v_stride = 2 * 7,
                                 .n_ctx = n_ctx}};
    c.starts = calloc(n_rows + 1, sizeof *c.starts);
    c.starts[0] = 1000;
    while (c.starts[c.attention.n_chunks] < 1000 + n_rows) {
        const size_t end = c.starts[c.attention.n_chunks] + n_ctx - c.attention.n_chunks * step;
        c.starts[++c.attention.n_chunks] = end < 1000 + n_rows ? end : 1000 + n_rows;
    }
    c.attention.starts = c.starts;
    c.out_len = n_rows * 6 * 7;
    c.attention.q = c.q = random_rows(n_rows * 6 * 10, 1);
    c.attention.k = c.k = random_rows(n_rows * 2 * 10, 2);
    c.attention.v = c.v = random_rows(n_rows * 2 * 7, 3);
    c.attention.out = c.out = calloc(c.out_len, sizeof *c.out);
    return c;
}

static case_data make_case(size_t n_ctx, size_t n_rows) {
    return make_ragged_case(n_ctx, 0, n_rows);
}

static void free_case(case_data *c) {
    free(c->starts);
    free(c->q);
    free(c->k);
    free(c->v);
    free(c->out);
}

// Attention weight of key j for query i of the same chunk, not normalised.
static double weigh(const imx_attention *a, size_t head, size_t i, size_t j) {
    const float *q = a->q + (i * a->n_heads + head) * a->head_dim_k;
    const float *k = a->k + (j * a->n_kv_heads + head / 3) * a->head_dim_k;
    double score = 0;
    for (size_t l = 0; l < a->head_dim_k; ++l) {
        score += (double)q[l] * (double)k[l];
    }
    score *= (double)a->scale;
    if (a->window > 0 && i - j >= a->window) {
        return 0;
    }
    if (a->softcap > 0) {
        score = (double)a->softcap * tanh(score / (double)a->softcap);
    }
    if (a->slopes != NULL) {
        score -= (double)a->slopes[head] * (double)(i - j);
    }
    return exp(score);
}

static double mix(const imx_attention *a, size_t head, size_t i, size_t column) {
    double sum = a->sinks != NULL ? exp((double)a->sinks[head]) : 0, mixed = 0;
    size_t chunk = 0;
    while (a->starts[chunk + 1] - a->starts[0] <= i) {
        ++chunk;
    }
    for (size_t j = a->starts[chunk] - a->starts[0]; j <= i; ++j) {
        const double weight = weigh(a, head, i, j);
        sum += weight;
        mixed += weight * (double)a->v[(j * a->n_kv_heads + head / 3) * a->head_dim_v + column];
    }
    return mixed / sum;
}

// Scores are shaped as in `kind`.
static void check_case(const imx_attention *kind, size_t n_ctx, size_t step, size_t n_rows) {
    case_data c = make_ragged_case(n_ctx, step, n_rows);
    imx_error err;
    c.attention.window = kind->window;
    c.attention.softcap = kind->softcap;
    c.attention.slopes = kind->slopes;
    c.attention.sinks = kind->sinks;
    assert_int_equal(imx_attend(&c.attention, 2, &err), IMX_OK);
    for (size_t at = 0; at < c.out_len; ++at) {
        const size_t i = at / (6 * 7), head = at / 7 % 6, column = at % 7;
        const double wanted = mix(&c.attention, head, i, column);
        if (!(fabs((double)c.out[at] - wanted) < 2e-6)) {
            fail_msg("context %zu: token %zu, head %zu: %g, not %g", n_ctx, i, head,
                     (double)c.out[at], wanted);
        }
    }
    free_case(&c);
}

static void test_against_definition(void **state) {
    (void)state;
    const imx_attention plain = {0};
    check_case(&plain, 1, 0, 3);
    check_case(&plain, 20, 0, 50);
    check_case(&plain, 64, 0, 128);
    check_case(&plain, 150, 0, 170);
    check_case(&plain, 200, 0, 90); // one short chunk
    check_case(&plain, 70, 9, 305);
}

static void test_windows(void **state) {
    (void)state;
    // Of one key, within a block of queries, across several, as long as the chunk.
    static const size_t windows[] = {1, 9, 64, 100, 200};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; ++i) {
        const imx_attention kind = {.window = windows[i]};
        check_case(&kind, 200, 0, 250);
        check_case(&kind, 70, 9, 305);
    }
}

static void test_shaped_scores(void **state) {
    (void)state;
    static const float slopes[] = {0.5f, 0.25f, 0.125f, 0.0625f, 0.3f, 0};
    static const float sinks[] = {-1, 0.5f, 3, 20, 0, -40};
    static const imx_attention kinds[] = {
        {.softcap = 0.7f},
        {.slopes = slopes},
        {.sinks = sinks},
        {.softcap = 2, .sinks = sinks, .window = 30},
        {.slopes = slopes, .sinks = sinks, .softcap = 1},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
        check_case(&kinds[i], 150, 0, 170);
        check_case(&kinds[i], 70, 9, 305);
    }
}

static void test_same_bits_for_any_thread_count(void **state) {
    (void)state;
    imx_error err;
    case_data wanted = make_case(100, 350);
    assert_int_equal(imx_attend(&wanted.attention, 1, &err), IMX_OK);
    for (int n_threads = 2; n_threads <= 3; ++n_threads) {
        case_data c = make_case(100, 350);
        assert_int_equal(imx_attend(&c.attention, n_threads, &err), IMX_OK);
        assert_memory_equal(c.out, wanted.out, c.out_len * sizeof *c.out);
        free_case(&c);
    }
    free_case(&wanted);
}

// Scores of several hundred: exp of them is beyond f32, exp of differences is not.
static void test_large_scores(void **state) {
    (void)state;
    imx_error err;
    case_data c = make_case(16, 16);
    c.attention.scale = 500.0f;
    assert_int_equal(imx_attend(&c.attention, 1, &err), IMX_OK);
    for (size_t i = 0; i < c.out_len; ++i) {
        assert_true(fabsf(c.out[i]) <= 1.0f);
    }
    free_case(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_definition),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_shaped_scores),
        cmocka_unit_test(test_same_bits_for_any_thread_count),
        cmocka_unit_test(test_large_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
