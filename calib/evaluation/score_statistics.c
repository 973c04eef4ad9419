// SPDX-License-Identifier: MIT
//
// Standard errors treat values as independent, as llama-perplexity does. All sums run twice over
// the values, means first: the shortcut E[x²] − E[x]² loses all digits of a variance that is small
// beside the mean, which is just the case of a perplexity ratio near one.
//
// The root r = sqrt(m) of a mean square m ± e has the error e / (2 r), to first order.

#include "calib/evaluation/score_statistics.h"

#include <math.h>
#include <stdlib.h>

static double mean_of(const double *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) {
        sum += x[i];
    }
    return sum / (double)n;
}

// Mean of (x − x_mean)(y − y_mean).
static double covariance(const double *x, double x_mean, const double *y, double y_mean, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) {
        sum += (x[i] - x_mean) * (y[i] - y_mean);
    }
    return sum / (double)n;
}

imx_estimate imx_estimate_mean(const double *x, size_t n) {
    const double mean = mean_of(x, n);
    const double variance = covariance(x, mean, x, mean, n);
    return (imx_estimate){mean, n > 1 ? sqrt(variance / (double)(n - 1)) : 0};
}

imx_estimate imx_estimate_rms(const double *x, size_t n) {
    const double square = covariance(x, 0, x, 0, n);
    double sum = 0;
    for (size_t i = 0; i < n; ++i) {
        const double difference = x[i] * x[i] - square;
        sum += difference * difference;
    }
    const double error = n > 1 ? sqrt(sum / (double)n / (double)(n - 1)) : 0;
    const double root = sqrt(square);
    return (imx_estimate){root, root > 0 ? error / (2 * root) : 0};
}

imx_estimate imx_estimate_exp(imx_estimate estimate) {
    const double value = exp(estimate.value);
    return (imx_estimate){value, value * estimate.error};
}

double imx_correlation(const double *x, const double *y, size_t n) {
    const double x_mean = mean_of(x, n);
    const double y_mean = mean_of(y, n);
    const double scale =
        sqrt(covariance(x, x_mean, x, x_mean, n) * covariance(y, y_mean, y, y_mean, n));
    return scale > 0 ? covariance(x, x_mean, y, y_mean, n) / scale : NAN;
}

// Of the values, below each quantile.
static const double quantile_shares[IMX_N_QUANTILES] = {
    [IMX_MINIMUM] = 0, [IMX_P0_1] = 0.001,  [IMX_P1] = 0.01,   [IMX_P5] = 0.05, [IMX_P10] = 0.1,
    [IMX_P25] = 0.25,  [IMX_MEDIAN] = 0.5,  [IMX_P75] = 0.75,  [IMX_P90] = 0.9, [IMX_P95] = 0.95,
    [IMX_P99] = 0.99,  [IMX_P99_9] = 0.999, [IMX_MAXIMUM] = 1,
};

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *x, size_t n, double share) {
    const double rank = share * (double)(n - 1);
    const size_t below = (size_t)rank;
    const size_t above = below + 1 < n ? below + 1 : below;
    const double weight = rank - (double)below;
    return (1 - weight) * x[below] + weight * x[above];
}

void imx_sort_and_take_quantiles(double *x, size_t n, double quantiles[IMX_N_QUANTILES]) {
    qsort(x, n, sizeof *x, compare_doubles);
    for (size_t i = 0; i < IMX_N_QUANTILES; ++i) {
        quantiles[i] = quantile(x, n, quantile_shares[i]);
    }
}
