// SPDX-License-Identifier: MIT
//
// A model that has come to harm: an error, or a forward pass to the logits, whatever these are.
//
// Blind bytes seldom get as far as a model. So the input is not a file but says what to do to one:
// its first byte picks a golden model (tests/unit/calib/golden_models.h), and every twelve bytes
// behind it are a damage: to a size that keys and tensors are made of, to a key of the
// architecture, to the shape of a tensor or to its contents.
//
// A model that opens is run if that takes no more than MAX_BYTES of memory.

#include <stdlib.h>
#include <string.h>

#include "calib/forward/trace.h"
#include "calib/forward/walk.h"
#include "calib/model/hparam_table.h"
#include "calib/model/model.h"
#include "memory_file.h"
#include "tests/unit/calib/golden_models.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

enum {
    N_TOKENS = 8,
    MAX_DAMAGES = 16,
    MAX_SIZE = 48,              // of what sizes are changed to
    MAX_BYTES = 64 << 20,       // of memory
    MAX_TENSOR_BYTES = 1 << 20, // of the file
};

typedef enum damage_kind {
    DAMAGE_SIZE,     // letter `which`: 1 + value[0]
    DAMAGE_KEY,      // row `which` of the keys: the value as `how`
    DAMAGE_SHAPE,    // tensor `which`: length `how` becomes the value
    DAMAGE_CONTENTS, // tensor `which`: type `how`, the value again and again
    DAMAGE_ABSENCE,  // tensor `which`
    N_DAMAGE_KINDS,
} damage_kind;

// What a key becomes; AS_NONE: it is gone.
enum { AS_U32, AS_I32, AS_U64, AS_F32, AS_BOOL, AS_WORD, AS_F64, AS_LIST, AS_NONE };

typedef struct damage {
    uint8_t kind; // of damage_kind
    uint8_t how;
    uint8_t which[2]; // little-endian; like the others taken modulo what there is
    uint8_t value[8];
} damage;

// What becomes of a tensor.
typedef struct fate {
    bool is_absent;
    uint32_t type;
    const uint8_t *value; // (8) of all of it; NULL: as it was
} fate;

typedef struct victim {
    golden_file file;
    golden_model model;
    char sizes[512];
    const damage *damages; // (n_damages)
    size_t n_damages;
    fate fates[GOLDEN_MAX_TENSORS];
    FILE *out;
} victim;

static size_t number_of(const damage *d) {
    return d->which[0] + 256U * d->which[1];
}

static uint64_t u64_of(const damage *d) {
    uint64_t value;
    memcpy(&value, d->value, sizeof value);
    return value;
}

// ---------------------------------------------------------------------------------------------
// Damages

// Layers are few: the first ones are all alike, and the files have room for so many tensors.
static void damage_size(victim *v, const damage *d) {
    static const char letters[] = "EVPHGDRFXUWSACNOZL";
    const char letter = letters[number_of(d) % (COUNT_OF(letters) - 1)];
    const unsigned size = 1U + d->value[0] % (letter == 'L' ? 4U : (unsigned)MAX_SIZE);
    char rest[sizeof v->sizes];
    memcpy(rest, v->sizes, sizeof rest);
    snprintf(v->sizes, sizeof v->sizes, "%c%u %.*s", letter, size, (int)sizeof rest - 16, rest);
}

static const char *suffix_of(const damage *d) {
    static const char *const others[] = {"rope.scaling.type", "rope.dimension_sections",
                                         "attention.sliding_window_pattern"};
    const size_t i = number_of(d) % (imx_n_hparam_rows + COUNT_OF(others));
    return i < imx_n_hparam_rows ? imx_hparam_rows[i].suffix : others[i - imx_n_hparam_rows];
}

static imx_status set_list(imx_gguf_builder *header, const char *key, const damage *d) {
    uint32_t elems[64];
    for (size_t i = 0; i < COUNT_OF(elems); ++i) {
        elems[i] = (uint32_t)u64_of(d);
    }
    return imx_gguf_set_array(header, key, IMX_GGUF_U32, elems, d->value[7] % COUNT_OF(elems),
                              NULL);
}

static imx_status damage_key(victim *v, const damage *d) {
    static const char *const words[] = {"", "none", "linear", "yarn", "longrope", "dynamic"};
    imx_gguf_builder *header = v->file.header;
    const uint64_t bits = u64_of(d);
    char key[IMX_MAX_HPARAM_KEY];
    float f32;
    memcpy(&f32, d->value, sizeof f32);
    snprintf(key, sizeof key, "%s.%s", v->model.arch, suffix_of(d));
    switch (d->how % (AS_NONE + 1)) {
    case AS_U32:
        return imx_gguf_set_u32(header, key, (uint32_t)bits, NULL);
    case AS_I32:
        return imx_gguf_set_i32(header, key, (int32_t)(uint32_t)bits, NULL);
    case AS_U64:
        return imx_gguf_set_u64(header, key, bits, NULL);
    case AS_F32:
        return imx_gguf_set_f32(header, key, f32, NULL);
    case AS_BOOL:
        return imx_gguf_set_bool(header, key, bits & 1, NULL);
    case AS_WORD:
        return imx_gguf_set_str(header, key, words[bits % COUNT_OF(words)], NULL);
    case AS_F64:
        return imx_gguf_set_array(header, key, IMX_GGUF_F64, d->value, 1, NULL);
    case AS_LIST:
        return set_list(header, key, d);
    default:
        imx_gguf_unset(header, key);
        return IMX_OK;
    }
}

static void damage_tensor(victim *v, const damage *d) {
    const size_t i = number_of(d) % v->file.n_tensors;
    golden_tensor *tensor = &v->file.tensors[i];
    const uint32_t dim = d->how % IMX_GGUF_MAX_DIMS;
    if (d->kind % N_DAMAGE_KINDS == DAMAGE_CONTENTS) {
        v->fates[i].type = d->how % IMX_TYPE_COUNT;
        v->fates[i].value = d->value;
    } else if (d->kind % N_DAMAGE_KINDS == DAMAGE_ABSENCE) {
        v->fates[i].is_absent = true;
    } else if (dim <= tensor->n_dims) {
        tensor->n_dims += dim == tensor->n_dims;
        tensor->dims[dim] = u64_of(d);
    }
}

// ---------------------------------------------------------------------------------------------
// The file

// Bytes of a tensor in the file; 0: it cannot be written, or is too large for the corpus of sizes
// that make sense.
static uint64_t tensor_bytes(const golden_tensor *tensor, const fate *f) {
    uint64_t n_bytes = imx_type_row_bytes(f->type, tensor->dims[0]);
    for (uint32_t d = 1; d < tensor->n_dims; ++d) {
        if (!imx_mul_u64(n_bytes, tensor->dims[d], &n_bytes)) {
            return 0;
        }
    }
    return n_bytes <= MAX_TENSOR_BYTES ? n_bytes : 0;
}

static void write_tensor(const victim *v, const golden_tensor *tensor, const fate *f) {
    const uint64_t n_bytes = tensor_bytes(tensor, f);
    uint8_t *bytes = malloc((size_t)n_bytes);
    if (bytes == NULL) {
        return;
    }
    if (f->value == NULL) {
        golden_fill(&v->model, tensor, (float *)(void *)bytes);
    }
    for (uint64_t i = 0; f->value != NULL && i < n_bytes; ++i) {
        bytes[i] = f->value[i % 8];
    }
    golden_write_padded(bytes, (size_t)n_bytes, v->out);
    free(bytes);
}

static imx_status build_header(victim *v) {
    golden_file *file = &v->file;
    IMX_TRY(imx_gguf_builder_new(&file->header, NULL));
    IMX_TRY(imx_gguf_set_str(file->header, "general.architecture", v->model.arch, NULL));
    IMX_TRY(golden_set_keys(file, v->model.keys, NULL));
    golden_list_all(file);
    for (size_t i = 0; i < v->n_damages; ++i) {
        const uint8_t kind = v->damages[i].kind % N_DAMAGE_KINDS;
        if (kind == DAMAGE_KEY) {
            IMX_TRY(damage_key(v, &v->damages[i]));
        } else if (kind != DAMAGE_SIZE) {
            damage_tensor(v, &v->damages[i]);
        }
    }
    for (size_t i = 0; i < file->n_tensors; ++i) {
        const golden_tensor *tensor = &file->tensors[i];
        if (tensor_bytes(tensor, &v->fates[i]) == 0) {
            return IMX_ERR_UNSUPPORTED;
        }
        if (!v->fates[i].is_absent) {
            IMX_TRY(imx_gguf_add_tensor(file->header, tensor->name, v->fates[i].type,
                                        tensor->n_dims, tensor->dims, NULL));
        }
    }
    return IMX_OK;
}

static imx_status write_file(victim *v) {
    uint8_t *header;
    size_t n_bytes;
    IMX_TRY(build_header(v));
    IMX_TRY(imx_gguf_builder_header(v->file.header, &header, &n_bytes, NULL));
    fwrite(header, 1, n_bytes, v->out);
    free(header);
    for (size_t i = 0; i < v->file.n_tensors; ++i) {
        if (!v->fates[i].is_absent) {
            write_tensor(v, &v->file.tensors[i], &v->fates[i]);
        }
    }
    return fflush(v->out) == 0 ? IMX_OK : IMX_ERR_IO;
}

static void pick_model(victim *v, uint8_t which) {
    v->model = golden_models[which % GOLDEN_N_MODELS];
    v->file.model = &v->model;
    snprintf(v->sizes, sizeof v->sizes, "%s", v->model.sizes);
    for (size_t i = 0; i < v->n_damages; ++i) {
        if (v->damages[i].kind % N_DAMAGE_KINDS == DAMAGE_SIZE) {
            damage_size(v, &v->damages[i]);
        }
    }
    v->model.sizes = v->sizes;
}

// ---------------------------------------------------------------------------------------------
// The run

static bool is_small(const imx_model *model, int32_t *tokens) {
    size_t starts[] = {0, N_TOKENS};
    const imx_corpus corpus = {tokens, N_TOKENS, N_TOKENS, 1, starts};
    const imx_walk_memory memory = imx_walk_measure(model, &corpus, IMX_PRECISION_EXACT, 1);
    return memory.layer_bytes + imx_head_bytes(model) <= MAX_BYTES;
}

static void run_model(const imx_model *model) {
    int32_t tokens[N_TOKENS];
    imx_trace trace;
    imx_error err = {0};
    for (int32_t i = 0; i < N_TOKENS; ++i) {
        tokens[i] = (int32_t)((uint32_t)i * 7 % imx_model_n_vocab(model));
    }
    if (!is_small(model, tokens)) {
        return;
    }
    const imx_status status = imx_trace_run(&trace, model, tokens, N_TOKENS, 1, NULL, &err);
    imx_trace_free(&trace);
    if (status != IMX_OK && status != IMX_ERR_UNSUPPORTED) {
        abort();
    }
}

static void open_and_run(const char *path) {
    imx_model *model;
    imx_error err = {0};
    const imx_status status = imx_model_open(&model, path, &err);
    if (status == IMX_OK) {
        run_model(model);
        imx_model_close(model);
    } else if (err.status != status || err.message[0] == '\0') {
        abort();
    }
}

static void harm(victim *v, uint8_t which, const char *path) {
    pick_model(v, which);
    if (write_file(v) == IMX_OK) {
        open_and_run(path);
    }
    imx_gguf_builder_free(v->file.header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const size_t n_damages = size > 0 ? (size - 1) / sizeof(damage) : 0;
    char path[MEMORY_FILE_PATH];
    FILE *out = open_memory_file(path);
    victim *v = calloc(1, sizeof *v);
    if (size > 0 && n_damages <= MAX_DAMAGES && out != NULL && v != NULL) {
        v->damages = (const damage *)(data + 1);
        v->n_damages = n_damages;
        v->out = out;
        harm(v, data[0], path);
    }
    free(v);
    if (out != NULL) {
        fclose(out);
    }
    return 0;
}
