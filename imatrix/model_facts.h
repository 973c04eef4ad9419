// SPDX-License-Identifier: MIT
//
// What a model's header says: the first half of an inspection, for any GGUF model.

#ifndef IMX_IMATRIX_MODEL_FACTS_H
#define IMX_IMATRIX_MODEL_FACTS_H

#include "formats/error.h"
#include "formats/gguf.h"
#include "imatrix/imatrix.h"

// Fills in the parts of *out, which begins as zeros, about the model itself, its tokenizer, files
// and tensors. IMX_ERR_ARGUMENT for an imatrix, which is GGUF too. The caller frees out->types,
// also on failure.
imx_status imx_model_facts_gather(imatrix_inspection *out, const imx_gguf *gguf, imx_error *err);

#endif
