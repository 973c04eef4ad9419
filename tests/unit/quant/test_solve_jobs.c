// SPDX-License-Identifier: MIT

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model_fixture.h"
#include "quant/solver/solve_jobs.h"
#include "random_covariance.h"

enum { N = 512, N_ROWS = 150, N_MATS = 2, MAX_JOBS = 3 };

// A tensor of two matrices, and what a sink got of each job.
typedef struct fixture {
    model_fixture *model;
    float *weights; // (N_MATS, N_ROWS, N)
    float importance[N];
    imx_plan_item items[MAX_JOBS];
    imx_solver_job jobs[MAX_JOBS];
    uint8_t *blocks[MAX_JOBS];
    uint64_t n_taken[MAX_JOBS];
    size_t n_jobs;
    uint64_t refuse_at; // a row
} fixture;

static fixture *fixture_open(const uint32_t *types, size_t n_types) {
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->model = model_open("llama", (model_numbers){1, 8, 8, 0});
    f->weights = malloc(N_MATS * N_ROWS * N * sizeof *f->weights);
    f->n_jobs = n_types;
    f->refuse_at = UINT64_MAX;
    random_state = 5;
    for (size_t i = 0; i < N_MATS * N_ROWS * N; ++i) {
        f->weights[i] = (float)(0.02 * random_normal());
    }
    model_add(f->model, "blk.0.ffn_up_exps.weight", IMX_TYPE_F32, N, N_ROWS, N_MATS);
    f->model->tensors[0].data = (const uint8_t *)f->weights;
    for (size_t i = 0; i < n_types; ++i) {
        f->items[i] = (imx_plan_item){.source = &f->model->tensors[0], .type = types[i]};
        f->jobs[i] = (imx_solver_job){.item = &f->items[i], .mat = 1, .importance = f->importance};
        f->blocks[i] = calloc(N_ROWS, imx_type_row_bytes(types[i], N));
    }
    return f;
}

static void fixture_close(fixture *f) {
    for (size_t i = 0; i < f->n_jobs; ++i) {
        free(f->blocks[i]);
    }
    model_close(f->model);
    free(f->weights);
    free(f);
}

static imx_status take(void *context, const imx_solver_job *job, uint64_t first_row,
                       uint64_t n_rows, const uint8_t *blocks, imx_error *err) {
    fixture *f = context;
    const size_t i = (size_t)(job - f->jobs);
    const size_t row_bytes = (size_t)imx_type_row_bytes(job->item->type, N);
    if (first_row >= f->refuse_at) {
        return imx_fail(err, IMX_ERR_IO, "refused");
    }
    assert_true(i < f->n_jobs);
    assert_int_equal(first_row, f->n_taken[i]);
    f->n_taken[i] += n_rows;
    assert_true(f->n_taken[i] <= N_ROWS);
    memcpy(f->blocks[i] + first_row * row_bytes, blocks, n_rows * row_bytes);
    return IMX_OK;
}

static imx_status solve(fixture *f, const imx_input_covariance *covariance, int n_threads,
                        imx_error *err) {
    const imx_solver_sink sink = {take, f};
    for (size_t j = 0; j < N; ++j) {
        f->importance[j] = covariance != NULL && covariance->run_len == N
                               ? (float)covariance_at(covariance->fitted, j, j)
                               : 1.0f;
    }
    memset(f->n_taken, 0, sizeof f->n_taken);
    return imx_solve_jobs(f->jobs, f->n_jobs, covariance, &f->model->gguf, n_threads, &sink, err);
}

static void solve_all(fixture *f, const imx_input_covariance *covariance, int n_threads) {
    assert_int_equal(solve(f, covariance, n_threads, NULL), IMX_OK);
    for (size_t i = 0; i < f->n_jobs; ++i) {
        assert_int_equal(f->n_taken[i], N_ROWS);
    }
}

// What matrix 1 of a job loses by a part of a covariance.
static double loss_of(const fixture *f, size_t i, const float *part) {
    const uint32_t type = f->items[i].type;
    double loss = 0.0;
    for (size_t r = 0; r < N_ROWS; ++r) {
        float e[N];
        imx_type_traits_of(type)->decode(f->blocks[i] + r * imx_type_row_bytes(type, N), e, N);
        for (size_t j = 0; j < N; ++j) {
            e[j] = f->weights[(N_ROWS + r) * N + j] - e[j];
        }
        loss += covariance_loss(part, e, N);
    }
    return loss;
}

static void encode_plainly(const fixture *f, size_t i, uint8_t *blocks) {
    const uint32_t type = f->items[i].type;
    const imx_importance importance = {IMX_IMPORTANCE_DIAGONAL, f->importance};
    const imx_encode_options options = {0};
    for (size_t r = 0; r < N_ROWS; ++r) {
        imx_encoder_of(type)->encode_row(f->weights + (N_ROWS + r) * N, N, &importance, &options,
                                         blocks + r * imx_type_row_bytes(type, N));
    }
}

static void assert_plain(const fixture *f, size_t i) {
    const size_t n_bytes = N_ROWS * (size_t)imx_type_row_bytes(f->items[i].type, N);
    uint8_t *expected = calloc(1, n_bytes);
    encode_plainly(f, i, expected);
    assert_memory_equal(f->blocks[i], expected, n_bytes);
    assert_int_equal(f->jobs[i].reach, IMX_REACH_COLUMN);
    assert_true(f->jobs[i].gain == 1.0);
    free(expected);
}

// ---- the ladder --------------------------------------------------------------------------------

static void each_rung_has_its_reason(void **state) {
    (void)state;
    static const struct {
        uint32_t type;
        bool is_seen;
        size_t run_len;
        double n_tokens;
        imx_solver_reach reach;
        imx_solver_reason reason;
    } rungs[] = {
        {IMX_TYPE_Q4_K, true, N, 2.0 * N, IMX_REACH_ROW, IMX_REASON_NONE},
        {IMX_TYPE_Q4_K, true, N, 2.0 * N - 1.0, IMX_REACH_RUN, IMX_REASON_FEW_TOKENS},
        {IMX_TYPE_Q4_K, true, IMX_COV_RUN, 1e6, IMX_REACH_RUN, IMX_REASON_MEMORY},
        {IMX_TYPE_Q4_K, true, N, 512.0, IMX_REACH_RUN, IMX_REASON_FEW_TOKENS},
        {IMX_TYPE_Q4_K, true, N, 511.0, IMX_REACH_COLUMN, IMX_REASON_FEW_TOKENS},
        {IMX_TYPE_Q4_K, false, N, 1e6, IMX_REACH_COLUMN, IMX_REASON_UNSEEN},
        {IMX_TYPE_TQ2_0, true, N, 1e6, IMX_REACH_COLUMN, IMX_REASON_TYPE},
        {IMX_TYPE_F16, false, N, 1e6, IMX_REACH_COLUMN, IMX_REASON_TYPE},
    };
    for (size_t i = 0; i < sizeof rungs / sizeof *rungs; ++i) {
        fixture *f = fixture_open(&rungs[i].type, 1);
        imx_input_covariance covariance = random_covariance(N, rungs[i].run_len, 1.0);
        covariance.n_fitted = rungs[i].n_tokens * 0.75;
        covariance.n_held_out = rungs[i].n_tokens * 0.25;
        solve_all(f, rungs[i].is_seen ? &covariance : NULL, 2);
        if (f->jobs[0].reach != rungs[i].reach || f->jobs[0].reason != rungs[i].reason) {
            fail_msg("rung %zu: reach %d for reason %d", i, (int)f->jobs[0].reach,
                     (int)f->jobs[0].reason);
        }
        if (rungs[i].reach == IMX_REACH_COLUMN) {
            assert_plain(f, 0);
        } else {
            assert_true(f->jobs[0].gain < 0.7 && f->jobs[0].damping > 0.0);
        }
        fixture_close(f);
        free((float *)covariance.fitted);
    }
}

static void inputs_of_zeros_are_unseen(void **state) {
    (void)state;
    const uint32_t type = IMX_TYPE_Q4_K;
    fixture *f = fixture_open(&type, 1);
    imx_input_covariance covariance = random_covariance(N, N, 1.0);
    memset((float *)covariance.fitted, 0, covariance_pairs(N, N) * sizeof(float));
    solve_all(f, &covariance, 1);
    assert_int_equal(f->jobs[0].reason, IMX_REASON_UNSEEN);
    assert_plain(f, 0);
    fixture_close(f);
    free((float *)covariance.fitted);
}

// ---- the choice --------------------------------------------------------------------------------

static void rows_gain_most(void **state) {
    (void)state;
    static const uint32_t types[MAX_JOBS] = {IMX_TYPE_Q4_K, IMX_TYPE_TQ2_0, IMX_TYPE_Q2_K};
    fixture *f = fixture_open(types, MAX_JOBS);
    const imx_input_covariance covariance = random_covariance(N, N, 1.0);
    solve_all(f, &covariance, 2);
    assert_plain(f, 1);
    for (size_t i = 0; i < MAX_JOBS; i += 2) {
        const double loss = loss_of(f, i, covariance.held_out);
        const imx_tensor_loss reported = f->jobs[i].loss;
        assert_int_equal(f->jobs[i].reach, IMX_REACH_ROW);
        encode_plainly(f, i, f->blocks[i]);
        const double gain = loss / loss_of(f, i, covariance.held_out);
        assert_true(gain < 0.4);
        assert_true(fabs(gain - f->jobs[i].gain) < 0.1 * gain);
        assert_true(reported.squared_error > 0.0 && reported.weighted_power > 0.0);
    }
    fixture_close(f);
    free((float *)covariance.fitted);
}

static void nothing_held_out_is_trusted(void **state) {
    (void)state;
    const uint32_t type = IMX_TYPE_Q4_K;
    fixture *f = fixture_open(&type, 1);
    imx_input_covariance covariance = random_covariance(N, N, 1.0);
    float *none = calloc(covariance_pairs(N, N), sizeof *none);
    covariance.held_out = none;
    covariance.n_held_out = 0.0;
    solve_all(f, &covariance, 1);
    assert_int_equal(f->jobs[0].reach, IMX_REACH_ROW);
    assert_int_equal(f->jobs[0].reason, IMX_REASON_NONE);
    assert_true(f->jobs[0].gain == 1.0);
    const double loss = loss_of(f, 0, covariance.fitted);
    encode_plainly(f, 0, f->blocks[0]);
    assert_true(loss < 0.4 * loss_of(f, 0, covariance.fitted));
    fixture_close(f);
    free(none);
    free((float *)covariance.fitted);
}

// Chunks that tell of correlations which those held out have not.
static void false_correlations_are_found_out(void **state) {
    (void)state;
    static const struct {
        double link_within; // of what was held out: within super-blocks
        double link_between;
        imx_solver_reach reach;
    } cases[] = {
        {0.0, 0.0, IMX_REACH_COLUMN},
        {1.0, 0.0, IMX_REACH_RUN},
        {1.0, 1.0, IMX_REACH_ROW},
    };
    const uint32_t type = IMX_TYPE_Q4_K;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        fixture *f = fixture_open(&type, 1);
        imx_input_covariance covariance = random_covariance(N, N, 1.0);
        float *held_out = calloc(covariance_pairs(N, N), sizeof *held_out);
        for (size_t r = 0, p = 0; r < N; ++r) {
            for (size_t j = 0; j <= r; ++j, ++p) {
                const bool is_within = r / IMX_COV_RUN == j / IMX_COV_RUN;
                const double link = r == j      ? 1.0
                                    : is_within ? cases[i].link_within
                                                : cases[i].link_between;
                held_out[p] = (float)(link * (double)covariance.fitted[p]);
            }
        }
        covariance.held_out = held_out;
        solve_all(f, &covariance, 2);
        if (f->jobs[0].reach != cases[i].reach) {
            fail_msg("case %zu: reach %d", i, (int)f->jobs[0].reach);
        }
        assert_int_equal(f->jobs[0].reason,
                         cases[i].reach == IMX_REACH_ROW ? IMX_REASON_NONE : IMX_REASON_HELD_OUT);
        if (cases[i].reach == IMX_REACH_COLUMN) {
            assert_plain(f, 0);
        }
        fixture_close(f);
        free(held_out);
        free((float *)covariance.fitted);
    }
}

// The parts together are what all rows are coded by: here correlations between super-blocks, of
// which only the chunks held out tell.
static void all_chunks_are_used_in_the_end(void **state) {
    (void)state;
    const uint32_t type = IMX_TYPE_Q4_K;
    fixture *f = fixture_open(&type, 1);
    random_state = 7;
    imx_input_covariance covariance = random_covariance(N, N, 0.0);
    random_state = 7;
    float *held_out = random_covariance_part(N, N, 1.0);
    for (size_t p = 0; p < covariance_pairs(N, N); ++p) {
        held_out[p] *= 100.0f;
    }
    covariance.held_out = held_out;
    solve_all(f, &covariance, 1);
    const double loss = loss_of(f, 0, held_out);
    encode_plainly(f, 0, f->blocks[0]);
    const double gain = loss / loss_of(f, 0, held_out);
    if (f->jobs[0].reach != IMX_REACH_ROW || gain > 0.9 * f->jobs[0].gain) {
        fail_msg("reach %d, gain %g of all rows, %g of the sample", (int)f->jobs[0].reach, gain,
                 f->jobs[0].gain);
    }
    fixture_close(f);
    free(held_out);
    free((float *)covariance.fitted);
}

// Nothing is to be seen in the first half.
static void samples_are_spread(void **state) {
    (void)state;
    const uint32_t type = IMX_TYPE_Q4_K;
    const imx_input_covariance covariance = random_covariance(N, N, 1.0);
    fixture *f = fixture_open(&type, 1);
    memset(f->weights + N_ROWS * N, 0, N_ROWS / 2 * N * sizeof *f->weights);
    solve_all(f, &covariance, 1);
    assert_int_equal(f->jobs[0].reach, IMX_REACH_ROW);
    fixture_close(f);
    free((float *)covariance.fitted);
}

// ---- rows --------------------------------------------------------------------------------------

static void threads_do_not_show(void **state) {
    (void)state;
    static const uint32_t types[] = {IMX_TYPE_Q4_K, IMX_TYPE_Q3_K};
    const imx_input_covariance covariance = random_covariance(N, N, 1.0);
    fixture *one = fixture_open(types, 2);
    solve_all(one, &covariance, 1);
    for (int n_threads = 2; n_threads <= 3; ++n_threads) {
        fixture *many = fixture_open(types, 2);
        solve_all(many, &covariance, n_threads);
        for (size_t i = 0; i < 2; ++i) {
            assert_memory_equal(one->blocks[i], many->blocks[i],
                                N_ROWS * (size_t)imx_type_row_bytes(types[i], N));
            assert_memory_equal(&one->jobs[i].loss, &many->jobs[i].loss, sizeof(imx_tensor_loss));
            assert_true(one->jobs[i].gain == many->jobs[i].gain);
            assert_true(one->jobs[i].damping == many->jobs[i].damping);
        }
        fixture_close(many);
    }
    fixture_close(one);
    free((float *)covariance.fitted);
}

static void bad_rows_are_named(void **state) {
    (void)state;
    const uint32_t type = IMX_TYPE_Q4_K;
    const imx_input_covariance covariance = random_covariance(N, N, 1.0);
    for (int is_seen = 0; is_seen <= 1; ++is_seen) {
        fixture *f = fixture_open(&type, 1);
        imx_error err;
        f->weights[(N_ROWS + 130) * N + 7] = NAN;
        f->weights[(N_ROWS + 66) * N + 500] = INFINITY;
        f->weights[3 * N] = NAN; // of another matrix
        assert_int_equal(solve(f, is_seen ? &covariance : NULL, 3, &err), IMX_ERR_FORMAT);
        assert_non_null(
            strstr(err.message, "model.gguf: tensor blk.0.ffn_up_exps.weight, row 216 "));
        fixture_close(f);
    }
    free((float *)covariance.fitted);
}

static void a_sink_may_refuse(void **state) {
    (void)state;
    const uint32_t type = IMX_TYPE_Q4_K;
    fixture *f = fixture_open(&type, 1);
    imx_error err;
    f->refuse_at = 0;
    assert_int_equal(solve(f, NULL, 1, &err), IMX_ERR_IO);
    assert_string_equal(err.message, "refused");
    fixture_close(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rung_has_its_reason),
        cmocka_unit_test(inputs_of_zeros_are_unseen),
        cmocka_unit_test(rows_gain_most),
        cmocka_unit_test(nothing_held_out_is_trusted),
        cmocka_unit_test(false_correlations_are_found_out),
        cmocka_unit_test(all_chunks_are_used_in_the_end),
        cmocka_unit_test(samples_are_spread),
        cmocka_unit_test(threads_do_not_show),
        cmocka_unit_test(bad_rows_are_named),
        cmocka_unit_test(a_sink_may_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
