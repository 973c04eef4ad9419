// SPDX-License-Identifier: MIT
//
// Whole models: a small one is written, quantized and read back.

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <xxhash.h>

#include "formats/imatrix_covariance.h"
#include "pipeline_fixture.h"
#include "random_products.h"

// ---- tests -------------------------------------------------------------------------------------

static void threads_do_not_change_bytes(void **state) {
    (void)state;
    fixture f;
    uint8_t *expected = NULL;
    size_t expected_bytes = 0;
    imx_tensor_loss expected_losses[N_TENSORS];
    open_fixture(&f, no_change);
    for (int n_threads = 1; n_threads <= 5; n_threads += 2) {
        const imx_pipeline_options options = {n_threads, NULL};
        imx_tensor_loss losses[N_TENSORS];
        size_t size_bytes;
        assert_int_equal(run(&f, "Q4_0", &options, losses, NULL), IMX_OK);
        uint8_t *bytes = read_bytes(MODEL_PATH, &size_bytes);
        if (expected == NULL) {
            expected = bytes;
            expected_bytes = size_bytes;
            memcpy(expected_losses, losses, sizeof losses);
            continue;
        }
        assert_int_equal(size_bytes, expected_bytes);
        assert_memory_equal(bytes, expected, size_bytes);
        assert_memory_equal(losses, expected_losses, sizeof losses);
        free(bytes);
    }
    free(expected);
    close_fixture(&f);
}

static void the_file_is_what_was_planned(void **state) {
    (void)state;
    static const uint32_t types[N_TENSORS] = {
        IMX_TYPE_Q4_K, IMX_TYPE_F32, IMX_TYPE_Q4_K, IMX_TYPE_F16, IMX_TYPE_Q4_K, IMX_TYPE_Q6_K,
    };
    fixture f;
    imx_gguf *result;
    const imx_pipeline_options options = {2, NULL};
    open_fixture(&f, no_change);
    assert_int_equal(run(&f, "Q4_K_S", &options, NULL, NULL), IMX_OK);
    assert_int_equal(imx_gguf_open(&result, MODEL_PATH, NULL), IMX_OK);
    assert_int_equal(result->n_kvs, f.source->n_kvs + 1); // and the hash
    for (size_t i = 0; i < f.source->n_kvs; ++i) {
        const imx_gguf_kv *before = &f.source->kvs[i];
        const imx_gguf_kv *after = &result->kvs[i];
        assert_int_equal(after->raw_bytes, before->raw_bytes);
        assert_memory_equal(after->raw, before->raw, before->raw_bytes);
    }
    assert_int_equal(result->n_tensors, N_TENSORS);
    for (size_t t = 0; t < N_TENSORS; ++t) {
        assert_string_equal(result->tensors[t].name, tensor_rows[t].name);
        assert_int_equal(result->tensors[t].type, types[t]);
    }
    assert_memory_equal(result->tensors[1].data, f.source->tensors[1].data,
                        f.source->tensors[1].size_bytes);
    imx_gguf_close(result);
    close_fixture(&f);
}

static void every_row_arrives(void **state) {
    (void)state;
    fixture f;
    imx_gguf *result;
    const imx_pipeline_options options = {2, NULL};
    open_fixture(&f, no_change);
    assert_int_equal(run(&f, "F16", &options, NULL, NULL), IMX_OK);
    assert_int_equal(imx_gguf_open(&result, MODEL_PATH, NULL), IMX_OK);
    for (uint64_t row = 0; row < N_LONG_ROWS; ++row) {
        float decoded[256];
        imx_type_traits_of(IMX_TYPE_F16)->decode(result->tensors[0].data + row * 512, decoded, 256);
        for (uint64_t j = 0; j < 256; ++j) {
            assert_true(fabsf(decoded[j] - weight_at(0, row * 256 + j)) <= 0x1p-12f);
        }
    }
    imx_gguf_close(result);
    close_fixture(&f);
}

// Encodes the experts of the source by hand and compares bytes and losses.
static void each_matrix_has_its_importance(void **state) {
    (void)state;
    fixture f;
    imx_gguf *result;
    imx_tensor_loss losses[N_TENSORS];
    const imx_pipeline_options options = {1, NULL};
    open_fixture(&f, no_change);
    assert_int_equal(run(&f, "Q3_K_S", &options, losses, NULL), IMX_OK);
    assert_int_equal(imx_gguf_open(&result, MODEL_PATH, NULL), IMX_OK);
    const imx_gguf_tensor *tensor = &result->tensors[EXPERTS];
    const imx_encoder *encoder = imx_encoder_of(tensor->type);
    const imx_type_traits *traits = imx_type_traits_of(tensor->type);
    double error = 0.0;
    for (uint64_t r = 0; r < 24; ++r) {
        float row[256];
        float decoded[256];
        float diagonal[256];
        _Alignas(64) uint8_t blocks[256];
        const imx_importance importance = {IMX_IMPORTANCE_DIAGONAL, diagonal};
        for (uint64_t j = 0; j < 256; ++j) {
            row[j] = weight_at(EXPERTS, r * 256 + j);
            diagonal[j] = j % 3 == r / 8 ? 8.0f : 0.5f;
        }
        encoder->encode_row(row, 256, &importance, &defaults, blocks);
        assert_memory_equal(blocks, tensor->data + r * traits->block_bytes, traits->block_bytes);
        traits->decode(blocks, decoded, 256);
        for (int j = 0; j < 256; ++j) {
            const double e = (double)row[j] - (double)decoded[j];
            error += (double)diagonal[j] * e * e;
        }
    }
    assert_true(fabs(losses[EXPERTS].weighted_error - error) < 1e-6 * error);
    assert_true(losses[EXPERTS].weighted_error < losses[EXPERTS].weighted_power);
    assert_true(losses[1].squared_power == 0.0); // copied
    imx_gguf_close(result);
    close_fixture(&f);
}

// The first expert has seen too few tokens for its products to be believed.
static void each_matrix_has_its_products(void **state) {
    (void)state;
    enum { N_EXPERTS = 3, N_ROWS = 8 };
    static imx_run_metric metrics[N_EXPERTS];
    static const double counts[N_EXPERTS] = {511.0, 512.0, 5000.0};
    fixture f;
    imx_gguf *result;
    open_fixture(&f, no_change);
    imx_imatrix_entry *entry = imx_imatrix_find(f.imatrix, tensor_rows[EXPERTS].name);
    assert_int_equal(imx_imatrix_add_covariance(f.imatrix, entry, NULL), IMX_OK);
    for (uint64_t mat = 0; mat < N_EXPERTS; ++mat) {
        float *products = imx_covariance_of(entry, mat);
        entry->counts[mat] = counts[mat];
        random_products(products);
        for (size_t j = 0; j < 256; ++j) {
            entry->in_sum2[mat * 256 + j] = counts[mat] * (double)products[j * (j + 3) / 2];
        }
        imx_run_metric_init(&metrics[mat], products, imx_run_belief);
    }
    assert_int_equal(run(&f, "Q3_K_S", &(imx_pipeline_options){.n_threads = 2}, NULL, NULL),
                     IMX_OK);
    assert_int_equal(imx_gguf_open(&result, MODEL_PATH, NULL), IMX_OK);
    const imx_gguf_tensor *tensor = &result->tensors[EXPERTS];
    const size_t block_bytes = imx_type_traits_of(tensor->type)->block_bytes;
    for (uint64_t r = 0; r < N_EXPERTS * N_ROWS; ++r) {
        const uint64_t mat = r / N_ROWS;
        float row[256];
        float diagonal[256];
        _Alignas(64) uint8_t blocks[256];
        const imx_importance importance = {.kind = IMX_IMPORTANCE_DIAGONAL, .diagonal = diagonal};
        const imx_encode_options options = {.metrics = mat > 0 ? &metrics[mat] : NULL};
        for (uint64_t j = 0; j < 256; ++j) {
            row[j] = weight_at(EXPERTS, r * 256 + j);
            diagonal[j] = (float)(entry->in_sum2[mat * 256 + j] / counts[mat]);
        }
        imx_encoder_of(tensor->type)->encode_row(row, 256, &importance, &options, blocks);
        assert_memory_equal(blocks, tensor->data + r * block_bytes, block_bytes);
    }
    imx_gguf_close(result);
    close_fixture(&f);
}

static void bad_weights_are_refused(void **state) {
    (void)state;
    static const float poisons[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; ++i) {
        fixture f;
        imx_error err;
        const imx_pipeline_options options = {2, NULL};
        open_fixture(&f, (weight_change){EXPERTS, 11 * 256 + 17, poisons[i]});
        assert_int_equal(run(&f, "Q4_0", &options, NULL, &err), IMX_ERR_FORMAT);
        assert_non_null(
            strstr(err.message, SOURCE_PATH ": tensor blk.0.ffn_down_exps.weight, row 11"));
        assert_n_files(1); // the source
        close_fixture(&f);
    }
}

static bool watch(void *context, const imx_progress_report *report) {
    uint64_t *last_work = context;
    assert_true(report->work_done >= *last_work);
    assert_true(report->work_done <= report->work_total);
    *last_work = report->work_done;
    return true;
}

static void progress_ends_complete(void **state) {
    (void)state;
    fixture f;
    uint64_t last_work = 0;
    const imx_progress progress = {watch, &last_work};
    const imx_pipeline_options options = {0, &progress};
    uint64_t n_weights = 0;
    for (size_t t = 0; t < N_TENSORS; ++t) {
        n_weights += n_weights_of(t);
    }
    open_fixture(&f, no_change);
    assert_int_equal(run(&f, "BF16", &options, NULL, NULL), IMX_OK);
    assert_int_equal(last_work, n_weights);
    close_fixture(&f);
}

static void the_alignment_cannot_change(void **state) {
    (void)state;
    fixture f;
    imx_plan *plan;
    imx_error err;
    const imx_pipeline_options options = {1, NULL};
    open_fixture(&f, no_change);
    imx_gguf_builder *builder = make_keys(f.source);
    assert_int_equal(plan_by_recipe(&plan, f.source, imx_recipe_find("F16"), NULL, &err), IMX_OK);
    assert_int_equal(imx_gguf_set_u32(builder, "general.alignment", 64, NULL), IMX_OK);
    assert_int_equal(
        imx_pipeline_run(plan, f.source, builder, MODEL_PATH, &options, NULL, NULL, &err),
        IMX_ERR_ARGUMENT);
    imx_gguf_builder_free(builder);
    imx_plan_free(plan);
    close_fixture(&f);
}

static void hash_files(const char *const *paths, size_t n_paths, char hex[33]) {
    XXH3_state_t *hash = XXH3_createState();
    XXH3_128bits_reset(hash);
    for (size_t i = 0; i < n_paths; ++i) {
        size_t n_bytes;
        uint8_t *bytes = read_bytes(paths[i], &n_bytes);
        XXH3_128bits_update(hash, bytes, n_bytes);
        free(bytes);
    }
    const XXH128_hash_t digest = XXH3_128bits_digest(hash);
    XXH3_freeState(hash);
    snprintf(hex, 33, "%016" PRIx64 "%016" PRIx64, (uint64_t)digest.high64, (uint64_t)digest.low64);
}

static void assert_source_hash(const char *path, const char *const *sources, size_t n_sources) {
    imx_gguf *result;
    imx_str str;
    char hex[33];
    hash_files(sources, n_sources, hex);
    assert_int_equal(imx_gguf_open_model(&result, path, NULL), IMX_OK);
    assert_int_equal(imx_gguf_get_str(result, IMX_KEY_SOURCE_HASH, true, &str, NULL), IMX_OK);
    assert_int_equal(str.len, 32);
    assert_memory_equal(str.data, hex, 32);
    imx_gguf_close(result);
}

static void the_source_is_named_by_its_hash(void **state) {
    (void)state;
    static const char *const source[] = {SOURCE_PATH};
    fixture f;
    const imx_pipeline_options options = {2, NULL};
    open_fixture(&f, no_change);
    assert_int_equal(run(&f, "F16", &options, NULL, NULL), IMX_OK);
    assert_source_hash(MODEL_PATH, source, 1);
    close_fixture(&f);
}

// ---- shards ------------------------------------------------------------------------------------

static void assert_same_tensors(const imx_gguf *a, const imx_gguf *b) {
    assert_int_equal(a->n_tensors, b->n_tensors);
    for (size_t i = 0; i < a->n_tensors; ++i) {
        assert_string_equal(a->tensors[i].name, b->tensors[i].name);
        assert_int_equal(a->tensors[i].type, b->tensors[i].type);
        assert_int_equal(a->tensors[i].size_bytes, b->tensors[i].size_bytes);
        assert_memory_equal(a->tensors[i].data, b->tensors[i].data, a->tensors[i].size_bytes);
    }
}

// One file into shards, and the shards into one file: all hold the same tensors.
static void shards_come_and_go(void **state) {
    (void)state;
    static const char *const shards[] = {
        "source-00001-of-00002.gguf",
        "source-00002-of-00002.gguf",
    };
    fixture f;
    imx_gguf *whole;
    imx_gguf *joined;
    const imx_pipeline_options options = {2, NULL};
    open_fixture(&f, no_change);
    assert_int_equal(run(&f, "F16", &options, NULL, NULL), IMX_OK);
    f.split_max_bytes = 1 << 20;
    assert_int_equal(run(&f, "F16", &options, NULL, NULL), IMX_OK);
    assert_n_files(4);
    assert_int_equal(rename("quantized-00001-of-00002.gguf", shards[0]), 0);
    assert_int_equal(rename("quantized-00002-of-00002.gguf", shards[1]), 0);
    assert_int_equal(imx_gguf_open(&whole, MODEL_PATH, NULL), IMX_OK);
    assert_int_equal(imx_gguf_open_model(&joined, shards[1], NULL), IMX_OK);
    assert_int_equal(joined->n_shards, 2);
    assert_int_equal(joined->n_kvs, whole->n_kvs);
    assert_same_tensors(joined, whole);

    imx_gguf_close(f.source);
    imx_gguf_close(whole);
    f.source = joined;
    f.split_max_bytes = 0;
    assert_int_equal(run(&f, "F16", &options, NULL, NULL), IMX_OK);
    assert_int_equal(imx_gguf_open(&whole, MODEL_PATH, NULL), IMX_OK);
    assert_same_tensors(joined, whole);
    assert_null(imx_gguf_find_kv(whole, "split.count"));
    assert_source_hash(MODEL_PATH, shards, 2);
    imx_gguf_close(whole);
    close_fixture(&f);
}

static void sources_are_not_overwritten(void **state) {
    (void)state;
    fixture f;
    imx_error err;
    const imx_pipeline_options options = {1, NULL};
    open_fixture(&f, no_change);
    f.split_max_bytes = 1 << 20;
    assert_int_equal(run(&f, "F16", &options, NULL, NULL), IMX_OK);
    imx_gguf_close(f.source);
    assert_int_equal(imx_gguf_open_model(&f.source, "quantized-00001-of-00002.gguf", NULL), IMX_OK);
    assert_int_equal(run(&f, "F16", &options, NULL, &err), IMX_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "quantized-00001-of-00002.gguf: is the source"));
    assert_n_files(3);
    close_fixture(&f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_directory, leave_directory)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(threads_do_not_change_bytes),
        TEST(the_file_is_what_was_planned),
        TEST(every_row_arrives),
        TEST(each_matrix_has_its_importance),
        TEST(each_matrix_has_its_products),
        TEST(bad_weights_are_refused),
        TEST(progress_ends_complete),
        TEST(the_alignment_cannot_change),
        TEST(the_source_is_named_by_its_hash),
        TEST(shards_come_and_go),
        TEST(sources_are_not_overwritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
