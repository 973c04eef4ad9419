// SPDX-License-Identifier: MIT
//
// How many threads a request means. OpenMP stays in linear.c, layer.c, attention.c,
// column_stats.c and scoring.c; each of their loops hands out whole rows, columns or tiles.

#ifndef IMX_CALIB_THREADS_H
#define IMX_CALIB_THREADS_H

#include <omp.h>

// 0 and negative numbers mean all processors.
static inline int imx_thread_count(int requested) {
    return requested > 0 ? requested : omp_get_num_procs();
}

#endif
