// SPDX-License-Identifier: MIT
//
// How fast the products of a layer are, for every kind of operands, beside the most the processor
// can do in f32: two multiply-adds of independent registers a cycle, nothing loaded or stored.
//
// Rates are operations per second of processor time, so per thread, and other programs on the
// machine count little; what they still cost (caches, clock, a core's other thread) shows in the
// peak too, which is measured before and after. Kinds for a matrix unit are left out where there is
// none: imitated, they are thousands of times slower.

#include <getopt.h>
#include <omp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench_random.h"
#include "calib/forward/panels.h"
#include "formats/memory.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

enum { N_CHAINS = 12, N_STEPS = 4000000, N_REPEATS = 3 };

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// ---------------------------------------------------------------------------------------------
// The peak

#ifdef __x86_64__

#define CHAINS(suffix, attributes, vector, set1, fmadd)                                            \
    attributes static float chains_##suffix(void) {                                                \
        vector sums[N_CHAINS];                                                                     \
        for (int i = 0; i < N_CHAINS; ++i) {                                                       \
            sums[i] = set1((float)i);                                                              \
        }                                                                                          \
        for (int step = 0; step < N_STEPS; ++step) {                                               \
            for (int i = 0; i < N_CHAINS; ++i) {                                                   \
                sums[i] = fmadd(sums[i], set1(0.999f), set1(0.001f));                              \
            }                                                                                      \
        }                                                                                          \
        for (int i = 1; i < N_CHAINS; ++i) {                                                       \
            sums[0] = fmadd(sums[i], set1(1.0f), sums[0]);                                         \
        }                                                                                          \
        return sums[0][0];                                                                         \
    }

CHAINS(avx512, __attribute__((target("avx512f"))), __m512, _mm512_set1_ps, _mm512_fmadd_ps)
CHAINS(avx2, __attribute__((target("avx2,fma"))), __m256, _mm256_set1_ps, _mm256_fmadd_ps)

static void print_peak(const char *name, float (*chains)(void), int lanes, int n_threads) {
    const double started = cpu_seconds();
    volatile float sink = 0;
#pragma omp parallel num_threads(n_threads)
    sink = chains();
    (void)sink;
    const double operations = 2.0 * lanes * N_CHAINS * N_STEPS * n_threads;
    printf("%-24s %8.1f\n", name, operations / (cpu_seconds() - started) / 1e9);
}

static void print_peaks(int n_threads) {
    if (__builtin_cpu_supports("avx512f")) {
        print_peak("peak of AVX-512 f32", chains_avx512, 16, n_threads);
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        print_peak("peak of AVX2 f32", chains_avx2, 8, n_threads);
    }
}

#else

static void print_peaks(int n_threads) {
    (void)n_threads;
}

#endif

// ---------------------------------------------------------------------------------------------
// Products

static const struct {
    const char *name;
    imx_operands operands;
    uint32_t type; // of the weights
    bool needs_unit;
} kinds[] = {
    {"f32", IMX_OPERANDS_F32, IMX_TYPE_F16, false},
    {"rounded", IMX_OPERANDS_ROUNDED, IMX_TYPE_F16, false},
    {"bf16", IMX_OPERANDS_BF16, IMX_TYPE_F16, true},
    {"bf16 parts, BF16", IMX_OPERANDS_BF16_PARTS, IMX_TYPE_BF16, true},
    {"bf16 parts, F16", IMX_OPERANDS_BF16_PARTS, IMX_TYPE_F16, true},
};

enum { N_KINDS = sizeof kinds / sizeof *kinds };

// Of the Llama of bench_collect.py.
static const struct {
    size_t n_in, n_out;
} shapes[] = {{2048, 2048}, {2048, 256}, {2048, 5632}, {5632, 2048}};

enum { N_SHAPES = sizeof shapes / sizeof *shapes, MAX_IN = 5632, MAX_OUT = 5632 };

typedef struct buffers {
    uint16_t *weights; // (MAX_OUT, MAX_IN), small numbers in F16 and BF16
    float *x;          // (n_rows, MAX_IN)
    float *y;          // (n_rows, MAX_OUT)
    size_t n_rows;
    int n_threads;
} buffers;

static imx_status make_buffers(buffers *b, imx_error *err) {
    bench_random random = {1};
    IMX_TRY(imx_alloc_aligned(&b->weights, MAX_OUT, MAX_IN * sizeof *b->weights, err));
    IMX_TRY(imx_alloc_aligned(&b->x, b->n_rows, MAX_IN * sizeof *b->x, err));
    IMX_TRY(imx_alloc_aligned(&b->y, b->n_rows, MAX_OUT * sizeof *b->y, err));
    for (size_t i = 0; i < (size_t)MAX_OUT * MAX_IN; ++i) {
        b->weights[i] = (uint16_t)(0x3800 + i * 2654435761u % 1024);
    }
    for (size_t i = 0; i < b->n_rows * MAX_IN; ++i) {
        b->x[i] = bench_random_normal(&random);
    }
    return IMX_OK;
}

static double seconds_of(const imx_product *product, int n_threads) {
    double best = 0;
    for (int i = 0; i < N_REPEATS; ++i) {
        const double started = cpu_seconds();
        if (imx_product_run(product, n_threads) != IMX_OK) {
            return 0;
        }
        const double seconds = cpu_seconds() - started;
        best = i == 0 || seconds < best ? seconds : best;
    }
    return best;
}

static imx_status bench_shape(const buffers *b, size_t kind, size_t shape, imx_error *err) {
    const size_t n_in = shapes[shape].n_in, n_out = shapes[shape].n_out;
    imx_panels panels = {.operands = kinds[kind].operands};
    imx_status status;
    IMX_TRY_GOTO(done, imx_panels_reserve(&panels, n_in, n_out, err));
    const double started = cpu_seconds();
    imx_panels_unpack(&panels, kinds[kind].type, (const uint8_t *)b->weights, 1.0f, b->n_threads);
    const double unpacked = cpu_seconds();
    const imx_product product = {&panels, NULL, b->n_rows, b->x, n_in, b->y, n_out};
    const double n_products = (double)b->n_rows * (double)n_in * (double)n_out;
    printf("%-18s %4zu x %4zu %8.1f   %.2f\n", kinds[kind].name, n_in, n_out,
           2 * n_products / seconds_of(&product, b->n_threads) / 1e9,
           1e9 * (unpacked - started) / (double)(n_in * n_out));
done:
    imx_panels_free(&panels);
    return status;
}

static imx_status bench_all(buffers *b, imx_error *err) {
    IMX_TRY(make_buffers(b, err));
    printf("%zu rows, %d threads\n\n", b->n_rows, b->n_threads);
    printf("%-24s GFLOP/s a thread\n", "");
    print_peaks(b->n_threads);
    printf("\n%-18s in x out     GFLOP/s a thread, ns to unpack a weight\n", "operands");
    for (size_t kind = 0; kind < N_KINDS; ++kind) {
        for (size_t i = 0; i < N_SHAPES && (!kinds[kind].needs_unit || imx_gemm_has_bf16()); ++i) {
            IMX_TRY(bench_shape(b, kind, i, err));
        }
    }
    printf("\n");
    print_peaks(b->n_threads);
    return IMX_OK;
}

int main(int argc, char **argv) {
    static const struct option rows[] = {
        {"rows", required_argument, NULL, 'r'}, {"threads", required_argument, NULL, 't'}, {0}};
    buffers b = {.n_rows = 2048, .n_threads = omp_get_num_procs()};
    for (int option; (option = getopt_long(argc, argv, "", rows, NULL)) != -1;) {
        const int number = optarg != NULL ? atoi(optarg) : 0;
        if (number <= 0) {
            fputs("usage: bench_products [--rows N] [--threads N]\n", stderr);
            return 2;
        }
        if (option == 'r') {
            b.n_rows = (size_t)number;
        } else {
            b.n_threads = number;
        }
    }
    imx_error err = {0};
    const imx_status status = bench_all(&b, &err);
    if (status != IMX_OK) {
        fprintf(stderr, "bench_products: %s\n", err.message);
    }
    free(b.weights);
    free(b.x);
    free(b.y);
    return status == IMX_OK ? 0 : 1;
}
