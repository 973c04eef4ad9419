// SPDX-License-Identifier: MIT
//
// Writes golden models (golden_models.h) as GGUF files. A model is described in words:
//
//     sizes   "L3 E32": letters and what they stand for; those left out are in golden_sizes
//     keys    "rope.dimension_count=D": SUFFIX=VALUE under the architecture's name. A value with a
//             point is F32, true and false are BOOL, [1,2] is an array of U32; what starts with a
//             small letter is a string, anything else a U32
//     tensors "attn_q*:E,HD": NAME:SHAPE, ".weight" where the name has no point. A star: a scale
//             lies beside it in models with Y1, one of every matrix
//
// Numbers are sums of products: "HD+2GD" is heads × values + 2 × key heads × values.
//
// Weights follow from the names of model and tensor: integers of a seeded generator times powers of
// two, so that they are the same on every machine. How wide they spread depends on what they are
// for (golden_spreads): a product keeps its input's size, a norm is near one and a bias is large
// enough to show. Epsilons, bases and windows are far from any default for the same reason.

#ifndef IMX_TESTS_GOLDEN_WRITER_H
#define IMX_TESTS_GOLDEN_WRITER_H

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/gguf.h"
#include "formats/memory.h"
#include "../random_values.h"

typedef struct golden_model {
    const char *name;
    const char *arch;
    const char *sizes;
    const char *keys;
    const char *whole;  // tensors outside of the layers
    const char *layers; // of every layer
    const char *dense;  // of the first Z layers
    const char *sparse; // of the others
} golden_model;

// L layers, the first Z of them dense, T tokens to run, E embedding, V vocabulary, P positions in
// training; H heads, G of keys, D values each, R of them rotated; F inner values of a network, X
// experts, U used, W inner values of an expert, S of the shared ones; A rank of queries, C latent,
// N and R the parts of its keys, O its values; B/64 largest embedded value; what a layer adds is
// 2^M times smaller; Y1 with scales.
static const char golden_sizes[] =
    "L2 Z0 T20 E32 V40 P128 H4 G2 D8 R8 F48 X8 U3 W16 S24 A24 C16 N8 O12 B96 M0 Y0";

enum {
    GOLDEN_MAX_WORD = 128,
    GOLDEN_MAX_NAME = GOLDEN_MAX_WORD + 32,
    GOLDEN_MAX_TENSORS = 1024,
    GOLDEN_MAX_TOKENS = 32,
    GOLDEN_UNIT = 64,
};

typedef struct golden_tensor {
    char name[GOLDEN_MAX_NAME];
    uint32_t n_dims;
    uint64_t dims[IMX_GGUF_MAX_DIMS];
} golden_tensor;

typedef struct golden_file {
    const golden_model *model;
    imx_gguf_builder *header;
    golden_tensor tensors[GOLDEN_MAX_TENSORS];
    size_t n_tensors;
} golden_file;

// ---------------------------------------------------------------------------------------------
// Words

static inline uint64_t golden_size(const golden_model *model, char letter) {
    const char *found = strchr(model->sizes, letter);
    found = found != NULL ? found : strchr(golden_sizes, letter);
    return found != NULL ? strtoull(found + 1, NULL, 10) : 0;
}

static inline uint64_t golden_product(const golden_model *model, const char **text) {
    uint64_t product = 1;
    while (isalnum((unsigned char)**text)) {
        char *end = (char *)(uintptr_t)(*text + 1);
        product *=
            isdigit((unsigned char)**text) ? strtoull(*text, &end, 10) : golden_size(model, **text);
        *text = end;
    }
    return product;
}

// The number at *text, which is moved behind it.
static inline uint64_t golden_number(const golden_model *model, const char **text) {
    uint64_t sum = golden_product(model, text);
    while (**text == '+') {
        ++*text;
        sum += golden_product(model, text);
    }
    return sum;
}

// The numbers of a list with commas; returns how many.
static inline uint32_t golden_list(const golden_model *model, const char *text,
                                   uint64_t numbers[IMX_GGUF_MAX_DIMS]) {
    uint32_t n = 0;
    do {
        numbers[n++] = golden_number(model, &text);
    } while (*text++ == ',' && n < IMX_GGUF_MAX_DIMS);
    return n;
}

// Copies the next word of *text and moves *text behind it; false at the end.
static inline bool golden_next_word(const char **text, char word[GOLDEN_MAX_WORD]) {
    int n = 0;
    if (*text == NULL || sscanf(*text, "%127s%n", word, &n) != 1) {
        return false;
    }
    *text += n;
    return true;
}

// ---------------------------------------------------------------------------------------------
// Keys

static inline imx_status golden_set_array(const golden_file *file, const char *key,
                                          const char *text, imx_error *err) {
    uint64_t numbers[IMX_GGUF_MAX_DIMS];
    uint32_t elems[IMX_GGUF_MAX_DIMS];
    const uint32_t n = golden_list(file->model, text, numbers);
    for (uint32_t i = 0; i < n; ++i) {
        elems[i] = (uint32_t)numbers[i];
    }
    return imx_gguf_set_array(file->header, key, IMX_GGUF_U32, elems, n, err);
}

static inline imx_status golden_set_value(const golden_file *file, const char *key,
                                          const char *value, imx_error *err) {
    const bool is_true = strcmp(value, "true") == 0;
    if (value[0] == '[') {
        return golden_set_array(file, key, value + 1, err);
    }
    if (is_true || strcmp(value, "false") == 0) {
        return imx_gguf_set_bool(file->header, key, is_true, err);
    }
    if (islower((unsigned char)value[0])) {
        return imx_gguf_set_str(file->header, key, value, err);
    }
    if (strchr(value, '.') != NULL) {
        return imx_gguf_set_f32(file->header, key, strtof(value, NULL), err);
    }
    return imx_gguf_set_u32(file->header, key, (uint32_t)golden_number(file->model, &value), err);
}

static inline imx_status golden_set_keys(const golden_file *file, const char *keys,
                                         imx_error *err) {
    char word[GOLDEN_MAX_WORD], key[2 * GOLDEN_MAX_WORD];
    while (golden_next_word(&keys, word)) {
        char *value = strchr(word, '=');
        *value++ = '\0';
        snprintf(key, sizeof key, "%s.%s", file->model->arch, word);
        IMX_TRY(golden_set_value(file, key, value, err));
    }
    return IMX_OK;
}

// ---------------------------------------------------------------------------------------------
// Tensors

// The name of a tensor, of no layer where that is negative.
static inline void golden_name(char *name, size_t name_bytes, int layer, const char *stem,
                               const char *part) {
    if (layer < 0) {
        snprintf(name, name_bytes, "%s%s", stem, part);
    } else {
        snprintf(name, name_bytes, "blk.%d.%s%s", layer, stem, part);
    }
}

static inline golden_tensor *golden_add_tensor(golden_file *file, int layer, const char *stem,
                                               const char *part) {
    assert(file->n_tensors < GOLDEN_MAX_TENSORS);
    golden_tensor *tensor = &file->tensors[file->n_tensors++];
    golden_name(tensor->name, sizeof tensor->name, layer, stem, part);
    return tensor;
}

// Lists the tensors of a layer, or those of none.
static inline void golden_list_tensors(golden_file *file, int layer, const char *tensors) {
    char word[GOLDEN_MAX_WORD];
    while (golden_next_word(&tensors, word)) {
        char *shape = strchr(word, ':');
        *shape++ = '\0';
        char *star = strchr(word, '*');
        if (star != NULL) {
            *star = '\0';
        }
        golden_tensor *tensor =
            golden_add_tensor(file, layer, word, strchr(word, '.') != NULL ? "" : ".weight");
        tensor->n_dims = golden_list(file->model, shape, tensor->dims);
        if (star != NULL && golden_size(file->model, 'Y') > 0) {
            golden_tensor *scale = golden_add_tensor(file, layer, word, ".scale");
            scale->n_dims = 1;
            scale->dims[0] = tensor->n_dims == 3 ? tensor->dims[2] : 1;
        }
    }
}

static inline void golden_list_all(golden_file *file) {
    const golden_model *model = file->model;
    const int n_layers = (int)golden_size(model, 'L'), n_dense = (int)golden_size(model, 'Z');
    golden_list_tensors(file, -1, model->whole);
    for (int layer = 0; layer < n_layers; ++layer) {
        golden_list_tensors(file, layer, model->layers);
        golden_list_tensors(file, layer, layer < n_dense ? model->dense : model->sparse);
    }
}

// ---------------------------------------------------------------------------------------------
// Values

// Values of a tensor lie within mean ± half, in 64ths. The first row whose text is in the name
// counts.
// clang-format off
static const struct golden_spread {
    const char *text;
    int mean;
    const char *half; // a number in words; NULL: so that a product is about as large as its input
    bool is_added;    // to what goes from layer to layer: M makes it smaller
} golden_spreads[] = {
    {".scales", 80, "48", false},
    {".scale", 48, "12", false},
    {".bias", 0, "32", false},
    {"post_", 64, "32", true},
    {"norm", 64, "32", false},
    {"attn_sinks", 0, "128", false},
    {"rope_", 160, "96", false},
    {"position_embd", 0, "64", false},
    {"token_embd", 0, "B", false},
    {"attn_output", 0, NULL, true},
    {"ffn_down", 0, NULL, true},
    {"", 0, NULL, false},
};
// clang-format on

// FNV-1a of both names (Fowler, Noll and Vo).
static inline uint64_t golden_seed(const char *model_name, const char *tensor_name) {
    const char *const names[] = {model_name, tensor_name};
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < 2; ++i) {
        for (const char *c = names[i]; *c != '\0'; ++c) {
            hash = (hash ^ (uint64_t)(unsigned char)*c) * UINT64_C(0x100000001b3);
        }
    }
    return hash;
}

// An integer within ±n.
static inline int golden_random(uint64_t *state, int n) {
    return (int)(random_value(state) * (float)n);
}

// Values within ±w have a mean square of w² / 3: a sum of n products with inputs of mean square 1
// has one of 2 for w² = 6 / n.
static inline int golden_product_half(uint64_t n_in) {
    const uint64_t square = 6 * (uint64_t)GOLDEN_UNIT * GOLDEN_UNIT / n_in;
    uint64_t root = 0;
    while ((root + 1) * (root + 1) <= square) {
        ++root;
    }
    return (int)root;
}

static inline uint64_t golden_n_values(const golden_tensor *tensor) {
    uint64_t n = 1;
    for (uint32_t d = 0; d < tensor->n_dims; ++d) {
        n *= tensor->dims[d];
    }
    return n;
}

static inline void golden_fill(const golden_model *model, const golden_tensor *tensor,
                               float *values) {
    const struct golden_spread *spread = golden_spreads;
    while (strstr(tensor->name, spread->text) == NULL) {
        ++spread;
    }
    const char *words = spread->half;
    const int half =
        words != NULL ? (int)golden_number(model, &words) : golden_product_half(tensor->dims[0]);
    const uint64_t divisor = spread->is_added ? UINT64_C(1) << golden_size(model, 'M') : 1;
    const float unit = 1.0f / (float)(GOLDEN_UNIT * GOLDEN_UNIT * divisor);
    uint64_t state = golden_seed(model->name, tensor->name);
    for (uint64_t i = 0; i < golden_n_values(tensor); ++i) {
        const int value = spread->mean * GOLDEN_UNIT + half * golden_random(&state, GOLDEN_UNIT);
        values[i] = (float)value * unit;
    }
}

// ---------------------------------------------------------------------------------------------
// Files

// Writes bytes and, as GGUF wants it, zeros up to the next multiple of its alignment.
static inline void golden_write_padded(const void *bytes, size_t n_bytes, FILE *out) {
    static const uint8_t padding[IMX_GGUF_DEFAULT_ALIGNMENT];
    const size_t n_over = n_bytes % sizeof padding;
    fwrite(bytes, 1, n_bytes, out);
    fwrite(padding, 1, n_over > 0 ? sizeof padding - n_over : 0, out);
}

static inline imx_status golden_write_values(const golden_file *file, FILE *out, imx_error *err) {
    for (size_t i = 0; i < file->n_tensors; ++i) {
        const size_t n = (size_t)golden_n_values(&file->tensors[i]);
        float *values;
        IMX_TRY(imx_alloc_zeroed(&values, n, sizeof *values, err));
        golden_fill(file->model, &file->tensors[i], values);
        golden_write_padded(values, n * sizeof *values, out);
        free(values);
    }
    return IMX_OK;
}

static inline imx_status golden_build_header(golden_file *file, const char *more_keys,
                                             imx_error *err) {
    const golden_model *model = file->model;
    IMX_TRY(imx_gguf_builder_new(&file->header, err));
    IMX_TRY(imx_gguf_set_str(file->header, "general.architecture", model->arch, err));
    IMX_TRY(imx_gguf_set_str(file->header, "tokenizer.ggml.model", "no_vocab", err));
    IMX_TRY(golden_set_keys(file, "vocab_size=V", err));
    IMX_TRY(golden_set_keys(file, model->keys, err));
    IMX_TRY(golden_set_keys(file, more_keys, err));
    golden_list_all(file);
    for (size_t i = 0; i < file->n_tensors; ++i) {
        const golden_tensor *tensor = &file->tensors[i];
        IMX_TRY(imx_gguf_add_tensor(file->header, tensor->name, IMX_TYPE_F32, tensor->n_dims,
                                    tensor->dims, err));
    }
    return IMX_OK;
}

static inline imx_status golden_write_file(golden_file *file, const char *more_keys, FILE *out,
                                           imx_error *err) {
    uint8_t *bytes;
    size_t n_bytes;
    IMX_TRY(golden_build_header(file, more_keys, err));
    IMX_TRY(imx_gguf_builder_header(file->header, &bytes, &n_bytes, err));
    fwrite(bytes, 1, n_bytes, out);
    free(bytes);
    return golden_write_values(file, out, err);
}

// Writes the model to `out`, with the keys `more_keys` on top of its own; NULL: none.
static inline imx_status golden_write(const golden_model *model, const char *more_keys, FILE *out,
                                      imx_error *err) {
    golden_file *file;
    IMX_TRY(imx_alloc_zeroed(&file, 1, sizeof *file, err));
    file->model = model;
    const imx_status status = golden_write_file(file, more_keys, out, err);
    imx_gguf_builder_free(file->header);
    free(file);
    return status;
}

// The tokens to run, into tokens (at most GOLDEN_MAX_TOKENS); returns how many.
static inline size_t golden_tokens(const golden_model *model, int32_t *tokens) {
    uint64_t state = golden_seed(model->name, "tokens");
    const size_t n = (size_t)golden_size(model, 'T');
    const int n_vocab = (int)golden_size(model, 'V');
    for (size_t i = 0; i < n; ++i) {
        tokens[i] = (golden_random(&state, 1024) + 1024) % n_vocab;
    }
    return n;
}

#endif
