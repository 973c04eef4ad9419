// SPDX-License-Identifier: MIT
//
// What is found when an imatrix is held against a model.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model_fixture.h"
#include "quant/plan/statistics_fit.h"

static imx_imatrix_entry *add_counts(imx_imatrix *imatrix, const char *name, uint64_t n_cols,
                                     uint64_t n_mats, const double *counts) {
    imx_imatrix_entry *entry;
    assert_int_equal(imx_imatrix_add(imatrix, name, n_cols, n_mats, false, &entry, NULL), IMX_OK);
    for (uint64_t i = 0; i < n_cols * n_mats; ++i) {
        entry->in_sum2[i] = counts[i / n_cols];
    }
    memcpy(entry->counts, counts, n_mats * sizeof *counts);
    return entry;
}

enum { N_TENSORS = 6 };

// Tensors are found by name, which the fixture leaves to who needs it.
static const imx_gguf_tensor *by_name[N_TENSORS];

static model_fixture *open_model(void) {
    model_fixture *model = model_open("llama", (model_numbers){1, 8, 8, 4});
    model_add(model, "blk.0.attn_norm.weight", IMX_TYPE_F32, 256, 1, 1);
    model_add(model, "blk.0.attn_q.weight", IMX_TYPE_F16, 256, 8, 1);
    model_add(model, "blk.0.attn_scale.weight", IMX_TYPE_F32, 256, 1, 1); // no matrix
    model_add(model, "blk.0.ffn_gate_inp.weight", IMX_TYPE_F32, 256, 4, 1);
    model_add(model, "blk.0.ffn_up_exps.weight", IMX_TYPE_F16, 256, 8, 4);
    model_add(model, "token_embd.weight", IMX_TYPE_F16, 256, 8, 1);
    for (size_t i = 0; i < N_TENSORS; ++i) {
        by_name[i] = &model->tensors[i];
    }
    model->gguf.tensors_by_name = by_name;
    return model;
}

static void assert_findings(const imx_imatrix *imatrix, double min_rows, uint64_t n_covered,
                            const imx_finding *expected, size_t n_expected) {
    model_fixture *model = open_model();
    imx_fit_report report;
    assert_int_equal(imx_statistics_check(&report, imatrix, &model->gguf, min_rows, NULL), IMX_OK);
    assert_int_equal(report.n_weights, 2);
    assert_int_equal(report.n_covered, n_covered);
    assert_int_equal(report.n_findings, n_expected);
    for (size_t i = 0; i < n_expected; ++i) {
        assert_int_equal(report.findings[i].kind, expected[i].kind);
        assert_string_equal(report.findings[i].name, expected[i].name);
        assert_int_equal(report.findings[i].n, expected[i].n);
        assert_int_equal(report.findings[i].n_of, expected[i].n_of);
    }
    imx_fit_report_free(&report);
    model_close(model);
}

static imx_imatrix *new_imatrix(void) {
    imx_imatrix *imatrix;
    assert_int_equal(imx_imatrix_new(&imatrix, NULL), IMX_OK);
    return imatrix;
}

static void a_whole_imatrix(void **state) {
    (void)state;
    imx_imatrix *imatrix = new_imatrix();
    add_counts(imatrix, "blk.0.attn_q.weight", 256, 1, (double[]){100});
    add_counts(imatrix, "blk.0.ffn_gate_inp.weight", 256, 1, (double[]){100});
    add_counts(imatrix, "blk.0.ffn_up_exps.weight", 256, 4, (double[]){16, 20, 30, 40});
    assert_findings(imatrix, 16, 2, NULL, 0);
    imx_imatrix_free(imatrix);
}

static void experts_that_saw_little(void **state) {
    (void)state;
    static const imx_finding expected[] = {
        {IMX_FINDING_NO_TOKENS, "blk.0.ffn_up_exps.weight", 1, 4},
        {IMX_FINDING_STARVED, "blk.0.ffn_up_exps.weight", 2, 4},
    };
    imx_imatrix *imatrix = new_imatrix();
    add_counts(imatrix, "blk.0.attn_q.weight", 256, 1, (double[]){100});
    add_counts(imatrix, "blk.0.ffn_up_exps.weight", 256, 4, (double[]){0, 15, 30, 1});
    assert_findings(imatrix, 16, 2, expected, 2);
    assert_findings(imatrix, 1, 2, expected, 1);
    imx_imatrix_free(imatrix);
}

static void what_cannot_be_used(void **state) {
    (void)state;
    static const imx_finding expected[] = {
        {IMX_FINDING_SHAPE, "blk.0.attn_q.weight", 128, 256},
        {IMX_FINDING_UNSEEN, "blk.0.ffn_up_exps.weight", 4, 4},
        {IMX_FINDING_FOREIGN, "blk.1.attn_q.weight", 1, 1},
    };
    imx_imatrix *imatrix = new_imatrix();
    add_counts(imatrix, "blk.0.attn_q.weight", 128, 1, (double[]){100});
    add_counts(imatrix, "blk.1.attn_q.weight", 256, 1, (double[]){100});
    add_counts(imatrix, "blk.0.ffn_up_exps.weight", 256, 4, (double[]){0, 0, 0, 0});
    assert_findings(imatrix, 16, 0, expected, 3);
    imx_imatrix_free(imatrix);
}

static void what_is_missing_or_crude(void **state) {
    (void)state;
    static const imx_finding expected[] = {
        {IMX_FINDING_MISSING, "blk.0.attn_q.weight", 0, 1},
        {IMX_FINDING_ONE_COUNT, "blk.0.ffn_up_exps.weight", 1, 4},
        {IMX_FINDING_ZEROS, "blk.0.ffn_up_exps.weight", 2, 1024},
    };
    imx_imatrix *imatrix = new_imatrix();
    imx_imatrix_entry *entry =
        add_counts(imatrix, "blk.0.ffn_up_exps.weight", 1024, 1, (double[]){10});
    entry->in_sum2[3] = 0;
    entry->in_sum2[700] = 0;
    assert_findings(imatrix, 16, 1, expected, 3);
    imx_imatrix_free(imatrix);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_imatrix),
        cmocka_unit_test(experts_that_saw_little),
        cmocka_unit_test(what_cannot_be_used),
        cmocka_unit_test(what_is_missing_or_crude),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
