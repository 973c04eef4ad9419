// SPDX-License-Identifier: MIT

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/importance.h"
#include "quant/solver/block_factor.h"
#include "random_normal.h"

enum { RUN = IMX_COV_RUN, N_FACTORS = 24 };

static const size_t lengths[] = {RUN, 2 * RUN, 700, 1024};

// Inputs that a few hidden factors drive, and noise of a hundredth of their power. The caller's.
static float *random_metric(size_t n) {
    float *h = calloc(n * n, sizeof *h);
    double *mix = calloc(n * N_FACTORS, sizeof *mix);
    assert_non_null(h);
    assert_non_null(mix);
    for (size_t i = 0; i < n * N_FACTORS; ++i) {
        mix[i] = random_normal() / sqrt(N_FACTORS);
    }
    for (size_t i = 0; i < n; ++i) {
        for (size_t j = 0; j <= i; ++j) {
            double sum = i == j ? 0.01 : 0.0;
            for (size_t k = 0; k < N_FACTORS; ++k) {
                sum += mix[i * N_FACTORS + k] * mix[j * N_FACTORS + k];
            }
            h[i * n + j] = h[j * n + i] = (float)sum;
        }
    }
    free(mix);
    return h;
}

static float *factored(const float *h, size_t n, int n_threads) {
    float *factor = malloc(n * n * sizeof *factor);
    assert_non_null(factor);
    memcpy(factor, h, n * n * sizeof *factor);
    assert_int_equal(imx_block_factor(factor, n, n_threads, NULL), IMX_OK);
    return factor;
}

static size_t block_end(size_t n, size_t i) {
    const size_t end = (i / RUN + 1) * RUN;
    return end < n ? end : n;
}

// Row i of L D, up to the end of i's own block.
static void scaled_row(const float *factor, size_t n, size_t i, double *row) {
    for (size_t j = 0; j < block_end(n, i); ++j) {
        const size_t begin = j / RUN * RUN;
        row[j] = 0.0;
        for (size_t k = begin; k < block_end(n, j) && i / RUN != j / RUN; ++k) {
            row[j] += (double)factor[i * n + k] * (double)factor[k * n + j];
        }
        if (i / RUN == j / RUN) {
            row[j] = (double)factor[i * n + j];
        }
    }
}

static void product_is_the_metric(void **state) {
    (void)state;
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; ++l) {
        const size_t n = lengths[l];
        float *h = random_metric(n);
        float *factor = factored(h, n, 2);
        double *row = calloc(n, sizeof *row);
        double worst = 0.0;
        for (size_t i = 0; i < n; i += 13) {
            scaled_row(factor, n, i, row);
            for (size_t j = 0; j <= i; ++j) {
                double sum = j / RUN == i / RUN ? row[j] : 0.0;
                for (size_t k = 0; k < i / RUN * RUN && k < j / RUN * RUN; ++k) {
                    sum += row[k] * (double)factor[j * n + k];
                }
                sum += j / RUN < i / RUN ? row[j] : 0.0;
                worst = fmax(worst, fabs(sum - (double)h[i * n + j]));
            }
        }
        if (worst > 2e-6) {
            fail_msg("n = %zu: an entry is off by %g", n, worst);
        }
        free(row);
        free(factor);
        free(h);
    }
}

// Σ_b (e_b + Σ_{c>b} L_cbᵀ e_c)ᵀ D_b (e_b + Σ_{c>b} L_cbᵀ e_c).
static double sum_of_runs(const float *factor, size_t n, const double *e) {
    double sum = 0.0;
    for (size_t begin = 0; begin < n; begin += RUN) {
        const size_t end = block_end(n, begin);
        double v[RUN];
        for (size_t j = begin; j < end; ++j) {
            v[j - begin] = e[j];
            for (size_t i = end; i < n; ++i) {
                v[j - begin] += (double)factor[i * n + j] * e[i];
            }
        }
        for (size_t i = begin; i < end; ++i) {
            for (size_t j = begin; j < end; ++j) {
                sum += v[i - begin] * (double)factor[i * n + j] * v[j - begin];
            }
        }
    }
    return sum;
}

static void errors_are_sums_over_runs(void **state) {
    (void)state;
    enum { N = 700 };
    float *h = random_metric(N);
    float *factor = factored(h, N, 1);
    for (int trial = 0; trial < 8; ++trial) {
        double e[N];
        double loss = 0.0;
        for (size_t i = 0; i < N; ++i) {
            e[i] = random_normal();
        }
        for (size_t i = 0; i < N; ++i) {
            for (size_t j = 0; j < N; ++j) {
                loss += (double)h[i * N + j] * e[i] * e[j];
            }
        }
        const double runs = sum_of_runs(factor, N, e);
        if (fabs(runs - loss) > 1e-5 * loss) {
            fail_msg("%g instead of %g", runs, loss);
        }
    }
    free(factor);
    free(h);
}

static void threads_do_not_show(void **state) {
    (void)state;
    enum { N = 1300 };
    float *h = random_metric(N);
    float *one = factored(h, N, 1);
    for (int n_threads = 2; n_threads <= 5; ++n_threads) {
        float *many = factored(h, N, n_threads);
        assert_memory_equal(one, many, N * N * sizeof *one);
        free(many);
    }
    free(one);
    free(h);
}

// What is above the blocks of the diagonal belongs to the caller.
static void upper_triangle_is_left(void **state) {
    (void)state;
    enum { N = 700 };
    float *h = random_metric(N);
    for (size_t i = 0; i < N; ++i) {
        for (size_t j = block_end(N, i); j < N; ++j) {
            h[i * N + j] = NAN;
        }
    }
    float *factor = factored(h, N, 2);
    for (size_t i = 0; i < N; ++i) {
        for (size_t j = 0; j < N; ++j) {
            assert_true(isnan(factor[i * N + j]) == (j >= block_end(N, i)));
        }
        for (size_t j = i / RUN * RUN; j < i; ++j) {
            assert_true(factor[i * N + j] == factor[j * N + i]);
        }
    }
    free(factor);
    free(h);
}

static void impossible_metrics_are_refused(void **state) {
    (void)state;
    enum { N = 600 };
    static const float bad[] = {-1.0f, NAN, INFINITY};
    for (size_t b = 0; b < sizeof bad / sizeof *bad; ++b) {
        for (size_t at = 100; at < N; at += 400) {
            imx_error err;
            float *h = random_metric(N);
            h[at * N + at] = bad[b];
            assert_int_equal(imx_block_factor(h, N, 2, &err), IMX_ERR_FORMAT);
            free(h);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(product_is_the_metric),
        cmocka_unit_test(errors_are_sums_over_runs),
        cmocka_unit_test(threads_do_not_show),
        cmocka_unit_test(upper_triangle_is_left),
        cmocka_unit_test(impossible_metrics_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
