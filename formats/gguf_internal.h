// SPDX-License-Identifier: MIT
//
// What the sources behind gguf.h share; private to formats.

#ifndef IMX_FORMATS_GGUF_INTERNAL_H
#define IMX_FORMATS_GGUF_INTERNAL_H

#include "formats/gguf.h"

// Fill kvs_by_key and tensors_by_name from kvs and tensors. A name that is there twice is
// IMX_ERR_FORMAT.
imx_status imx_gguf_index_kvs(imx_gguf *gguf, imx_error *err);
imx_status imx_gguf_index_tensors(imx_gguf *gguf, imx_error *err);

#endif
