// SPDX-License-Identifier: MIT
//
// Of X (n_rows, n_cols) the diagonal blocks of XᵀX, 256 columns each. The whole of XᵀX would be
// what error feedback wants; it is n_cols² values, 64 MB where the model has 4096 channels and 822
// MB behind a feed-forward network of 14336, for each of hundreds of inputs. The blocks are 514
// bytes a column, and what lies within one super-block is what its codes can make good among
// themselves.
//
// A block is cut into four strips of 64 columns, and strip s is multiplied with the columns up to
// its own end: of the square's 16 tiles 10 are computed for the 8 that are needed. A strip is
// also the work of one thread. It is transposed into a buffer, because the products behind gemm.h
// take their left factor by rows; the right one is read where it lies.
//
// Products and sums of a piece of rows are f32, and so is the running sum. With n pieces it is off
// by less than n · 2⁻²⁴ of the root of its two squares, 1.2 · 10⁻⁴ for the 2000 pieces of a million
// rows, where the rounding in the file is 4 · 10⁻³. Sums in f64 were dropped: they double what is
// the largest thing in memory for digits that nobody keeps.

#include "calib/statistics/block_covariance.h"

#include <stdlib.h>

#include "kernels/gemm.h"
#include "kernels/split.h"
#include "formats/memory.h"

// Rows of a strip are STRIDE apart, not a power of two, of which the cache can hold but few.
enum { STRIP = 64, PIECE_ROWS = 512, STRIDE = PIECE_ROWS + 16, LINE = 16 };

// Of one thread.
typedef struct room {
    float strip[STRIP * STRIDE];         // (STRIP, STRIDE) columns of a strip, as rows
    float products[STRIP * IMX_COV_RUN]; // (STRIP, IMX_COV_RUN) with the columns up to its end
} room;

// Writes whole cache lines: taking one row of x after the other made the whole half again as slow.
static void transpose_strip(float *strip, const float *x, size_t n_rows, size_t n_cols) {
    for (size_t first = 0; first < n_rows; first += LINE) {
        const size_t n = imx_piece_len(n_rows, first, LINE);
        for (size_t j = 0; j < STRIP; ++j) {
            for (size_t i = first; i < first + n; ++i) {
                strip[j * STRIDE + i] = x[i * n_cols + j];
            }
        }
    }
}

// Adds the pairs of the columns first … first + STRIP − 1 of a run that begins at `x`.
static imx_status add_strip(float *pairs, const float *x, size_t n_rows, size_t n_cols,
                            size_t first, room *r) {
    const imx_gemm gemm = {
        .m = STRIP,
        .n = first + STRIP,
        .k = n_rows,
        .a = r->strip,
        .a_stride = STRIDE,
        .b = x,
        .b_stride = n_cols,
        .c = r->products,
        .c_stride = IMX_COV_RUN,
    };
    transpose_strip(r->strip, x + first, n_rows, n_cols);
    IMX_TRY(imx_gemm_run(&gemm));
    for (size_t i = first; i < first + STRIP; ++i) {
        float *row = pairs + i * (i + 1) / 2;
        for (size_t j = 0; j <= i; ++j) {
            row[j] += r->products[(i - first) * IMX_COV_RUN + j];
        }
    }
    return IMX_OK;
}

imx_status imx_block_covariance_add(float *sums, const float *x, size_t n_rows, size_t n_cols,
                                    int n_threads, imx_error *err) {
    const size_t n_strips = n_cols / IMX_COV_RUN * (IMX_COV_RUN / STRIP);
    bool failed = false;
    room *rooms;
    IMX_TRY(imx_alloc_aligned(&rooms, (size_t)n_threads, sizeof *rooms, err));
#pragma omp parallel for schedule(dynamic) num_threads(n_threads) reduction(|| : failed)
    for (size_t s = 0; s < n_strips; ++s) {
        const size_t run = s * STRIP / IMX_COV_RUN;
        const size_t first = s * STRIP % IMX_COV_RUN;
        for (size_t i = 0; i < n_rows; i += PIECE_ROWS) {
            failed = add_strip(sums + run * IMX_COV_PAIRS, x + i * n_cols + run * IMX_COV_RUN,
                               imx_piece_len(n_rows, i, PIECE_ROWS), n_cols, first,
                               &rooms[omp_get_thread_num()]) != IMX_OK ||
                     failed;
        }
    }
    free(rooms);
    return failed ? imx_fail(err, IMX_ERR_MEMORY, "out of memory: no room to multiply columns")
                  : IMX_OK;
}
