// SPDX-License-Identifier: MIT
//
// Routing of a token: by hand for four to six experts.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "calib/forward/router.h"

enum { MAX_EXPERTS = 6 };

static double softmax(const float *logits, size_t n, size_t i) {
    double sum = 0;
    for (size_t j = 0; j < n; ++j) {
        sum += exp((double)logits[j]);
    }
    return exp((double)logits[i]) / sum;
}

static double sigmoid(float x) {
    return 1 / (1 + exp(-(double)x));
}

// Routes and checks the weights; -1 means that the token is not sent there.
static void check(imx_hparams hparams, const float *bias, const float *logits,
                  const double *wanted) {
    float values[MAX_EXPERTS];
    for (size_t i = 0; i < hparams.n_experts; ++i) {
        values[i] = logits[i];
    }
    imx_route(&hparams, bias, values);
    for (size_t i = 0; i < hparams.n_experts; ++i) {
        assert_true(fabs((double)values[i] - wanted[i]) < 1e-6);
    }
}

static const float logits[] = {0.5f, 2.0f, -1.0f, 1.0f};

static void test_softmax_of_all(void **state) {
    (void)state;
    const double best = softmax(logits, 4, 1), second = softmax(logits, 4, 3);
    imx_hparams hparams = {.n_experts = 4, .n_experts_used = 2};
    check(hparams, NULL, logits, (double[]){-1, best, -1, second});
    hparams.gate_scale = 2.5f;
    check(hparams, NULL, logits, (double[]){-1, 2.5 * best, -1, 2.5 * second});
    hparams.normalises_gates = 1;
    const double sum = best + second;
    check(hparams, NULL, logits, (double[]){-1, 2.5 * best / sum, -1, 2.5 * second / sum});
}

static void test_softmax_of_the_chosen(void **state) {
    (void)state;
    const float chosen[] = {2.0f, 1.0f};
    const imx_hparams hparams = {
        .n_experts = 4, .n_experts_used = 2, .gating = IMX_GATING_SOFTMAX_CHOSEN};
    check(hparams, NULL, logits, (double[]){-1, softmax(chosen, 2, 0), -1, softmax(chosen, 2, 1)});
}

// The bias brings the last but one in, whose weight stays what its gate says.
static void test_bias_sways_the_choice_only(void **state) {
    (void)state;
    const float bias[] = {0, 0, 0.6f, 0};
    const imx_hparams hparams = {.n_experts = 4, .n_experts_used = 2, .gating = IMX_GATING_SIGMOID};
    check(hparams, bias, logits, (double[]){-1, sigmoid(2), sigmoid(-1), -1});
    check(hparams, NULL, logits, (double[]){-1, sigmoid(2), -1, sigmoid(1)});
}

// The best expert of all is alone in its group; the other groups' two best have more together.
static void test_best_groups(void **state) {
    (void)state;
    const float grouped[] = {3.0f, -4.0f, 1.0f, 0.9f, 0.8f, 0.7f};
    imx_hparams hparams = {
        .n_experts = 6,
        .n_experts_used = 2,
        .gating = IMX_GATING_SIGMOID,
        .n_expert_groups = 3,
        .n_expert_groups_used = 1,
    };
    check(hparams, NULL, grouped, (double[]){-1, -1, sigmoid(1.0f), sigmoid(0.9f), -1, -1});
    hparams.n_expert_groups_used = 2;
    check(hparams, NULL, grouped, (double[]){-1, -1, sigmoid(1.0f), sigmoid(0.9f), -1, -1});
    hparams.n_expert_groups_used = 3;
    check(hparams, NULL, grouped, (double[]){sigmoid(3.0f), -1, sigmoid(1.0f), -1, -1, -1});
}

// Gates so small that their sum is nothing are not blown up.
static void test_tiny_gates(void **state) {
    (void)state;
    const float small[] = {-40, -41, -42, -43};
    const imx_hparams hparams = {
        .n_experts = 4, .n_experts_used = 1, .gating = IMX_GATING_SIGMOID, .normalises_gates = 1};
    check(hparams, NULL, small, (double[]){sigmoid(-40) * 0x1p14, -1, -1, -1});
}

static void test_ties(void **state) {
    (void)state;
    const float equal[] = {1, 1, 1, 1};
    const imx_hparams hparams = {.n_experts = 4, .n_experts_used = 2};
    check(hparams, NULL, equal, (double[]){0.25, 0.25, -1, -1});
}

// No expert is left out of a choice that means nothing as if it had been a choice.
static void test_nan(void **state) {
    (void)state;
    const float biases[] = {0, 0, NAN, 0};
    const imx_hparams hparams = {.n_experts = 4,
                                 .n_experts_used = 2,
                                 .gating = IMX_GATING_SIGMOID,
                                 .n_expert_groups = 2,
                                 .n_expert_groups_used = 1,
                                 .normalises_gates = 1};
    for (size_t i = 0; i < 5; ++i) {
        float values[] = {1, 2, 3, 4, 5};
        values[i] = NAN; // the fifth is none of the four
        imx_route(&hparams, i < 4 ? NULL : biases, values);
        assert_true(isnan(values[0]) && isnan(values[1]));
        assert_true(values[2] == -1 && values[3] == -1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_softmax_of_all),
        cmocka_unit_test(test_softmax_of_the_chosen),
        cmocka_unit_test(test_bias_sways_the_choice_only),
        cmocka_unit_test(test_best_groups),
        cmocka_unit_test(test_tiny_gates),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
