// SPDX-License-Identifier: MIT
//
// Writes a Llama model of any size with random weights, and an imatrix for it, in the time the disk
// takes: to measure speed and memory of quantization, which do not depend on what the weights say.
//
// Weights are Gaussian with log-normal column scales. Only POOL_ROWS rows of a tensor are drawn,
// and repeated. There is no tokenizer, so the model can be quantized but not run.

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_random.h"
#include "formats/atomic_file.h"
#include "formats/gguf.h"
#include "formats/half.h"
#include "formats/imatrix_file.h"
#include "formats/memory.h"

enum { POOL_ROWS = 64, HEAD_LEN = 64, N_TOKENS_SEEN = 65536 };

// What the extents of tensors are called; 0 ends a shape.
typedef enum extent { END, EMBD, KV, FF, VOCAB, EXPERTS, EXTENT_COUNT } extent;

typedef struct settings {
    uint64_t extents[EXTENT_COUNT];
    uint64_t n_layers;
    uint32_t type; // of matrices
    const char *model_path;
    const char *imatrix_path; // NULL = none
} settings;

typedef enum presence { ALWAYS, DENSE, SPARSE } presence;

typedef struct tensor_row {
    const char *name;
    presence presence;
    bool is_kept; // in F32 and without statistics
    extent shape[4];
} tensor_row;

static const tensor_row layer_rows[] = {
    {"attn_norm", ALWAYS, true, {EMBD}},
    {"attn_q", ALWAYS, false, {EMBD, EMBD}},
    {"attn_k", ALWAYS, false, {EMBD, KV}},
    {"attn_v", ALWAYS, false, {EMBD, KV}},
    {"attn_output", ALWAYS, false, {EMBD, EMBD}},
    {"ffn_norm", ALWAYS, true, {EMBD}},
    {"ffn_gate", DENSE, false, {EMBD, FF}},
    {"ffn_up", DENSE, false, {EMBD, FF}},
    {"ffn_down", DENSE, false, {FF, EMBD}},
    {"ffn_gate_inp", SPARSE, true, {EMBD, EXPERTS}},
    {"ffn_gate_exps", SPARSE, false, {EMBD, FF, EXPERTS}},
    {"ffn_up_exps", SPARSE, false, {EMBD, FF, EXPERTS}},
    {"ffn_down_exps", SPARSE, false, {FF, EMBD, EXPERTS}},
};

static const tensor_row model_rows[] = {
    {"token_embd", ALWAYS, false, {EMBD, VOCAB}},
    {"output_norm", ALWAYS, true, {EMBD}},
    {"output", ALWAYS, false, {EMBD, VOCAB}},
};

typedef struct tensor {
    char name[64];
    uint32_t type;
    uint32_t n_dims;
    uint64_t dims[IMX_GGUF_MAX_DIMS];
    bool has_statistics;
} tensor;

static uint64_t n_tensors_of(const settings *set) {
    return set->n_layers * (sizeof layer_rows / sizeof *layer_rows) +
           sizeof model_rows / sizeof *model_rows;
}

// Appends the rows that this model has, for layer `layer` or, when that is negative, for all.
static size_t add_rows(tensor *tensors, const settings *set, const tensor_row *rows, size_t n_rows,
                       int64_t layer) {
    size_t n = 0;
    for (size_t i = 0; i < n_rows; ++i) {
        const presence wanted = set->extents[EXPERTS] > 0 ? SPARSE : DENSE;
        if (rows[i].presence != ALWAYS && rows[i].presence != wanted) {
            continue;
        }
        tensor *t = &tensors[n++];
        *t = (tensor){.type = rows[i].is_kept ? IMX_TYPE_F32 : set->type, .dims = {1, 1, 1, 1}};
        t->has_statistics = layer >= 0 && !rows[i].is_kept;
        for (; rows[i].shape[t->n_dims] != END; ++t->n_dims) {
            t->dims[t->n_dims] = set->extents[rows[i].shape[t->n_dims]];
        }
        const int length = layer < 0 ? 0 : snprintf(t->name, 32, "blk.%lld.", (long long)layer);
        snprintf(t->name + length, 32, "%s.weight", rows[i].name);
    }
    return n;
}

static size_t list_tensors(tensor *tensors, const settings *set) {
    size_t n = add_rows(tensors, set, model_rows, sizeof model_rows / sizeof *model_rows, -1);
    for (uint64_t layer = 0; layer < set->n_layers; ++layer) {
        n += add_rows(tensors + n, set, layer_rows, sizeof layer_rows / sizeof *layer_rows,
                      (int64_t)layer);
    }
    return n;
}

// ---------------------------------------------------------------------------------------------
// The model

static imx_status set_keys(imx_gguf_builder *builder, const settings *set, imx_error *err) {
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {
        {"general.file_type", set->type == IMX_TYPE_BF16 ? 32 : set->type},
        {"llama.block_count", set->n_layers},
        {"llama.context_length", 512},
        {"llama.embedding_length", set->extents[EMBD]},
        {"llama.feed_forward_length", set->extents[FF]},
        {"llama.attention.head_count", set->extents[EMBD] / HEAD_LEN},
        {"llama.attention.head_count_kv", set->extents[KV] / HEAD_LEN},
        {"llama.rope.dimension_count", HEAD_LEN},
        {"llama.vocab_size", set->extents[VOCAB]},
        {"llama.expert_count", set->extents[EXPERTS]},
        {"llama.expert_used_count", set->extents[EXPERTS] > 0 ? 2 : 0},
    };
    IMX_TRY(imx_gguf_set_str(builder, "general.architecture", "llama", err));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i) {
        IMX_TRY(imx_gguf_set_u32(builder, numbers[i].key, (uint32_t)numbers[i].value, err));
    }
    return imx_gguf_set_f32(builder, "llama.attention.layer_norm_rms_epsilon", 1e-5f, err);
}

static imx_status write_header(imx_atomic_file *file, const settings *set, const tensor *tensors,
                               size_t n_tensors, imx_error *err) {
    imx_gguf_builder *builder = NULL;
    uint8_t *bytes = NULL;
    size_t size_bytes = 0;
    imx_status status;
    IMX_TRY_GOTO(done, imx_gguf_builder_new(&builder, err));
    IMX_TRY_GOTO(done, set_keys(builder, set, err));
    for (size_t i = 0; i < n_tensors; ++i) {
        IMX_TRY_GOTO(done, imx_gguf_add_tensor(builder, tensors[i].name, tensors[i].type,
                                               tensors[i].n_dims, tensors[i].dims, err));
    }
    IMX_TRY_GOTO(done, imx_gguf_builder_header(builder, &bytes, &size_bytes, err));
    IMX_TRY_GOTO(done, imx_atomic_file_write(file, bytes, size_bytes, err));
done:
    free(bytes);
    imx_gguf_builder_free(builder);
    return status;
}

static void store_weight(uint8_t *pool, uint32_t type, uint64_t index, float value) {
    if (type == IMX_TYPE_F32) {
        memcpy(pool + 4 * index, &value, 4);
    } else {
        const uint16_t half =
            type == IMX_TYPE_BF16 ? imx_bf16_from_f32(value) : imx_f16_from_f32(value);
        memcpy(pool + 2 * index, &half, 2);
    }
}

static void fill_pool(uint8_t *pool, const tensor *t, uint64_t n_rows, float *scales,
                      bench_random *random) {
    for (uint64_t j = 0; j < t->dims[0]; ++j) {
        scales[j] = 0.02f * expf(0.3f * bench_random_normal(random));
    }
    for (uint64_t i = 0; i < n_rows * t->dims[0]; ++i) {
        store_weight(pool, t->type, i, scales[i % t->dims[0]] * bench_random_normal(random));
    }
}

static imx_status write_tensor(imx_atomic_file *file, const tensor *t, bench_random *random,
                               imx_error *err) {
    static const uint8_t zeros[IMX_GGUF_DEFAULT_ALIGNMENT];
    const uint64_t n_rows = t->dims[1] * t->dims[2];
    const uint64_t n_pool = n_rows < POOL_ROWS ? n_rows : POOL_ROWS;
    const uint64_t row_bytes = imx_type_row_bytes(t->type, t->dims[0]);
    uint8_t *pool = NULL;
    float *scales = NULL;
    imx_status status;
    IMX_TRY_GOTO(done, imx_alloc_zeroed(&pool, n_pool, row_bytes, err));
    IMX_TRY_GOTO(done, imx_alloc_zeroed(&scales, t->dims[0], sizeof *scales, err));
    fill_pool(pool, t, n_pool, scales, random);
    for (uint64_t row = 0; row < n_rows; row += n_pool) {
        const uint64_t n = n_rows - row < n_pool ? n_rows - row : n_pool;
        IMX_TRY_GOTO(done, imx_atomic_file_write(file, pool, n * row_bytes, err));
    }
    const uint64_t end = imx_atomic_file_size(file);
    IMX_TRY_GOTO(done,
                 imx_atomic_file_write(file, zeros, imx_align_up(end, sizeof zeros) - end, err));
done:
    free(scales);
    free(pool);
    return status;
}

static imx_status write_model(const settings *set, const tensor *tensors, size_t n_tensors,
                              imx_error *err) {
    imx_atomic_file *file = NULL;
    bench_random random = {1};
    IMX_TRY(imx_atomic_file_open(&file, set->model_path, err));
    imx_status status = write_header(file, set, tensors, n_tensors, err);
    for (size_t i = 0; i < n_tensors && status == IMX_OK; ++i) {
        status = write_tensor(file, &tensors[i], &random, err);
    }
    if (status == IMX_OK) {
        return imx_atomic_file_commit(file, err);
    }
    imx_atomic_file_abort(file);
    return status;
}

// ---------------------------------------------------------------------------------------------
// The imatrix

static imx_status add_statistics(imx_imatrix *imatrix, const tensor *t, bench_random *random,
                                 imx_error *err) {
    imx_imatrix_entry *entry = NULL;
    IMX_TRY(imx_imatrix_add(imatrix, t->name, t->dims[0], t->dims[2], false, &entry, err));
    for (uint64_t mat = 0; mat < entry->n_mats; ++mat) {
        entry->counts[mat] = N_TOKENS_SEEN;
        for (uint64_t j = 0; j < entry->n_cols; ++j) {
            const float mean_square = expf(bench_random_normal(random));
            entry->in_sum2[mat * entry->n_cols + j] = N_TOKENS_SEEN * (double)mean_square;
        }
    }
    return IMX_OK;
}

static imx_status write_imatrix(const settings *set, const tensor *tensors, size_t n_tensors,
                                imx_error *err) {
    imx_imatrix *imatrix = NULL;
    bench_random random = {2};
    imx_status status;
    IMX_TRY(imx_imatrix_new(&imatrix, err));
    imatrix->chunk_size = 512;
    imatrix->chunk_count = N_TOKENS_SEEN / 512;
    IMX_TRY_GOTO(done, imx_imatrix_add_dataset(imatrix, "synthetic", err));
    for (size_t i = 0; i < n_tensors; ++i) {
        if (tensors[i].has_statistics) {
            IMX_TRY_GOTO(done, add_statistics(imatrix, &tensors[i], &random, err));
        }
    }
    IMX_TRY_GOTO(done, imx_imatrix_write(imatrix, set->imatrix_path, IMX_IMATRIX_GGUF, err));
done:
    imx_imatrix_free(imatrix);
    return status;
}

// ---------------------------------------------------------------------------------------------
// Options

static const char help[] = "usage: make_model [options] OUT.gguf\n"
                           "  --layers N     [12]\n"
                           "  --embd N       width, a multiple of 64 [1024]\n"
                           "  --kv N         width of keys and values, a multiple of 64 [embd]\n"
                           "  --ff N         width of the feed-forward networks [4096]\n"
                           "  --vocab N      [32000]\n"
                           "  --experts N    0 = a dense model [0]\n"
                           "  --type NAME    f16, bf16 or f32 [f16]\n"
                           "  --imatrix FILE write statistics too, as GGUF\n";

static _Noreturn void fail_usage(void) {
    fputs(help, stderr);
    exit(2);
}

static uint64_t number(const char *text) {
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value > 1u << 24) {
        fail_usage();
    }
    return value;
}

static void parse_options(settings *set, int argc, char **argv) {
    static const struct option rows[] = {
        {"embd", required_argument, NULL, EMBD},
        {"kv", required_argument, NULL, KV},
        {"ff", required_argument, NULL, FF},
        {"vocab", required_argument, NULL, VOCAB},
        {"experts", required_argument, NULL, EXPERTS},
        {"layers", required_argument, NULL, 'l'},
        {"type", required_argument, NULL, 't'},
        {"imatrix", required_argument, NULL, 'i'},
        {0},
    };
    for (int option; (option = getopt_long(argc, argv, "", rows, NULL)) != -1;) {
        if (option < EXTENT_COUNT) {
            set->extents[option] = number(optarg);
        } else if (option == 'l') {
            set->n_layers = number(optarg);
        } else if (option == 'i') {
            set->imatrix_path = optarg;
        } else if (option != 't' || !imx_type_from_name(optarg, &set->type)) {
            fail_usage();
        }
    }
    if (set->extents[KV] == 0) {
        set->extents[KV] = set->extents[EMBD];
    }
    const bool is_float =
        set->type == IMX_TYPE_F32 || set->type == IMX_TYPE_F16 || set->type == IMX_TYPE_BF16;
    if (optind + 1 != argc || !is_float || set->extents[EMBD] % HEAD_LEN != 0 ||
        set->extents[KV] % HEAD_LEN != 0) {
        fail_usage();
    }
    set->model_path = argv[optind];
}

int main(int argc, char **argv) {
    settings set = {
        .extents = {[EMBD] = 1024, [FF] = 4096, [VOCAB] = 32000},
        .n_layers = 12,
        .type = IMX_TYPE_F16,
    };
    parse_options(&set, argc, argv);
    imx_error err = {0};
    tensor *tensors = NULL;
    imx_status status = imx_alloc_zeroed(&tensors, n_tensors_of(&set), sizeof *tensors, &err);
    if (status == IMX_OK) {
        const size_t n_tensors = list_tensors(tensors, &set);
        status = write_model(&set, tensors, n_tensors, &err);
        if (status == IMX_OK && set.imatrix_path != NULL) {
            status = write_imatrix(&set, tensors, n_tensors, &err);
        }
    }
    free(tensors);
    if (status != IMX_OK) {
        fprintf(stderr, "make_model: %s\n", err.message);
    }
    return status == IMX_OK ? 0 : 1;
}
