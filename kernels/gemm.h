// SPDX-License-Identifier: MIT
//
// The narrow door: every matrix product of the forward pass goes through imx_gemm_run, or, on
// processors with a unit for it, imx_gemm_bf16_run.
//
//     c[i][j] = sum over l < k of a[i][l] · b[j][l]      b_is_rows: b is (n, k), a weight's rows
//     c[i][j] = sum over l < k of a[i][l] · b[l][j]      else:      b is (k, n)
//
// Contract of an implementation:
//   - All matrices are row-major at any address, with a stride in elements from row to row not
//     below the length of a row. m, n and k are at least 1.
//   - c is written, never read, and overlaps neither a nor b. What lies between the rows of c
//     stays.
//   - Products and sums are f32 or wider, never narrower, in any order. The order may depend on
//     m, n, k, the strides and the processor, but not on the number of threads of the caller: the
//     work is done on the calling thread. The same arguments give the same bits.
//   - Any number of threads may call at once.
//
// Tolerance against imx_gemm_run_ref: |difference| <= 2⁻²⁴ · (k + 8) · sum of |a[i][l] · b[l][j]|.

#ifndef IMX_KERNELS_GEMM_H
#define IMX_KERNELS_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "formats/error.h"
#include "formats/half.h"

typedef struct imx_gemm {
    size_t m, n, k;
    const float *a; // (m, k)
    size_t a_stride;
    const float *b; // (n, k) or (k, n)
    size_t b_stride;
    bool b_is_rows;
    float *c; // (m, n)
    size_t c_stride;
} imx_gemm;

// IMX_OK or IMX_ERR_MEMORY; the caller, who knows what is being computed, words the message.
imx_status imx_gemm_run(const imx_gemm *gemm);

// The same from its definition, with sums in f64.
imx_status imx_gemm_run_ref(const imx_gemm *gemm);

// ---- operands of half the length ---------------------------------------------------------------

// A matrix unit takes pairs of b along k, of IMX_BF16_GROUP columns side by side.
enum { IMX_BF16_GROUP = 64, IMX_BF16_DEPTH = 32 };

// c = a · b for a and b of bf16, with the contract and tolerance above. The products are exact;
// subnormal numbers may count as zero.
typedef struct imx_gemm_bf16 {
    size_t m, n;
    size_t k;          // a multiple of IMX_BF16_DEPTH
    const imx_bf16 *a; // (m, k)
    const imx_bf16 *b; // (⌈n / IMX_BF16_GROUP⌉, k / 2, IMX_BF16_GROUP, 2); zero beyond column n
    float *c;          // (m, n)
    size_t c_stride;
} imx_gemm_bf16;

// Whether this processor has a matrix unit for bf16, several times faster than imx_gemm_run;
// without one imx_gemm_bf16_run is right but slow.
bool imx_gemm_has_bf16(void);

imx_status imx_gemm_bf16_run(const imx_gemm_bf16 *gemm);
imx_status imx_gemm_bf16_run_ref(const imx_gemm_bf16 *gemm);

#endif
