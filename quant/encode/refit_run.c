// SPDX-License-Identifier: MIT
//
// With the levels fixed a run is linear in each pair of its parameters. On the columns they rule
//
//     x̂ = a u + b v,
//
//     of a group      a = scale, b = min:  u = d · levels,        v = -dmin
//     of the halves   a = d, b = dmin:     u = scale · levels,    v = -min
//
// and moving them by (α, β) changes the loss by
//
//     -2 (α uᵀr + β vᵀr) + α² uᵀHu + 2 αβ uᵀHv + β² vᵀHv,    r = H e.
//
// The best real pair solves two equations. What can be stored is near it: for an a beside the real
// one the best b follows, is rounded in its turn, and the change decides.
//
// H u takes only what H is within the columns of the pair, where u is not zero; the rest of it is
// for r, and for a pair that moves. The halves of a whole run need no product at all: x̂ = a u + b v
// is then all of it, so that
//
//     H u = (H x - r - b H v) / a.
//
// And v is the same number in all columns of a group, so H v is a sum of a few rows (`sums` of the
// metric).

#include "quant/encode/refit_run.h"

#include <string.h>

// Parameters a, b of `n` columns from `first`.
typedef struct pair {
    int first;
    int n;
    float u[IMX_COV_RUN];  // (n)
    float v[IMX_COV_RUN];  // (n) the same within a group; 0 where the type has no b
    float hu[IMX_COV_RUN]; // (n) H u within the columns, or where they are all
    float hv[IMX_COV_RUN]; // H v
    float uu, uv, vv;      // uᵀHu, uᵀHv, vᵀHv
    float ur, vr;          // uᵀr, vᵀr
} pair;

// H v, of which a strip is a number times a sum that the metric has.
static void multiply_v(const imx_run_error *error, pair *p) {
    memset(p->hv, 0, sizeof p->hv);
    for (int j = 0; j < p->n && error->shape->mins.highest > 0.0f; j += IMX_COV_STRIP) {
        imx_add_scaled(p->hv, p->v[j], error->metric->sums[(p->first + j) / IMX_COV_STRIP],
                       IMX_COV_RUN);
    }
}

static void multiply_u(const imx_run_error *error, pair *p, int column, int n_columns) {
    imx_multiply_vectors(error->metric, p->first, p->n, 1, &p->u, column, n_columns, &p->hu);
}

// The same where the pair rules all columns: then x̂ = a u + b v is all of it, H x̂ = H x - r.
static void divide_rest(const imx_run_error *error, pair *p) {
    const float inverse = imx_inverse(imx_half_on_view(error, error->run->d[0]));
    const float b = imx_half_on_view(error, error->run->dmin[0]);
    for (int j = 0; j < IMX_COV_RUN; ++j) {
        p->hu[j] = (error->whole[j] - error->slope[j] - b * p->hv[j]) * inverse;
    }
}

static void measure_pair(const imx_run_error *error, pair *p) {
    const float *slope = error->slope + p->first;
    p->uu = imx_dot(p->u, p->hu, p->n);
    p->uv = imx_dot(p->u, p->hv + p->first, p->n);
    p->vv = imx_dot(p->v, p->hv + p->first, p->n);
    p->ur = imx_dot(p->u, slope, p->n);
    p->vr = imx_dot(p->v, slope, p->n);
}

// The best move of b beside a move of a.
static float best_beta(const pair *p, float alpha) {
    return (p->vr - alpha * p->uv) * imx_inverse(p->vv);
}

// The best move of a, b free to follow; none where the two do the same.
static float best_alpha(const pair *p) {
    const float share = p->uv * imx_inverse(p->vv);
    const float own = p->uu - share * p->uv;
    return own > 1e-5f * p->uu ? (p->ur - share * p->vr) / own : 0.0f;
}

static float change_of(const pair *p, float alpha, float beta) {
    return alpha * (alpha * p->uu - 2.0f * p->ur) + beta * (beta * p->vv - 2.0f * p->vr) +
           2.0f * alpha * beta * p->uv;
}

static void move(imx_run_error *error, pair *p, float alpha, float beta) {
    if (alpha == 0.0f && beta == 0.0f) {
        return;
    }
    if (p->n < IMX_COV_RUN) {
        multiply_u(error, p, 0, IMX_COV_RUN);
    }
    imx_add_scaled(error->slope, -alpha, p->hu, IMX_COV_RUN);
    imx_add_scaled(error->slope, -beta, p->hv, IMX_COV_RUN);
}

// ---- integers ----------------------------------------------------------------------------------

static void measure_group(const imx_run_error *error, int g, pair *p) {
    const imx_coded_run *run = error->run;
    const float d = imx_half_on_view(error, run->d[0]);
    const float dmin = imx_half_on_view(error, run->dmin[0]);
    p->n = error->shape->group_len;
    p->first = g * p->n;
    for (int j = 0; j < p->n; ++j) {
        p->u[j] = d * run->levels[p->first + j];
        p->v[j] = -dmin;
    }
    multiply_v(error, p);
    multiply_u(error, p, p->first, p->n);
    measure_pair(error, p);
}

static void refit_group(imx_run_error *error, int g) {
    const imx_run_shape *shape = error->shape;
    const float scale = error->run->scales[g];
    const float min = error->run->mins[g];
    pair p;
    measure_group(error, g, &p);
    const float nearest = imx_round(imx_clamp(scale + best_alpha(&p), shape->scales));
    float least = 0.0f;
    for (int step = -1; step <= 1; ++step) {
        const float a = imx_clamp(nearest + (float)step, shape->scales);
        const float b = imx_round(imx_clamp(min + best_beta(&p, a - scale), shape->mins));
        const float change = change_of(&p, a - scale, b - min);
        if (change < least) {
            least = change;
            error->run->scales[g] = a;
            error->run->mins[g] = b;
        }
    }
    move(error, &p, error->run->scales[g] - scale, error->run->mins[g] - min);
}

// ---- halves ------------------------------------------------------------------------------------

static void measure_half(const imx_run_error *error, int h, pair *p) {
    const imx_coded_run *run = error->run;
    const int group_len = error->shape->group_len;
    p->n = IMX_COV_RUN / error->shape->n_halves;
    p->first = h * p->n;
    for (int j = 0, g = p->first / group_len; j < p->n; ++g) {
        for (int end = j + group_len; j < end; ++j) {
            p->u[j] = run->scales[g] * run->levels[p->first + j];
            p->v[j] = -run->mins[g];
        }
    }
    multiply_v(error, p);
    if (p->n < IMX_COV_RUN) {
        multiply_u(error, p, p->first, p->n);
    } else {
        divide_rest(error, p);
    }
    measure_pair(error, p);
}

static void refit_half(imx_run_error *error, int h) {
    imx_coded_run *run = error->run;
    const float d = imx_half_on_view(error, run->d[h]);
    const float dmin = imx_half_on_view(error, run->dmin[h]);
    pair p;
    measure_half(error, h, &p);
    float new_d, new_dmin;
    const imx_f16 half_d = imx_store_scale(d + best_alpha(&p), error->exponent, &new_d);
    const imx_f16 half_dmin =
        imx_store_half(dmin + best_beta(&p, new_d - d), error->exponent, &new_dmin);
    if (change_of(&p, new_d - d, new_dmin - dmin) < 0.0f) {
        run->d[h] = half_d;
        run->dmin[h] = half_dmin;
        move(error, &p, new_d - d, new_dmin - dmin);
    }
}

void imx_refit_run(imx_run_error *error) {
    for (int g = 0; g < error->shape->n_groups && error->shape->n_halves == 1; ++g) {
        refit_group(error, g);
    }
    for (int h = 0; h < error->shape->n_halves; ++h) {
        refit_half(error, h);
    }
    imx_run_error_read_grids(error);
}
