// SPDX-License-Identifier: MIT
//
// The Cholesky factor of H = W Wᵀ, tile by tile from the left:
//
//     D_j  = H_jj - Σ_{k<j} W_jk W_jkᵀ = G_j G_jᵀ
//     W_ij = (H_ij - Σ_{k<j} W_ik W_jkᵀ) G_j⁻ᵀ,    W_jj = G_j.
//
// W diag(G_j⁻¹) has unit blocks on its diagonal: it is L, and G_j G_jᵀ is D. All but the small
// factors G_j are products of tiles, n³ / 3 multiplications in all. A tile is one thread's, its
// products are always the same: the bits depend on nothing else.
//
// Precision. G_j⁻¹ comes from f64 (inverse_root.h), rounded: going through it, and not
// through D_j⁻¹, errs in units of the root of the condition of D_j. Everything else is f32. A sum
// of k products is off by some 2⁻²⁴ √k of its terms, which are of the size of the mean diagonal;
// the damping of a metric that is ever used is 2¹⁶ times as much.
//
// Tried and dropped: from the right, where column k is subtracted from all tiles behind it as soon
// as it is known, in products of depth 256 instead of one of depth 256 j: as fast at n = 2048, 1.3
// times as slow at 4096.

#include "quant/solver/block_factor.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "formats/importance.h"
#include "formats/memory.h"
#include "kernels/gemm.h"
#include "kernels/split.h"
#include "quant/solver/inverse_root.h"

enum { RUN = IMX_COV_RUN };

typedef struct factoring {
    float *h;
    size_t n;
    float (*inverses)[RUN * RUN]; // (n_blocks) G_j⁻¹, (RUN, RUN) each
    float (*scratch)[RUN * RUN];  // (n_threads) a tile each
} factoring;

static float *tile_at(const factoring *f, size_t i, size_t j) {
    return f->h + i * RUN * f->n + j * RUN;
}

static size_t tile_len(const factoring *f, size_t i) {
    return imx_piece_len(f->n, i * RUN, RUN);
}

// ---- tiles -------------------------------------------------------------------------------------

// H_ij -= Σ_{k<j} W_ik W_jkᵀ.
static imx_status subtract_products(const factoring *f, size_t i, size_t j, float *scratch) {
    float *tile = tile_at(f, i, j);
    const imx_gemm gemm = {
        .m = tile_len(f, i),
        .n = tile_len(f, j),
        .k = j * RUN,
        .a = tile_at(f, i, 0),
        .a_stride = f->n,
        .b = tile_at(f, j, 0),
        .b_stride = f->n,
        .b_is_rows = true,
        .c = scratch,
        .c_stride = RUN,
    };
    if (j == 0) {
        return IMX_OK;
    }
    IMX_TRY(imx_gemm_run(&gemm));
    for (size_t r = 0; r < gemm.m; ++r) {
        for (size_t c = 0; c < gemm.n; ++c) {
            tile[r * f->n + c] -= scratch[r * RUN + c];
        }
    }
    return IMX_OK;
}

// Tile i, j times G_j⁻¹ or its transpose. Tiles beside the last column are whole.
static imx_status multiply_tile(const factoring *f, size_t i, size_t j, bool is_transposed,
                                float *scratch) {
    float *tile = tile_at(f, i, j);
    const imx_gemm gemm = {
        .m = tile_len(f, i),
        .n = RUN,
        .k = RUN,
        .a = tile,
        .a_stride = f->n,
        .b = f->inverses[j],
        .b_stride = RUN,
        .b_is_rows = is_transposed,
        .c = scratch,
        .c_stride = RUN,
    };
    IMX_TRY(imx_gemm_run(&gemm));
    for (size_t r = 0; r < gemm.m; ++r) {
        memcpy(tile + r * f->n, scratch + r * RUN, RUN * sizeof *tile);
    }
    return IMX_OK;
}

static imx_status finish_tile(const factoring *f, size_t i, size_t j, float *scratch) {
    IMX_TRY(subtract_products(f, i, j, scratch));
    return multiply_tile(f, i, j, true, scratch);
}

// ---- the matrix --------------------------------------------------------------------------------

// Leaves D_j in its block, to the bit the same above as below the diagonal.
static imx_status factor_diagonal(const factoring *f, size_t j, imx_error *err) {
    const size_t n = tile_len(f, j);
    float *d = tile_at(f, j, j);
    if (subtract_products(f, j, j, f->scratch[0]) != IMX_OK) {
        return imx_fail(err, IMX_ERR_MEMORY, "out of memory: no room to factor a covariance");
    }
    for (size_t r = 0; r < n; ++r) {
        for (size_t c = 0; c < r; ++c) {
            d[c * f->n + r] = d[r * f->n + c];
        }
    }
    return imx_inverse_root(d, f->n, n, f->inverses[j], err);
}

static imx_status factor_columns(const factoring *f, int n_threads, imx_error *err) {
    const size_t n_blocks = (f->n + RUN - 1) / RUN;
    bool failed = false;
    for (size_t j = 0; j < n_blocks; ++j) {
        IMX_TRY(factor_diagonal(f, j, err));
#pragma omp parallel for schedule(dynamic) num_threads(n_threads) reduction(|| : failed)
        for (size_t i = j + 1; i < n_blocks; ++i) {
            failed = finish_tile(f, i, j, f->scratch[omp_get_thread_num()]) != IMX_OK || failed;
        }
    }
#pragma omp parallel for schedule(dynamic) num_threads(n_threads) reduction(|| : failed)
    for (size_t i = 1; i < n_blocks; ++i) {
        for (size_t j = 0; j < i; ++j) {
            failed =
                multiply_tile(f, i, j, false, f->scratch[omp_get_thread_num()]) != IMX_OK || failed;
        }
    }
    return failed ? imx_fail(err, IMX_ERR_MEMORY, "out of memory: no room to factor a covariance")
                  : IMX_OK;
}

imx_status imx_block_factor(float *h, size_t n, int n_threads, imx_error *err) {
    factoring f = {.h = h, .n = n};
    imx_status status;
    IMX_TRY_GOTO(done,
                 imx_alloc_aligned(&f.inverses, (n + RUN - 1) / RUN, sizeof *f.inverses, err));
    IMX_TRY_GOTO(done, imx_alloc_aligned(&f.scratch, (size_t)n_threads, sizeof *f.scratch, err));
    status = factor_columns(&f, n_threads, err);
done:
    free(f.inverses);
    free(f.scratch);
    return status;
}
