// SPDX-License-Identifier: MIT
//
// The narrow door on oneDNN's dnnl_sgemm, which has one signature in oneDNN 2 and 3, takes plain
// matrices and always computes in f32 (DNNL_DEFAULT_FPMATH_MODE reaches primitives, not this).
//
// oneDNN cuts a product for the threads it may use, and a cut along k changes the bits. It asks
// omp_get_max_threads, a setting of each thread: set to one for the call, the cut depends on the
// shape only. Inside a team of several it would use one thread anyway; a team of one does not count
// as parallel for OpenMP, and there it would not.
//
// Tried and dropped: matmul primitives on the same tiles, with plain and with pre-packed weights.
// One AVX-512 core, oneDNN 2.6.3, GFLOP/s by m × n × k:
//
//                      sgemm   matmul, plain   matmul, packed
//     256 × 256 ×  512   146             165              174
//     256 × 256 × 2048   141             168              167
//     512 × 512 × 5632   139             140              142
//
// Up to a fifth faster on small tiles, for a cache of primitives by shape, memory objects, and two
// incompatible interfaces of versions 2 and 3. They are worth it where a narrower type multiplies
// the rate (AMX).

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include "calib/kernels/gemm.h"

imx_status imx_gemm_run(const imx_gemm *gemm) {
    const int max_threads = omp_get_max_threads();
    omp_set_num_threads(1);
    const dnnl_status_t status =
        dnnl_sgemm('N', gemm->b_is_rows ? 'T' : 'N', (dnnl_dim_t)gemm->m, (dnnl_dim_t)gemm->n,
                   (dnnl_dim_t)gemm->k, 1.0f, gemm->a, (dnnl_dim_t)gemm->a_stride, gemm->b,
                   (dnnl_dim_t)gemm->b_stride, 0.0f, gemm->c, (dnnl_dim_t)gemm->c_stride);
    omp_set_num_threads(max_threads);
    return status == dnnl_success ? IMX_OK : IMX_ERR_MEMORY;
}
