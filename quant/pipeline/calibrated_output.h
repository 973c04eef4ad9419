// SPDX-License-Identifier: MIT
//
// A new model whose tensors come in the order in which a walk meets them, not in that of the file.
// What no walk will bring, embeddings, norms, whatever is copied, is written first.

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

// Opens the files of `plan` at `path` as imx_pipeline_run does; all must outlive the output.
// `is_awaited` (plan->n_items): tensors that imx_calibrated_output_put will bring. With
// options->resume the partial files of an earlier run of the same job are kept as they are (else
// IMX_ERR_MISMATCH); how far that run came is for the caller to know. `path` must not be a pipe.
// *out is the caller's until commit, close or discard.
imx_status imx_calibrated_output_open(imx_calibrated_output **out, const imx_plan *plan,
                                      const imx_gguf *source, imx_gguf_builder *builder,
                                      const char *path, const bool *is_awaited,
                                      const imx_pipeline_options *options, imx_error *err);

// Writes all tensors that are not awaited, with progress; fills in their `losses` (plan->n_items).
imx_status imx_calibrated_output_write_rest(imx_calibrated_output *output, imx_tensor_loss *losses,
                                            imx_error *err);

// Writes `size_bytes` bytes of item i, from `offset` within the tensor on, at their place.
imx_status imx_calibrated_output_put(imx_calibrated_output *output, size_t i, uint64_t offset,
                                     const void *data, size_t size_bytes, imx_error *err);

// Brings all that was written to the disk.
imx_status imx_calibrated_output_sync(imx_calibrated_output *output, imx_error *err);

// As imx_output_files_commit, _close and _discard.
imx_status imx_calibrated_output_commit(imx_calibrated_output *output, const char source_hash[33],
                                        imx_error *err);
void imx_calibrated_output_close(imx_calibrated_output *output);
void imx_calibrated_output_discard(imx_calibrated_output *output);

#endif
