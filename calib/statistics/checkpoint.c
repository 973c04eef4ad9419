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

#include "calib/statistics/checkpoint_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/file_hash.h"
#include "formats/gguf.h"
#include "formats/imatrix_covariance.h"
#include "formats/memory.h"
#include "formats/partial_file.h"
#include "kernels/split.h"

const imx_checkpoint_part imx_checkpoint_parts[IMX_CHECKPOINT_N_PARTS] = {
    {IMX_CHECKPOINT_IN_SUM2, offsetof(imx_imatrix_entry, in_sum2), IMX_TYPE_F64,
     IMX_CHECKPOINT_PER_COLUMN},
    {".in_sum", offsetof(imx_imatrix_entry, in_sum), IMX_TYPE_F64, IMX_CHECKPOINT_PER_COLUMN},
    {".in_max", offsetof(imx_imatrix_entry, in_max), IMX_TYPE_F64, IMX_CHECKPOINT_PER_COLUMN},
    {".counts", offsetof(imx_imatrix_entry, counts), IMX_TYPE_F64, IMX_CHECKPOINT_PER_MATRIX},
    {".in_cov", offsetof(imx_imatrix_entry, in_cov), IMX_TYPE_F32, IMX_CHECKPOINT_PER_PAIR},
};

void *imx_checkpoint_values(const imx_imatrix_entry *entry, size_t part) {
    void *values;
    memcpy(&values, (const char *)entry + imx_checkpoint_parts[part].offset, sizeof values);
    return values;
}

static uint64_t part_cols(const imx_imatrix_entry *entry, size_t part) {
    const uint64_t n[] = {entry->n_cols, 1, imx_covariance_len(entry->n_cols)}; // by shape
    return n[imx_checkpoint_parts[part].shape];
}

uint64_t imx_checkpoint_bytes(const imx_imatrix_entry *entry, size_t part) {
    return imx_type_row_bytes(imx_checkpoint_parts[part].type,
                              part_cols(entry, part) * entry->n_mats);
}

// Whether the part is written with entry `i`: products are only with the first that has them.
static bool is_with(const imx_imatrix *imatrix, const size_t *owners, size_t i, size_t part) {
    return imx_checkpoint_parts[part].shape != IMX_CHECKPOINT_PER_PAIR ||
           (imatrix->entries[i].in_cov != NULL && owners[i] == i);
}

imx_status imx_checkpoint_name(char name[IMX_CHECKPOINT_MAX_NAME], const char *stem, size_t len,
                               size_t part, imx_error *err) {
    const int n = snprintf(name, IMX_CHECKPOINT_MAX_NAME, "%.*s%s", (int)len, stem,
                           imx_checkpoint_parts[part].suffix);
    return n < IMX_CHECKPOINT_MAX_NAME
               ? IMX_OK
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

void imx_checkpoint_identify(const imx_checkpoint *checkpoint, char corpus_hash[IMX_HASH_HEX_BYTES],
                             imx_identity identities[IMX_CHECKPOINT_N_IDENTITIES]) {
    hash_corpus(checkpoint->corpus, corpus_hash);
    identities[0] = (imx_identity){"checkpoint.program", IMX_VERSION, "another version of imatrix"};
    identities[1] =
        (imx_identity){"checkpoint.model_hash", checkpoint->model_hash, "another model"};
    identities[2] = (imx_identity){"checkpoint.corpus_hash", corpus_hash,
                                   "another text, or one cut or chosen from in another way"};
    identities[3] = (imx_identity){"checkpoint.settings", checkpoint->settings, "other options"};
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
    imx_identity identities[IMX_CHECKPOINT_N_IDENTITIES];
    char corpus_hash[IMX_HASH_HEX_BYTES];
    imx_checkpoint_identify(checkpoint, corpus_hash, identities);
    IMX_TRY(imx_gguf_set_str(builder, "general.type", "imatrix-checkpoint", err));
    for (size_t i = 0; i < IMX_CHECKPOINT_N_IDENTITIES; ++i) {
        IMX_TRY(imx_gguf_set_str(builder, identities[i].key, identities[i].value, err));
    }
    IMX_TRY(imx_gguf_set_u32(builder, IMX_CHECKPOINT_LAYER_KEY, checkpoint->place.layer, err));
    IMX_TRY(imx_gguf_set_u32(builder, IMX_CHECKPOINT_CHUNK_KEY, (uint32_t)checkpoint->place.chunk,
                             err));
    return imx_gguf_set_array(builder, IMX_CHECKPOINT_LEFT_OUT_KEY, IMX_GGUF_U32,
                              origin->left_out_chunks, origin->n_left_out, err);
}

static imx_status list_tensors(imx_gguf_builder *builder, const imx_checkpoint *checkpoint,
                               const size_t *owners, imx_error *err) {
    const imx_imatrix *imatrix = checkpoint->imatrix;
    for (size_t i = 0; i < imatrix->n_entries; ++i) {
        const imx_imatrix_entry *entry = &imatrix->entries[i];
        for (size_t part = 0; part < IMX_CHECKPOINT_N_PARTS; ++part) {
            const uint64_t dims[] = {part_cols(entry, part), entry->n_mats};
            char name[IMX_CHECKPOINT_MAX_NAME];
            if (is_with(imatrix, owners, i, part)) {
                IMX_TRY(imx_checkpoint_name(name, entry->name, strlen(entry->name), part, err));
                IMX_TRY(imx_gguf_add_tensor(builder, name, imx_checkpoint_parts[part].type, 2, dims,
                                            err));
            }
        }
    }
    const uint64_t dims[] = {checkpoint->n_embd, checkpoint->corpus->n_tokens};
    return imx_gguf_add_tensor(builder, IMX_CHECKPOINT_STREAM, IMX_TYPE_F32, 2, dims, err);
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
        for (size_t part = 0; part < IMX_CHECKPOINT_N_PARTS; ++part) {
            if (is_with(imatrix, out->owners, i, part)) {
                IMX_TRY(put(out, imx_checkpoint_values(entry, part),
                            imx_checkpoint_bytes(entry, part), err));
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
    IMX_TRY(imx_partial_file_resize(out->file, 0, err)); // what a killed run has left
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
