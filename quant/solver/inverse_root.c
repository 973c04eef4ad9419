// SPDX-License-Identifier: MIT
//
// Products with G⁻¹ and its transpose solve systems of `a`, with errors in units of the root of the
// condition of `a`: through the rounded a⁻¹ they would be in units of the condition itself.

#include "quant/solver/inverse_root.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"

enum { RUN = IMX_COV_RUN };

typedef struct root {
    double g[RUN][RUN];       // lower triangle
    double inverse[RUN][RUN]; // zeros above
} root;

// Column by column, each subtracted from those behind it, row after row: sums over k run beside
// each other, not one after the other. False when `a` is not positive definite.
static bool factor(double g[RUN][RUN], const float *a, size_t stride, size_t n) {
    double column[RUN];
    for (size_t i = 0; i < n; ++i) {
        for (size_t j = 0; j <= i; ++j) {
            g[i][j] = (double)a[i * stride + j];
        }
    }
    for (size_t k = 0; k < n; ++k) {
        if (!(g[k][k] > 0.0 && g[k][k] < HUGE_VAL)) {
            return false;
        }
        g[k][k] = sqrt(g[k][k]);
        for (size_t i = k + 1; i < n; ++i) {
            column[i] = g[i][k] /= g[k][k];
            for (size_t j = k + 1; j <= i; ++j) {
                g[i][j] -= column[i] * column[j];
            }
        }
    }
    return true;
}

// Row i of the inverse is what row i of G leaves of the unit vector i.
static void invert(root *r, size_t n) {
    memset(r->inverse, 0, sizeof r->inverse);
    for (size_t i = 0; i < n; ++i) {
        double *row = r->inverse[i];
        row[i] = 1.0;
        for (size_t k = 0; k < i; ++k) {
            for (size_t j = 0; j <= k; ++j) {
                row[j] -= r->g[i][k] * r->inverse[k][j];
            }
        }
        for (size_t j = 0; j <= i; ++j) {
            row[j] /= r->g[i][i];
        }
    }
}

imx_status imx_inverse_root(const float *a, size_t stride, size_t n,
                            float inverse[IMX_COV_RUN * IMX_COV_RUN], imx_error *err) {
    root *r;
    IMX_TRY(imx_alloc_aligned(&r, 1, sizeof *r, err));
    const bool is_positive = factor(r->g, a, stride, n);
    if (is_positive) {
        invert(r, n);
        for (size_t i = 0; i < RUN * RUN; ++i) {
            inverse[i] = (float)r->inverse[i / RUN][i % RUN];
        }
    }
    free(r);
    return is_positive ? IMX_OK
                       : imx_fail(err, IMX_ERR_FORMAT,
                                  "the covariance of an input is not that of any numbers");
}
