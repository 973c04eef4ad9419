// SPDX-License-Identifier: MIT
//
// A checkpoint is a GGUF, which brings a reader that trusts nothing, with a seal behind it:
//
//     checkpoint.program, .model_hash, .corpus_hash, .settings     strings: what it is of
//     checkpoint.layer, .chunk                                     the place in the walk
//     checkpoint.left_out_chunks                                   as in the imatrix
//     NAME.in_sum2, .in_sum, .in_max, .counts                      F64: sums, exact
//     NAME.in_cov                                                  F32: sums of products; weights
//     imatrix.calibration.covariance_sharers, _owners              that share them, and with which
//     residual_stream [n_embd, n_tokens]                           F32
//     XXH3-128 of all bytes before it, 16 bytes
//
// It is written under a name of its own, always the same, so that a run that is killed while it
// writes leaves nothing that the next one does not use up. It appears by rename after a sync; the
// seal is not for torn writes but for disks and copies that lose bytes: sums that are slightly
// wrong would look like any others.

#include "calib/statistics/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/split.h"
#include "formats/file_hash.h"
#include "formats/file_map.h"
#include "formats/gguf.h"
#include "formats/imatrix_covariance.h"
#include "formats/memory.h"
#include "formats/partial_file.h"

#define IN_SUM2      ".in_sum2"
#define STREAM       "residual_stream"
#define LAYER_KEY    "checkpoint.layer"
#define CHUNK_KEY    "checkpoint.chunk"
#define LEFT_OUT_KEY "checkpoint.left_out_chunks"

enum { MAX_NAME = 256 };

// The arrays of an entry, by offset.
static const struct {
    const char *suffix;
    size_t offset; // of the pointer in imx_imatrix_entry
    imx_type type;
    enum { PER_COLUMN, PER_MATRIX, PER_PAIR } shape;
} parts[] = {
    {IN_SUM2, offsetof(imx_imatrix_entry, in_sum2), IMX_TYPE_F64, PER_COLUMN},
    {".in_sum", offsetof(imx_imatrix_entry, in_sum), IMX_TYPE_F64, PER_COLUMN},
    {".in_max", offsetof(imx_imatrix_entry, in_max), IMX_TYPE_F64, PER_COLUMN},
    {".counts", offsetof(imx_imatrix_entry, counts), IMX_TYPE_F64, PER_MATRIX},
    {".in_cov", offsetof(imx_imatrix_entry, in_cov), IMX_TYPE_F32, PER_PAIR},
};

enum { N_PARTS = sizeof parts / sizeof *parts };

static void *part_values(const imx_imatrix_entry *entry, size_t part) {
    void *values;
    memcpy(&values, (const char *)entry + parts[part].offset, sizeof values);
    return values;
}

static uint64_t part_cols(const imx_imatrix_entry *entry, size_t part) {
    const uint64_t n[] = {entry->n_cols, 1, imx_covariance_len(entry->n_cols)}; // by shape
    return n[parts[part].shape];
}

static uint64_t part_bytes(const imx_imatrix_entry *entry, size_t part) {
    return imx_type_row_bytes(parts[part].type, part_cols(entry, part) * entry->n_mats);
}

// Whether the part is written with entry `i`: products are only with the first that has them.
static bool is_with(const imx_imatrix *imatrix, const size_t *owners, size_t i, size_t part) {
    return parts[part].shape != PER_PAIR || (imatrix->entries[i].in_cov != NULL && owners[i] == i);
}

static imx_status name_part(char name[MAX_NAME], const char *stem, size_t len, size_t part,
                            imx_error *err) {
    const int n = snprintf(name, MAX_NAME, "%.*s%s", (int)len, stem, parts[part].suffix);
    return n < MAX_NAME ? IMX_OK
                        : imx_fail(err, IMX_ERR_UNSUPPORTED, "%s: the name is too long", stem);
}

static void hash_corpus(const imx_corpus *corpus, char hex[IMX_HASH_HEX_BYTES]) {
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, &corpus->n_ctx, sizeof corpus->n_ctx);
    XXH3_128bits_update(&state, corpus->starts, (corpus->n_chunks + 1) * sizeof *corpus->starts);
    XXH3_128bits_update(&state, corpus->tokens, corpus->n_tokens * sizeof *corpus->tokens);
    imx_hash_to_hex(XXH3_128bits_digest(&state), hex);
}

// What a checkpoint is of, and what to say when it is of something else.
typedef struct identity {
    const char *key;
    const char *value;
    const char *what;
} identity;

enum { N_IDENTITIES = 4 };

static void identify(const imx_checkpoint *checkpoint, char corpus_hash[IMX_HASH_HEX_BYTES],
                     identity identities[N_IDENTITIES]) {
    hash_corpus(checkpoint->corpus, corpus_hash);
    identities[0] = (identity){"checkpoint.program", IMX_VERSION, "another version of imatrix"};
    identities[1] = (identity){"checkpoint.model_hash", checkpoint->model_hash, "another model"};
    identities[2] = (identity){"checkpoint.corpus_hash", corpus_hash,
                               "another text, or one cut or chosen from in another way"};
    identities[3] = (identity){"checkpoint.settings", checkpoint->settings, "other options"};
}

// ---------------------------------------------------------------------------------------------
// Writing

typedef struct sealed_file {
    imx_partial_file *file;
    XXH3_state_t hash;
    size_t *owners; // (n_entries) of products, see imatrix_covariance.h
} sealed_file;

static imx_status put(sealed_file *out, const void *data, size_t size_bytes, imx_error *err) {
    XXH3_128bits_update(&out->hash, data, size_bytes);
    return imx_partial_file_append(out->file, data, size_bytes, err);
}

static imx_status pad(sealed_file *out, imx_error *err) {
    static const uint8_t zeros[IMX_GGUF_DEFAULT_ALIGNMENT];
    const uint64_t size_bytes = imx_partial_file_size(out->file);
    return put(out, zeros, imx_align_up(size_bytes, sizeof zeros) - size_bytes, err);
}

static imx_status describe(imx_gguf_builder *builder, const imx_checkpoint *checkpoint,
                           imx_error *err) {
    const imx_imatrix_origin *origin = &checkpoint->imatrix->origin;
    identity identities[N_IDENTITIES];
    char corpus_hash[IMX_HASH_HEX_BYTES];
    identify(checkpoint, corpus_hash, identities);
    IMX_TRY(imx_gguf_set_str(builder, "general.type", "imatrix-checkpoint", err));
    for (size_t i = 0; i < N_IDENTITIES; ++i) {
        IMX_TRY(imx_gguf_set_str(builder, identities[i].key, identities[i].value, err));
    }
    IMX_TRY(imx_gguf_set_u32(builder, LAYER_KEY, checkpoint->place.layer, err));
    IMX_TRY(imx_gguf_set_u32(builder, CHUNK_KEY, (uint32_t)checkpoint->place.chunk, err));
    return imx_gguf_set_array(builder, LEFT_OUT_KEY, IMX_GGUF_U32, origin->left_out_chunks,
                              origin->n_left_out, err);
}

static imx_status list_tensors(imx_gguf_builder *builder, const imx_checkpoint *checkpoint,
                               const size_t *owners, imx_error *err) {
    const imx_imatrix *imatrix = checkpoint->imatrix;
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        const imx_imatrix_entry *entry = &imatrix->entries[i];
        for (size_t part = 0; part < N_PARTS; ++part) {
            const uint64_t dims[] = {part_cols(entry, part), entry->n_mats};
            char name[MAX_NAME];
            if (is_with(imatrix, owners, i, part)) {
                IMX_TRY(name_part(name, entry->name, strlen(entry->name), part, err));
                IMX_TRY(imx_gguf_add_tensor(builder, name, parts[part].type, 2, dims, err));
            }
        }
    }
    const uint64_t dims[] = {checkpoint->n_embd, checkpoint->corpus->n_tokens};
    return imx_gguf_add_tensor(builder, STREAM, IMX_TYPE_F32, 2, dims, err);
}

static imx_status put_header(sealed_file *out, const imx_checkpoint *checkpoint, imx_error *err) {
    imx_gguf_builder *builder;
    uint8_t *header = NULL;
    size_t header_bytes;
    imx_status status;
    IMX_TRY(imx_gguf_builder_new(&builder, err));
    IMX_TRY_GOTO(done, describe(builder, checkpoint, err));
    IMX_TRY_GOTO(done, imx_covariance_store_owners(builder, checkpoint->imatrix, out->owners, err));
    IMX_TRY_GOTO(done, list_tensors(builder, checkpoint, out->owners, err));
    IMX_TRY_GOTO(done, imx_gguf_builder_header(builder, &header, &header_bytes, err));
    status = put(out, header, header_bytes, err);
done:
    free(header);
    imx_gguf_builder_free(builder);
    return status;
}

static imx_status put_sums(sealed_file *out, const imx_imatrix *imatrix, imx_error *err) {
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        const imx_imatrix_entry *entry = &imatrix->entries[i];
        for (size_t part = 0; part < N_PARTS; ++part) {
            if (is_with(imatrix, out->owners, i, part)) {
                IMX_TRY(put(out, part_values(entry, part), part_bytes(entry, part), err));
                IMX_TRY(pad(out, err));
            }
        }
    }
    return IMX_OK;
}

static imx_status put_stream(sealed_file *out, const imx_checkpoint *checkpoint, imx_error *err) {
    const size_t n_tokens = checkpoint->corpus->n_tokens;
    const size_t step = checkpoint->max_rows;
    for (size_t i = 0; i < n_tokens; i += step) {
        const size_t n = imx_piece_len(n_tokens, i, step);
        float *rows;
        IMX_TRY(imx_residual_stream_load(checkpoint->stream, i, n, &rows, err));
        IMX_TRY(put(out, rows, n * checkpoint->n_embd * sizeof *rows, err));
    }
    return pad(out, err);
}

static imx_status put_all(sealed_file *out, const imx_checkpoint *checkpoint, imx_error *err) {
    XXH128_canonical_t seal;
    XXH3_128bits_reset(&out->hash);
    IMX_TRY(imx_partial_file_cut(out->file, 0, err)); // what a killed run has left
    IMX_TRY(put_header(out, checkpoint, err));
    IMX_TRY(put_sums(out, checkpoint->imatrix, err));
    IMX_TRY(put_stream(out, checkpoint, err));
    XXH128_canonicalFromHash(&seal, XXH3_128bits_digest(&out->hash));
    IMX_TRY(imx_partial_file_append(out->file, seal.digest, sizeof seal.digest, err));
    return imx_partial_file_sync(out->file, err);
}

imx_status imx_checkpoint_write(const imx_checkpoint *checkpoint, const char *path,
                                imx_error *err) {
    sealed_file out;
    imx_status status;
    IMX_TRY_GOTO(done, imx_covariance_owners(checkpoint->imatrix, &out.owners, err));
    IMX_TRY_GOTO(done, imx_partial_file_open(&out.file, path, err));
    status = put_all(&out, checkpoint, err);
    if (status == IMX_OK) {
        status = imx_partial_file_commit(out.file, err);
    } else {
        imx_partial_file_discard(out.file);
    }
done:
    free(out.owners);
    return status;
}

void imx_checkpoint_remove(const char *path) {
    imx_partial_file *unfinished;
    if (imx_partial_file_open(&unfinished, path, NULL) == IMX_OK) {
        imx_partial_file_discard(unfinished);
    }
    unlink(path);
}

// ---------------------------------------------------------------------------------------------
// Reading

static imx_status fail_damaged(const char *path, imx_error *err) {
    return imx_fail(err, IMX_ERR_FORMAT,
                    "%s: is not a checkpoint, or a damaged one; remove it or start anew with "
                    "--restart",
                    path);
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
    identity identities[N_IDENTITIES];
    char corpus_hash[IMX_HASH_HEX_BYTES];
    identify(checkpoint, corpus_hash, identities);
    for (size_t i = 0; i < N_IDENTITIES; ++i) {
        imx_str found = {0};
        IMX_TRY(imx_gguf_get_str(gguf, identities[i].key, true, &found, err));
        if (found.len != strlen(identities[i].value) ||
            memcmp(found.data, identities[i].value, found.len) != 0) {
            return imx_fail(err, IMX_ERR_MISMATCH,
                            "%s: was left by a run with %s; finish that one, or start anew with "
                            "--restart",
                            gguf->path, identities[i].what);
        }
    }
    return IMX_OK;
}

static imx_status get_place(const imx_gguf *gguf, imx_checkpoint *checkpoint, imx_error *err) {
    uint32_t chunk = 0;
    IMX_TRY(imx_gguf_get_u32(gguf, LAYER_KEY, true, &checkpoint->place.layer, err));
    IMX_TRY(imx_gguf_get_u32(gguf, CHUNK_KEY, true, &chunk, err));
    checkpoint->place.chunk = chunk;
    return chunk < checkpoint->corpus->n_chunks ? IMX_OK : fail_damaged(gguf->path, err);
}

static imx_status get_left_out(const imx_gguf *gguf, const imx_checkpoint *checkpoint,
                               imx_error *err) {
    imx_imatrix_origin *origin = &checkpoint->imatrix->origin;
    const imx_gguf_kv *chunks;
    IMX_TRY(imx_gguf_get_array(gguf, LEFT_OUT_KEY, true, IMX_GGUF_U32, &chunks, err));
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

// The entry whose sums of squares are `in_sum2`; `len` bytes of that name are the weight's.
static imx_status get_entry(const imx_gguf *gguf, const imx_gguf_tensor *in_sum2, size_t len,
                            imx_imatrix *imatrix, imx_error *err) {
    imx_imatrix_entry *entry;
    char name[MAX_NAME];
    if (len >= sizeof name) {
        return fail_damaged(gguf->path, err);
    }
    memcpy(name, in_sum2->name, len);
    name[len] = '\0';
    IMX_TRY(imx_imatrix_add(imatrix, name, in_sum2->dims[0], in_sum2->dims[1], true, &entry, err));
    for (size_t part = 0; part < N_PARTS; ++part) {
        IMX_TRY(name_part(name, in_sum2->name, len, part, err));
        const imx_gguf_tensor *tensor = imx_gguf_find_tensor(gguf, name);
        if (parts[part].shape == PER_PAIR) {
            if (tensor == NULL) {
                continue;
            }
            IMX_TRY(imx_imatrix_add_covariance(imatrix, entry, err));
        }
        if (tensor == NULL || tensor->size_bytes != part_bytes(entry, part)) {
            return fail_damaged(gguf->path, err);
        }
        memcpy(part_values(entry, part), tensor->data, tensor->size_bytes);
    }
    return IMX_OK;
}

static imx_status get_sums(const imx_gguf *gguf, imx_imatrix *imatrix, imx_error *err) {
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        const char *name = gguf->tensors[i].name;
        const size_t suffix_len = strlen(IN_SUM2);
        const size_t len = strlen(name) > suffix_len ? strlen(name) - suffix_len : 0;
        if (strcmp(name + len, IN_SUM2) == 0) {
            IMX_TRY(get_entry(gguf, &gguf->tensors[i], len, imatrix, err));
        }
    }
    return imx_covariance_load_owners(gguf, imatrix, err);
}

static imx_status get_stream(const imx_gguf *gguf, const imx_checkpoint *checkpoint,
                             imx_error *err) {
    const imx_gguf_tensor *tensor = imx_gguf_find_tensor(gguf, STREAM);
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
