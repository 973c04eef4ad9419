// SPDX-License-Identifier: MIT
//
// Whole files: a small model is written, quantized and read back.

#include <dirent.h>
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

#include "formats/atomic_file.h"
#include "plan_fixture.h"
#include "quant/encoder.h"
#include "quant/pipeline.h"

static const imx_encode_options defaults = {0};

// Rows enough for several runs of the pipeline, in the tensor with the most of them.
enum { N_LONG_ROWS = 5000 };

static const struct {
    const char *name;
    uint32_t type;
    uint64_t dims[3];
} tensor_rows[] = {
    {"token_embd.weight", IMX_TYPE_F32, {256, N_LONG_ROWS, 1}},
    {"blk.0.attn_norm.weight", IMX_TYPE_F32, {255, 1, 1}},
    {"blk.0.attn_q.weight", IMX_TYPE_F16, {512, 24, 1}},
    {"blk.0.attn_k.weight", IMX_TYPE_BF16, {100, 5, 1}}, // fits no block
    {"blk.0.ffn_down_exps.weight", IMX_TYPE_F32, {256, 8, 3}},
    {"output.weight", IMX_TYPE_F16, {256, 9, 1}},
};
enum { N_TENSORS = sizeof tensor_rows / sizeof *tensor_rows, EXPERTS = 4 };

typedef struct fixture {
    char dir[256];
    char source_path[300];
    char path[300];
    imx_gguf *source;
    imx_imatrix *imatrix;
} fixture;

// ---- a model on disk ---------------------------------------------------------------------------

// Weights of no particular pattern, in -1..1.
static float weight_at(size_t tensor, uint64_t i) {
    const uint64_t hash = (i + 1 + 7919 * tensor) * UINT64_C(0x9e3779b97f4a7c15);
    return (float)(int32_t)(hash >> 32) * 0x1p-31f;
}

static uint64_t n_weights_of(size_t t) {
    return tensor_rows[t].dims[0] * tensor_rows[t].dims[1] * tensor_rows[t].dims[2];
}

static void write_tensor(imx_atomic_file *file, size_t t, float poison) {
    static const uint8_t zeros[32];
    const uint64_t n = n_weights_of(t);
    const size_t size_bytes = (size_t)imx_type_row_bytes(tensor_rows[t].type, n);
    const imx_importance uniform = {IMX_IMPORTANCE_UNIFORM, NULL};
    float *weights = malloc(n * sizeof *weights);
    uint8_t *bytes = malloc(size_bytes);
    for (uint64_t i = 0; i < n; ++i) {
        weights[i] = weight_at(t, i);
    }
    if (t == EXPERTS && poison != 0.0f) {
        weights[11 * 256 + 17] = poison;
    }
    imx_encoder_of(tensor_rows[t].type)->encode_row(weights, n, &uniform, &defaults, bytes);
    assert_int_equal(imx_atomic_file_write(file, bytes, size_bytes, NULL), IMX_OK);
    assert_int_equal(imx_atomic_file_write(file, zeros, -size_bytes % 32, NULL), IMX_OK);
    free(weights);
    free(bytes);
}

static void set_keys(imx_gguf_builder *builder) {
    static const float numbers[3] = {1.5f, -2.0f, 0.25f};
    imx_gguf_set_str(builder, "general.architecture", "llama", NULL);
    imx_gguf_set_u32(builder, "llama.block_count", 1, NULL);
    imx_gguf_set_array(builder, "test.unknown", IMX_GGUF_F32, numbers, 3, NULL);
}

static void write_model(const char *path, float poison) {
    imx_gguf_builder *builder;
    imx_atomic_file *file;
    uint8_t *header;
    size_t header_bytes;
    assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
    set_keys(builder);
    for (size_t t = 0; t < N_TENSORS; ++t) {
        const uint64_t *dims = tensor_rows[t].dims;
        const uint32_t n_dims = dims[2] > 1 ? 3 : dims[1] > 1 ? 2 : 1;
        imx_gguf_add_tensor(builder, tensor_rows[t].name, tensor_rows[t].type, n_dims, dims, NULL);
    }
    assert_int_equal(imx_gguf_builder_header(builder, &header, &header_bytes, NULL), IMX_OK);
    assert_int_equal(imx_atomic_file_open(&file, path, NULL), IMX_OK);
    assert_int_equal(imx_atomic_file_write(file, header, header_bytes, NULL), IMX_OK);
    for (size_t t = 0; t < N_TENSORS; ++t) {
        write_tensor(file, t, poison);
    }
    assert_int_equal(imx_atomic_file_commit(file, NULL), IMX_OK);
    imx_gguf_builder_free(builder);
    free(header);
}

// Each expert has its own important columns.
static imx_imatrix *make_imatrix(void) {
    imx_imatrix *imatrix;
    imx_imatrix_entry *entry;
    assert_int_equal(imx_imatrix_new(&imatrix, NULL), IMX_OK);
    assert_int_equal(
        imx_imatrix_add(imatrix, tensor_rows[EXPERTS].name, 256, 3, false, &entry, NULL), IMX_OK);
    for (uint64_t mat = 0; mat < 3; ++mat) {
        entry->counts[mat] = 10.0;
        for (uint64_t j = 0; j < 256; ++j) {
            entry->in_sum2[mat * 256 + j] = 10.0 * (j % 3 == mat ? 8.0 : 0.5);
        }
    }
    return imatrix;
}

static void open_fixture(fixture *f, float poison) {
    const char *tmp = getenv("TMPDIR");
    snprintf(f->dir, sizeof f->dir, "%s/imx-pipeline-XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->source_path, sizeof f->source_path, "%s/source.gguf", f->dir);
    snprintf(f->path, sizeof f->path, "%s/quantized.gguf", f->dir);
    write_model(f->source_path, poison);
    assert_int_equal(imx_gguf_open(&f->source, f->source_path, NULL), IMX_OK);
    f->imatrix = make_imatrix();
}

static void close_fixture(fixture *f) {
    imx_gguf_close(f->source);
    imx_imatrix_free(f->imatrix);
    unlink(f->source_path);
    unlink(f->path);
    assert_int_equal(rmdir(f->dir), 0); // fails when anything else was left behind
}

// ---- running -----------------------------------------------------------------------------------

static imx_status run(const fixture *f, const char *recipe, const imx_pipeline_options *options,
                      imx_tensor_loss losses[N_TENSORS], imx_error *err) {
    imx_plan *plan;
    imx_gguf_builder *builder;
    assert_int_equal(plan_by_recipe(&plan, f->source, imx_recipe_find(recipe), f->imatrix, err),
                     IMX_OK);
    assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
    for (size_t i = 0; i < f->source->n_kvs; ++i) {
        assert_int_equal(imx_gguf_copy_kv(builder, &f->source->kvs[i], NULL), IMX_OK);
    }
    const imx_status status =
        imx_pipeline_run(plan, f->source, builder, f->path, options, losses, err);
    imx_gguf_builder_free(builder);
    imx_plan_free(plan);
    return status;
}

static uint8_t *read_file(const char *path, size_t *size_bytes) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size_bytes = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size_bytes);
    assert_int_equal(fread(bytes, 1, *size_bytes, file), *size_bytes);
    fclose(file);
    return bytes;
}

// ---- tests -------------------------------------------------------------------------------------

static void threads_do_not_change_bytes(void **state) {
    (void)state;
    fixture f;
    uint8_t *expected = NULL;
    size_t expected_bytes = 0;
    imx_tensor_loss expected_losses[N_TENSORS];
    open_fixture(&f, 0.0f);
    for (int n_threads = 1; n_threads <= 5; n_threads += 2) {
        const imx_pipeline_options options = {n_threads, NULL};
        imx_tensor_loss losses[N_TENSORS];
        size_t size_bytes;
        assert_int_equal(run(&f, "Q4_0", &options, losses, NULL), IMX_OK);
        uint8_t *bytes = read_file(f.path, &size_bytes);
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
    open_fixture(&f, 0.0f);
    assert_int_equal(run(&f, "Q4_K_S", &options, NULL, NULL), IMX_OK);
    assert_int_equal(imx_gguf_open(&result, f.path, NULL), IMX_OK);
    assert_int_equal(result->n_kvs, f.source->n_kvs);
    for (size_t i = 0; i < result->n_kvs; ++i) {
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
    open_fixture(&f, 0.0f);
    assert_int_equal(run(&f, "F16", &options, NULL, NULL), IMX_OK);
    assert_int_equal(imx_gguf_open(&result, f.path, NULL), IMX_OK);
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
    open_fixture(&f, 0.0f);
    assert_int_equal(run(&f, "Q3_K_S", &options, losses, NULL), IMX_OK);
    assert_int_equal(imx_gguf_open(&result, f.path, NULL), IMX_OK);
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
    assert_true(fabs(losses[EXPERTS].weighted_error - error) < 1e-9 * error);
    assert_true(losses[EXPERTS].weighted_error < losses[EXPERTS].weighted_power);
    assert_true(losses[1].squared_power == 0.0); // copied
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
        open_fixture(&f, poisons[i]);
        assert_int_equal(run(&f, "Q4_0", &options, NULL, &err), IMX_ERR_FORMAT);
        assert_non_null(strstr(err.message, "blk.0.ffn_down_exps.weight, row 11"));
        assert_int_not_equal(access(f.path, F_OK), 0);
        close_fixture(&f);
    }
}

typedef struct stopper {
    size_t n_reports_left;
    uint64_t last_work;
} stopper;

static bool stop_after_a_while(void *context, const imx_progress_report *report) {
    stopper *s = context;
    assert_true(report->work_done >= s->last_work);
    assert_true(report->work_done <= report->work_total);
    s->last_work = report->work_done;
    return s->n_reports_left-- > 0;
}

static void a_stopped_run_leaves_nothing(void **state) {
    (void)state;
    for (size_t n = 0; n < 4; ++n) {
        fixture f;
        imx_error err;
        stopper context = {n, 0};
        const imx_progress progress = {stop_after_a_while, &context};
        const imx_pipeline_options options = {2, &progress};
        open_fixture(&f, 0.0f);
        assert_int_equal(run(&f, "F16", &options, NULL, &err), IMX_ERR_INTERRUPTED);
        assert_int_not_equal(access(f.path, F_OK), 0);
        close_fixture(&f);
    }
}

static void progress_ends_complete(void **state) {
    (void)state;
    fixture f;
    stopper context = {SIZE_MAX, 0};
    const imx_progress progress = {stop_after_a_while, &context};
    const imx_pipeline_options options = {0, &progress};
    uint64_t n_weights = 0;
    for (size_t t = 0; t < N_TENSORS; ++t) {
        n_weights += n_weights_of(t);
    }
    open_fixture(&f, 0.0f);
    assert_int_equal(run(&f, "BF16", &options, NULL, NULL), IMX_OK);
    assert_int_equal(context.last_work, n_weights);
    close_fixture(&f);
}

static void the_alignment_cannot_change(void **state) {
    (void)state;
    fixture f;
    imx_plan *plan;
    imx_gguf_builder *builder;
    imx_error err;
    const imx_pipeline_options options = {1, NULL};
    open_fixture(&f, 0.0f);
    assert_int_equal(plan_by_recipe(&plan, f.source, imx_recipe_find("F16"), NULL, &err), IMX_OK);
    assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
    assert_int_equal(imx_gguf_set_u32(builder, "general.alignment", 64, NULL), IMX_OK);
    assert_int_equal(imx_pipeline_run(plan, f.source, builder, f.path, &options, NULL, &err),
                     IMX_ERR_ARGUMENT);
    imx_gguf_builder_free(builder);
    imx_plan_free(plan);
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_do_not_change_bytes),
        cmocka_unit_test(the_file_is_what_was_planned),
        cmocka_unit_test(every_row_arrives),
        cmocka_unit_test(each_matrix_has_its_importance),
        cmocka_unit_test(bad_weights_are_refused),
        cmocka_unit_test(a_stopped_run_leaves_nothing),
        cmocka_unit_test(progress_ends_complete),
        cmocka_unit_test(the_alignment_cannot_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
