// SPDX-License-Identifier: MIT
//
// What is said of many values: means with their standard errors, correlation, quantiles.

#ifndef IMX_CALIB_SCORE_STATISTICS_H
#define IMX_CALIB_SCORE_STATISTICS_H

#include <stddef.h>

// A value with its standard error.
typedef struct imx_estimate {
    double value;
    double error;
} imx_estimate;

// Mean of x (n) and its standard error, sqrt(variance / (n − 1)); the error of one value is 0.
imx_estimate imx_estimate_mean(const double *x, size_t n);

// sqrt(mean of x²) with its error; 0 ± 0 of zeros.
imx_estimate imx_estimate_rms(const double *x, size_t n);

// exp of an estimate, its error to first order.
imx_estimate imx_estimate_exp(imx_estimate estimate);

// Pearson's correlation of x and y (n), −1..1; NAN when one of them does not vary.
double imx_correlation(const double *x, const double *y, size_t n);

// Which values are picked out of many: the least, that with 0.1 % of them below it, and so on.
typedef enum imx_quantile {
    IMX_MINIMUM,
    IMX_P0_1,
    IMX_P1,
    IMX_P5,
    IMX_P10,
    IMX_P25,
    IMX_MEDIAN,
    IMX_P75,
    IMX_P90,
    IMX_P95,
    IMX_P99,
    IMX_P99_9,
    IMX_MAXIMUM,
    IMX_N_QUANTILES,
} imx_quantile;

// Fills in the quantiles of x (n > 0), which it sorts: linear between the two values around rank
// share · (n − 1).
void imx_sort_and_take_quantiles(double *x, size_t n, double quantiles[IMX_N_QUANTILES]);

#endif
