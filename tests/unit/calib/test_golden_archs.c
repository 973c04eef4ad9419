// SPDX-License-Identifier: MIT
//
// Every architecture against llama.cpp, on models made here (golden_models.h) and numbers recorded
// from it (golden_values.h).
//
// Two correct implementations differ by a normalised mean squared error of 10⁻¹² in the logits, by
// 10⁻⁷ where one of them looks the GELU up in a table of half floats; a wrong one by 10⁻⁴ and more.
// 10⁻⁶ is allowed. With e the vector of differences and w the reference, |e|² ≤ 10⁻⁶ |w|² means
//
//     over the recorded logits:   mean of e² ≤ 10⁻⁶ · mean of w² of all
//     of the sum of squares:      | |w + e|² − |w|² | ≤ 2 |w| |e| + |e|² ≈ 2 · 10⁻³ |w|²
//
// A sum of a product's squared inputs may be off by 10⁻³ of itself, counts by nothing.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "calib/forward/trace.h"
#include "calib/model/arch.h"
#include "calib/model/model.h"
#include "calib/statistics/collect.h"
#include "golden_models.h"
#include "golden_values.h"

static const double logits_tolerance = 1e-6, sums_tolerance = 1e-3;

enum { N_RECORDED = sizeof golden_recorded / sizeof *golden_recorded };

// Opens the model with further keys; its file is gone again either way.
static imx_status open_golden(imx_model **out, const golden_model *model, const char *more_keys,
                              imx_error *err) {
    char path[] = "/tmp/imatrix-test-golden-XXXXXX";
    const int descriptor = mkstemp(path);
    FILE *file = descriptor >= 0 ? fdopen(descriptor, "wb") : NULL;
    assert_non_null(file);
    imx_status status = golden_write(model, more_keys, file, err);
    assert_int_equal(fclose(file), 0);
    status = status == IMX_OK ? imx_model_open(out, path, err) : status;
    unlink(path);
    return status;
}

// What is announced is what the walk has shown.
static void check_announced(const imx_model *model, const imx_imatrix *shown) {
    imx_imatrix *announced;
    imx_error err;
    assert_int_equal(imx_imatrix_new(&announced, &err), IMX_OK);
    assert_int_equal(imx_collect_announce(announced, model, true, &err), IMX_OK);
    assert_int_equal(announced->n_entries, shown->n_entries);
    for (size_t i = 0; i < announced->n_entries; ++i) {
        assert_string_equal(announced->entries[i].name, shown->entries[i].name);
        assert_int_equal(announced->entries[i].n_cols, shown->entries[i].n_cols);
        assert_int_equal(announced->entries[i].n_mats, shown->entries[i].n_mats);
    }
    imx_imatrix_free(announced);
}

static imx_trace run_golden(const golden_model *model) {
    int32_t tokens[GOLDEN_MAX_TOKENS];
    const size_t n_tokens = golden_tokens(model, tokens);
    imx_model *opened;
    imx_trace trace;
    imx_error err;
    if (open_golden(&opened, model, NULL, &err) != IMX_OK) {
        fail_msg("%s: %s", model->name, err.message);
    }
    assert_int_equal(imx_trace_run(&trace, opened, tokens, n_tokens, 1, NULL, &err), IMX_OK);
    check_announced(opened, trace.products);
    imx_model_close(opened);
    return trace;
}

static const golden_values *find_values(const char *name) {
    for (size_t i = 0; i < N_RECORDED; ++i) {
        if (strcmp(golden_recorded[i].name, name) == 0) {
            return &golden_recorded[i];
        }
    }
    return NULL;
}

static void check_logits(const imx_trace *trace, const golden_values *values) {
    const size_t n_all = trace->n_tokens * trace->n_vocab;
    double sum2 = 0, error2 = 0;
    for (size_t i = 0; i < n_all; ++i) {
        sum2 += (double)trace->logits[i] * (double)trace->logits[i];
    }
    for (size_t i = 0; i < GOLDEN_N_TOKENS; ++i) {
        for (size_t j = 0; j < GOLDEN_N_LOGITS; ++j) {
            const double error = (double)*golden_logit(trace, i, j) - values->logits[i][j];
            error2 += error * error / (GOLDEN_N_TOKENS * GOLDEN_N_LOGITS);
        }
    }
    const double error = error2 / (values->logits_sum2 / (double)n_all);
    if (!(error <= logits_tolerance)) {
        fail_msg("error of the logits %.3g", error);
    }
    if (!(fabs(sum2 - values->logits_sum2) <= 2e-3 * values->logits_sum2)) {
        fail_msg("sum of squares of the logits %.7g instead of %.7g", sum2, values->logits_sum2);
    }
}

static void check_matrix(const imx_imatrix_entry *entry, size_t mat, double wanted_sum,
                         double wanted_count) {
    double sum = 0;
    for (size_t j = 0; j < entry->n_cols; ++j) {
        sum += entry->in_sum2[mat * (size_t)entry->n_cols + j];
    }
    if (entry->counts[mat] != wanted_count) {
        fail_msg("%s, matrix %zu: %g rows instead of %g", entry->name, mat, entry->counts[mat],
                 wanted_count);
    }
    if (!(fabs(sum - wanted_sum) <= sums_tolerance * wanted_sum)) {
        fail_msg("%s, matrix %zu: sum %g instead of %g", entry->name, mat, sum, wanted_sum);
    }
}

// The product of a stem in all layers; returns in how many.
static size_t check_product(const imx_trace *trace, const golden_products *wanted,
                            const char *stem) {
    char name[2 * GOLDEN_MAX_WORD];
    size_t n_layers = 0;
    for (size_t i = 0; i < wanted->n_sums; ++n_layers) {
        golden_name(name, sizeof name, wanted->first + (int)n_layers, stem, ".weight");
        const imx_imatrix_entry *entry = imx_imatrix_find(trace->products, name);
        if (entry == NULL) {
            fail_msg("no product %s", name);
        }
        assert_true(i + entry->n_mats <= wanted->n_sums);
        for (size_t mat = 0; mat < entry->n_mats; ++mat, ++i) {
            check_matrix(entry, mat, wanted->sums[i],
                         wanted->counts != NULL ? wanted->counts[i] : (double)trace->n_tokens);
        }
    }
    return n_layers;
}

static void check_products(const imx_trace *trace, const golden_values *values) {
    char stem[GOLDEN_MAX_WORD];
    size_t n_products = 0;
    for (const golden_products *wanted = values->products; wanted->stems != NULL; ++wanted) {
        for (const char *stems = wanted->stems; golden_next_word(&stems, stem);) {
            n_products += check_product(trace, wanted, stem);
        }
    }
    assert_int_equal(trace->products->n_entries, n_products);
}

static void test_model(void **state) {
    const golden_model *model = *state;
    const golden_values *values = find_values(model->name);
    assert_non_null(values);
    imx_trace trace = run_golden(model);
    check_logits(&trace, values);
    check_products(&trace, values);
    imx_trace_free(&trace);
}

static const golden_model *find_model(const char *arch) {
    for (size_t i = 0; i < GOLDEN_N_MODELS; ++i) {
        if (strcmp(golden_models[i].arch, arch) == 0) {
            return &golden_models[i];
        }
    }
    return NULL;
}

static void test_every_architecture_has_a_model(void **state) {
    (void)state;
    for (size_t i = 0; i < imx_n_archs; ++i) {
        if (find_model(imx_archs[i].name) == NULL) {
            fail_msg("no golden model of '%s'", imx_archs[i].name);
        }
    }
    assert_int_equal(N_RECORDED, GOLDEN_N_MODELS);
}

// Keys that ask for what an architecture does not know.
static const struct {
    const char *key;
    unsigned has;      // groups of keys of the architectures that it is tried on
    unsigned has_not;  //
    const char *named; // in the message
} wrong_keys[] = {
    {"mystery_factor=3.0", 0, 0, "mystery_factor"},
    {"attention.causal=false", 0, 0, "attention.causal"},
    {"rope.scaling.type=dynamic", IMX_KEYS_ROPE, 0, "rope.scaling.type is 'dynamic'"},
    {"rope.scaling.type=yarn", IMX_KEYS_ROPE, IMX_KEYS_YARN, "rope.scaling.type is 'yarn'"},
    {"rope.scaling.type=longrope", IMX_KEYS_ROPE, IMX_KEYS_LONGROPE, "is 'longrope'"},
    {"rope.dimension_sections=[1,1,1,0]", IMX_KEYS_ROPE, IMX_KEYS_ROPE_SECTIONS,
     "rope.dimension_sections"},
    {"expert_gating_func=9", 0, 0, "expert_gating_func"},
    {"expert_gating_func=2", 0, IMX_KEYS_GATING, "expert_gating_func"},
    {"expert_count=8", 0, IMX_KEYS_EXPERTS, "expert_count"},
    {"attn_logit_softcapping=7.0", 0, IMX_KEYS_ATTENTION_SOFTCAP, "attn_logit_softcapping"},
    {"final_logit_softcapping=7.0", 0, IMX_KEYS_LOGIT_SOFTCAP, "final_logit_softcapping"},
    {"attention.temperature_scale=0.5", 0, IMX_KEYS_TEMPERATURE, "attention.temperature_scale"},
    {"attention.max_alibi_bias=4.0", 0, IMX_KEYS_ALIBI, "attention.max_alibi_bias"},
    {"attention.clamp_kqv=4.0", 0, IMX_KEYS_CLAMP, "attention.clamp_kqv"},
    {"embedding_scale=3.0", 0, IMX_KEYS_SCALES, "embedding_scale"},
    {"logit_scale=3.0", 0, IMX_KEYS_LOGIT_SCALE, "logit_scale"},
    {"nextn_predict_layers=1", 0, IMX_KEYS_EXTRA_LAYERS, "nextn_predict_layers"},
};

static void test_wrong_keys_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < imx_n_archs; ++i) {
        const imx_arch *arch = &imx_archs[i];
        for (size_t j = 0; j < sizeof wrong_keys / sizeof *wrong_keys; ++j) {
            imx_model *model = NULL;
            imx_error err = {0};
            if ((arch->keys & wrong_keys[j].has) != wrong_keys[j].has ||
                (arch->keys & wrong_keys[j].has_not) != 0) {
                continue;
            }
            const imx_status status =
                open_golden(&model, find_model(arch->name), wrong_keys[j].key, &err);
            if (status == IMX_OK || strstr(err.message, wrong_keys[j].named) == NULL) {
                fail_msg("%s with %s: %s", arch->name, wrong_keys[j].key,
                         status == IMX_OK ? "opened" : err.message);
            }
        }
    }
}

int main(void) {
    static struct CMUnitTest tests[GOLDEN_N_MODELS + 2] = {
        {"every_architecture_has_a_model", test_every_architecture_has_a_model},
        {"wrong_keys_are_refused", test_wrong_keys_are_refused},
    };
    for (size_t i = 0; i < GOLDEN_N_MODELS; ++i) {
        const golden_model *model = &golden_models[i];
        tests[i + 2] =
            (struct CMUnitTest){model->name, test_model, NULL, NULL, (void *)(uintptr_t)model};
    }
    return cmocka_run_group_tests_name("architectures", tests, NULL, NULL);
}
