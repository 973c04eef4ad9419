// SPDX-License-Identifier: MIT
//
// Layers left out, and the files that a model is written to.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model_fixture.h"
#include "plan_fixture.h"

// ---- layers ------------------------------------------------------------------------------------

static void layers_move_up(void **state) {
    (void)state;
    static const char *const names[] = {"blk.10.attn_q.weight"};
    static const imx_type_override overrides[] = {{"blk\\.8\\.ffn_up", IMX_TYPE_Q8_0}};
    static const uint32_t pruned[] = {9, 3};
    model_fixture *model = model_open_llama();
    model_add(model, "blk.5", IMX_TYPE_F32, 256, 1, 1); // no layer's
    imx_imatrix *imatrix = imatrix_with_all(names, 1);
    imx_plan_options options = options_of("Q4_K_M");
    options.imatrix = imatrix;
    options.pruned_layers = pruned;
    options.n_pruned = 2;
    options.overrides = overrides; // names of the new file
    options.n_overrides = 1;
    imx_plan *plan = plan_with(&model->gguf, &options);
    assert_int_equal(plan->n_layers, 14);
    assert_int_equal(plan->n_items, model->gguf.n_tensors - 10);
    assert_null(find_item(plan, "blk.9.attn_q.weight"));
    assert_string_equal(find_item(plan, "blk.2.attn_q.weight")->name, "blk.2.attn_q.weight");
    assert_string_equal(find_item(plan, "blk.4.attn_q.weight")->name, "blk.3.attn_q.weight");
    assert_string_equal(find_item(plan, "blk.10.attn_q.weight")->name, "blk.8.attn_q.weight");
    assert_string_equal(find_item(plan, "output.weight")->name, "output.weight");
    assert_string_equal(find_item(plan, "blk.5")->name, "blk.5");
    assert_non_null(find_item(plan, "blk.10.attn_q.weight")->statistics);
    assert_type(plan, "blk.10.ffn_up.weight", "Q8_0");

    // As of a model of 14 layers: 0, 3, 6, 9 and from 12 on have more bits.
    static const char expected[] = "x..x..x..x..xx";
    for (size_t i = 0; i < plan->n_items; ++i) {
        unsigned layer;
        if (sscanf(plan->items[i].name, "blk.%u.ffn_down", &layer) == 1 &&
            strstr(plan->items[i].name, "ffn_down") != NULL) {
            assert_int_equal(plan->items[i].type,
                             expected[layer] == 'x' ? IMX_TYPE_Q6_K : IMX_TYPE_Q4_K);
        }
    }
    imx_plan_free(plan);
    imx_imatrix_free(imatrix);
    model_close(model);
}

static void layers_that_cannot_be_pruned(void **state) {
    (void)state;
    static const struct {
        uint32_t layers[2];
        size_t n;
        const char *words;
    } rows[] = {
        {{2}, 1, "has 2 layers"},
        {{1, 1}, 2, "twice"},
        {{0, 1}, 2, "leave at least one"},
    };
    model_fixture *model = model_open("llama", (model_numbers){2, 8, 8, 0});
    model_add_layer(model, 0, "attn_q.weight", 256);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        imx_plan_options options = options_of("Q4_K_M");
        options.pruned_layers = rows[i].layers;
        options.n_pruned = rows[i].n;
        assert_refused(&model->gguf, &options, IMX_ERR_ARGUMENT, rows[i].words);
    }
    model_close(model);
}

// ---- shards ------------------------------------------------------------------------------------

static void assert_shards(const imx_plan *plan, const size_t *n_items, size_t n_shards) {
    assert_int_equal(plan->n_shards, n_shards);
    uint64_t total = 0;
    size_t first = 0;
    for (size_t s = 0; s < n_shards; ++s) {
        const imx_plan_shard *shard = &plan->shards[s];
        uint64_t offset = 0;
        assert_int_equal(shard->first_item, first);
        assert_int_equal(shard->n_items, n_items[s]);
        for (size_t i = first; i < first + shard->n_items; ++i) {
            assert_int_equal(plan->items[i].offset, offset);
            offset += (plan->items[i].size_bytes + 31) / 32 * 32;
        }
        assert_int_equal(shard->size_bytes, offset);
        total += offset;
        first += shard->n_items;
    }
    assert_int_equal(first, plan->n_items);
    assert_int_equal(plan->size_bytes, total);
}

// Five vectors of 100, 100, 1000, 40 and 100 bytes: 128, 128, 1024, 64 and 128 with padding.
static void shards_by_size(void **state) {
    (void)state;
    static const uint64_t n_cols[] = {25, 25, 250, 10, 25};
    static const struct {
        uint64_t max_bytes;
        size_t n_items[5];
        size_t n_shards;
    } rows[] = {
        {0, {5}, 1},         {1472, {5}, 1},         {1471, {4, 1}, 2},
        {256, {2, 1, 2}, 3}, {255, {1, 1, 1, 2}, 4}, {1, {1, 1, 1, 1, 1}, 5},
    };
    model_fixture *model = model_open("llama", (model_numbers){1, 8, 8, 0});
    for (size_t i = 0; i < 5; ++i) {
        char name[32];
        snprintf(name, sizeof name, "norm.%zu", i);
        model_add(model, name, IMX_TYPE_F32, n_cols[i], 1, 1);
    }
    for (size_t r = 0; r < sizeof rows / sizeof *rows; ++r) {
        imx_plan_options options = options_of("Q4_0");
        options.split_max_bytes = rows[r].max_bytes;
        imx_plan *plan = plan_with(&model->gguf, &options);
        assert_shards(plan, rows[r].n_items, rows[r].n_shards);
        imx_plan_free(plan);
        options.keep_split = true;
        if (rows[r].max_bytes > 0) {
            assert_refused(&model->gguf, &options, IMX_ERR_ARGUMENT, "exclude each other");
        }
    }
    model_close(model);
}

static void shards_as_in_the_source(void **state) {
    (void)state;
    static const uint32_t pruned[] = {1};
    model_fixture *model = model_open("llama", (model_numbers){3, 8, 8, 0});
    for (unsigned layer = 0; layer < 3; ++layer) { // one layer in each file
        model_add_layer(model, layer, "attn_q.weight", 256);
        model_add_layer(model, layer, "attn_v.weight", 256);
        model->tensors[2 * layer].shard = layer;
        model->tensors[2 * layer + 1].shard = layer;
    }
    imx_plan_options options = options_of("Q4_0");
    imx_plan *plan = plan_with(&model->gguf, &options);
    assert_shards(plan, (size_t[]){6}, 1);
    imx_plan_free(plan);
    options.keep_split = true;
    plan = plan_with(&model->gguf, &options);
    assert_shards(plan, (size_t[]){2, 2, 2}, 3);
    imx_plan_free(plan);
    options.pruned_layers = pruned;
    options.n_pruned = 1;
    plan = plan_with(&model->gguf, &options);
    assert_shards(plan, (size_t[]){2, 2}, 2);
    imx_plan_free(plan);
    model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_move_up),
        cmocka_unit_test(layers_that_cannot_be_pruned),
        cmocka_unit_test(shards_by_size),
        cmocka_unit_test(shards_as_in_the_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
