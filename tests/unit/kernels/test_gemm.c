// SPDX-License-Identifier: MIT
//
// The narrow door against its plain reference: odd shapes, both layouts of b, rows with gaps, and
// the same bits whatever number of threads the caller works with. The same for bf16, which most
// processors have to imitate.

#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/gemm.h"
#include "../random_values.h"

enum { GAP = 3, SENTINEL = 12345 };

typedef struct product {
    imx_gemm gemm;
    float *a, *b, *c;
    size_t c_len;
} product;

static product make_product(size_t m, size_t n, size_t k, bool b_is_rows) {
    const size_t b_rows = b_is_rows ? n : k;
    const size_t b_stride = (b_is_rows ? k : n) + GAP;
    product p = {.c_len = m * (n + GAP)};
    p.a = malloc(m * (k + GAP) * sizeof(float));
    p.b = malloc(b_rows * b_stride * sizeof(float));
    p.c = malloc(p.c_len * sizeof(float));
    random_fill(p.a, m * (k + GAP), m * 31 + n);
    random_fill(p.b, b_rows * b_stride, k * 17 + n);
    for (size_t i = 0; i < p.c_len; ++i) {
        p.c[i] = SENTINEL;
    }
    p.gemm = (imx_gemm){
        .m = m,
        .n = n,
        .k = k,
        .a = p.a,
        .a_stride = k + GAP,
        .b = p.b,
        .b_stride = b_stride,
        .b_is_rows = b_is_rows,
        .c = p.c,
        .c_stride = n + GAP,
    };
    return p;
}

static void free_product(product *p) {
    free(p->a);
    free(p->b);
    free(p->c);
}

static float b_at(const imx_gemm *g, size_t j, size_t l) {
    return g->b_is_rows ? g->b[j * g->b_stride + l] : g->b[l * g->b_stride + j];
}

// The tolerance of the contract.
static double tolerance(const imx_gemm *g, size_t i, size_t j) {
    double sum = 0;
    for (size_t l = 0; l < g->k; ++l) {
        sum += fabs((double)g->a[i * g->a_stride + l] * (double)b_at(g, j, l));
    }
    return sum * 0x1p-24 * (double)(g->k + 8);
}

static void check_product(size_t m, size_t n, size_t k, bool b_is_rows) {
    product p = make_product(m, n, k, b_is_rows);
    product wanted = make_product(m, n, k, b_is_rows);
    assert_int_equal(imx_gemm_run(&p.gemm), IMX_OK);
    assert_int_equal(imx_gemm_run_ref(&wanted.gemm), IMX_OK);
    for (size_t i = 0; i < m; ++i) {
        for (size_t j = 0; j < n + GAP; ++j) {
            const size_t at = i * (n + GAP) + j;
            const double bound = j < n ? tolerance(&p.gemm, i, j) : 0;
            if (!(fabs((double)p.c[at] - (double)wanted.c[at]) <= bound)) {
                fail_msg("%zu x %zu x %zu, rows %d: c[%zu][%zu] is %g, not %g", m, n, k, b_is_rows,
                         i, j, (double)p.c[at], (double)wanted.c[at]);
            }
        }
    }
    free_product(&p);
    free_product(&wanted);
}

static void test_against_reference(void **state) {
    (void)state;
    static const size_t shapes[][3] = {
        {1, 1, 1},   {1, 17, 64},   {64, 1, 33},    {3, 5, 7},      {64, 64, 8},
        {63, 65, 1}, {31, 47, 129}, {65, 48, 1000}, {2, 300, 2048}, {256, 100, 172},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; ++i) {
        check_product(shapes[i][0], shapes[i][1], shapes[i][2], true);
        check_product(shapes[i][0], shapes[i][1], shapes[i][2], false);
    }
}

static void test_reference_by_hand(void **state) {
    (void)state;
    const float a[] = {1, 2, 3, 4};
    const float b[] = {5, 6, 7, 8};
    float c[4];
    imx_gemm gemm = {2, 2, 2, a, 2, b, 2, true, c, 2};
    assert_int_equal(imx_gemm_run_ref(&gemm), IMX_OK);
    const float by_rows[] = {17, 23, 39, 53}; // [[1 2] [3 4]] · [[5 6] [7 8]]ᵀ
    assert_memory_equal(c, by_rows, sizeof c);
    gemm.b_is_rows = false;
    assert_int_equal(imx_gemm_run_ref(&gemm), IMX_OK);
    const float plain[] = {19, 22, 43, 50};
    assert_memory_equal(c, plain, sizeof c);
}

// ---- bf16 --------------------------------------------------------------------------------------

static imx_bf16 *make_halves(size_t n, uint64_t seed) {
    imx_bf16 *halves = malloc(n * sizeof *halves);
    for (size_t i = 0; i < n; ++i) {
        halves[i] = imx_bf16_from_f32(random_value(&seed));
    }
    return halves;
}

static double half_tolerance(const imx_gemm_bf16 *g, size_t i) {
    double sum = 0; // |b| <= 1
    for (size_t l = 0; l < g->k; ++l) {
        sum += fabs((double)imx_bf16_to_f32(g->a[i * g->k + l]));
    }
    return sum * 0x1p-24 * (double)(g->k + 8);
}

static void check_halves(size_t m, size_t n, size_t k) {
    const size_t n_groups = (n + IMX_BF16_GROUP - 1) / IMX_BF16_GROUP, stride = n + GAP;
    imx_bf16 *a = make_halves(m * k, m + n), *b = make_halves(n_groups * IMX_BF16_GROUP * k, k);
    float *c = calloc(m * stride, sizeof *c), *wanted = calloc(m * stride, sizeof *wanted);
    imx_gemm_bf16 gemm = {m, n, k, a, b, c, stride};
    assert_int_equal(imx_gemm_bf16_run(&gemm), IMX_OK);
    gemm.c = wanted;
    assert_int_equal(imx_gemm_bf16_run_ref(&gemm), IMX_OK);
    for (size_t i = 0; i < m * stride; ++i) {
        const double bound = i % stride < n ? half_tolerance(&gemm, i / stride) : 0;
        if (!(fabs((double)c[i] - (double)wanted[i]) <= bound)) {
            fail_msg("%zu x %zu x %zu: c[%zu][%zu] is %g, not %g", m, n, k, i / stride, i % stride,
                     (double)c[i], (double)wanted[i]);
        }
    }
    free(a);
    free(b);
    free(c);
    free(wanted);
}

static void test_halves_against_reference(void **state) {
    (void)state;
    static const size_t shapes[][3] = {
        {1, 1, 32}, {17, 64, 32}, {3, 65, 64}, {5, 200, 96}, {33, 384, 64}, {2, 48, 1024},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; ++i) {
        check_halves(shapes[i][0], shapes[i][1], shapes[i][2]);
    }
}

// The pairs of b along k by hand: column 65 is the second of the second group.
static void test_halves_by_hand(void **state) {
    (void)state;
    static imx_bf16 a[32], b[2 * 64 * 32];
    float c[66];
    a[0] = imx_bf16_from_f32(3), a[3] = imx_bf16_from_f32(5);
    b[64 * 32 + 2] = imx_bf16_from_f32(7);          // b[0][65]
    b[64 * 32 + 64 * 2 + 3] = imx_bf16_from_f32(2); // b[3][65]
    const imx_gemm_bf16 gemm = {1, 66, 32, a, b, c, 66};
    assert_int_equal(imx_gemm_bf16_run(&gemm), IMX_OK);
    assert_true(c[65] == 31 && c[64] == 0 && c[1] == 0);
    assert_int_equal(imx_gemm_bf16_run_ref(&gemm), IMX_OK);
    assert_true(c[65] == 31 && c[64] == 0 && c[1] == 0);
}

// ---- threads -----------------------------------------------------------------------------------

// Few outputs and a long sum: the shape that oneDNN cuts along k when it may use eight threads.
static product make_long_product(void) {
    return make_product(16, 16, 8192, true);
}

static void check_in_team(const product *wanted, int n_threads) {
    int n_different = 0;
#pragma omp parallel for num_threads(n_threads) reduction(+ : n_different)
    for (int i = 0; i < 4; ++i) {
        product own = make_long_product();
        n_different += imx_gemm_run(&own.gemm) != IMX_OK ||
                       memcmp(own.c, wanted->c, own.c_len * sizeof(float)) != 0;
        free_product(&own);
    }
    assert_int_equal(n_different, 0);
}

static void test_same_bits_for_any_thread_count(void **state) {
    (void)state;
    static const int counts[] = {1, 2, 3, 8};
    const int before = omp_get_max_threads();
    product wanted = make_long_product();
    omp_set_num_threads(1);
    assert_int_equal(imx_gemm_run(&wanted.gemm), IMX_OK);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; ++i) {
        product p = make_long_product();
        omp_set_num_threads(counts[i]);
        assert_int_equal(imx_gemm_run(&p.gemm), IMX_OK);
        assert_int_equal(omp_get_max_threads(), counts[i]);
        assert_memory_equal(p.c, wanted.c, p.c_len * sizeof(float));
        check_in_team(&wanted, counts[i]);
        free_product(&p);
    }
    omp_set_num_threads(before);
    free_product(&wanted);
}

// ---- signals -----------------------------------------------------------------------------------

static volatile sig_atomic_t n_handled;

static void count_signal(int signal_number) {
    (void)signal_number;
    ++n_handled;
}

static void *send_signals(void *context) {
    const pthread_t target = *(const pthread_t *)context;
    while (n_handled < 5000) {
        pthread_kill(target, SIGUSR1);
    }
    return NULL;
}

// Kernels that use the stack pointer for something else would let the handler write over the heap:
// free() then finds it out.
static void test_signals_do_no_harm(void **state) {
    (void)state;
    pthread_t self = pthread_self();
    pthread_t sender;
    struct sigaction action = {.sa_handler = count_signal};
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    assert_int_equal(pthread_create(&sender, NULL, send_signals, &self), 0);
    while (n_handled < 5000) {
        product p = make_product(32, 64, 128, false);
        assert_int_equal(imx_gemm_run(&p.gemm), IMX_OK);
        free_product(&p);
    }
    pthread_join(sender, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_by_hand),
        cmocka_unit_test(test_against_reference),
        cmocka_unit_test(test_halves_by_hand),
        cmocka_unit_test(test_halves_against_reference),
        cmocka_unit_test(test_same_bits_for_any_thread_count),
        cmocka_unit_test(test_signals_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
