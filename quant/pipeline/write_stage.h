// SPDX-License-Identifier: MIT
//
// The last stage of the pipeline: a thread that writes while the next run is encoded. A few buffers
// go round between the two, so that neither gets far ahead.

#ifndef IMX_QUANT_WRITE_STAGE_H
#define IMX_QUANT_WRITE_STAGE_H

#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "quant/pipeline/output_files.h"

typedef struct imx_write_stage imx_write_stage;

// What to write of an item: bytes, then zeros.
typedef struct imx_write_job {
    size_t item;      // of the plan
    uint64_t offset;  // within the item
    const void *data; // (size_bytes); the buffer of its turn, or what outlives the stage
    size_t size_bytes;
    size_t n_zeros;
} imx_write_job;

// Bytes that the buffers of a stage take.
uint64_t imx_write_stage_memory(size_t buffer_bytes);

// Starts the thread. `files` must outlive the stage and is the thread's until close. *out is the
// caller's to imx_write_stage_close.
imx_status imx_write_stage_open(imx_write_stage **out, imx_output_files *files, size_t buffer_bytes,
                                imx_error *err);

// Waits for a turn and gives its buffer, of buffer_bytes bytes, aligned to 64. A failed write
// surfaces here or in _finish.
imx_status imx_write_stage_turn(imx_write_stage *stage, uint8_t **buffer, imx_error *err);

// Uses the turn: jobs are written in the order in which they are put.
void imx_write_stage_put(imx_write_stage *stage, const imx_write_job *job);

// Waits until all is written.
imx_status imx_write_stage_finish(imx_write_stage *stage, imx_error *err);

// Writes what has been put and ends the thread. NULL is fine.
void imx_write_stage_close(imx_write_stage *stage);

#endif
