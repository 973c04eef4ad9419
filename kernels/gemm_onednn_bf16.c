// SPDX-License-Identifier: MIT
//
// Products of bf16 as oneDNN's matmul primitive, for matrix units (AMX), which multiply tiles of
// 16 × 32 by 32 × 16 values and want the right one as pairs along k. Weights are stored once in the
// order the unit reads (BA16a64b2a in oneDNN's notation), so that nothing is rearranged per call.
//
// The primitive is made anew for every call: oneDNN keeps the compiled kernels of recent shapes,
// and what is left, some ten microseconds, vanishes beside a product of the usual size. Kept
// between calls it would have to be kept by each thread, because its scratch memory belongs to the
// thread that made it.
//
// Versions 2 and 3 of oneDNN differ in how a matrix and a product are described; the first part of
// this file hides that.

#include <oneapi/dnnl/dnnl.h>

#include "kernels/alone.h"
#include "kernels/gemm.h"

enum { A, B, C, N_MATRICES };

static const int arguments[N_MATRICES] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST};

typedef struct matrices {
    dnnl_memory_desc_t of[N_MATRICES];
} matrices;

#if DNNL_VERSION_MAJOR < 3

static dnnl_status_t describe_rows(matrices *all, int which, const dnnl_dims_t dims,
                                   dnnl_data_type_t type, const dnnl_dims_t strides) {
    return dnnl_memory_desc_init_by_strides(&all->of[which], 2, dims, type, strides);
}

static dnnl_status_t describe_pairs(matrices *all, const dnnl_dims_t dims) {
    return dnnl_memory_desc_init_by_tag(&all->of[B], 2, dims, dnnl_bf16, dnnl_BA16a64b2a);
}

static dnnl_status_t describe_product(dnnl_primitive_desc_t *out, const matrices *all,
                                      dnnl_engine_t engine) {
    dnnl_matmul_desc_t product;
    const dnnl_status_t status =
        dnnl_matmul_desc_init(&product, &all->of[A], &all->of[B], NULL, &all->of[C]);
    return status == dnnl_success ? dnnl_primitive_desc_create(out, &product, NULL, engine, NULL)
                                  : status;
}

static dnnl_status_t wrap(dnnl_memory_t *out, const matrices *all, int which, dnnl_engine_t engine,
                          void *values) {
    return dnnl_memory_create(out, &all->of[which], engine, values);
}

static void forget(matrices *all) {
    (void)all;
}

#else

static dnnl_status_t describe_rows(matrices *all, int which, const dnnl_dims_t dims,
                                   dnnl_data_type_t type, const dnnl_dims_t strides) {
    return dnnl_memory_desc_create_with_strides(&all->of[which], 2, dims, type, strides);
}

static dnnl_status_t describe_pairs(matrices *all, const dnnl_dims_t dims) {
    return dnnl_memory_desc_create_with_tag(&all->of[B], 2, dims, dnnl_bf16, dnnl_BA16a64b2a);
}

static dnnl_status_t describe_product(dnnl_primitive_desc_t *out, const matrices *all,
                                      dnnl_engine_t engine) {
    return dnnl_matmul_primitive_desc_create(out, engine, all->of[A], all->of[B], NULL, all->of[C],
                                             NULL);
}

static dnnl_status_t wrap(dnnl_memory_t *out, const matrices *all, int which, dnnl_engine_t engine,
                          void *values) {
    return dnnl_memory_create(out, all->of[which], engine, values);
}

static void forget(matrices *all) {
    for (int i = 0; i < N_MATRICES; ++i) {
        dnnl_memory_desc_destroy(all->of[i]);
    }
}

#endif

#define TRY(call)                                                                                  \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status != dnnl_success) {                                                              \
            goto done;                                                                             \
        }                                                                                          \
    } while (0)

static dnnl_status_t describe_matrices(matrices *all, const imx_gemm_bf16 *g) {
    const dnnl_dim_t m = (dnnl_dim_t)g->m, n = (dnnl_dim_t)g->n, k = (dnnl_dim_t)g->k;
    dnnl_status_t status;
    *all = (matrices){0};
    TRY(describe_rows(all, A, (dnnl_dims_t){m, k}, dnnl_bf16, (dnnl_dims_t){k, 1}));
    TRY(describe_pairs(all, (dnnl_dims_t){k, n}));
    TRY(describe_rows(all, C, (dnnl_dims_t){m, n}, dnnl_f32,
                      (dnnl_dims_t){(dnnl_dim_t)g->c_stride, 1}));
done:
    return status;
}

static dnnl_status_t make_primitive(dnnl_primitive_t *out, const matrices *all,
                                    dnnl_engine_t engine) {
    dnnl_primitive_desc_t description;
    dnnl_status_t status = describe_product(&description, all, engine);
    if (status == dnnl_success) {
        status = dnnl_primitive_create(out, description);
        dnnl_primitive_desc_destroy(description);
    }
    return status;
}

static dnnl_status_t execute(dnnl_primitive_t primitive, const matrices *all, dnnl_engine_t engine,
                             void *const values[N_MATRICES]) {
    dnnl_exec_arg_t bound[N_MATRICES] = {0};
    dnnl_stream_t stream = NULL;
    dnnl_status_t status;
    for (int i = 0; i < N_MATRICES; ++i) {
        bound[i].arg = arguments[i];
        TRY(wrap(&bound[i].memory, all, i, engine, values[i]));
    }
    TRY(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));
    TRY(dnnl_primitive_execute(primitive, stream, N_MATRICES, bound));
    TRY(dnnl_stream_wait(stream));
done:
    dnnl_stream_destroy(stream);
    for (int i = 0; i < N_MATRICES; ++i) {
        dnnl_memory_destroy(bound[i].memory);
    }
    return status;
}

static dnnl_status_t multiply(const imx_gemm_bf16 *gemm) {
    void *const values[N_MATRICES] = {(void *)(uintptr_t)gemm->a, (void *)(uintptr_t)gemm->b,
                                      gemm->c};
    matrices all;
    dnnl_engine_t engine = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_status_t status;
    TRY(describe_matrices(&all, gemm));
    TRY(dnnl_engine_create(&engine, dnnl_cpu, 0));
    TRY(make_primitive(&primitive, &all, engine));
    TRY(execute(primitive, &all, engine, values));
done:
    dnnl_primitive_destroy(primitive);
    dnnl_engine_destroy(engine);
    forget(&all);
    return status;
}

bool imx_gemm_has_bf16(void) {
    const int unit = dnnl_cpu_isa_avx512_core_amx;
    return ((int)dnnl_get_effective_cpu_isa() & unit) == unit;
}

imx_status imx_gemm_bf16_run(const imx_gemm_bf16 *gemm) {
    const imx_alone before = imx_alone_begin();
    const dnnl_status_t status = multiply(gemm);
    imx_alone_end(&before);
    return status == dnnl_success ? IMX_OK : IMX_ERR_MEMORY;
}
