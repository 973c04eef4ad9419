// SPDX-License-Identifier: MIT

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/tensor_type.h"
#include "quant/encode/encoder.h"
#include "quant/encode/feedback.h"
#include "random_products.h"

enum { MAX_TYPE = 64, N = IMX_COV_RUN, N_CODES = 4, N_LINKED = 6, N_CHOICES = 4096 };

static float products[IMX_COV_PAIRS];
static float diagonal[IMX_COV_RUN];
static imx_run_metric metric;

static void random_metric(void) {
    random_products(products);
    imx_run_metric_init(&metric, products, imx_run_belief);
    for (size_t i = 0; i < IMX_COV_RUN; ++i) {
        diagonal[i] = products[i * (i + 3) / 2];
    }
}

static void random_row(float row[N]) {
    for (int j = 0; j < N; ++j) {
        row[j] = (float)(0.02 * random_normal());
    }
}

// eᵀ H e.
static double loss_of(const float x[N], const float decoded[N]) {
    double loss = 0.0;
    for (int i = 0; i < N; ++i) {
        for (int j = 0; j < N; ++j) {
            loss +=
                (double)metric.h[i][j] * (double)(x[i] - decoded[i]) * (double)(x[j] - decoded[j]);
        }
    }
    return loss;
}

static double encoded_loss(const imx_encoder *encoder, const float row[N],
                           const imx_run_metric *metrics) {
    _Alignas(64) static uint8_t blocks[N * sizeof(float)];
    const imx_importance importance = {.kind = IMX_IMPORTANCE_DIAGONAL, .diagonal = diagonal};
    const imx_encode_options options = {.metrics = metrics};
    float decoded[N];
    encoder->encode_row(row, N, &importance, &options, blocks);
    imx_type_traits_of(encoder->type)->decode(blocks, decoded, N);
    return loss_of(row, decoded);
}

static double run_loss(const imx_run_coder *coder, const imx_coded_run *run, const float row[N]) {
    float decoded[N];
    coder->decode(run, &coder->shape, N, decoded);
    return loss_of(row, decoded);
}

// Twelve factors leave much to pay back with: without the first pass of feedback half of the loss
// would stay.
static void every_grid_gains(void **state) {
    (void)state;
    double sum_left = 0.0;
    float row[N];
    int n_types = 0;
    random_metric();
    for (uint32_t type = 0; type < MAX_TYPE; ++type) {
        const imx_encoder *encoder = imx_encoder_of(type);
        double without = 0.0;
        double with = 0.0;
        if (encoder == NULL || encoder->runs == NULL) {
            continue;
        }
        for (int r = 0; r < 4; ++r) {
            random_row(row);
            const double plain = encoded_loss(encoder, row, NULL);
            const double fed_back = encoded_loss(encoder, row, &metric);
            assert_true(fed_back <= plain);
            without += plain;
            with += fed_back;
        }
        if (with > 0.6 * without) {
            fail_msg("%s: %g of the loss is left", imx_type_name(type), with / without);
        }
        sum_left += with / without;
        ++n_types;
    }
    assert_int_equal(n_types, 12);
    assert_true(sum_left < 0.42 * n_types);
}

// Errors pushed anew from a result lead to another one, which is often worse.
static void a_good_coding_is_kept(void **state) {
    (void)state;
    enum { N_TIMES = 6 };
    const imx_run_coder *coder = imx_encoder_of(IMX_TYPE_Q4_K)->runs;
    const imx_importance importance = {.kind = IMX_IMPORTANCE_DIAGONAL, .diagonal = diagonal};
    const imx_encode_options options = {0};
    int n_kept = 0;
    random_metric();
    for (int r = 0; r < 4; ++r) {
        float row[N];
        imx_coded_run run;
        random_row(row);
        coder->choose(coder, row, 0, N, &importance, &options, &run);
        double loss = run_loss(coder, &run, row);
        for (int i = 0; i < N_TIMES; ++i) {
            const imx_coded_run before = run;
            coder->feed_back(&run, &coder->shape, row, &metric);
            const double next = run_loss(coder, &run, row);
            assert_true(next <= loss);
            n_kept += memcmp(&run, &before, sizeof run) == 0;
            loss = next;
        }
    }
    assert_true(n_kept > 0);
}

static void unknown_metric_changes_nothing(void **state) {
    (void)state;
    static imx_run_metric unknown;
    float row[N];
    random_metric();
    random_row(row);
    const imx_encoder *encoder = imx_encoder_of(IMX_TYPE_Q4_K);
    assert_true(encoded_loss(encoder, row, NULL) == encoded_loss(encoder, row, &unknown));
}

// ---- one run of few codes ----------------------------------------------------------------------

static const imx_run_shape shape = {.n_groups = 8,
                                    .group_len = 32,
                                    .n_halves = 8,
                                    .codes = {0, N_CODES - 1},
                                    .scales = {1, 1},
                                    .mins = {1, 1}};

// What a search that rounds to the nearest would give: values -1.5, -0.5, 0.5, 1.5.
static imx_coded_run round_run(const float x[N]) {
    imx_coded_run run = {0};
    for (int g = 0; g < shape.n_groups; ++g) {
        run.d[g] = imx_f16_from_f32(1.0f);
        run.dmin[g] = imx_f16_from_f32(1.5f);
        run.scales[g] = run.mins[g] = 1.0f;
    }
    for (int j = 0; j < N; ++j) {
        run.levels[j] = imx_clamp(imx_round(x[j] + 1.5f), shape.codes);
    }
    return run;
}

static float value_of(const imx_coded_run *run, int j, float level) {
    const int g = j / IMX_BLOCK_LEN;
    return imx_f16_to_f32(run->d[g]) * level - imx_f16_to_f32(run->dmin[g]);
}

static void decode_run(const imx_coded_run *run, float decoded[N]) {
    for (int j = 0; j < N; ++j) {
        decoded[j] = value_of(run, j, run->levels[j]);
    }
}

// Without correlations nothing is to be paid back: every weight has its nearest level.
static void uncorrelated_errors_stay_apart(void **state) {
    (void)state;
    float x[N];
    for (int i = 0, p = 0; i < N; ++i) {
        for (int j = 0; j <= i; ++j) {
            products[p++] = i == j ? 1.0f + (float)(i % 9) : 0.0f;
        }
        x[i] = (float)random_normal();
    }
    imx_run_metric_init(&metric, products, imx_run_belief);
    imx_coded_run run = round_run(x);
    imx_feed_back(&run, &shape, x, &metric);
    for (int j = 0; j < N; ++j) {
        for (int q = 0; q < N_CODES; ++q) {
            const float chosen = fabsf(x[j] - value_of(&run, j, run.levels[j]));
            assert_true(chosen <= fabsf(x[j] - value_of(&run, j, (float)q)) + 1e-5f);
        }
    }
}

// Six columns move together; all codes that they can have are tried on the grids chosen.
static double least_loss(const imx_coded_run *run, const float x[N]) {
    double least = HUGE_VAL;
    for (int choice = 0; choice < N_CHOICES; ++choice) {
        double e[N_LINKED];
        double loss = 0.0;
        for (int j = 0, digits = choice; j < N_LINKED; ++j, digits /= N_CODES) {
            e[j] = (double)(x[j] - value_of(run, j, (float)(digits % N_CODES)));
        }
        for (int i = 0; i < N_LINKED; ++i) {
            for (int j = 0; j < N_LINKED; ++j) {
                loss += (double)metric.h[i][j] * e[i] * e[j];
            }
        }
        least = loss < least ? loss : least;
    }
    return least;
}

static void often_finds_the_best_codes(void **state) {
    (void)state;
    enum { N_TRIALS = 40 };
    float x[N];
    float decoded[N];
    int n_best = 0;
    for (int i = 0, p = 0; i < N; ++i) {
        for (int j = 0; j <= i; ++j) {
            products[p++] = i == j ? 1.0f : i < N_LINKED ? 0.9f : 0.0f;
        }
    }
    imx_run_metric_init(&metric, products, imx_run_belief);
    for (int trial = 0; trial < N_TRIALS; ++trial) {
        for (int j = 0; j < N; ++j) {
            x[j] = (float)random_normal();
        }
        imx_coded_run run = round_run(x);
        imx_feed_back(&run, &shape, x, &metric);
        decode_run(&run, decoded);
        memcpy(decoded + N_LINKED, x + N_LINKED, (N - N_LINKED) * sizeof *x);
        const double best = least_loss(&run, x);
        const double found = loss_of(x, decoded);
        n_best += found <= best * (1.0 + 1e-4);
    }
    if (n_best < N_TRIALS / 2) {
        fail_msg("only %d of %d are the best", n_best, N_TRIALS);
    }
}

// Weights that lie on wider grids than those the search chose.
static void grids_are_fitted_again(void **state) {
    (void)state;
    static const imx_run_shape shapes[2] = {
        {.n_groups = 8,
         .group_len = 32,
         .n_halves = 8,
         .codes = {0, 3},
         .scales = {1, 1},
         .mins = {1, 1}},
        {.n_groups = 16,
         .group_len = 16,
         .n_halves = 1,
         .codes = {0, 3},
         .scales = {0, 63},
         .mins = {0, 63}},
    };
    random_metric();
    for (int s = 0; s < 2; ++s) {
        const float integer = s == 0 ? 1.0f : 40.0f;
        const int n_groups = shapes[s].n_groups;
        imx_coded_run run = {0};
        float x[N];
        float decoded[N];
        for (int g = 0; g < n_groups; ++g) {
            run.scales[g] = run.mins[g] = integer;
        }
        for (int h = 0; h < shapes[s].n_halves; ++h) {
            run.d[h] = imx_f16_from_f32(1.0f / integer);
            run.dmin[h] = imx_f16_from_f32(1.5f / integer);
        }
        for (int j = 0; j < N; ++j) {
            run.levels[j] = (float)(j * 7 % N_CODES);
            x[j] = 1.25f * (run.levels[j] - 1.5f) * (s == 1 && j < N / 2 ? 1.4f : 1.0f);
        }
        imx_feed_back(&run, &shapes[s], x, &metric);
        for (int j = 0; j < N; ++j) {
            const int g = j * n_groups / N;
            const int h = shapes[s].n_halves == 1 ? 0 : g;
            decoded[j] = imx_f16_to_f32(run.d[h]) * run.scales[g] * run.levels[j] -
                         imx_f16_to_f32(run.dmin[h]) * run.mins[g];
        }
        const float zeros[N] = {0};
        const double left = loss_of(x, decoded) / loss_of(x, zeros);
        if (left > 0.02) {
            fail_msg("shape %d: %g of the power is lost", s, left);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_grid_gains),
        cmocka_unit_test(unknown_metric_changes_nothing),
        cmocka_unit_test(uncorrelated_errors_stay_apart),
        cmocka_unit_test(often_finds_the_best_codes),
        cmocka_unit_test(grids_are_fitted_again),
        cmocka_unit_test(a_good_coding_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
