// SPDX-License-Identifier: MIT
//
// Descent to where no step of a run gains.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/tensor_type.h"
#include "quant/encode/encoder.h"
#include "random_products.h"

enum { MAX_TYPE = 64, N = IMX_COV_RUN, MAX_CALLS = 100 };

static imx_run_metric metric;

// A run as its type's search codes it.
typedef struct fixture {
    const imx_run_coder *coder;
    float x[N];
    imx_coded_run run;
} fixture;

static void random_metric(void) {
    static float products[IMX_COV_PAIRS];
    random_products(products);
    imx_run_metric_init(&metric, products, imx_run_belief);
}

static void random_fixture(const imx_run_coder *coder, fixture *f) {
    const imx_importance uniform = {IMX_IMPORTANCE_UNIFORM, NULL};
    const imx_encode_options options = {0};
    f->coder = coder;
    for (int j = 0; j < N; ++j) {
        f->x[j] = (float)(0.02 * random_normal());
    }
    coder->choose(coder, f->x, 0, N, &uniform, &options, &f->run);
}

// Returns whether anything moved.
static bool descend(fixture *f) {
    const imx_coded_run before = f->run;
    f->coder->feed_back(&f->run, &f->coder->shape, f->x, &metric);
    return memcmp(&before, &f->run, sizeof before) != 0;
}

// The slope H e, and eᵀ H e.
static double measure(const fixture *f, double slope[N]) {
    float decoded[N];
    double loss = 0.0;
    f->coder->decode(&f->run, &f->coder->shape, N, decoded);
    for (int i = 0; i < N; ++i) {
        slope[i] = 0.0;
        for (int j = 0; j < N; ++j) {
            slope[i] += (double)metric.h[i][j] * (double)(f->x[j] - decoded[j]);
        }
    }
    for (int i = 0; i < N; ++i) {
        loss += (double)(f->x[i] - decoded[i]) * slope[i];
    }
    return loss;
}

// ---- every type --------------------------------------------------------------------------------

static void check_is_still(const fixture *f, const char *name) {
    static const float steps[2] = {-1.0f, 1.0f};
    const imx_run_shape *shape = &f->coder->shape;
    double slope[N];
    measure(f, slope);
    for (int j = 0; j < N && shape->values == NULL; ++j) {
        const int g = j / shape->group_len;
        const float d = imx_f16_to_f32(f->run.d[shape->n_halves == 1 ? 0 : g]);
        for (int s = 0; s < 2; ++s) {
            const float level = f->run.levels[j] + steps[s];
            const double delta = (double)(d * f->run.scales[g] * steps[s]);
            const double change = delta * ((double)metric.h[j][j] * delta - 2.0 * slope[j]);
            if (level == imx_clamp(level, shape->codes) && change < -1e-4 * delta * delta) {
                fail_msg("%s: another level of weight %d is better", name, j);
            }
        }
    }
}

static float false_step(const fixture *f, int j) {
    return f->run.levels[j] < f->coder->shape.codes.highest ? 1.0f : -1.0f;
}

// Errors pushed anew lead elsewhere, and seldom to anything better: what pays the least of all
// false steps back is a descent.
static void check_pays_back(fixture *f, const char *name) {
    double slope[N];
    double least = HUGE_VAL;
    int weight = 0;
    for (int j = 0; j < N; ++j) {
        fixture other = *f;
        other.run.levels[j] += false_step(f, j);
        const double loss = measure(&other, slope);
        weight = loss < least ? j : weight;
        least = loss < least ? loss : least;
    }
    f->run.levels[weight] += false_step(f, weight);
    if (f->coder->shape.values == NULL && (!descend(f) || measure(f, slope) >= least)) {
        fail_msg("%s: a false step stays", name);
    }
}

static void descends(const imx_encoder *encoder) {
    const char *name = imx_type_name(encoder->type);
    double slope[N];
    fixture f;
    random_fixture(encoder->runs, &f);
    double loss = measure(&f, slope);
    int n_calls = 0;
    for (bool moved = true; moved && n_calls < MAX_CALLS; ++n_calls) {
        moved = descend(&f);
        const double next = measure(&f, slope);
        assert_true(moved ? next < loss : next == loss);
        loss = next;
    }
    assert_in_range(n_calls, 2, MAX_CALLS - 1);
    check_is_still(&f, name);
    check_pays_back(&f, name);
}

static void every_grid_descends_until_it_is_still(void **state) {
    (void)state;
    random_metric();
    for (uint32_t type = 0; type < MAX_TYPE; ++type) {
        const imx_encoder *encoder = imx_encoder_of(type);
        if (encoder != NULL && encoder->runs != NULL) {
            descends(encoder);
        }
    }
}

// ---- guards ------------------------------------------------------------------------------------

// Steps three times too long, as by a cost that is wrong, lead up instead of down.
static void what_is_not_lower_is_left(void **state) {
    (void)state;
    fixture f;
    random_metric();
    random_fixture(imx_encoder_of(IMX_TYPE_Q6_K)->runs, &f);
    for (int j = 0; j < N; ++j) {
        metric.cost[j] *= 3.0f;
    }
    const imx_coded_run before = f.run;
    assert_false(descend(&f));
    assert_memory_equal(&before, &f.run, sizeof before);
}

static void unknown_metric_and_zeros_are_left(void **state) {
    (void)state;
    fixture f;
    random_metric();
    random_fixture(imx_encoder_of(IMX_TYPE_Q4_0)->runs, &f);
    const imx_coded_run before = f.run;
    metric.is_known = false;
    assert_false(descend(&f));
    metric.is_known = true;
    memset(f.x, 0, sizeof f.x);
    assert_false(descend(&f));
    assert_memory_equal(&before, &f.run, sizeof before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_grid_descends_until_it_is_still),
        cmocka_unit_test(what_is_not_lower_is_left),
        cmocka_unit_test(unknown_metric_and_zeros_are_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
