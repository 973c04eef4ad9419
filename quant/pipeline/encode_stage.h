// SPDX-License-Identifier: MIT
//
// The middle stage of the pipeline: rows of one tensor after another, encoded by all threads. What
// it needs for the largest tensor of a plan is allocated once.

#ifndef IMX_QUANT_ENCODE_STAGE_H
#define IMX_QUANT_ENCODE_STAGE_H

#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "quant/encode/encoder.h"
#include "quant/pipeline/pipeline.h"
#include "quant/plan/plan.h"

typedef struct imx_encode_stage imx_encode_stage;

// `plan`, `source` and `options` must outlive the stage. *out is the caller's to
// imx_encode_stage_close.
imx_status imx_encode_stage_open(imx_encode_stage **out, const imx_plan *plan,
                                 const imx_gguf *source, const imx_pipeline_options *options,
                                 imx_error *err);

// Bytes that a run of any item of the plan encodes to, at most.
size_t imx_encode_stage_run_bytes(const imx_encode_stage *stage);

// Bytes that the stage takes for the most demanding item of the plan.
uint64_t imx_encode_stage_memory(const imx_encode_stage *stage);

// Makes `item`, which is not copied, the one whose rows follow.
imx_status imx_encode_stage_begin(imx_encode_stage *stage, const imx_plan_item *item,
                                  imx_error *err);

// Rows of the item that make a run: what is encoded between two waits.
uint64_t imx_encode_stage_run_rows(const imx_encode_stage *stage);

// Encodes rows [first_row, first_row + n_rows), at most a run, into `result` and adds what
// that cost to *loss. A weight that is not finite is IMX_ERR_FORMAT naming file, tensor and row.
imx_status imx_encode_stage_run(imx_encode_stage *stage, uint64_t first_row, uint64_t n_rows,
                                uint8_t *result, imx_tensor_loss *loss, imx_error *err);

void imx_encode_stage_close(imx_encode_stage *stage);

#endif
