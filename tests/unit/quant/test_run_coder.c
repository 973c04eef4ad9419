// SPDX-License-Identifier: MIT

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/tensor_type.h"
#include "quant/encode/encoder.h"
#include "random_products.h"
#include "random_run.h"

enum { MAX_TYPE = 64, N = IMX_COV_RUN, N_TYPES = 12 };

// Calls `check` for every type with grids.
static void for_all_types(void (*check)(const imx_encoder *encoder)) {
    int n_types = 0;
    for (uint32_t type = 0; type < MAX_TYPE; ++type) {
        const imx_encoder *encoder = imx_encoder_of(type);
        if (encoder != NULL && encoder->runs != NULL) {
            check(encoder);
            ++n_types;
        }
    }
    assert_int_equal(n_types, N_TYPES);
}

// The least number of weights that the type can pack.
static size_t block_len(const imx_encoder *encoder) {
    return (size_t)(N / encoder->runs->shape.n_halves);
}

static void check_shape(const imx_encoder *encoder) {
    const imx_run_coder *coder = encoder->runs;
    assert_int_equal(coder->shape.n_groups * coder->shape.group_len, N);
    assert_true(coder->shape.n_halves == 1 || coder->shape.n_halves == coder->shape.n_groups);
    assert_int_equal(coder->run_bytes, imx_type_row_bytes(encoder->type, N));
}

static void shapes_cover_a_run(void **state) {
    (void)state;
    for_all_types(check_shape);
}

// ---- decoding ----------------------------------------------------------------------------------

static void check_decoding_of(const imx_encoder *encoder, const imx_coded_run *run, size_t n) {
    _Alignas(64) uint8_t blocks[N * sizeof(float)];
    float expected[N];
    float decoded[N];
    encoder->runs->pack(run, n, blocks);
    imx_type_traits_of(encoder->type)->decode(blocks, expected, n);
    encoder->runs->decode(run, &encoder->runs->shape, n, decoded);
    if (memcmp(decoded, expected, n * sizeof *decoded) != 0) {
        fail_msg("%s: %zu weights differ from what the blocks decode to",
                 imx_type_name(encoder->type), n);
    }
}

static void check_decoding(const imx_encoder *encoder) {
    for (int i = 0; i < 50; ++i) {
        imx_coded_run run;
        random_run(&encoder->runs->shape, &run);
        check_decoding_of(encoder, &run, N);
        check_decoding_of(encoder, &run, block_len(encoder));
        memset(run.d, 0, sizeof run.d);
        check_decoding_of(encoder, &run, N);
    }
}

static void decodes_as_the_blocks_do(void **state) {
    (void)state;
    random_state = 5;
    for_all_types(check_decoding);
}

// ---- choosing ----------------------------------------------------------------------------------

static void check_steps(const imx_encoder *encoder) {
    static imx_run_metric metrics[2];
    static float products[IMX_COV_PAIRS];
    _Alignas(64) uint8_t expected[3 * N * sizeof(float)];
    _Alignas(64) uint8_t blocks[3 * N * sizeof(float)];
    const imx_importance uniform = {IMX_IMPORTANCE_UNIFORM, NULL};
    const imx_encode_options options = {.metrics = metrics};
    const imx_run_coder *coder = encoder->runs;
    const size_t n_cols = 2 * N + block_len(encoder) % N;
    float row[3 * N];
    for (size_t j = 0; j < n_cols; ++j) {
        row[j] = j / 32 == 9 ? 0.0f : (float)(0.02 * random_normal()); // a block of zeros
    }
    for (int i = 0; i < 2; ++i) {
        random_products(products);
        imx_run_metric_init(&metrics[i], products, imx_run_belief);
    }
    encoder->encode_row(row, n_cols, &uniform, &options, expected);
    for (size_t first = 0; first < n_cols; first += N) {
        const size_t n = n_cols - first < N ? n_cols - first : N;
        imx_coded_run run;
        coder->choose(coder, row, first, n, &uniform, &options, &run);
        for (size_t j = n; j < N; ++j) {
            assert_true(run.levels[j] == 0.0f);
        }
        if (n == N) {
            coder->feed_back(&run, &coder->shape, row + first, &metrics[first / N]);
        }
        coder->pack(&run, n, blocks + first / N * coder->run_bytes);
    }
    assert_memory_equal(blocks, expected, imx_type_row_bytes(encoder->type, n_cols));
}

static void steps_make_the_encoder(void **state) {
    (void)state;
    for_all_types(check_steps);
}

static void check_zeros(const imx_encoder *encoder) {
    const imx_importance uniform = {IMX_IMPORTANCE_UNIFORM, NULL};
    const imx_encode_options options = {0};
    const float zeros[N] = {0};
    float decoded[N];
    imx_coded_run run;
    encoder->runs->choose(encoder->runs, zeros, 0, N, &uniform, &options, &run);
    check_decoding_of(encoder, &run, N);
    encoder->runs->decode(&run, &encoder->runs->shape, N, decoded);
    for (int j = 0; j < N; ++j) {
        assert_true(decoded[j] == 0.0f);
    }
}

static void zeros_stay_zeros(void **state) {
    (void)state;
    for_all_types(check_zeros);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_cover_a_run),
        cmocka_unit_test(decodes_as_the_blocks_do),
        cmocka_unit_test(steps_make_the_encoder),
        cmocka_unit_test(zeros_stay_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
