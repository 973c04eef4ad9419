// SPDX-License-Identifier: MIT
//
// Numbers that a model's metadata keeps under the name of its architecture: "llama.block_count".
// For who asks about any model, known or not; nothing here fails.

#ifndef IMX_FORMATS_MODEL_NUMBER_H
#define IMX_FORMATS_MODEL_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "formats/gguf.h"

// Whether bytes of a file are this text.
bool imx_str_equals(imx_str str, const char *text);

// general.architecture, a view into the file; empty when it is absent or no text.
imx_str imx_model_architecture(const imx_gguf *gguf);

// The key "ARCHITECTURE.suffix"; NULL when it is absent.
const imx_gguf_kv *imx_model_key(const imx_gguf *gguf, const char *suffix);

// The number there; where layers differ and the key is an array, that of `layer`. 0 when it is
// negative. `when_absent` for a key that is absent, no number, or too short for the layer.
uint64_t imx_model_number(const imx_gguf *gguf, const char *suffix, uint64_t layer,
                          uint64_t when_absent);

#endif
