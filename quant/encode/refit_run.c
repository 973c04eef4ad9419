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
// one the best b follows, is rounded in its turn, and the change decides. All this takes only what
// H is within the columns of the pair, where u and v are not zero; the rest of a product is for r,
// and for a pair that moves.

#include "quant/encode/refit_run.h"

// Parameters a, b of `n` columns from `first`.
typedef struct pair {
    int first;
    int n;
    int n_vectors;                  // 2, or 1 where the type has no b
    float vectors[2][IMX_COV_RUN];  // (n_vectors, n) u, v
    float products[2][IMX_COV_RUN]; // (n_vectors, n) H u, H v, within the columns
    float uu, uv, vv;               // uᵀHu, uᵀHv, vᵀHv
    float ur, vr;                   // uᵀr, vᵀr
} pair;

static void begin_pair(const imx_run_error *error, int first, int n, pair *p) {
    p->first = first;
    p->n = n;
    p->n_vectors = error->shape->mins.highest > 0.0f ? 2 : 1;
    p->uv = p->vv = p->vr = 0.0f;
}

static void measure_pair(const imx_run_error *error, pair *p) {
    const float *u = p->vectors[0];
    const float *v = p->vectors[1];
    imx_multiply_vectors(error->metric, p->first, p->n, p->n_vectors, p->vectors, p->first, p->n,
                         p->products);
    p->uu = imx_dot(u, p->products[0], p->n);
    p->ur = imx_dot(u, error->slope + p->first, p->n);
    if (p->n_vectors == 2) {
        p->uv = imx_dot(v, p->products[0], p->n);
        p->vv = imx_dot(v, p->products[1], p->n);
        p->vr = imx_dot(v, error->slope + p->first, p->n);
    }
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

// Returns whether there is a move.
static bool move(imx_run_error *error, pair *p, float alpha, float beta) {
    const float steps[2] = {alpha, beta};
    if (alpha == 0.0f && beta == 0.0f) {
        return false;
    }
    if (p->n < IMX_COV_RUN) {
        imx_multiply_vectors(error->metric, p->first, p->n, p->n_vectors, p->vectors, 0,
                             IMX_COV_RUN, p->products);
    }
    for (int k = 0; k < p->n_vectors; ++k) {
        imx_add_scaled(error->slope, -steps[k], p->products[k], IMX_COV_RUN);
    }
    return true;
}

// ---- integers ----------------------------------------------------------------------------------

static void measure_group(const imx_run_error *error, int g, pair *p) {
    const imx_coded_run *run = error->run;
    const float d = imx_half_on_view(error, run->d[0]);
    const float dmin = imx_half_on_view(error, run->dmin[0]);
    const int n = error->shape->group_len;
    begin_pair(error, g * n, n, p);
    for (int j = 0; j < n; ++j) {
        p->vectors[0][j] = d * run->levels[p->first + j];
        p->vectors[1][j] = -dmin;
    }
    measure_pair(error, p);
}

static bool refit_group(imx_run_error *error, int g) {
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
    return move(error, &p, error->run->scales[g] - scale, error->run->mins[g] - min);
}

// ---- halves ------------------------------------------------------------------------------------

static bool refit_half(imx_run_error *error, int h) {
    imx_coded_run *run = error->run;
    const int n = IMX_COV_RUN / error->shape->n_halves;
    pair p;
    begin_pair(error, h * n, n, &p);
    for (int j = 0; j < n; ++j) {
        const int g = (p.first + j) / error->shape->group_len;
        p.vectors[0][j] = run->scales[g] * run->levels[p.first + j];
        p.vectors[1][j] = -run->mins[g];
    }
    measure_pair(error, &p);
    const float d = imx_half_on_view(error, run->d[h]);
    const float dmin = imx_half_on_view(error, run->dmin[h]);
    float new_d, new_dmin;
    const imx_f16 half_d = imx_store_scale(d + best_alpha(&p), error->exponent, &new_d);
    const imx_f16 half_dmin =
        imx_store_half(dmin + best_beta(&p, new_d - d), error->exponent, &new_dmin);
    if (!(change_of(&p, new_d - d, new_dmin - dmin) < 0.0f)) {
        return false;
    }
    run->d[h] = half_d;
    run->dmin[h] = half_dmin;
    return move(error, &p, new_d - d, new_dmin - dmin);
}

bool imx_refit_integers(imx_run_error *error) {
    bool moved = false;
    for (int g = 0; g < error->shape->n_groups && error->shape->n_halves == 1; ++g) {
        moved |= refit_group(error, g);
    }
    imx_run_error_read_grids(error);
    return moved;
}

bool imx_refit_halves(imx_run_error *error) {
    bool moved = false;
    for (int h = 0; h < error->shape->n_halves; ++h) {
        moved |= refit_half(error, h);
    }
    imx_run_error_read_grids(error);
    return moved;
}
