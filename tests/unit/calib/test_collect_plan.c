// SPDX-License-Identifier: MIT
//
// The plan of a collection: what shrinks as memory gets short, in which order, and where it ends.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calib/forward/walk.h"
#include "calib/statistics/collect_plan.h"
#include "formats/importance.h"
#include "tiny_model.h"

enum { N_TOKENS = 10000, N_CTX = 100, RESIDENT = 5000000 };

typedef struct fixture {
    imx_model *model;
    imx_corpus corpus;
    uint64_t stream_bytes;
} fixture;

static fixture shared;

static imx_collect_demand make_demand(uint64_t limit_bytes) {
    return (imx_collect_demand){
        .model = shared.model,
        .corpus = &shared.corpus,
        .n_threads = 2,
        .may_use_scratch = true,
        .resident_bytes = RESIDENT,
        .limit_bytes = limit_bytes,
    };
}

static imx_collect_plan make_plan(imx_collect_demand demand) {
    imx_collect_plan plan;
    imx_error err;
    if (imx_collect_plan_make(&plan, &demand, &err) != IMX_OK) {
        fail_msg("%s", err.message);
    }
    return plan;
}

// Eight distinct inputs, of one run of 256 columns each, in two layers.
static void test_products_of_columns_are_counted(void **state) {
    (void)state;
    tiny_model wide = tiny_default;
    wide.n_embd = 256;
    wide.n_ff = 300;
    imx_model *model = tiny_open(&wide);
    imx_collect_demand demand = make_demand(0);
    demand.model = model;
    const uint64_t without = make_plan(demand).memory_bytes;
    demand.covariance = true;
    const uint64_t with = make_plan(demand).memory_bytes;
    assert_true(with >= without + 8 * IMX_COV_PAIRS * sizeof(float));
    assert_true(with <= without + 8 * IMX_COV_PAIRS * (sizeof(float) + 2));
    imx_model_close(model);
}

static void test_memory_shrinks_in_order(void **state) {
    (void)state;
    const imx_collect_plan all = make_plan(make_demand(0));
    assert_true(all.memory_bytes > RESIDENT + shared.stream_bytes);
    assert_int_equal(all.scratch_bytes, 0);
    assert_true(all.read_ahead);
    // First the next layer is no longer read ahead,
    const imx_collect_plan exact = make_plan(make_demand(all.memory_bytes));
    assert_int_equal(exact.memory_bytes, all.memory_bytes);
    assert_int_equal(exact.scratch_bytes, 0);
    assert_false(exact.read_ahead);
    // then the stream goes to a file, which leaves room for the layer again,
    const imx_collect_plan less = make_plan(make_demand(all.memory_bytes - 1));
    assert_int_equal(less.scratch_bytes, shared.stream_bytes);
    assert_true(less.memory_bytes < all.memory_bytes);
    assert_true(less.memory_bytes > all.memory_bytes - shared.stream_bytes);
    assert_true(less.read_ahead);
    // and then there is nothing left to give.
    const imx_collect_plan least = make_plan(make_demand(less.memory_bytes));
    assert_false(least.read_ahead);
    imx_collect_demand demand = make_demand(less.memory_bytes - 1);
    imx_collect_plan plan;
    imx_error err;
    assert_int_equal(imx_collect_plan_make(&plan, &demand, &err), IMX_ERR_MEMORY);
    assert_non_null(strstr(err.message, "--memory"));
}

static void test_without_a_file(void **state) {
    (void)state;
    imx_collect_demand demand = make_demand(make_plan(make_demand(0)).memory_bytes - 1);
    imx_collect_plan plan;
    imx_error err;
    demand.may_use_scratch = false;
    assert_int_equal(imx_collect_plan_make(&plan, &demand, &err), IMX_ERR_MEMORY);
}

// What is asked for is counted: the head, its input's statistics, threads, what is there already.
static void test_demands_count(void **state) {
    (void)state;
    const uint64_t plain = make_plan(make_demand(0)).memory_bytes;
    imx_collect_demand demand = make_demand(0);
    demand.process_output = true;
    assert_int_equal(make_plan(demand).memory_bytes, plain + 3 * 8 * tiny_default.n_embd);
    demand = make_demand(0);
    demand.resident_bytes += 1000;
    assert_int_equal(make_plan(demand).memory_bytes, plain + 1000);
    demand = make_demand(0);
    demand.n_threads = 4;
    assert_true(make_plan(demand).memory_bytes > plain);
}

// What is wanted comes before the stream, and before reading ahead; it may get less.
static void test_what_is_wanted(void **state) {
    (void)state;
    enum { WANTED = 7000 };
    const uint64_t plain = make_plan(make_demand(0)).memory_bytes;
    imx_collect_demand demand = make_demand(0);
    demand.wanted_bytes = WANTED;
    assert_int_equal(make_plan(demand).granted_bytes, WANTED);
    assert_int_equal(make_plan(demand).memory_bytes, plain + WANTED);
    demand.limit_bytes = plain + WANTED;
    assert_int_equal(make_plan(demand).scratch_bytes, 0);
    assert_false(make_plan(demand).read_ahead);
    --demand.limit_bytes;
    assert_int_equal(make_plan(demand).granted_bytes, WANTED);
    assert_int_equal(make_plan(demand).scratch_bytes, shared.stream_bytes);
    demand.may_use_scratch = false;
    assert_int_equal(make_plan(demand).granted_bytes, WANTED - 1);
    demand.limit_bytes = plain;
    assert_int_equal(make_plan(demand).granted_bytes, 0);
}

// A layer that is passed twice needs a block once more.
static void test_what_a_hook_takes(void **state) {
    (void)state;
    enum { EXTRA = 1 << 20 };
    const uint64_t plain = make_plan(make_demand(0)).memory_bytes;
    const uint64_t block_bytes = imx_walk_block_rows(shared.model, &shared.corpus) *
                                 imx_model_n_embd(shared.model) * sizeof(float);
    imx_collect_demand demand = make_demand(0);
    demand.passes_twice = true;
    assert_int_equal(make_plan(demand).memory_bytes, plain + block_bytes);
    demand.extra_bytes = EXTRA;
    assert_int_equal(make_plan(demand).memory_bytes, plain + block_bytes + EXTRA);
}

static int open_shared(void **state) {
    (void)state;
    shared.model = tiny_open(&tiny_default);
    shared.corpus = tiny_corpus(N_TOKENS, N_CTX, tiny_default.n_vocab);
    shared.stream_bytes = (uint64_t)N_TOKENS * tiny_default.n_embd * sizeof(float);
    return 0;
}

static int close_shared(void **state) {
    (void)state;
    imx_model_close(shared.model);
    tiny_corpus_free(&shared.corpus);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products_of_columns_are_counted),
        cmocka_unit_test(test_memory_shrinks_in_order),
        cmocka_unit_test(test_without_a_file),
        cmocka_unit_test(test_demands_count),
        cmocka_unit_test(test_what_is_wanted),
        cmocka_unit_test(test_what_a_hook_takes),
    };
    return cmocka_run_group_tests(tests, open_shared, close_shared);
}
