// SPDX-License-Identifier: MIT
//
// The headers of the files of a new model.

#ifndef IMX_QUANT_OUTPUT_HEADER_H
#define IMX_QUANT_OUTPUT_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/gguf.h"
#include "quant/plan/plan.h"

// Header, keys, tensor records and padding of one shard of `plan`: *bytes is the caller's to
// free(). `builder` has the keys of the model and is what the header of shard 0 is made in, where
// the split.* keys, if there are shards, and the records are added; for later ones it only tells
// the alignment.
imx_status imx_output_header_build(uint8_t **bytes, size_t *n_bytes, const imx_plan *plan,
                                   size_t shard, imx_gguf_builder *builder, imx_error *err);

#endif
