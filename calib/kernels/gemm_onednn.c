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
// Kernels of oneDNN 2.6 use the stack pointer as a general register, with a buffer of the heap
// behind it: a signal handler that runs meanwhile writes its frame over the heap. So signals wait
// until the call is over, a few milliseconds.
//
// Tried and dropped: matmul primitives on the same tiles. On one AVX-512 core they were 0 to 20 %
// faster, pre-packed weights no faster than that, for a cache of primitives by shape and two
// interfaces, of versions 2 and 3. They are worth it where a narrower type multiplies the rate.

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <signal.h>

#include "calib/kernels/gemm.h"

imx_status imx_gemm_run(const imx_gemm *gemm) {
    const int max_threads = omp_get_max_threads();
    sigset_t all_signals;
    sigset_t old_mask;
    sigfillset(&all_signals);
    pthread_sigmask(SIG_SETMASK, &all_signals, &old_mask);
    omp_set_num_threads(1);
    const dnnl_status_t status =
        dnnl_sgemm('N', gemm->b_is_rows ? 'T' : 'N', (dnnl_dim_t)gemm->m, (dnnl_dim_t)gemm->n,
                   (dnnl_dim_t)gemm->k, 1.0f, gemm->a, (dnnl_dim_t)gemm->a_stride, gemm->b,
                   (dnnl_dim_t)gemm->b_stride, 0.0f, gemm->c, (dnnl_dim_t)gemm->c_stride);
    omp_set_num_threads(max_threads);
    pthread_sigmask(SIG_SETMASK, &old_mask, NULL);
    return status == dnnl_success ? IMX_OK : IMX_ERR_MEMORY;
}
