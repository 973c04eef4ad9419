// SPDX-License-Identifier: MIT
//
// The narrow door on oneDNN's dnnl_sgemm, which has one signature in oneDNN 2 and 3, takes plain
// matrices and always computes in f32 (DNNL_DEFAULT_FPMATH_MODE reaches primitives, not this).
//
// Tried and dropped: matmul primitives on the same tiles. On one AVX-512 core they were 0 to 20 %
// faster, pre-packed weights no faster than that, for a cache of primitives by shape and two
// interfaces, of versions 2 and 3. They are worth it where a narrower type multiplies the rate
// (gemm_onednn_bf16.c).

#include <oneapi/dnnl/dnnl.h>

#include "kernels/alone.h"
#include "kernels/gemm.h"

imx_status imx_gemm_run(const imx_gemm *gemm) {
    const imx_alone before = imx_alone_begin();
    const dnnl_status_t status =
        dnnl_sgemm('N', gemm->b_is_rows ? 'T' : 'N', (dnnl_dim_t)gemm->m, (dnnl_dim_t)gemm->n,
                   (dnnl_dim_t)gemm->k, 1.0f, gemm->a, (dnnl_dim_t)gemm->a_stride, gemm->b,
                   (dnnl_dim_t)gemm->b_stride, 0.0f, gemm->c, (dnnl_dim_t)gemm->c_stride);
    imx_alone_end(&before);
    return status == dnnl_success ? IMX_OK : IMX_ERR_MEMORY;
}
