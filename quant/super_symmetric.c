#include "quant/super_block.h"
#include "quant/search_symmetric.h"
#ifndef S_ROUNDS
#define S_ROUNDS 3
#endif
static imx_group group_at(const imx_block_view *view, const imx_super_shape *shape, int g) {
    return (imx_group){view->x + g * shape->group_len, view->w + g * shape->group_len,
                       shape->group_len, shape->codes};
}
// best integer scale near ideal
static float choose_scale(const imx_group *group, imx_code_range scales, float d, float ideal) {
    const float centre = imx_round(imx_clamp(ideal * imx_inverse(d), -1e6f, 1e6f));
    imx_grids grids = {0};
    float s[IMX_LANES];
    for (int l = 0; l < IMX_LANES; ++l) {
        const float near = centre + (float)(l / 2 - IMX_LANES / 4);
        s[l] = imx_clamp(l % 2 == 0 ? near : -near, scales.lowest, scales.highest);
        grids.scale[l] = d * s[l];
    }
    return s[imx_best_grid(&grids, group, 0)];
}
void imx_search_super_symmetric(const imx_block_view *view, const imx_super_shape *shape, imx_super_block *out) {
    float ideal[IMX_MAX_GROUPS], weight[IMX_MAX_GROUPS];
    for (int g = 0; g < shape->n_groups; ++g) {
        const imx_group group = group_at(view, shape, g);
        float *codes = out->codes + g * shape->group_len;
        ideal[g] = imx_fit_scale(&group);
        imx_group_codes(&group, (imx_grid){ideal[g], 0}, codes);
        weight[g] = imx_group_moments(&group, codes).qq + 1e-30f;
    }
    const imx_group scales = {ideal, weight, shape->n_groups, shape->scales};
    float d = imx_fit_scale(&scales);
    for (int round = 0; round < S_ROUNDS; ++round) {
        double up = 0, down = 0;
        if (round == S_ROUNDS - 1) {
            out->d = imx_store_half(d, view->unit, &d);
        }
        for (int g = 0; g < shape->n_groups; ++g) {
            const imx_group group = group_at(view, shape, g);
            float *codes = out->codes + g * shape->group_len;
            const float s = choose_scale(&group, shape->scales, d, ideal[g]);
            out->scales[g] = s;
            imx_group_codes(&group, (imx_grid){d * s, 0}, codes);
            const imx_moments sums = imx_group_moments(&group, codes);
            up += s * sums.xq;
            down += (double)s * s * sums.qq;
        }
        if (round < S_ROUNDS - 1 && down > 0) {
            d = (float)(up / down);
        }
    }
}
