// SPDX-License-Identifier: MIT
//
// Every encoder gives the same bytes with every instruction set that this processor has, on
// ordinary rows and on rows made to part them: roundings that tie, overflow, underflow, zeros.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/tensor_type.h"
#include "quant/encode/encoder.h"
#include "random_products.h"

enum { N = 1024, N_RUNS = N / IMX_COV_RUN, N_BEST = 256, MAX_TYPE = 64 };

// ---- rows --------------------------------------------------------------------------------------

static float gaussian(int j) {
    (void)j;
    return (float)(0.02 * random_normal());
}

static float with_outliers(int j) {
    return gaussian(j) * (j % 61 == 0 ? 50.0f : 1.0f);
}

static float one_sided(int j) {
    return fabsf(gaussian(j));
}

static float with_ties(int j) {
    return (float)(j % 31 - 15) * 0.5f;
}

static float mostly_zero(int j) {
    return j % 300 < 100 || j % 7 != 0 ? 0.0f : gaussian(j);
}

static float subnormal_halves(int j) {
    return gaussian(j) * 0x1p-18f;
}

static float subnormal_floats(int j) {
    return gaussian(j) * 0x1p-125f;
}

static float beyond_halves(int j) {
    return gaussian(j) * 0x1p30f;
}

static float near_the_largest(int j) {
    return j % 2 == 0 ? 3.4e38f : gaussian(j) * 0x1p127f;
}

static float of_all_sizes(int j) {
    return ldexpf(gaussian(j), j / 32 % 60 - 30);
}

static const struct {
    const char *name;
    float (*weight)(int j);
} rows[] = {
    {"gaussian", gaussian},
    {"outliers", with_outliers},
    {"one-sided", one_sided},
    {"ties", with_ties},
    {"mostly zero", mostly_zero},
    {"subnormal halves", subnormal_halves},
    {"subnormal floats", subnormal_floats},
    {"beyond halves", beyond_halves},
    {"near the largest", near_the_largest},
    {"all sizes", of_all_sizes},
};
enum { N_ROWS = sizeof rows / sizeof *rows };

// ---- comparison --------------------------------------------------------------------------------

static void compare(uint32_t type, imx_isa isa, const char *name, const float row[N],
                    const imx_importance *importance, const imx_encode_options *options) {
    _Alignas(64) static uint8_t expected[N * sizeof(float)];
    _Alignas(64) static uint8_t blocks[N * sizeof(float)];
    const size_t n = options->effort == IMX_EFFORT_BEST ? N_BEST : N;
    const size_t n_bytes = (size_t)imx_type_row_bytes(type, n);
    memset(expected, 0xa5, n_bytes);
    memset(blocks, 0x5a, n_bytes);
    imx_encoder_for(type, IMX_ISA_PLAIN)->encode_row(row, n, importance, options, expected);
    imx_encoder_for(type, isa)->encode_row(row, n, importance, options, blocks);
    if (memcmp(expected, blocks, n_bytes) != 0) {
        fail_msg("%s of %s weights differs with %s, effort %d, importance %d, metrics %d",
                 imx_type_name(type), name, imx_isa_name(isa), (int)options->effort,
                 (int)importance->kind, options->metrics != NULL);
    }
}

// (N_RUNS), always the same.
static const imx_run_metric *random_metrics(void) {
    static imx_run_metric metrics[N_RUNS];
    static float products[IMX_COV_PAIRS];
    for (int i = 0; i < N_RUNS && !metrics[N_RUNS - 1].is_known; ++i) {
        random_products(products);
        imx_run_metric_init(&metrics[i], products, imx_run_belief);
    }
    return metrics;
}

static void compare_row(imx_isa isa, const char *name, const float row[N],
                        const imx_importance *importance, const imx_encode_options *options) {
    for (uint32_t type = 0; type < MAX_TYPE; ++type) {
        if (imx_encoder_for(type, IMX_ISA_PLAIN) != NULL) {
            compare(type, isa, name, row, importance, options);
        }
    }
}

// Feeds back twice from what the plain variant chose.
static void compare_feedback(uint32_t type, imx_isa isa, const char *name, const float row[N]) {
    const imx_importance uniform = {IMX_IMPORTANCE_UNIFORM, NULL};
    const imx_encode_options options = {0};
    const imx_run_coder *coders[2] = {imx_encoder_for(type, IMX_ISA_PLAIN)->runs,
                                      imx_encoder_for(type, isa)->runs};
    imx_coded_run runs[2];
    float decoded[2][IMX_COV_RUN];
    coders[0]->choose(coders[0], row, 0, IMX_COV_RUN, &uniform, &options, &runs[0]);
    runs[1] = runs[0];
    for (int v = 0; v < 2; ++v) {
        for (int i = 0; i < 2; ++i) {
            coders[v]->feed_back(&runs[v], &coders[v]->shape, row, random_metrics());
        }
        coders[v]->decode(&runs[v], &coders[v]->shape, IMX_COV_RUN, decoded[v]);
    }
    if (memcmp(&runs[0], &runs[1], sizeof runs[0]) != 0 ||
        memcmp(decoded[0], decoded[1], sizeof decoded[0]) != 0) {
        fail_msg("feedback of %s from %s weights differs with %s", imx_type_name(type), name,
                 imx_isa_name(isa));
    }
}

static void compare_feedbacks(imx_isa isa, const char *name, const float row[N]) {
    for (uint32_t type = 0; type < MAX_TYPE; ++type) {
        const imx_encoder *encoder = imx_encoder_for(type, IMX_ISA_PLAIN);
        if (encoder != NULL && encoder->runs != NULL) {
            compare_feedback(type, isa, name, row);
        }
    }
}

// Skips when the processor has only the plain variant.
static void compare_all(imx_effort effort) {
    float row[N];
    float diagonal[N];
    int n_compared = 0;
    const imx_encode_options fed_back = {.metrics = random_metrics()};
    for (int isa = IMX_ISA_PLAIN + 1; isa < IMX_ISA_COUNT; ++isa) {
        if (imx_encoder_for(IMX_TYPE_Q4_0, (imx_isa)isa) == NULL) {
            continue;
        }
        ++n_compared;
        for (int r = 0; r < N_ROWS; ++r) {
            for (int j = 0; j < N; ++j) {
                row[j] = rows[r].weight(j);
                diagonal[j] = j % 43 == 0 ? 0.0f : (float)exp(2.0 * random_normal());
            }
            const imx_importance importance[2] = {{IMX_IMPORTANCE_UNIFORM, NULL},
                                                  {IMX_IMPORTANCE_DIAGONAL, diagonal}};
            const imx_encode_options options = {.effort = effort};
            compare_row((imx_isa)isa, rows[r].name, row, &importance[r % 2], &options);
            if (effort == IMX_EFFORT_DEFAULT) {
                compare_row((imx_isa)isa, rows[r].name, row, &importance[1 - r % 2], &options);
                compare_row((imx_isa)isa, rows[r].name, row, &importance[1], &fed_back);
                compare_feedbacks((imx_isa)isa, rows[r].name, row);
            }
        }
    }
    if (n_compared == 0) {
        skip();
    }
}

static void all_sets_agree_by_default(void **state) {
    (void)state;
    compare_all(IMX_EFFORT_DEFAULT);
}

static void all_sets_agree_with_best_effort(void **state) {
    (void)state;
    compare_all(IMX_EFFORT_BEST);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_sets_agree_by_default),
        cmocka_unit_test(all_sets_agree_with_best_effort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
