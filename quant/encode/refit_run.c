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

#include "quant/encode/refit_run.h"

// Parameters a, b of `n` columns from `first`.
typedef struct pair {
    int first;
    int n;
    float u[IMX_COV_RUN];  // (n)
    float v[IMX_COV_RUN];  // (n)
    float hu[IMX_COV_RUN]; // H u, all columns
    float hv[IMX_COV_RUN];
    float uu, uv, vv; // uᵀHu, uᵀHv, vᵀHv
    float ur, vr;     // uᵀr, vᵀr
} pair;

static void measure_pair(const imx_run_error *error, pair *p) {
    imx_multiply_columns(error->metric, p->first, p->n, p->u, p->hu);
    imx_multiply_columns(error->metric, p->first, p->n, p->v, p->hv);
    p->uu = imx_dot(p->u, p->hu + p->first, p->n);
    p->uv = imx_dot(p->v, p->hu + p->first, p->n);
    p->vv = imx_dot(p->v, p->hv + p->first, p->n);
    p->ur = imx_dot(p->u, error->slope + p->first, p->n);
    p->vr = imx_dot(p->v, error->slope + p->first, p->n);
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

static void move(imx_run_error *error, const pair *p, float alpha, float beta) {
    imx_add_scaled(error->slope, -alpha, p->hu, IMX_COV_RUN);
    imx_add_scaled(error->slope, -beta, p->hv, IMX_COV_RUN);
}

// ---- integers ----------------------------------------------------------------------------------

static void measure_group(const imx_run_error *error, int g, pair *p) {
    const imx_coded_run *run = error->run;
    const float d = imx_half_on_view(error, run->d[0]);
    const float dmin = imx_half_on_view(error, run->dmin[0]);
    p->n = imx_group_len(error);
    p->first = g * p->n;
    for (int j = 0; j < p->n; ++j) {
        p->u[j] = d * run->levels[p->first + j];
        p->v[j] = -dmin;
    }
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

static void refit_halves(imx_run_error *error, int h) {
    imx_coded_run *run = error->run;
    const int n = imx_group_len(error);
    pair p = {.n = IMX_COV_RUN / error->shape->n_halves};
    p.first = h * p.n;
    for (int j = 0; j < p.n; ++j) {
        const int g = (p.first + j) / n;
        p.u[j] = run->scales[g] * run->levels[p.first + j];
        p.v[j] = -run->mins[g];
    }
    measure_pair(error, &p);
    const float d = imx_half_on_view(error, run->d[h]);
    const float dmin = imx_half_on_view(error, run->dmin[h]);
    float new_d, new_dmin;
    const imx_f16 half_d = imx_store_scale(d + best_alpha(&p), error->exponent, &new_d);
    const imx_f16 half_dmin =
        imx_store_half(dmin + best_beta(&p, new_d - d), error->exponent, &new_dmin);
    if (change_of(&p, new_d - d, new_dmin - dmin) < 0.0f) {
        move(error, &p, new_d - d, new_dmin - dmin);
        run->d[h] = half_d;
        run->dmin[h] = half_dmin;
    }
}

void imx_refit_run(imx_run_error *error) {
    const imx_run_shape *shape = error->shape;
    for (int g = 0; g < shape->n_groups && shape->n_halves == 1; ++g) {
        refit_group(error, g);
    }
    for (int h = 0; h < shape->n_halves; ++h) {
        refit_halves(error, h);
    }
    imx_run_error_read_grids(error);
}
