// SPDX-License-Identifier: MIT
//
// A new model whose tensors come in the order in which a walk meets them, not in that of the file.
// What no walk will bring, embeddings, norms, whatever is copied, takes the way of an ordinary run:
//
//     open    files of their full size, as holes, in NAME.partial
//     write_rest
//     put     ... sync, and the caller remembers what is safe ... put
//     commit
//
// Nothing in the files says which tensors are there. Who wants to go on after a kill remembers
// what was synced, and of which weights and text it was; who begins anew forgets it before opening.

#ifndef IMX_QUANT_CALIBRATED_OUTPUT_H
#define IMX_QUANT_CALIBRATED_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/gguf.h"
#include "quant/pipeline/pipeline.h"
#include "quant/plan/plan.h"

typedef struct imx_calibrated_output imx_calibrated_output;

// Opens the files of `plan` at `path` as imx_pipeline_run does; all but `options`, which is copied,
// must outlive the output. `is_awaited` (plan->n_items): tensors that imx_calibrated_output_put
// will bring. Without options->resume old partial files are replaced. With it they are kept as they
// are, and must be there, of the same job (the same header) and of their full size (else
// IMX_ERR_MISMATCH). A pipe or device as `path` is IMX_ERR_ARGUMENT, a disk that is too small
// IMX_ERR_IO. *out is the caller's until commit, close or discard.
imx_status imx_calibrated_output_open(imx_calibrated_output **out, const imx_plan *plan,
                                      const imx_gguf *source, imx_gguf_builder *builder,
                                      const char *path, const bool *is_awaited,
                                      const imx_pipeline_options *options, imx_error *err);

// Ties the files to the run that `mark` (32 characters) is of: a later run may keep them if it has
// the same, else IMX_ERR_MISMATCH. Equal headers do not tell how far the run that left a file came.
imx_status imx_calibrated_output_tie(imx_calibrated_output *output, const char mark[33],
                                     imx_error *err);

// Writes all tensors that are not awaited, also those of an earlier run, with progress; fills in
// their `losses` (plan->n_items; may be NULL). Errors as imx_pipeline_run.
imx_status imx_calibrated_output_write_rest(imx_calibrated_output *output, imx_tensor_loss *losses,
                                            imx_error *err);

// Writes `size_bytes` bytes of awaited item i, from `offset` within the tensor on, at their place:
// in any order, again where it has to be. From one thread at a time.
imx_status imx_calibrated_output_put(imx_calibrated_output *output, size_t i, uint64_t offset,
                                     const void *data, size_t size_bytes, imx_error *err);

// Brings all that was written to the disk.
imx_status imx_calibrated_output_sync(imx_calibrated_output *output, imx_error *err);

// Enters the hash of the source where the keys have a place for it (IMX_KEY_SOURCE_HASH), syncs and
// gives all files their names. Frees `output` in every case; on failure partial files stay. What
// nobody has put is zeros.
imx_status imx_calibrated_output_commit(imx_calibrated_output *output, const char source_hash[33],
                                        imx_error *err);

// Frees `output`; what has been written stays in partial files. NULL is fine.
void imx_calibrated_output_close(imx_calibrated_output *output);

// Frees `output` and removes the partial files. NULL is fine.
void imx_calibrated_output_discard(imx_calibrated_output *output);

#endif
