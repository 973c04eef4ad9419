#include "quant/super_block.h"
#include "quant/search_affine.h"
#include "quant/search_symmetric.h"
#ifndef S_ROUNDS
#define S_ROUNDS 3
#endif
static imx_group group_at(const imx_block_view *view, const imx_super_shape *shape, int g) {
    return (imx_group){view->x + g * shape->group_len, view->w + g * shape->group_len,
                       shape->group_len, shape->codes};
}
// relaxed optimum of a group
typedef struct relaxed { float scale, min, mean_code; } relaxed;

static void choose_pair(const imx_group *group, const imx_super_shape *shape, float d, float dmin, const relaxed *r, float *scale, float *min) {
    imx_grids grids;
    float s[IMX_LANES], m[IMX_LANES];
    const float id = imx_inverse(d), idmin = imx_inverse(dmin);
    const float s0 = imx_round(imx_clamp(r->scale * id, 0, 1000));
    for (int l = 0; l < IMX_LANES; ++l) {
        s[l] = imx_clamp(s0 + (float)(l / 4 - 4), shape->scales.lowest, shape->scales.highest);
        const float ideal = r->min + (d * s[l] - r->scale) * r->mean_code;
        m[l] = imx_clamp(imx_round(imx_clamp(ideal * idmin, 0, 1000)) + (float)(l % 4 - 1), shape->mins.lowest, shape->mins.highest);
        grids.scale[l] = d * s[l];
        grids.offset[l] = -dmin * m[l];
    }
    const int best = imx_best_grid(&grids, group, 0);
    *scale = s[best];
    *min = m[best];
}
typedef struct normal { double uu, uv, vv, xu, xv; } normal;
static void solve(const normal *n, float *d, float *dmin) {
    const double det = n->uu * n->vv - n->uv * n->uv;
    if (det > 1e-9 * n->uu * n->vv) {
        const double a = (n->xu * n->vv + -n->uv * n->xv) / det;
        const double b = (n->uv * n->xu - n->uu * n->xv) / det;
        if (a > 0 && b >= 0) {
            *d = (float)a;
            *dmin = (float)b;
        }
    } else if (n->uu > 0 && n->vv == 0) {
        *d = (float)(n->xu / n->uu);
    }
}
void imx_search_super_affine(const imx_block_view *view, const imx_super_shape *shape, imx_super_block *out) {
    relaxed fit[IMX_MAX_GROUPS];
    float ideal[IMX_MAX_GROUPS], weight[IMX_MAX_GROUPS], mw[IMX_MAX_GROUPS];
    for (int g = 0; g < shape->n_groups; ++g) {
        const imx_group group = group_at(view, shape, g);
        float *codes = out->codes + g * shape->group_len;
        const imx_grid grid = imx_fit_affine(&group, IMX_OFFSET_NEGATIVE);
        imx_group_codes(&group, grid, codes);
        const imx_moments sums = imx_group_moments(&group, codes);
        fit[g] = (relaxed){grid.scale, -grid.offset, sums.q / sums.w};
        ideal[g] = grid.scale;
        weight[g] = sums.qq - sums.q * sums.q / sums.w + 1e-30f;
        mw[g] = sums.w;
    }
    const imx_group scales = {ideal, weight, shape->n_groups, shape->scales};
    float d = imx_fit_scale(&scales);
    for (int g = 0; g < shape->n_groups; ++g) {
        const float s = imx_clamp(imx_round(ideal[g] * imx_inverse(d)), 0, shape->scales.highest);
        ideal[g] = imx_clamp(fit[g].min + (d * s - fit[g].scale) * fit[g].mean_code, 0, 1e6f);
    }
    const imx_group mins = {ideal, mw, shape->n_groups, shape->mins};
    float dmin = imx_fit_scale(&mins);
    for (int round = 0; round < S_ROUNDS; ++round) {
        normal n = {0};
        if (round == S_ROUNDS - 1) {
            out->d = imx_store_half(d, view->unit, &d);
            out->dmin = imx_store_half(dmin, view->unit, &dmin);
        }
        for (int g = 0; g < shape->n_groups; ++g) {
            const imx_group group = group_at(view, shape, g);
            float *codes = out->codes + g * shape->group_len;
            float s, m;
            choose_pair(&group, shape, d, dmin, &fit[g], &s, &m);
            out->scales[g] = s;
            out->mins[g] = m;
            imx_group_codes(&group, (imx_grid){d * s, -dmin * m}, codes);
            const imx_moments sums = imx_group_moments(&group, codes);
            n.uu += (double)s * s * sums.qq;
            n.uv += (double)s * m * sums.q;
            n.vv += (double)m * m * sums.w;
            n.xu += (double)s * sums.xq;
            n.xv += (double)m * sums.x;
        }
        if (round < S_ROUNDS - 1) {
            solve(&n, &d, &dmin);
        }
    }
}
