// SPDX-License-Identifier: MIT
//
// Large models lie in several GGUF files, as llama-gguf-split makes them. Each says which it is:
//
//     split.no             which, from 0
//     split.count          how many there are
//     split.tensors.count  tensors in all of them
//
// and has a name that says so again, from 1: NAME-00001-of-00003.gguf. The keys of the model are in
// the first, the tensors in any, and offsets count from the data section of their own file. Nothing
// else ties the files together, so a download that mixes two models is only noticed by what does
// not add up: numbers, names and counts.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/gguf_internal.h"
#include "formats/memory.h"

#define EXTENSION    ".gguf"
#define SPLIT_PREFIX "split."

enum {
    MAX_SHARDS = UINT16_MAX,                        // what split.no can count
    SUFFIX_LEN = sizeof "-00001-of-00001.gguf" - 1, // of a shard's name
};

typedef struct split_keys {
    uint32_t no;
    uint32_t count;
    uint32_t n_tensors; // 0 when not recorded
} split_keys;

size_t imx_gguf_n_files(const imx_gguf *gguf) {
    return gguf->shards != NULL ? gguf->n_shards : 1;
}

const imx_gguf *imx_gguf_file(const imx_gguf *gguf, size_t i) {
    return gguf->shards != NULL ? gguf->shards[i] : gguf;
}

// ---- names -------------------------------------------------------------------------------------

static imx_status format_path(char **out, const char *stem, size_t stem_len, uint32_t no,
                              uint32_t count, imx_error *err) {
    if (asprintf(out, "%.*s-%05" PRIu32 "-of-%05" PRIu32 EXTENSION, (int)stem_len, stem, no + 1,
                 count) < 0) {
        *out = NULL;
        return imx_fail_memory(err, stem_len + SUFFIX_LEN + 1);
    }
    return IMX_OK;
}

imx_status imx_gguf_shard_path(char **out, const char *path, uint32_t no, uint32_t count,
                               imx_error *err) {
    const size_t len = strlen(path);
    const size_t extension_len = strlen(EXTENSION);
    const bool has_extension =
        len > extension_len && strcmp(path + len - extension_len, EXTENSION) == 0;
    return format_path(out, path, has_extension ? len - extension_len : len, no, count, err);
}

// The length of what the names of all shards begin with: `path` is that of the shard `keys`.
static imx_status find_stem(const char *path, const split_keys *keys, size_t *stem_len,
                            imx_error *err) {
    const size_t len = strlen(path);
    char *expected;
    *stem_len = len < SUFFIX_LEN ? 0 : len - SUFFIX_LEN;
    IMX_TRY(format_path(&expected, path, *stem_len, keys->no, keys->count, err));
    const bool is_named = strcmp(path, expected) == 0;
    free(expected);
    return is_named ? IMX_OK
                    : imx_fail(err, IMX_ERR_FORMAT,
                               "%s: is shard %" PRIu32 " of %" PRIu32 ", so its name must end in "
                               "-%05" PRIu32 "-of-%05" PRIu32 EXTENSION " for the others to be "
                               "found",
                               path, keys->no + 1, keys->count, keys->no + 1, keys->count);
}

// ---- shards ------------------------------------------------------------------------------------

static imx_status read_split_keys(const imx_gguf *gguf, split_keys *keys, imx_error *err) {
    *keys = (split_keys){0};
    IMX_TRY(imx_gguf_get_u32(gguf, "split.count", false, &keys->count, err));
    if (keys->count <= 1) {
        return IMX_OK;
    }
    IMX_TRY(imx_gguf_get_u32(gguf, "split.no", true, &keys->no, err));
    IMX_TRY(imx_gguf_get_u32(gguf, "split.tensors.count", false, &keys->n_tensors, err));
    if (keys->count > MAX_SHARDS || keys->no >= keys->count) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: cannot be shard %" PRIu32 " of %" PRIu32 ", counted from 0",
                        gguf->path, keys->no, keys->count);
    }
    return IMX_OK;
}

// Opens shard `no` of the model that a shard with the keys `announced` belongs to.
static imx_status open_shard(imx_gguf **out, const char *path, uint32_t no,
                             const split_keys *announced, imx_error *err) {
    split_keys keys;
    imx_error reason = {0};
    const imx_status status = imx_gguf_open(out, path, &reason);
    if (status != IMX_OK) {
        return imx_fail(err, status, "%.900s (shard %" PRIu32 " of the %" PRIu32 " of the model)",
                        reason.message, no + 1, announced->count);
    }
    IMX_TRY(read_split_keys(*out, &keys, err));
    if (keys.count != announced->count || keys.no != no) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: is not shard %" PRIu32 " of %" PRIu32 " but has split.no %" PRIu32
                        " and split.count %" PRIu32 "; is it of another model?",
                        path, no + 1, announced->count, keys.no, keys.count);
    }
    return IMX_OK;
}

static imx_status open_shards(imx_gguf *model, const char *path, const split_keys *keys,
                              imx_error *err) {
    size_t stem_len;
    IMX_TRY(find_stem(path, keys, &stem_len, err));
    IMX_TRY(imx_alloc_zeroed(&model->shards, keys->count, sizeof(void *), err));
    for (uint32_t no = 0; no < keys->count; ++no) {
        char *shard_path;
        IMX_TRY(format_path(&shard_path, path, stem_len, no, keys->count, err));
        const imx_status status = open_shard(&model->shards[no], shard_path, no, keys, err);
        free(shard_path);
        model->n_shards = no + 1;
        IMX_TRY(status);
    }
    return IMX_OK;
}

// ---- joining -----------------------------------------------------------------------------------

static bool is_split_key(imx_str key) {
    const size_t len = strlen(SPLIT_PREFIX);
    return key.len >= len && memcmp(key.data, SPLIT_PREFIX, len) == 0;
}

static imx_status join_keys(imx_gguf *model, imx_error *err) {
    const imx_gguf *first = model->shards[0];
    IMX_TRY(imx_alloc_zeroed(&model->kvs, first->n_kvs, sizeof *model->kvs, err));
    for (size_t i = 0; i < first->n_kvs; ++i) {
        if (!is_split_key(first->kvs[i].key)) {
            model->kvs[model->n_kvs++] = first->kvs[i];
        }
    }
    return imx_gguf_index_kvs(model, err);
}

static imx_status join_tensors(imx_gguf *model, imx_error *err) {
    split_keys keys;
    size_t n_tensors = 0;
    IMX_TRY(read_split_keys(model->shards[0], &keys, err));
    for (size_t s = 0; s < model->n_shards; ++s) {
        n_tensors += model->shards[s]->n_tensors;
    }
    if (keys.n_tensors != 0 && n_tensors != keys.n_tensors) {
        return imx_fail(err, IMX_ERR_FORMAT,
                        "%s: the shards of this model hold %zu tensors, not %" PRIu32
                        "; one of them is not of this model",
                        model->path, n_tensors, keys.n_tensors);
    }
    IMX_TRY(imx_alloc_zeroed(&model->tensors, n_tensors, sizeof *model->tensors, err));
    for (size_t s = 0; s < model->n_shards; ++s) {
        const imx_gguf *shard = model->shards[s];
        for (size_t i = 0; i < shard->n_tensors; ++i) {
            model->tensors[model->n_tensors] = shard->tensors[i];
            model->tensors[model->n_tensors++].shard = (uint32_t)s;
        }
    }
    return imx_gguf_index_tensors(model, err);
}

static imx_status join(imx_gguf *model, const char *path, const split_keys *keys, imx_error *err) {
    IMX_TRY(open_shards(model, path, keys, err));
    const imx_gguf *first = model->shards[0];
    model->path = first->path;
    model->version = first->version;
    model->alignment = first->alignment;
    IMX_TRY(join_keys(model, err));
    return join_tensors(model, err);
}

imx_status imx_gguf_open_model(imx_gguf **out, const char *path, imx_error *err) {
    split_keys keys;
    imx_gguf *model;
    IMX_TRY(imx_gguf_open(out, path, err));
    imx_status status = read_split_keys(*out, &keys, err);
    if (status == IMX_OK && keys.count <= 1) {
        return IMX_OK;
    }
    imx_gguf_close(*out);
    *out = NULL;
    IMX_TRY(status);
    IMX_TRY(imx_alloc_zeroed(&model, 1, sizeof *model, err));
    status = join(model, path, &keys, err);
    if (status != IMX_OK) {
        imx_gguf_close(model);
        return status;
    }
    *out = model;
    return IMX_OK;
}
