// SPDX-License-Identifier: MIT
//
// The products of columns of all rows that read the embedding, against sums over the tensors by
// name.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/statistics/column_products.h"
#include "calib/statistics/embedding_readers.h"
#include "formats/tensor_type.h"
#include "tiny_model.h"

enum { N_COLS = 24 };

static void read_values(const imx_gguf *gguf, const char *name, float *values, size_t n) {
    const imx_gguf_tensor *tensor = imx_gguf_find_tensor(gguf, name);
    assert_non_null(tensor);
    imx_type_traits_of(tensor->type)->decode(tensor->data, values, n);
}

// Adds share · g_i g_j Σ_r w_ri w_rj of `n_rows` rows to `sums` (N_COLS, N_COLS).
static void add_weight(double *sums, const imx_gguf *gguf, const char *name, const char *norm,
                       size_t n_rows, double share) {
    float *rows = malloc(n_rows * N_COLS * sizeof *rows);
    float g[N_COLS];
    read_values(gguf, name, rows, n_rows * N_COLS);
    read_values(gguf, norm, g, N_COLS);
    for (size_t r = 0; r < n_rows; ++r) {
        for (size_t i = 0; i < N_COLS; ++i) {
            for (size_t j = 0; j < N_COLS; ++j) {
                const double a = (double)g[i] * (double)rows[r * N_COLS + i];
                const double b = (double)g[j] * (double)rows[r * N_COLS + j];
                sums[i * N_COLS + j] += share * a * b;
            }
        }
    }
    free(rows);
}

static void check(const tiny_model *tiny, const double *sums, double n_rows) {
    imx_model *model = tiny_open(tiny);
    imx_input_covariance readers;
    imx_input_covariance twice;
    assert_int_equal(imx_embedding_readers_sum(&readers, model, N_COLS, 1, NULL), IMX_OK);
    assert_int_equal(imx_embedding_readers_sum(&twice, model, N_COLS, 3, NULL), IMX_OK);
    assert_memory_equal(readers.fitted, twice.fitted,
                        imx_triangle_len(N_COLS) * sizeof *readers.fitted);
    assert_int_equal(readers.n_cols, N_COLS);
    assert_true(readers.n_fitted == n_rows && readers.n_held_out == 0);
    for (size_t i = 0; i < N_COLS; ++i) {
        for (size_t j = 0; j <= i; ++j) {
            const double scale = sqrt(sums[i * N_COLS + i] * sums[j * N_COLS + j]);
            const double got = (double)readers.fitted[i * (i + 1) / 2 + j];
            assert_true(fabs(got - sums[i * N_COLS + j]) <= 1e-5 * scale);
        }
    }
    imx_embedding_readers_free(&readers);
    imx_embedding_readers_free(&twice);
    imx_model_close(model);
}

static void add_attention(double *sums, const imx_gguf *gguf, const tiny_model *tiny) {
    const size_t n_kv = tiny->n_embd / tiny->n_heads * tiny->n_kv_heads;
    add_weight(sums, gguf, "blk.0.attn_q.weight", "blk.0.attn_norm.weight", N_COLS, 1);
    add_weight(sums, gguf, "blk.0.attn_k.weight", "blk.0.attn_norm.weight", n_kv, 1);
    add_weight(sums, gguf, "blk.0.attn_v.weight", "blk.0.attn_norm.weight", n_kv, 1);
}

static void a_dense_layer_reads_by_its_products(void **state) {
    (void)state;
    double sums[N_COLS * N_COLS] = {0};
    const tiny_model tiny = tiny_default;
    imx_model *model = tiny_open(&tiny);
    const imx_gguf *gguf = imx_model_gguf(model);
    add_attention(sums, gguf, &tiny);
    add_weight(sums, gguf, "blk.0.ffn_gate.weight", "blk.0.ffn_norm.weight", tiny.n_ff, 1);
    add_weight(sums, gguf, "blk.0.ffn_up.weight", "blk.0.ffn_norm.weight", tiny.n_ff, 1);
    imx_model_close(model);
    check(&tiny, sums, N_COLS + 2 * 12 + 2 * tiny.n_ff);
}

static void experts_read_by_their_share(void **state) {
    (void)state;
    double sums[N_COLS * N_COLS] = {0};
    tiny_model tiny = tiny_default;
    tiny.n_experts = 4;
    tiny.n_experts_used = 3;
    tiny.has_biases = false;
    imx_model *model = tiny_open(&tiny);
    const imx_gguf *gguf = imx_model_gguf(model);
    const size_t n_rows = (size_t)tiny.n_experts * tiny.n_ff;
    add_attention(sums, gguf, &tiny);
    add_weight(sums, gguf, "blk.0.ffn_gate_exps.weight", "blk.0.ffn_norm.weight", n_rows, 0.75);
    add_weight(sums, gguf, "blk.0.ffn_up_exps.weight", "blk.0.ffn_norm.weight", n_rows, 0.75);
    imx_model_close(model);
    check(&tiny, sums, N_COLS + 2 * 12 + 2 * (double)n_rows);
}

static void an_embedding_that_is_the_head_has_none(void **state) {
    (void)state;
    tiny_model tiny = tiny_default;
    tiny.has_output = false;
    imx_model *model = tiny_open(&tiny);
    imx_input_covariance readers;
    assert_int_equal(imx_embedding_readers_sum(&readers, model, N_COLS, 1, NULL), IMX_OK);
    assert_true(readers.n_fitted == 0);
    imx_embedding_readers_free(&readers);
    imx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dense_layer_reads_by_its_products),
        cmocka_unit_test(experts_read_by_their_share),
        cmocka_unit_test(an_embedding_that_is_the_head_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
