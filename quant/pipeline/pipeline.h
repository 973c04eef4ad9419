// SPDX-License-Identifier: MIT
//
// Carries out a plan: the source is read ahead, bounded runs of rows are encoded by all threads,
// and a writer follows. Memory does not grow with tensor or model size, and the bytes do not depend
// on n_threads.

#ifndef IMX_QUANT_PIPELINE_H
#define IMX_QUANT_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/gguf.h"
#include "formats/progress.h"
#include "quant/encode/encoder.h"
#include "quant/pipeline/row_loss.h"
#include "quant/plan/plan.h"

typedef struct imx_pipeline_options {
    int n_threads;                // 0 = all processors
    const imx_progress *progress; // may be NULL
    imx_encode_options encode;
    bool resume; // go on from what an interrupted run of the same plan has left
} imx_pipeline_options;

// What a run needs.
typedef struct imx_pipeline_needs {
    uint64_t disk_bytes;   // of the new files
    uint64_t memory_bytes; // at most: the imatrix, pages of the source, buffers
} imx_pipeline_needs;

// `builder` as for imx_pipeline_run. Nothing is written.
imx_status imx_pipeline_measure(imx_pipeline_needs *needs, const imx_plan *plan,
                                const imx_gguf *source, imx_gguf_builder *builder,
                                const imx_pipeline_options *options, imx_error *err);

// Writes the planned model to `path`, or as shards beside it (imx_gguf_shard_path) when the plan
// has more than one. `builder` holds the keys of the new model and no tensors yet; the records are
// added here. Where it has IMX_KEY_SOURCE_HASH, the hash of the source is entered, unless `path` is
// a pipe or device, where nothing can be changed later.
//
// The model stands in NAME.partial, locked, until all of it is on the disk. What has been written
// when the run is killed, stopped by `progress` or out of disk space stays there for `resume`,
// which needs the same keys, plan and weights (else IMX_ERR_MISMATCH) and gives the same bytes as
// an undisturbed run; without `resume` it is replaced. Bad weights, which would only be met again,
// remove it: IMX_ERR_FORMAT naming file, tensor and row. A disk that is too small for the model is
// IMX_ERR_IO before work begins.
//
// `losses` (plan->n_items) is filled in: zero for copied tensors, NaN for those that were kept from
// an earlier run. *n_kept is the number of the latter. Both may be NULL.
imx_status imx_pipeline_run(const imx_plan *plan, const imx_gguf *source, imx_gguf_builder *builder,
                            const char *path, const imx_pipeline_options *options,
                            imx_tensor_loss *losses, size_t *n_kept, imx_error *err);

#endif
