// SPDX-License-Identifier: MIT

#include "kernels/gemm.h"

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

imx_status imx_gemm_bf16_run_ref(const imx_gemm_bf16 *gemm) {
    for (size_t i = 0; i < gemm->m; ++i) {
        const imx_bf16 *a = gemm->a + i * gemm->k;
        for (size_t j = 0; j < gemm->n; ++j) {
            const imx_bf16 *group = gemm->b + j / IMX_BF16_GROUP * IMX_BF16_GROUP * gemm->k;
            double sum = 0;
            for (size_t l = 0; l < gemm->k; ++l) {
                const size_t at = (l / 2 * IMX_BF16_GROUP + j % IMX_BF16_GROUP) * 2 + l % 2;
                sum += (double)imx_bf16_to_f32(a[l]) * (double)imx_bf16_to_f32(group[at]);
            }
            gemm->c[i * gemm->c_stride + j] = (float)sum;
        }
    }
    return IMX_OK;
}
