// SPDX-License-Identifier: MIT
//
// A model opened for running: its hyperparameters and its weights, bound to their roles.

#ifndef IMX_CALIB_MODEL_H
#define IMX_CALIB_MODEL_H

#include "formats/error.h"
#include "formats/gguf.h"

typedef struct imx_model imx_model;

// Opens the GGUF at `path` and binds every weight the forward pass needs; shapes are checked
// against the hyperparameters. An unknown architecture, or metadata that asks for what the
// architecture's row does not know, is IMX_ERR_UNSUPPORTED by name; a missing or misshapen tensor
// IMX_ERR_FORMAT. *out is the caller's to imx_model_close.
imx_status imx_model_open(imx_model **out, const char *path, imx_error *err);
void imx_model_close(imx_model *model);

// The file behind the model, valid until imx_model_close.
const imx_gguf *imx_model_gguf(const imx_model *model);

uint32_t imx_model_n_layers(const imx_model *model);
uint32_t imx_model_n_embd(const imx_model *model);
uint32_t imx_model_n_vocab(const imx_model *model);

// Whether the head shares its weight with the embedding (no output.weight in the file).
int imx_model_has_tied_head(const imx_model *model);

// Bytes of the model's file or files.
uint64_t imx_model_file_bytes(const imx_model *model);

// From now on the weight of that name is `data`, of `type`, in the shape that it has in the file:
// what a quantized model would compute with. A walk takes it up with the next layer it loads.
// `data` must outlive its use and is never released; NULL: as in the file again. IMX_ERR_ARGUMENT
// when the model runs without such a weight, or no row of it can be of that type.
imx_status imx_model_substitute(imx_model *model, const char *weight, uint32_t type,
                                const uint8_t *data, imx_error *err);

// From now on weights leave the system's page cache once they are used: for a model that is larger
// than the memory that may hold it.
void imx_model_drop_used_weights(imx_model *model);

#endif
