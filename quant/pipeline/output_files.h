// SPDX-License-Identifier: MIT
//
// The files of the new model while they are being written: one, or a shard after the other. All of
// them get their names when all are complete; until then they stand as partial files
// (formats/partial_file.h), which a later run can go on with.

#ifndef IMX_QUANT_OUTPUT_FILES_H
#define IMX_QUANT_OUTPUT_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/gguf.h"
#include "quant/plan/plan.h"

typedef struct imx_output_files imx_output_files;

// The order in which items are written.
typedef enum imx_output_order {
    IMX_OUTPUT_IN_ORDER,     // of the plan: files grow
    IMX_OUTPUT_IN_ANY_ORDER, // files have their full size from the start, and are no special ones
} imx_output_order;

// Opens the files of `plan` at `path` and leaves them ready for the first item that is not there
// yet. `builder` has the keys, with the alignment of `source` (else IMX_ERR_ARGUMENT); the tensor
// records, and the split.* keys where there are shards, are added here.
//
// With `resume`, what partial files hold is kept: whole tensors where items come in order, else
// everything, and then they must have their full size. Partial files of another header are
// IMX_ERR_MISMATCH. A file of `source`, and a pipe or device where items come in any order, is no
// place to write to: IMX_ERR_ARGUMENT. Too little space on the disk is IMX_ERR_IO. All of this
// before anything changes. *out is the caller's until commit, close or discard.
imx_status imx_output_files_open(imx_output_files **out, const imx_plan *plan,
                                 const imx_gguf *source, imx_gguf_builder *builder,
                                 const char *path, imx_output_order order, bool resume,
                                 imx_error *err);

// Bytes of all files together, headers included; nothing is opened. `builder` as above.
imx_status imx_output_files_measure(uint64_t *n_bytes, const imx_plan *plan,
                                    imx_gguf_builder *builder, imx_error *err);

// Items of the plan that need not be written again: the first so many. 0 where items come in any
// order.
size_t imx_output_files_n_kept(const imx_output_files *files);

// IMX_ERR_MISMATCH unless the bytes that are there of kept item i begin with these.
imx_status imx_output_files_check_kept(const imx_output_files *files, size_t i, const void *data,
                                       size_t size_bytes, imx_error *err);

// Ties the files to a run whose state is kept elsewhere, so that it is used with no others: enters
// its mark (32 characters) where the hash of the source will stand, or, where files were kept, is
// IMX_ERR_MISMATCH unless it stands there.
imx_status imx_output_files_tie(imx_output_files *files, const char mark[33], bool are_kept,
                                imx_error *err);

// Writes bytes of item i, or of the padding behind it, from `offset` within the item on.
imx_status imx_output_files_write(imx_output_files *files, size_t i, uint64_t offset,
                                  const void *data, size_t size_bytes, imx_error *err);

// Brings all that was written to the disk.
imx_status imx_output_files_sync(imx_output_files *files, imx_error *err);

// Enters the hash of the source where the keys have a place for it (IMX_KEY_SOURCE_HASH), syncs and
// gives all files their names. Frees `files` in every case; partial files that could not be renamed
// stay.
imx_status imx_output_files_commit(imx_output_files *files, const char source_hash[33],
                                   imx_error *err);

// Frees `files`; what has been written stays in partial files. NULL is fine.
void imx_output_files_close(imx_output_files *files);

// Frees `files` and removes the partial files. NULL is fine.
void imx_output_files_discard(imx_output_files *files);

#endif
