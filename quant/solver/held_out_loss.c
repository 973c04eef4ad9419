// SPDX-License-Identifier: MIT
//
// From the lower triangle of C
//
//     eᵀ C e = Σ_i e_i (C_ii e_i + 2 Σ_{j<i} C_ij e_j),
//
// and for 256 columns i at a time the sums over j are a product of matrices. So C never stands
// unpacked in memory, only a panel of it for each thread. Panels have sums of their own, added in
// order afterwards.

#include "quant/solver/held_out_loss.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "formats/memory.h"
#include "kernels/gemm.h"
#include "kernels/split.h"
#include "quant/solver/covariance_row.h"

enum { PANEL = IMX_COV_RUN };

typedef struct judge {
    const imx_input_covariance *covariance;
    const float *errors; // (n_rows, n_cols)
    size_t n_rows;
    float *panels;      // (n_threads, PANEL, run_len)
    float *sums;        // (n_threads, n_rows, PANEL)
    double *panel_sums; // (n_panels, n_rows)
} judge;

// Rows of columns top … top + n − 1: twice their products with the columns before, zeros behind.
static void unpack_panel(const imx_input_covariance *covariance, size_t top, size_t n, size_t width,
                         float *panel) {
    for (size_t i = 0; i < n; ++i) {
        const imx_covariance_row row = imx_covariance_row_of(covariance, top + i);
        const float *products = covariance->held_out + row.at;
        const size_t own = top + i - row.first;
        float *out = panel + i * width;
        memset(out + own, 0, (width - own) * sizeof *out);
        for (size_t j = 0; j < own; ++j) {
            out[j] = 2.0f * products[j];
        }
        out[own] = products[own];
    }
}

static imx_status judge_panel(const judge *jd, size_t p, int thread) {
    const size_t n_cols = jd->covariance->n_cols;
    const size_t len = jd->covariance->run_len;
    const size_t top = p * PANEL;
    const size_t first = imx_covariance_row_of(jd->covariance, top).first;
    const size_t n = imx_piece_len(first + len, top, PANEL);
    const size_t width = top + n - first;
    float *sums = jd->sums + (size_t)thread * jd->n_rows * PANEL;
    const imx_gemm gemm = {
        .m = jd->n_rows,
        .n = n,
        .k = width,
        .a = jd->errors + first,
        .a_stride = n_cols,
        .b = jd->panels + (size_t)thread * PANEL * len,
        .b_stride = width,
        .b_is_rows = true,
        .c = sums,
        .c_stride = PANEL,
    };
    unpack_panel(jd->covariance, top, n, width, jd->panels + (size_t)thread * PANEL * len);
    IMX_TRY(imx_gemm_run(&gemm));
    for (size_t r = 0; r < jd->n_rows; ++r) {
        double sum = 0.0;
        for (size_t i = 0; i < n; ++i) {
            sum += (double)sums[r * PANEL + i] * (double)jd->errors[r * n_cols + top + i];
        }
        jd->panel_sums[p * jd->n_rows + r] = sum;
    }
    return IMX_OK;
}

static imx_status judge_panels(const judge *jd, size_t n_panels, int n_threads, double *losses,
                               imx_error *err) {
    bool failed = false;
#pragma omp parallel for schedule(dynamic) num_threads(n_threads) reduction(|| : failed)
    for (size_t p = 0; p < n_panels; ++p) {
        failed = judge_panel(jd, p, omp_get_thread_num()) != IMX_OK || failed;
    }
    memset(losses, 0, jd->n_rows * sizeof *losses);
    for (size_t p = 0; p < n_panels; ++p) {
        for (size_t r = 0; r < jd->n_rows; ++r) {
            losses[r] += jd->panel_sums[p * jd->n_rows + r];
        }
    }
    return failed ? imx_fail(err, IMX_ERR_MEMORY, "out of memory: no room to judge errors")
                  : IMX_OK;
}

imx_status imx_held_out_losses(const imx_input_covariance *covariance, const float *errors,
                               size_t n_rows, int n_threads, double *losses, imx_error *err) {
    const size_t len = covariance->run_len;
    const size_t n_panels = (covariance->n_cols / len * len + PANEL - 1) / PANEL;
    judge jd = {.covariance = covariance, .errors = errors, .n_rows = n_rows};
    imx_status status;
    IMX_TRY_GOTO(done, imx_alloc_aligned(&jd.panels, (size_t)n_threads,
                                         PANEL * len * sizeof *jd.panels, err));
    IMX_TRY_GOTO(done, imx_alloc_aligned(&jd.sums, (size_t)n_threads,
                                         n_rows * PANEL * sizeof *jd.sums, err));
    IMX_TRY_GOTO(done,
                 imx_alloc_aligned(&jd.panel_sums, n_panels, n_rows * sizeof *jd.panel_sums, err));
    status = judge_panels(&jd, n_panels, n_threads, losses, err);
done:
    free(jd.panels);
    free(jd.sums);
    free(jd.panel_sums);
    return status;
}

uint64_t imx_held_out_losses_bytes(size_t n_cols, size_t n_rows, int n_threads) {
    const size_t n_panels = (n_cols + PANEL - 1) / PANEL;
    return (uint64_t)n_threads * PANEL * (n_cols + n_rows) * sizeof(float) +
           n_panels * n_rows * sizeof(double);
}
