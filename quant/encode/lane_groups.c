// SPDX-License-Identifier: MIT

#include "quant/encode/lane_groups.h"

// Lane l of row j: value j of group l % n_groups.
static void spread(const float *values, int n_groups, int group_len, float rows[][IMX_N_LANES]) {
    for (int j = 0; j < group_len; ++j) {
        if (n_groups == 1) { // what the loop would do, many times faster
            imx_lanes_store(rows[j], imx_lanes_all(values[j]));
            continue;
        }
        for (int lane = 0; lane < IMX_N_LANES; ++lane) {
            rows[j][lane] = values[lane % n_groups * group_len + j];
        }
    }
}

void imx_spread_groups(imx_lane_groups *groups, int n_groups, int group_len, imx_code_range codes,
                       const float *x, const float *w) {
    float trial[IMX_N_LANES];
    for (int lane = 0; lane < IMX_N_LANES; ++lane) {
        trial[lane] = (float)(lane / n_groups);
    }
    spread(x, n_groups, group_len, groups->x);
    spread(w, n_groups, group_len, groups->w);
    imx_lanes weight = imx_lanes_all(0.0f);
    imx_lanes sum = imx_lanes_all(0.0f);
    for (int j = 0; j < group_len; ++j) {
        const imx_lanes w_j = imx_lanes_load(groups->w[j]);
        weight = imx_lanes_add(weight, w_j);
        sum = imx_lanes_add(sum, imx_lanes_mul(w_j, imx_lanes_load(groups->x[j])));
    }
    groups->n_groups = n_groups;
    groups->group_len = group_len;
    groups->codes = codes;
    groups->trial = imx_lanes_load(trial);
    groups->weight = weight;
    groups->mean = imx_lanes_div(sum, weight);
}

// The nearest codes of weight x in every lane.
static inline imx_lanes nearest_codes(imx_lanes x, imx_lanes offset, imx_lanes inverse_scale,
                                      imx_code_range codes) {
    const imx_lanes position = imx_lanes_mul(imx_lanes_sub(x, offset), inverse_scale);
    return imx_lanes_round(imx_lanes_clamp(position, codes));
}

imx_lane_moments imx_measure_codes(const imx_lane_groups *groups, const imx_lane_grids *grids) {
    const imx_lanes inverse = imx_lanes_inverse(grids->scale);
    imx_lanes sum = imx_lanes_all(0.0f);
    imx_lanes power = sum;
    imx_lanes product = sum;
    for (int j = 0; j < groups->group_len; ++j) {
        const imx_lanes x = imx_lanes_load(groups->x[j]);
        const imx_lanes q = nearest_codes(x, grids->offset, inverse, groups->codes);
        const imx_lanes wq = imx_lanes_mul(imx_lanes_load(groups->w[j]), q);
        sum = imx_lanes_add(sum, wq);
        power = imx_lanes_add(power, imx_lanes_mul(wq, q));
        product = imx_lanes_add(product, imx_lanes_mul(wq, x));
    }
    const imx_lanes mean_code = imx_lanes_div(sum, groups->weight);
    return (imx_lane_moments){
        .mean_code = mean_code,
        .power = power,
        .product = product,
        .variance = imx_lanes_sub(power, imx_lanes_mul(mean_code, sum)),
        .covariance = imx_lanes_sub(product, imx_lanes_mul(groups->mean, sum)),
    };
}

imx_lanes imx_measure_grids(const imx_lane_groups *groups, const imx_lane_grids *grids) {
    const imx_lanes inverse = imx_lanes_inverse(grids->scale);
    imx_lanes error = imx_lanes_all(0.0f);
    for (int j = 0; j < groups->group_len; ++j) {
        const imx_lanes x = imx_lanes_load(groups->x[j]);
        const imx_lanes q = nearest_codes(x, grids->offset, inverse, groups->codes);
        const imx_lanes decoded = imx_lanes_add(imx_lanes_mul(grids->scale, q), grids->offset);
        const imx_lanes e = imx_lanes_sub(x, decoded);
        const imx_lanes we = imx_lanes_mul(imx_lanes_load(groups->w[j]), e);
        error = imx_lanes_add(error, imx_lanes_mul(we, e));
    }
    return error;
}
