// SPDX-License-Identifier: MIT
//
// What writing and reading a checkpoint have in common: see checkpoint.c for the format.

#ifndef IMX_CALIB_CHECKPOINT_INTERNAL_H
#define IMX_CALIB_CHECKPOINT_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "calib/statistics/checkpoint.h"
#include "formats/file_hash.h"
#include "formats/tensor_type.h"

#define IMX_CHECKPOINT_IN_SUM2      ".in_sum2"
#define IMX_CHECKPOINT_STREAM       "residual_stream"
#define IMX_CHECKPOINT_LAYER_KEY    "checkpoint.layer"
#define IMX_CHECKPOINT_CHUNK_KEY    "checkpoint.chunk"
#define IMX_CHECKPOINT_LEFT_OUT_KEY "checkpoint.left_out_chunks"

enum { IMX_CHECKPOINT_MAX_NAME = 256, IMX_CHECKPOINT_N_PARTS = 5, IMX_CHECKPOINT_N_IDENTITIES = 4 };

// The arrays of an entry, each a tensor NAME and suffix.
typedef struct imx_checkpoint_part {
    const char *suffix;
    size_t offset; // of the pointer in imx_imatrix_entry
    imx_type type;
    enum { IMX_CHECKPOINT_PER_COLUMN, IMX_CHECKPOINT_PER_MATRIX, IMX_CHECKPOINT_PER_PAIR } shape;
} imx_checkpoint_part;

extern const imx_checkpoint_part imx_checkpoint_parts[IMX_CHECKPOINT_N_PARTS];

// The array of a part, and its bytes.
void *imx_checkpoint_values(const imx_imatrix_entry *entry, size_t part);
uint64_t imx_checkpoint_bytes(const imx_imatrix_entry *entry, size_t part);

// `name` = the first `len` bytes of `stem` and the part's suffix. IMX_ERR_UNSUPPORTED when that is
// too long.
imx_status imx_checkpoint_name(char name[IMX_CHECKPOINT_MAX_NAME], const char *stem, size_t len,
                               size_t part, imx_error *err);

// What a checkpoint is of, and what to say when it is of something else.
typedef struct imx_identity {
    const char *key;
    const char *value;
    const char *what;
} imx_identity;

// Strings are borrowed from the checkpoint and `corpus_hash`.
void imx_checkpoint_identify(const imx_checkpoint *checkpoint, char corpus_hash[IMX_HASH_HEX_BYTES],
                             imx_identity identities[IMX_CHECKPOINT_N_IDENTITIES]);

#endif
