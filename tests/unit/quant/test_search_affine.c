// SPDX-License-Identifier: MIT
//
// The searches for grids with offsets against an exhaustive solver, on problems small enough for
// it. The nearest codes of a rising grid never fall as the weights rise, so that all sequences that
// do not fall, each with the best real parameters, contain the optimum; falling grids are rising
// grids of the negated weights. Half precision costs the search next to nothing here.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "quant/encode/fit_affine.h"
#include "quant/encode/search_affine.h"
#include "random_normal.h"

enum { MAX_LEN = 16 };

// ---- problems ----------------------------------------------------------------------------------

static int compare_floats(const void *a, const void *b) {
    const float x = *(const float *)a;
    const float y = *(const float *)b;
    return (x > y) - (x < y);
}

// Rising weights, so that sequences of codes are easy to enumerate, of log-normal importance.
static void fill_group(float *x, float *w, int n) {
    for (int j = 0; j < n; ++j) {
        x[j] = (float)(0.3 * random_normal());
        w[j] = (float)exp(random_normal());
    }
    qsort(x, (size_t)n, sizeof *x, compare_floats);
}

static double power_of(const float *x, const float *w, int n) {
    double sum = 0.0;
    for (int j = 0; j < n; ++j) {
        sum += (double)w[j] * (double)x[j] * (double)x[j];
    }
    return sum;
}

// Errors summed over many cases.
typedef struct outcome {
    double least;
    double found[IMX_EFFORT_COUNT];
} outcome;

static void check_outcome(const outcome *sum) {
    static const double bounds[IMX_EFFORT_COUNT] = {
        [IMX_EFFORT_DEFAULT] = 1.1, // few weights have more accidents than the 16 or 32 of a type
        [IMX_EFFORT_BEST] = 1.01,
    };
    for (int effort = 0; effort < IMX_EFFORT_COUNT; ++effort) {
        const double ratio = sum->found[effort] / sum->least;
        if (ratio > bounds[effort]) {
            fail_msg("effort %d: %.4f of the least error", effort, ratio);
        }
    }
}

// ---- one group ---------------------------------------------------------------------------------

typedef struct code_sums {
    double w;
    double x;
    double q;
    double qq;
    double xq;
} code_sums;

static code_sums add_weight(code_sums sums, float x, float w, int q) {
    sums.w += (double)w;
    sums.x += (double)w * (double)x;
    sums.q += (double)w * q;
    sums.qq += (double)w * q * q;
    sums.xq += (double)w * (double)x * q;
    return sums;
}

// What the best real scale and offset take off Σ w x².
static double gain_of_grid(code_sums s) {
    const double variance = s.qq - s.q * s.q / s.w;
    const double covariance = s.xq - s.q * s.x / s.w;
    const double by_mean = s.x * s.x / s.w;
    return variance > 1e-12 ? by_mean + covariance * covariance / variance : by_mean;
}

// The largest gain over all ways to go on from weight j with codes from `lowest`.
static double largest_gain(const imx_group *group, int j, int lowest, code_sums sums) {
    if (j == group->n) {
        return gain_of_grid(sums);
    }
    double best = 0.0;
    for (int q = lowest; q <= (int)group->codes.highest; ++q) {
        const code_sums with = add_weight(sums, group->x[j], group->w[j], q);
        best = fmax(best, largest_gain(group, j + 1, q, with));
    }
    return best;
}

static double error_of_grid(const imx_group *group, imx_grid grid) {
    float codes[MAX_LEN];
    imx_group_codes(group, grid, codes);
    double sum = 0.0;
    for (int j = 0; j < group->n; ++j) {
        const double e =
            (double)group->x[j] - (double)grid.scale * (double)codes[j] - (double)grid.offset;
        sum += (double)group->w[j] * e * e;
    }
    return sum;
}

static void one_group_comes_near_the_least_error(void **state) {
    (void)state;
    static const struct {
        int n;
        int highest;
        int n_cases;
    } rows[] = {
        {16, 3, 60},
        {12, 7, 40},
        {10, 9, 20},
        {8, 15, 10},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        outcome sum = {0};
        random_state = 1;
        for (int c = 0; c < rows[i].n_cases; ++c) {
            float x[MAX_LEN];
            float w[MAX_LEN];
            fill_group(x, w, rows[i].n);
            const imx_group group = {x, w, rows[i].n, {0.0f, (float)rows[i].highest}};
            sum.least += power_of(x, w, group.n) - largest_gain(&group, 0, 0, (code_sums){0});
            for (int effort = 0; effort < IMX_EFFORT_COUNT; ++effort) {
                const imx_grid grid = imx_fit_affine(&group, (imx_effort)effort);
                sum.found[effort] += error_of_grid(&group, grid);
            }
        }
        check_outcome(&sum);
    }
}

// ---- a super-block of two groups ---------------------------------------------------------------

// One choice for one group, as it enters the normal equations of d and dmin (x̂ = d u + dmin v).
typedef struct choice {
    double uu;
    double uv;
    double vv;
    double xu;
    double xv;
} choice;

typedef struct choice_list {
    choice at[8192];
    int n;
} choice_list;

static void add_choices(choice_list *list, const imx_run_shape *shape, code_sums s) {
    for (int k = 0; k <= (int)shape->scales.highest; ++k) {
        for (int l = 0; l <= (int)shape->mins.highest; ++l) {
            assert_true(list->n < (int)(sizeof list->at / sizeof *list->at));
            list->at[list->n++] =
                (choice){k * k * s.qq, -k * l * s.q, l * l * s.w, k * s.xq, -l * s.x};
        }
    }
}

static void list_choices(choice_list *list, const imx_run_shape *shape, const float *x,
                         const float *w, int j, int lowest, code_sums sums) {
    if (j == shape->group_len) {
        add_choices(list, shape, sums);
        return;
    }
    for (int q = lowest; q <= (int)shape->codes.highest; ++q) {
        list_choices(list, shape, x, w, j + 1, q, add_weight(sums, x[j], w[j], q));
    }
}

// What the best real d and dmin take off Σ w x².
static double gain_of_choices(const choice *a, const choice *b) {
    const double uu = a->uu + b->uu;
    const double uv = a->uv + b->uv;
    const double vv = a->vv + b->vv;
    const double xu = a->xu + b->xu;
    const double xv = a->xv + b->xv;
    const double determinant = uu * vv - uv * uv;
    if (determinant > 1e-9 * uu * vv) {
        return (xu * xu * vv - 2.0 * xu * xv * uv + xv * xv * uu) / determinant;
    }
    return fmax(uu > 0.0 ? xu * xu / uu : 0.0, vv > 0.0 ? xv * xv / vv : 0.0);
}

// The largest gain of rising grids.
static double largest_gain_of_two(const imx_run_shape *shape, const float *x, const float *w) {
    static choice_list lists[2];
    for (int g = 0; g < 2; ++g) {
        lists[g].n = 0;
        list_choices(&lists[g], shape, x + g * shape->group_len, w + g * shape->group_len, 0, 0,
                     (code_sums){0});
    }
    double best = 0.0;
    for (int a = 0; a < lists[0].n; ++a) {
        for (int b = 0; b < lists[1].n; ++b) {
            best = fmax(best, gain_of_choices(&lists[0].at[a], &lists[1].at[b]));
        }
    }
    return best;
}

static double least_error_of_two(const imx_run_shape *shape, const float *x, const float *w) {
    const int n = 2 * shape->group_len;
    float negated[2 * MAX_LEN];
    float reversed_w[2 * MAX_LEN];
    for (int j = 0; j < n; ++j) { // rising again
        const int from =
            j / shape->group_len * shape->group_len + shape->group_len - 1 - j % shape->group_len;
        negated[j] = -x[from];
        reversed_w[j] = w[from];
    }
    return power_of(x, w, n) -
           fmax(largest_gain_of_two(shape, x, w), largest_gain_of_two(shape, negated, reversed_w));
}

static double error_of_super_block(const imx_block_view *view, const imx_run_shape *shape,
                                   imx_effort effort) {
    imx_coded_run found;
    imx_search_affine(view, shape, effort, &found);
    const float d = imx_f16_to_f32(found.d[0]);
    const float dmin = imx_f16_to_f32(found.dmin[0]);
    double sum = 0.0;
    for (int j = 0; j < shape->n_groups * shape->group_len; ++j) {
        const int g = j / shape->group_len;
        const float decoded = d * found.scales[g] * found.levels[j] - dmin * found.mins[g];
        const double e = (double)view->x[j] - (double)decoded;
        sum += (double)view->w[j] * e * e;
    }
    return sum;
}

static void a_super_block_comes_near_the_least_error(void **state) {
    (void)state;
    static const struct {
        imx_run_shape shape;
        int n_cases;
    } rows[] = {
        {{2, 6, 1, {0, 3}, NULL, {0, 3}, {0, 3}}, 40},
        {{2, 8, 1, {0, 3}, NULL, {0, 3}, {0, 3}}, 10},
        {{2, 4, 1, {0, 3}, NULL, {0, 7}, {0, 7}}, 20},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        const imx_run_shape *shape = &rows[i].shape;
        outcome sum = {0};
        random_state = 2;
        for (int c = 0; c < rows[i].n_cases; ++c) {
            imx_block_view view = {.exponent = 0};
            for (int g = 0; g < 2; ++g) {
                const int first = g * shape->group_len;
                fill_group(view.x + first, view.w + first, shape->group_len);
            }
            sum.least += least_error_of_two(shape, view.x, view.w);
            for (int effort = 0; effort < IMX_EFFORT_COUNT; ++effort) {
                sum.found[effort] += error_of_super_block(&view, shape, (imx_effort)effort);
            }
        }
        check_outcome(&sum);
    }
}

// ---- super-blocks of a type --------------------------------------------------------------------

// Weights far from zero on one side lie in grids that end there, whichever side it is: the error
// must be that of their spread, not of their distance from zero.
static void either_side_of_zero_is_as_good(void **state) {
    (void)state;
    static const imx_run_shape q4_k = {8, 32, 1, {0, 15}, NULL, {0, 63}, {0, 63}};
    double errors[2];
    for (int side = 0; side < 2; ++side) {
        imx_block_view view = {.exponent = 0};
        random_state = 3;
        for (int j = 0; j < IMX_SUPER_BLOCK_LEN; ++j) {
            const double x = 0.75 + 0.03 * random_normal();
            view.x[j] = (float)(side == 0 ? x : -x);
            view.w[j] = 1.0f;
        }
        errors[side] = error_of_super_block(&view, &q4_k, IMX_EFFORT_DEFAULT);
    }
    const double spread = 0.03 * 0.03 * IMX_SUPER_BLOCK_LEN;
    assert_true(errors[0] < 0.02 * spread);
    assert_true(errors[1] < 0.02 * spread);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_group_comes_near_the_least_error),
        cmocka_unit_test(a_super_block_comes_near_the_least_error),
        cmocka_unit_test(either_side_of_zero_is_as_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
