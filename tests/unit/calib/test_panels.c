// SPDX-License-Identifier: MIT
//
// Products with an unpacked matrix against their definition in f64, for every kind of operands,
// also those this processor would not choose: within the bounds of operands.h.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/forward/panels.h"
#include "formats/half.h"
#include "../random_values.h"

enum { GAP = 5, N_KINDS = IMX_OPERANDS_BF16_PARTS + 1 };

typedef struct shape {
    size_t n_rows, n_in, n_out;
} shape;

typedef struct matrix {
    uint32_t type;
    uint8_t *rows;
    float *values; // (n_out, n_in) what rows decode to, scaled
    float scale;
} matrix;

static void store_weight(matrix *m, size_t i, float value) {
    const imx_f16 half =
        m->type == IMX_TYPE_BF16 ? imx_bf16_from_f32(value) : imx_f16_from_f32(value);
    if (m->type == IMX_TYPE_F32) {
        memcpy(m->rows + 4 * i, &value, 4);
    } else {
        memcpy(m->rows + 2 * i, &half, 2);
    }
}

static matrix make_matrix(uint32_t type, const shape *s, float scale) {
    const size_t n = s->n_out * s->n_in;
    matrix m = {.type = type, .scale = scale};
    m.rows = malloc(n * sizeof(float));
    m.values = malloc(n * sizeof(float));
    random_fill(m.values, n, n + type);
    for (size_t i = 0; i < n; ++i) {
        store_weight(&m, i, m.values[i]);
    }
    imx_type_traits_of(type)->decode(m.rows, m.values, n);
    for (size_t i = 0; i < n; ++i) {
        m.values[i] *= scale;
    }
    return m;
}

static void free_matrix(matrix *m) {
    free(m->rows);
    free(m->values);
}

// The bound of operands.h as a factor of the sum of |a b|.
static double bound_of(imx_operands operands, size_t k) {
    static const double parts[N_KINDS] = {0, 0x1p-7 + 0x1p-16, 0x1p-7 + 0x1p-16, 3 * 0x1p-16};
    const double n = operands == IMX_OPERANDS_BF16_PARTS ? 3 : 1;
    return 0x1p-24 * (n * (double)k + 8) + parts[operands];
}

// Bound for the weights' type: those that need fewer parts err less.
static double tighter_bound_of(const matrix *m, imx_operands operands, size_t k) {
    double bound = bound_of(operands, k);
    if (operands == IMX_OPERANDS_BF16_PARTS && m->scale == 1.0f) {
        bound -= m->type == IMX_TYPE_F16 ? 1 * 0x1p-16 : m->type == IMX_TYPE_BF16 ? 2 * 0x1p-16 : 0;
    }
    return bound;
}

static void check_values(const shape *s, const matrix *m, const imx_product *p,
                         imx_operands operands) {
    for (size_t i = 0; i < s->n_rows; ++i) {
        for (size_t j = 0; j < s->n_out; ++j) {
            double wanted = p->bias != NULL ? (double)p->bias[j] : 0, size = fabs(wanted);
            for (size_t l = 0; l < s->n_in; ++l) {
                const double term =
                    (double)p->x[i * p->x_stride + l] * (double)m->values[j * s->n_in + l];
                wanted += term;
                size += fabs(term);
            }
            const double got = (double)p->y[i * p->y_stride + j];
            if (!(fabs(got - wanted) <= size * tighter_bound_of(m, operands, s->n_in))) {
                fail_msg("operands %d, type %u, %zu x %zu x %zu: y[%zu][%zu] is %g, not %g",
                         operands, m->type, s->n_rows, s->n_in, s->n_out, i, j, got, wanted);
            }
        }
        for (size_t j = s->n_out; j < p->y_stride; ++j) {
            assert_true(p->y[i * p->y_stride + j] == 1.0f);
        }
    }
}

// A product of random rows with `panels`, and its memory.
static imx_product make_product(const imx_panels *panels, const shape *s, const float *bias) {
    const size_t x_stride = s->n_in + GAP, y_stride = s->n_out + GAP;
    float *x = malloc(s->n_rows * x_stride * sizeof *x);
    float *y = malloc(s->n_rows * y_stride * sizeof *y);
    random_fill(x, s->n_rows * x_stride, 7);
    for (size_t i = 0; i < s->n_rows * y_stride; ++i) {
        y[i] = 1.0f;
    }
    return (imx_product){panels, bias, s->n_rows, x, x_stride, y, y_stride};
}

static void free_product(imx_product *p) {
    free((void *)(uintptr_t)p->x);
    free(p->y);
}

static void check_product(imx_panels *panels, const shape *s, uint32_t type, float scale,
                          bool has_bias) {
    matrix m = make_matrix(type, s, scale);
    float *bias = malloc(s->n_out * sizeof *bias);
    random_fill(bias, s->n_out, 3);
    assert_int_equal(imx_panels_reserve(panels, s->n_in, s->n_out, NULL), IMX_OK);
    imx_panels_unpack(panels, type, m.rows, scale, 2);
    imx_product p = make_product(panels, s, has_bias ? bias : NULL);
    assert_int_equal(imx_product_run(&p, 2), IMX_OK);
    check_values(s, &m, &p, panels->operands);
    free_product(&p);
    free(bias);
    free_matrix(&m);
}

// One object for all shapes, and one place for rows, so that each meets what the one before has
// left in memory.
static void test_products(void **state) {
    (void)state;
    static const uint32_t types[] = {IMX_TYPE_F32, IMX_TYPE_F16, IMX_TYPE_BF16};
    static const shape shapes[] = {
        {3, 40, 450}, {1, 1, 1}, {2, 300, 17}, {5, 64, 64}, {270, 8, 20}, {4, 31, 390},
    };
    imx_panel_rows rows = {0};
    for (int kind = 0; kind < N_KINDS; ++kind) {
        imx_panels panels = {.operands = (imx_operands)kind, .rows = &rows};
        for (size_t t = 0; t < sizeof types / sizeof *types; ++t) {
            for (size_t i = 0; i < sizeof shapes / sizeof *shapes; ++i) {
                check_product(&panels, &shapes[i], types[t], 1.0f, false);
            }
            check_product(&panels, &shapes[0], types[t], 0.3f, true);
        }
        imx_panels_free(&panels);
    }
    free(rows.values);
}

// The square of a number that one bf16 cannot hold, two can. A tie goes to the even side.
static void check_square(float value, float rounded) {
    const double first = (double)rounded, rest = (double)value - first;
    const double wanted[N_KINDS] = {(double)value * (double)value, first * first, first * first,
                                    first * first + 2 * first * rest};
    for (int kind = 0; kind < N_KINDS; ++kind) {
        imx_panels panels = {.operands = (imx_operands)kind};
        float y;
        assert_int_equal(imx_panels_reserve(&panels, 1, 1, NULL), IMX_OK);
        imx_panels_unpack(&panels, IMX_TYPE_F32, (const uint8_t *)&value, 1.0f, 1);
        const imx_product p = {&panels, NULL, 1, &value, 1, &y, 1};
        assert_int_equal(imx_product_run(&p, 1), IMX_OK);
        assert_true(y == (float)wanted[kind]);
        imx_panels_free(&panels);
    }
}

static void test_parts(void **state) {
    (void)state;
    check_square(2.0f + 0x1p-9f, 2.0f);
    check_square(-2.0f - 0x1p-7f - 0x1p-9f, -2.0f - 0x1p-6f);
    check_square(1.0f + 0x1p-8f, 1.0f);
    check_square(1.0f + 0x3p-8f, 1.0f + 0x1p-6f);
}

// An input that is not finite must show, whatever the operands: the collector looks for it.
static void test_non_finite_rows_show(void **state) {
    (void)state;
    static const shape s = {3, 40, 70};
    // The fraction of the last one is all ones: rounded up, it would turn into −0.
    const float bad[] = {INFINITY, -INFINITY, NAN, imx_f32_from_bits(0x7fffffffu)};
    for (int kind = 0; kind < N_KINDS; ++kind) {
        imx_panels panels = {.operands = (imx_operands)kind};
        matrix m = make_matrix(IMX_TYPE_F16, &s, 1.0f);
        assert_int_equal(imx_panels_reserve(&panels, s.n_in, s.n_out, NULL), IMX_OK);
        imx_panels_unpack(&panels, IMX_TYPE_F16, m.rows, 1.0f, 1);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
            imx_product p = make_product(&panels, &s, NULL);
            ((float *)(uintptr_t)p.x)[p.x_stride + 11] = bad[i];
            assert_int_equal(imx_product_run(&p, 1), IMX_OK);
            assert_false(isfinite(p.y[p.y_stride + 30]) != 0);
            assert_true(isfinite(p.y[30]) && isfinite(p.y[2 * p.y_stride + 30]));
            free_product(&p);
        }
        free_matrix(&m);
        imx_panels_free(&panels);
    }
}

static void test_same_bits_for_any_thread_count(void **state) {
    (void)state;
    static const shape s = {300, 33, 40};
    matrix m = make_matrix(IMX_TYPE_F16, &s, 1.0f);
    for (int kind = 0; kind < N_KINDS; ++kind) {
        imx_panels panels[2] = {{.operands = (imx_operands)kind}, {.operands = (imx_operands)kind}};
        imx_product products[2];
        for (int i = 0; i < 2; ++i) {
            assert_int_equal(imx_panels_reserve(&panels[i], s.n_in, s.n_out, NULL), IMX_OK);
            imx_panels_unpack(&panels[i], IMX_TYPE_F16, m.rows, 1.0f, 1 + 2 * i);
            products[i] = make_product(&panels[i], &s, NULL);
            assert_int_equal(imx_product_run(&products[i], 1 + 2 * i), IMX_OK);
        }
        assert_memory_equal(products[0].y, products[1].y,
                            s.n_rows * (s.n_out + GAP) * sizeof(float));
        for (int i = 0; i < 2; ++i) {
            free_product(&products[i]);
            imx_panels_free(&panels[i]);
        }
    }
    free_matrix(&m);
}

static void test_what_a_precision_means(void **state) {
    (void)state;
    const bool unit = imx_gemm_has_bf16();
    assert_int_equal(imx_operands_for(IMX_PRECISION_EXACT),
                     unit ? IMX_OPERANDS_BF16_PARTS : IMX_OPERANDS_F32);
    assert_int_equal(imx_operands_for(IMX_PRECISION_FAST),
                     unit ? IMX_OPERANDS_BF16 : IMX_OPERANDS_ROUNDED);
    assert_int_equal(imx_operand_products(IMX_OPERANDS_BF16_PARTS, false), 3);
    assert_int_equal(imx_operand_products(IMX_OPERANDS_BF16_PARTS, true), 2);
    assert_int_equal(imx_operand_products(IMX_OPERANDS_BF16, true), 1);
    assert_int_equal(imx_panels_bytes(33, 65, IMX_OPERANDS_BF16), 2 * 64 * 128);
    assert_int_equal(imx_panels_scratch_bytes(33, 2, IMX_OPERANDS_BF16_PARTS), 2 * 2 * 64 * 3);
    assert_int_equal(imx_panels_scratch_bytes(33, 2, IMX_OPERANDS_F32), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_non_finite_rows_show),
        cmocka_unit_test(test_same_bits_for_any_thread_count),
        cmocka_unit_test(test_what_a_precision_means),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
