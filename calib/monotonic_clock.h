// SPDX-License-Identifier: MIT
#ifndef IMX_CALIB_MONOTONIC_CLOCK_H
#define IMX_CALIB_MONOTONIC_CLOCK_H

#include <time.h>

// Seconds of a clock that is never set.
static inline double imx_monotonic_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#endif
