// SPDX-License-Identifier: MIT
//
// Sums run in float lanes over a block of columns, lane l over columns l, l + N_LANES, ..., and the
// lanes of a block are then added in double, in order. A lane adds a few dozen terms, so what it
// rounds off is far below what anybody reads from a loss, and the loops become vector code of any
// width with the same bits.

#include "quant/pipeline/row_loss.h"

enum { N_LANES = 16, BLOCK_LEN = 512 };

typedef struct lane_sums {
    float weighted_error[N_LANES];
    float weighted_power[N_LANES];
    float squared_error[N_LANES];
    float squared_power[N_LANES];
} lane_sums;

static double sum_lanes(const float lanes[N_LANES]) {
    double sum = 0.0;
    for (int l = 0; l < N_LANES; ++l) {
        sum += (double)lanes[l];
    }
    return sum;
}

static void add_column(lane_sums *sums, int lane, float x, float decoded, float importance) {
    const float e = (x - decoded) * (x - decoded);
    const float power = x * x;
    sums->weighted_error[lane] += importance * e;
    sums->weighted_power[lane] += importance * power;
    sums->squared_error[lane] += e;
    sums->squared_power[lane] += power;
}

static void add_columns(lane_sums *sums, const float *x, const float *decoded,
                        const float *diagonal, size_t n) {
    const size_t n_whole = n / N_LANES * N_LANES;
    for (size_t j = 0; j < n_whole; j += N_LANES) {
        for (int l = 0; l < N_LANES; ++l) {
            add_column(sums, l, x[j + (size_t)l], decoded[j + (size_t)l], diagonal[j + (size_t)l]);
        }
    }
    for (size_t j = n_whole; j < n; ++j) {
        add_column(sums, (int)(j - n_whole), x[j], decoded[j], diagonal[j]);
    }
}

imx_tensor_loss imx_row_loss(const float *x, const float *decoded, const float *diagonal,
                             size_t n) {
    float ones[BLOCK_LEN];
    imx_tensor_loss loss = {0};
    for (size_t j = 0; diagonal == NULL && j < BLOCK_LEN; ++j) {
        ones[j] = 1.0f;
    }
    for (size_t j = 0; j < n; j += BLOCK_LEN) {
        lane_sums sums = {0};
        const size_t n_block = n - j < BLOCK_LEN ? n - j : BLOCK_LEN;
        add_columns(&sums, x + j, decoded + j, diagonal != NULL ? diagonal + j : ones, n_block);
        imx_tensor_loss_add(&loss, &(imx_tensor_loss){
                                       .weighted_error = sum_lanes(sums.weighted_error),
                                       .weighted_power = sum_lanes(sums.weighted_power),
                                       .squared_error = sum_lanes(sums.squared_error),
                                       .squared_power = sum_lanes(sums.squared_power),
                                   });
    }
    return loss;
}

void imx_tensor_loss_add(imx_tensor_loss *sum, const imx_tensor_loss *loss) {
    sum->weighted_error += loss->weighted_error;
    sum->weighted_power += loss->weighted_power;
    sum->squared_error += loss->squared_error;
    sum->squared_power += loss->squared_power;
}

bool imx_row_is_finite(const float *x, size_t n) {
    // x · 0 is 0 for what is finite, else NaN, and a NaN sum stays NaN.
    float lanes[N_LANES] = {0};
    size_t j = 0;
    for (; j + N_LANES <= n; j += N_LANES) {
        for (int l = 0; l < N_LANES; ++l) {
            lanes[l] += x[j + (size_t)l] * 0.0f;
        }
    }
    for (; j < n; ++j) {
        lanes[0] += x[j] * 0.0f;
    }
    return sum_lanes(lanes) == 0.0;
}
