// SPDX-License-Identifier: MIT

#include "calib/kernels/gemm.h"

imx_status imx_gemm_run_ref(const imx_gemm *gemm) {
    const size_t along_k = gemm->b_is_rows ? 1 : gemm->b_stride;
    const size_t along_n = gemm->b_is_rows ? gemm->b_stride : 1;
    for (size_t i = 0; i < gemm->m; ++i) {
        const float *a = gemm->a + i * gemm->a_stride;
        for (size_t j = 0; j < gemm->n; ++j) {
            const float *b = gemm->b + j * along_n;
            double sum = 0;
            for (size_t l = 0; l < gemm->k; ++l) {
                sum += (double)a[l] * (double)b[l * along_k];
            }
            gemm->c[i * gemm->c_stride + j] = (float)sum;
        }
    }
    return IMX_OK;
}
