// SPDX-License-Identifier: MIT
//
// The seal is checked before anything is looked at, and what a checkpoint is of before anything of
// it is taken.

#include "calib/statistics/checkpoint_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/file_map.h"
#include "formats/gguf.h"
#include "formats/imatrix_covariance.h"
#include "formats/memory.h"
#include "kernels/split.h"

#define START_ANEW "start anew (collect with --restart, quantize without --resume)"

static imx_status fail_damaged(const char *path, imx_error *err) {
    return imx_fail(err, IMX_ERR_FORMAT,
                    "%s: is not a checkpoint, or a damaged one; remove it or " START_ANEW, path);
}

static imx_status check_seal(const imx_file_map *map, imx_error *err) {
    XXH128_canonical_t seal;
    XXH3_state_t state;
    if (map->size_bytes < sizeof seal.digest) {
        return fail_damaged(map->path, err);
    }
    const uint64_t sealed_bytes = map->size_bytes - sizeof seal.digest;
    XXH3_128bits_reset(&state);
    imx_hash_mapped(&state, map->data, sealed_bytes);
    XXH128_canonicalFromHash(&seal, XXH3_128bits_digest(&state));
    const bool holds = memcmp(seal.digest, map->data + sealed_bytes, sizeof seal.digest) == 0;
    return holds ? IMX_OK : fail_damaged(map->path, err);
}

static imx_status check_identity(const imx_gguf *gguf, const imx_checkpoint *checkpoint,
                                 imx_error *err) {
    imx_identity identities[IMX_CHECKPOINT_N_IDENTITIES];
    char corpus_hash[IMX_HASH_HEX_BYTES];
    imx_checkpoint_identify(checkpoint, corpus_hash, identities);
    for (size_t i = 0; i < IMX_CHECKPOINT_N_IDENTITIES; ++i) {
        imx_str found = {0};
        IMX_TRY(imx_gguf_get_str(gguf, identities[i].key, true, &found, err));
        if (found.len != strlen(identities[i].value) ||
            memcmp(found.data, identities[i].value, found.len) != 0) {
            return imx_fail(err, IMX_ERR_MISMATCH,
                            "%s: was left by a run with %s; finish that one, or " START_ANEW,
                            gguf->path, identities[i].what);
        }
    }
    return IMX_OK;
}

static imx_status get_place(const imx_gguf *gguf, imx_checkpoint *checkpoint, imx_error *err) {
    uint32_t chunk = 0;
    IMX_TRY(imx_gguf_get_u32(gguf, IMX_CHECKPOINT_LAYER_KEY, true, &checkpoint->place.layer, err));
    IMX_TRY(imx_gguf_get_u32(gguf, IMX_CHECKPOINT_CHUNK_KEY, true, &chunk, err));
    checkpoint->place.chunk = chunk;
    return chunk < checkpoint->corpus->n_chunks ? IMX_OK : fail_damaged(gguf->path, err);
}

static imx_status get_left_out(const imx_gguf *gguf, const imx_checkpoint *checkpoint,
                               imx_error *err) {
    imx_imatrix_origin *origin = &checkpoint->imatrix->origin;
    const imx_gguf_kv *chunks;
    IMX_TRY(
        imx_gguf_get_array(gguf, IMX_CHECKPOINT_LEFT_OUT_KEY, true, IMX_GGUF_U32, &chunks, err));
    free(origin->left_out_chunks);
    IMX_TRY(imx_alloc_zeroed(&origin->left_out_chunks, (size_t)chunks->n_elems,
                             sizeof *origin->left_out_chunks, err));
    origin->n_left_out = (size_t)chunks->n_elems;
    for (size_t i = 0; i < origin->n_left_out; ++i) {
        origin->left_out_chunks[i] = (uint32_t)imx_gguf_elem_i64(chunks, i);
        if (origin->left_out_chunks[i] >= checkpoint->corpus->n_chunks) {
            return fail_damaged(gguf->path, err);
        }
    }
    return IMX_OK;
}

// The entry of that name, new or announced.
static imx_status find_entry(const imx_gguf *gguf, const imx_gguf_tensor *in_sum2, const char *name,
                             imx_imatrix *imatrix, imx_imatrix_entry **entry, imx_error *err) {
    const uint64_t n_cols = in_sum2->dims[0], n_mats = in_sum2->dims[1];
    *entry = imx_imatrix_find(imatrix, name);
    if (*entry == NULL) {
        return imx_imatrix_add(imatrix, name, n_cols, n_mats, true, entry, err);
    }
    return (*entry)->n_cols == n_cols && (*entry)->n_mats == n_mats ? IMX_OK
                                                                    : fail_damaged(gguf->path, err);
}

// The entry whose sums of squares are `in_sum2`; `len` bytes of that name are the weight's.
static imx_status get_entry(const imx_gguf *gguf, const imx_gguf_tensor *in_sum2, size_t len,
                            imx_imatrix *imatrix, imx_error *err) {
    imx_imatrix_entry *entry;
    char name[IMX_CHECKPOINT_MAX_NAME];
    if (len >= sizeof name) {
        return fail_damaged(gguf->path, err);
    }
    memcpy(name, in_sum2->name, len);
    name[len] = '\0';
    IMX_TRY(find_entry(gguf, in_sum2, name, imatrix, &entry, err));
    for (size_t part = 0; part < IMX_CHECKPOINT_N_PARTS; ++part) {
        IMX_TRY(imx_checkpoint_name(name, in_sum2->name, len, part, err));
        const imx_gguf_tensor *tensor = imx_gguf_find_tensor(gguf, name);
        if (imx_checkpoint_parts[part].shape == IMX_CHECKPOINT_PER_PAIR) {
            if (tensor == NULL) {
                continue;
            }
            IMX_TRY(imx_imatrix_add_covariance(imatrix, entry, err));
        }
        if (tensor == NULL || tensor->size_bytes != imx_checkpoint_bytes(entry, part)) {
            return fail_damaged(gguf->path, err);
        }
        memcpy(imx_checkpoint_values(entry, part), tensor->data, tensor->size_bytes);
    }
    return IMX_OK;
}

static imx_status get_sums(const imx_gguf *gguf, imx_imatrix *imatrix, imx_error *err) {
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        const char *name = gguf->tensors[i].name;
        const size_t suffix_len = strlen(IMX_CHECKPOINT_IN_SUM2);
        const size_t len = strlen(name) > suffix_len ? strlen(name) - suffix_len : 0;
        if (strcmp(name + len, IMX_CHECKPOINT_IN_SUM2) == 0) {
            IMX_TRY(get_entry(gguf, &gguf->tensors[i], len, imatrix, err));
        }
    }
    return imx_covariance_load_owners(gguf, imatrix, err);
}

static imx_status get_stream(const imx_gguf *gguf, const imx_checkpoint *checkpoint,
                             imx_error *err) {
    const imx_gguf_tensor *tensor = imx_gguf_find_tensor(gguf, IMX_CHECKPOINT_STREAM);
    const size_t n_tokens = checkpoint->corpus->n_tokens;
    const size_t step = checkpoint->max_rows;
    const size_t row_bytes = checkpoint->n_embd * sizeof(float);
    if (tensor == NULL || tensor->size_bytes != n_tokens * row_bytes) {
        return fail_damaged(gguf->path, err);
    }
    for (size_t i = 0; i < n_tokens; i += step) {
        const size_t n = imx_piece_len(n_tokens, i, step);
        float *rows;
        IMX_TRY(imx_residual_stream_load(checkpoint->stream, i, n, &rows, err));
        memcpy(rows, tensor->data + i * row_bytes, n * row_bytes);
        imx_file_map_release(tensor->data + i * row_bytes, n * row_bytes);
        IMX_TRY(imx_residual_stream_store(checkpoint->stream, err));
    }
    return IMX_OK;
}

static imx_status get_all(const imx_file_map *map, imx_checkpoint *checkpoint, imx_error *err) {
    imx_gguf *gguf;
    imx_status status;
    IMX_TRY(check_seal(map, err));
    IMX_TRY(imx_gguf_parse(&gguf, map->data, map->size_bytes - sizeof(XXH128_canonical_t),
                           map->path, err));
    IMX_TRY_GOTO(done, check_identity(gguf, checkpoint, err));
    IMX_TRY_GOTO(done, get_place(gguf, checkpoint, err));
    IMX_TRY_GOTO(done, get_left_out(gguf, checkpoint, err));
    IMX_TRY_GOTO(done, get_sums(gguf, checkpoint->imatrix, err));
    status = get_stream(gguf, checkpoint, err);
done:
    imx_gguf_close(gguf);
    return status;
}

imx_status imx_checkpoint_read(imx_checkpoint *checkpoint, const char *path, bool *found,
                               imx_error *err) {
    imx_file_map map;
    *found = access(path, F_OK) == 0;
    if (!*found) {
        return IMX_OK;
    }
    IMX_TRY(imx_file_map_open(&map, path, err));
    const imx_status status = get_all(&map, checkpoint, err);
    imx_file_map_close(&map);
    return status;
}
