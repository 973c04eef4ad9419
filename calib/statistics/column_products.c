// SPDX-License-Identifier: MIT
//
// Of X (n_rows, n_cols) the lower triangle of XᵀX, or of its diagonal blocks of 256 columns each.
// The whole is what error feedback wants; it is n_cols² / 2 values, 34 MB where the model has 4096
// channels and 411 MB behind a feed-forward network of 14336, for as long as a layer is coded. The
// blocks are 514 bytes a column, few enough for a file of all layers, and what lies within one
// super-block is what its codes can make good among themselves.
//
// A run of columns is cut into strips, and a strip is multiplied with the columns up to its own
// end, 512 at a time. Strips are of 64 columns in a block, where of its 16 tiles of 64 × 64 then 10
// are computed for the 8 that are needed. In a whole triangle they are of 256: little lies beyond
// it, and a column that is read serves four times as many. That triangle then comes at 0.8 to 0.9
// of the speed of a large product alone for 4096 to 14336 columns; strips of 128 made it 0.7, wider
// ones no faster. A strip is also the work of one thread, the longest first. It is transposed into
// a buffer, because the products behind gemm.h take their left factor by rows; the right one is
// read where it lies.
//
// Products and sums of a piece of rows are f32, and so is the running sum. With n pieces it is off
// by less than n · 2⁻²⁴ of the root of its two squares, 1.2 · 10⁻⁴ for the 2000 pieces of a million
// rows, where the rounding in the file is 4 · 10⁻³ and the damping that any solver adds 10⁻². Sums
// in f64 were dropped: they double what is the largest thing in memory for digits that nobody
// keeps.

#include "calib/statistics/column_products.h"

#include <stdbool.h>
#include <stdlib.h>

#include "formats/importance.h"
#include "formats/memory.h"
#include "kernels/gemm.h"
#include "kernels/split.h"

enum { SHORT_STRIP = 64, LONG_STRIP = 256, WINDOW = 512, PIECE_ROWS = 512, LINE = 16 };

// Rows of a strip are so far apart: no power of two, of which the cache can hold but few.
enum { STRIDE = PIECE_ROWS + LINE };

_Static_assert(WINDOW % LONG_STRIP == 0 && WINDOW % SHORT_STRIP == 0,
               "no window begins within a strip");

// Of one thread.
typedef struct room {
    float strip[LONG_STRIP * STRIDE];    // columns of a strip, as rows
    float products[LONG_STRIP * WINDOW]; // of them with the columns of a window
} room;

// Columns first … first + n − 1 of a run, as rows of its triangle.
typedef struct strip {
    float *triangle;
    const float *x; // (n_rows, n_cols) from the run's first column on
    size_t n_rows, n_cols;
    size_t first, n;
} strip;

// Writes whole cache lines: taking one row of x after the other made the whole half again as slow.
static void transpose(const strip *s, size_t first_row, size_t n_rows, float *out) {
    const float *x = s->x + first_row * s->n_cols + s->first;
    for (size_t first = 0; first < n_rows; first += LINE) {
        const size_t n = imx_piece_len(n_rows, first, LINE);
        for (size_t j = 0; j < s->n; ++j) {
            for (size_t i = first; i < first + n; ++i) {
                out[j * STRIDE + i] = x[i * s->n_cols + j];
            }
        }
    }
}

// Adds the products with columns window … window + width − 1, as far as they are in the triangle.
static void add_products(const strip *s, size_t window, size_t width, const float *products) {
    for (size_t i = s->first; i < s->first + s->n; ++i) {
        float *row = s->triangle + imx_triangle_len(i) + window;
        const size_t n = imx_piece_len(i + 1, window, width);
        for (size_t j = 0; j < n; ++j) {
            row[j] += products[(i - s->first) * WINDOW + j];
        }
    }
}

static imx_status add_piece(const strip *s, size_t first_row, size_t n_rows, room *r) {
    const size_t end = s->first + s->n;
    transpose(s, first_row, n_rows, r->strip);
    for (size_t window = 0; window < end; window += WINDOW) {
        const imx_gemm gemm = {
            .m = s->n,
            .n = imx_piece_len(end, window, WINDOW),
            .k = n_rows,
            .a = r->strip,
            .a_stride = STRIDE,
            .b = s->x + first_row * s->n_cols + window,
            .b_stride = s->n_cols,
            .c = r->products,
            .c_stride = WINDOW,
        };
        IMX_TRY(imx_gemm_run(&gemm));
        add_products(s, window, gemm.n, r->products);
    }
    return IMX_OK;
}

static imx_status add_strip(const strip *s, room *r) {
    for (size_t i = 0; i < s->n_rows; i += PIECE_ROWS) {
        IMX_TRY(add_piece(s, i, imx_piece_len(s->n_rows, i, PIECE_ROWS), r));
    }
    return IMX_OK;
}

imx_status imx_column_products_add(float *sums, const float *x, size_t n_rows, size_t n_cols,
                                   size_t run_len, int n_threads, imx_error *err) {
    const size_t n_runs = n_cols / run_len;
    const size_t strip_len = run_len > IMX_COV_RUN ? LONG_STRIP : SHORT_STRIP;
    const size_t n_strips = (run_len + strip_len - 1) / strip_len; // of a run
    bool failed = false;
    room *rooms;
    IMX_TRY(imx_alloc_aligned(&rooms, (size_t)n_threads, sizeof *rooms, err));
#pragma omp parallel for schedule(dynamic) num_threads(n_threads) reduction(|| : failed)
    for (size_t t = 0; t < n_runs * n_strips; ++t) {
        const size_t run = t % n_runs;
        const size_t first = (n_strips - 1 - t / n_runs) * strip_len;
        const strip s = {
            .triangle = sums + run * imx_triangle_len(run_len),
            .x = x + run * run_len,
            .n_rows = n_rows,
            .n_cols = n_cols,
            .first = first,
            .n = imx_piece_len(run_len, first, strip_len),
        };
        failed = add_strip(&s, &rooms[omp_get_thread_num()]) != IMX_OK || failed;
    }
    free(rooms);
    return failed ? imx_fail(err, IMX_ERR_MEMORY, "out of memory: no room to multiply columns")
                  : IMX_OK;
}
