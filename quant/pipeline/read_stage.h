// SPDX-License-Identifier: MIT
//
// The first stage of the pipeline: a thread that reads the source's files from front to back a
// little ahead of the encoders, hashes them, and gives back the memory of what lies behind.

#ifndef IMX_QUANT_READ_STAGE_H
#define IMX_QUANT_READ_STAGE_H

#include <stdint.h>

#include "formats/error.h"
#include "formats/gguf.h"

typedef struct imx_read_stage imx_read_stage;

// Bytes of `source` that are in memory at once, at most.
uint64_t imx_read_stage_memory(const imx_gguf *source);

// Starts reading `source`, which must outlive the stage. *out is the caller's to
// imx_read_stage_close.
imx_status imx_read_stage_open(imx_read_stage **out, const imx_gguf *source, imx_error *err);

// Waits until the first `size_bytes` bytes of a tensor's data are in memory. Tensors may be asked
// for in any order, but memory is bounded only where it is the order of the files.
void imx_read_stage_want(imx_read_stage *stage, const imx_gguf_tensor *tensor, uint64_t size_bytes);

// Waits for the end and gives the XXH3-128 of all files, one after the other, as `cat` and
// `xxhsum -H2` would: 32 lower-case hex digits and a NUL.
void imx_read_stage_hash(imx_read_stage *stage, char hex[33]);

// Ends the thread wherever it is. NULL is fine.
void imx_read_stage_close(imx_read_stage *stage);

#endif
