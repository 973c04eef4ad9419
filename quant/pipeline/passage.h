// SPDX-License-Identifier: MIT
//
// The way of tensors from the source through the three stages into the files of the new model.

#ifndef IMX_QUANT_PASSAGE_H
#define IMX_QUANT_PASSAGE_H

#include <stdbool.h>

#include "formats/error.h"
#include "formats/gguf.h"
#include "quant/pipeline/output_files.h"
#include "quant/pipeline/pipeline.h"
#include "quant/plan/plan.h"

// Writes the items of `plan` to `files` in their order, but for those that `is_left_out` (n_items;
// may be NULL), and compares instead those that `files` has kept. Of options->resume nothing is
// looked at. `losses` (n_items; may be NULL) of what passes are filled in as imx_pipeline_run says.
// Where `source_hash` is not NULL it becomes that of the source, which is then read to its end.
// IMX_ERR_FORMAT as imx_encode_stage_run, IMX_ERR_INTERRUPTED when options->progress asks for it.
imx_status imx_pass_items(const imx_plan *plan, const imx_gguf *source, imx_output_files *files,
                          const bool *is_left_out, const imx_pipeline_options *options,
                          imx_tensor_loss *losses, char source_hash[33], imx_error *err);

#endif
