// SPDX-License-Identifier: MIT
//
// A small model on disk for tests that quantize whole models. Files lie in the current directory:
// file_fixture.h makes one for every test.

#ifndef IMX_TESTS_PIPELINE_FIXTURE_H
#define IMX_TESTS_PIPELINE_FIXTURE_H

#include "formats/atomic_file.h"
#include "plan_fixture.h"
#include "quant/encode/encoder.h"
#include "quant/pipeline/pipeline.h"
#include "quant/plan/model_keys.h"
#include "tests/unit/formats/file_fixture.h"

static const imx_encode_options defaults = {0};

// The first tensor has rows enough for several runs.
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

#define SOURCE_PATH "source.gguf"
#define MODEL_PATH  "quantized.gguf"

typedef struct fixture {
    imx_gguf *source;
    imx_imatrix *imatrix;
    uint64_t split_max_bytes; // of the plan, 0 = one file
    size_t n_kept;            // by the last run
} fixture;

// A weight that is not what the pattern says.
typedef struct weight_change {
    size_t tensor;
    uint64_t i;
    float value;
} weight_change;

static const weight_change no_change = {N_TENSORS, 0, 0.0f};

// ---- a model on disk ---------------------------------------------------------------------------

// Weights of no particular pattern, in -1..1.
static inline float weight_at(size_t tensor, uint64_t i) {
    const uint64_t hash = (i + 1 + 7919 * tensor) * UINT64_C(0x9e3779b97f4a7c15);
    return (float)(int32_t)(hash >> 32) * 0x1p-31f;
}

static inline uint64_t n_weights_of(size_t t) {
    return tensor_rows[t].dims[0] * tensor_rows[t].dims[1] * tensor_rows[t].dims[2];
}

static inline void write_tensor(imx_atomic_file *file, size_t t, weight_change change) {
    static const uint8_t zeros[32];
    const uint64_t n = n_weights_of(t);
    const size_t size_bytes = (size_t)imx_type_row_bytes(tensor_rows[t].type, n);
    const imx_importance uniform = {IMX_IMPORTANCE_UNIFORM, NULL};
    float *weights = malloc(n * sizeof *weights);
    uint8_t *bytes = malloc(size_bytes);
    for (uint64_t i = 0; i < n; ++i) {
        weights[i] = weight_at(t, i);
    }
    if (t == change.tensor) {
        weights[change.i] = change.value;
    }
    imx_encoder_of(tensor_rows[t].type)->encode_row(weights, n, &uniform, &defaults, bytes);
    assert_int_equal(imx_atomic_file_write(file, bytes, size_bytes, NULL), IMX_OK);
    assert_int_equal(imx_atomic_file_write(file, zeros, -size_bytes % 32, NULL), IMX_OK);
    free(weights);
    free(bytes);
}

static inline void set_keys(imx_gguf_builder *builder) {
    static const float numbers[3] = {1.5f, -2.0f, 0.25f};
    imx_gguf_set_str(builder, "general.architecture", "llama", NULL);
    imx_gguf_set_u32(builder, "llama.block_count", 1, NULL);
    imx_gguf_set_array(builder, "test.unknown", IMX_GGUF_F32, numbers, 3, NULL);
}

static inline void write_model(const char *path, weight_change change) {
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
        write_tensor(file, t, change);
    }
    assert_int_equal(imx_atomic_file_commit(file, NULL), IMX_OK);
    imx_gguf_builder_free(builder);
    free(header);
}

// Each expert has its own important columns.
static inline imx_imatrix *make_imatrix(void) {
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

static inline void open_fixture(fixture *f, weight_change change) {
    *f = (fixture){0};
    write_model(SOURCE_PATH, change);
    assert_int_equal(imx_gguf_open_model(&f->source, SOURCE_PATH, NULL), IMX_OK);
    f->imatrix = make_imatrix();
}

static inline void close_fixture(fixture *f) {
    imx_gguf_close(f->source);
    imx_imatrix_free(f->imatrix);
}

// ---- running -----------------------------------------------------------------------------------

static inline imx_gguf_builder *make_keys(const imx_gguf *source) {
    imx_gguf_builder *builder;
    assert_int_equal(imx_gguf_builder_new(&builder, NULL), IMX_OK);
    for (size_t i = 0; i < source->n_kvs; ++i) {
        assert_int_equal(imx_gguf_copy_kv(builder, &source->kvs[i], NULL), IMX_OK);
    }
    assert_int_equal(
        imx_gguf_set_str(builder, IMX_KEY_SOURCE_HASH, "00000000000000000000000000000000", NULL),
        IMX_OK);
    return builder;
}

// Quantizes the source to MODEL_PATH.
static inline imx_status run(fixture *f, const char *recipe, const imx_pipeline_options *options,
                             imx_tensor_loss losses[N_TENSORS], imx_error *err) {
    imx_plan *plan;
    imx_gguf_builder *builder = make_keys(f->source);
    imx_plan_options plan_options = options_of(recipe);
    plan_options.imatrix = f->imatrix;
    plan_options.split_max_bytes = f->split_max_bytes;
    assert_int_equal(imx_plan_new(&plan, f->source, &plan_options, err), IMX_OK);
    const imx_status status =
        imx_pipeline_run(plan, f->source, builder, MODEL_PATH, options, losses, &f->n_kept, err);
    imx_gguf_builder_free(builder);
    imx_plan_free(plan);
    return status;
}

#endif
