// SPDX-License-Identifier: MIT
//
// Mean products of inputs that a few hidden factors drive, as those of trained models are.

#ifndef IMX_TEST_RANDOM_PRODUCTS_H
#define IMX_TEST_RANDOM_PRODUCTS_H

#include "formats/importance.h"
#include "random_normal.h"

enum { N_FACTORS = 12, N_TOKENS = 300 };

static inline void random_products(float products[IMX_COV_PAIRS]) {
    static double mix[IMX_COV_RUN][N_FACTORS];
    for (int i = 0; i < IMX_COV_RUN; ++i) {
        for (int k = 0; k < N_FACTORS; ++k) {
            mix[i][k] = random_normal() / (1.0 + k);
        }
    }
    for (int p = 0; p < IMX_COV_PAIRS; ++p) {
        products[p] = 0.0f;
    }
    for (int t = 0; t < N_TOKENS; ++t) {
        double x[IMX_COV_RUN];
        double factors[N_FACTORS];
        for (int k = 0; k < N_FACTORS; ++k) {
            factors[k] = random_normal();
        }
        for (int i = 0, p = 0; i < IMX_COV_RUN; ++i) {
            x[i] = 0.5 * random_normal();
            for (int k = 0; k < N_FACTORS; ++k) {
                x[i] += mix[i][k] * factors[k];
            }
            for (int j = 0; j <= i; ++j, ++p) {
                products[p] += (float)(x[i] * x[j] / N_TOKENS);
            }
        }
    }
}

#endif
