// SPDX-License-Identifier: MIT
//
// How work is shared out. OpenMP stays in the files that include this header; each of their
// parallel loops hands out whole rows, columns, tiles or heads, never parts of a sum.

#ifndef IMX_KERNELS_SPLIT_H
#define IMX_KERNELS_SPLIT_H

#include <omp.h>
#include <stddef.h>

// 0 and negative numbers mean all processors.
static inline int imx_thread_count(int requested) {
    return requested > 0 ? requested : omp_get_num_procs();
}

// Length of the piece that begins at `begin` < n when n things are cut every `step`.
static inline size_t imx_piece_len(size_t n, size_t begin, size_t step) {
    return n - begin < step ? n - begin : step;
}

#endif
