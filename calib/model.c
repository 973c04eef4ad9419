// SPDX-License-Identifier: MIT
//
// Binding walks the architecture's role table and takes every tensor it names out of the file, with
// its shape held against the hyperparameters. A tensor that no role took is refused: a model with a
// part that is not computed is another model.

#include "calib/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calib/model_internal.h"
#include "formats/memory.h"

enum {
    MAX_NAME = 128,
    FAULT_AROUND_BYTES = 1 << 17, // that Linux maps around a page that is touched, twice
};

typedef struct binder {
    imx_model *model;
    bool *taken; // (n_tensors) of the file
    imx_error *err;
} binder;

static void print_shape(char *text, size_t text_bytes, const uint64_t *dims, uint32_t n_dims) {
    size_t len = 0;
    for (uint32_t d = 0; d < n_dims && len < text_bytes; ++d) {
        const int n = snprintf(text + len, text_bytes - len, "%s%llu", d > 0 ? ", " : "",
                               (unsigned long long)dims[d]);
        len += n > 0 ? (size_t)n : 0;
    }
}

static imx_status check_shape(const binder *b, const imx_gguf_tensor *tensor, size_t n_in,
                              size_t n_out) {
    const imx_gguf *gguf = b->model->gguf;
    const bool is_vector = n_in == 1;
    const uint64_t wanted[IMX_GGUF_MAX_DIMS] = {is_vector ? n_out : n_in, is_vector ? 1 : n_out, 1,
                                                1};
    char found_text[96], wanted_text[96];
    if (memcmp(tensor->dims, wanted, sizeof wanted) != 0) {
        print_shape(found_text, sizeof found_text, tensor->dims, tensor->n_dims);
        print_shape(wanted_text, sizeof wanted_text, wanted, is_vector ? 1 : 2);
        return imx_fail(b->err, IMX_ERR_FORMAT,
                        "%s: tensor '%s' has the shape [%s] where the metadata asks for [%s]; the "
                        "file is damaged",
                        gguf->path, tensor->name, found_text, wanted_text);
    }
    if (imx_type_traits_of(tensor->type)->decode == NULL) {
        return imx_fail(b->err, IMX_ERR_UNSUPPORTED,
                        "%s: tensor '%s' is of type %s, which this version cannot decode",
                        gguf->path, tensor->name, imx_type_name(tensor->type));
    }
    return IMX_OK;
}

// Takes the tensor "[blk.LAYER.]STEM.PART"; *out is NULL when it is absent and may be.
static imx_status take_tensor(const binder *b, imx_role role, uint32_t layer, const char *part,
                              size_t n_in, size_t n_out, bool is_optional,
                              const imx_gguf_tensor **out) {
    const imx_gguf *gguf = b->model->gguf;
    const char *stem = b->model->arch->roles[role].stem;
    char name[MAX_NAME];
    if (role >= IMX_FIRST_LAYER_ROLE) {
        snprintf(name, sizeof name, "blk.%u.%s.%s", layer, stem, part);
    } else {
        snprintf(name, sizeof name, "%s.%s", stem, part);
    }
    *out = imx_gguf_find_tensor(gguf, name);
    if (*out != NULL) {
        b->taken[*out - gguf->tensors] = true;
        return check_shape(b, *out, n_in, n_out);
    }
    if (!is_optional) {
        return imx_fail(b->err, IMX_ERR_FORMAT,
                        "%s: tensor '%s' is missing; the file does not hold a whole %s model",
                        gguf->path, name, b->model->arch->name);
    }
    return IMX_OK;
}

static imx_status bind_role(const binder *b, imx_role role, uint32_t layer) {
    const imx_role_row *row = &b->model->arch->roles[role];
    const imx_hparams *hparams = &b->model->hparams;
    const size_t n_in = imx_hparams_dim(hparams, row->n_in);
    const size_t n_out = imx_hparams_dim(hparams, row->n_out);
    imx_binding *binding = &b->model->bindings[layer][role];
    const imx_gguf_tensor *unused;
    if (row->stem == NULL) {
        return IMX_OK;
    }
    IMX_TRY(take_tensor(b, role, layer, "weight", n_in, n_out, row->flags & IMX_ROLE_OPTIONAL,
                        &binding->weight));
    if ((row->flags & IMX_ROLE_HAS_PARTS) == 0) {
        return IMX_OK;
    }
    IMX_TRY(take_tensor(b, role, layer, "bias", 1, n_out, true, &binding->bias));
    IMX_TRY(take_tensor(b, role, layer, "scale", 1, 1, true, &binding->scale));
    // How a quantizer of activations would scale the input: nothing that the model computes.
    return take_tensor(b, role, layer, "input_scale", 1, 1, true, &unused);
}

static imx_status refuse_untaken(const binder *b) {
    const imx_gguf *gguf = b->model->gguf;
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        if (!b->taken[i]) {
            return imx_fail(b->err, IMX_ERR_UNSUPPORTED,
                            "%s: tensor '%s' has no place in a %s model as this version knows it",
                            gguf->path, gguf->tensors[i].name, b->model->arch->name);
        }
    }
    return IMX_OK;
}

static imx_status bind_all(const binder *b) {
    for (imx_role role = 0; role < IMX_N_ROLES; ++role) {
        const uint32_t n = role >= IMX_FIRST_LAYER_ROLE ? b->model->hparams.n_layers : 1;
        for (uint32_t layer = 0; layer < n; ++layer) {
            IMX_TRY(bind_role(b, role, layer));
        }
    }
    return refuse_untaken(b);
}

static imx_status open_model(imx_model *model, const char *path, imx_error *err) {
    binder b = {.model = model, .err = err};
    IMX_TRY(imx_gguf_open_model(&model->gguf, path, err));
    IMX_TRY(imx_arch_find(&model->arch, model->gguf, err));
    IMX_TRY(imx_hparams_read(&model->hparams, model->arch->name, model->arch->hparams,
                             model->arch->n_hparams, model->gguf, err));
    IMX_TRY(
        imx_alloc_zeroed(&model->bindings, model->hparams.n_layers, sizeof *model->bindings, err));
    IMX_TRY(imx_alloc_zeroed(&b.taken, model->gguf->n_tensors, sizeof *b.taken, err));
    const imx_status status = bind_all(&b);
    free(b.taken);
    return status;
}

imx_status imx_model_open(imx_model **out, const char *path, imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(out, 1, sizeof **out, err));
    const imx_status status = open_model(*out, path, err);
    if (status != IMX_OK) {
        imx_model_close(*out);
        *out = NULL;
    }
    return status;
}

void imx_model_close(imx_model *model) {
    if (model != NULL) {
        imx_gguf_close(model->gguf);
        free(model->bindings);
        free(model);
    }
}

const imx_gguf *imx_model_gguf(const imx_model *model) {
    return model->gguf;
}

uint32_t imx_model_n_layers(const imx_model *model) {
    return model->hparams.n_layers;
}

uint32_t imx_model_n_embd(const imx_model *model) {
    return model->hparams.n_embd;
}

uint32_t imx_model_n_vocab(const imx_model *model) {
    return model->hparams.n_vocab;
}

imx_role imx_model_head_role(const imx_model *model) {
    return model->bindings[0][IMX_ROLE_OUTPUT].weight != NULL ? IMX_ROLE_OUTPUT
                                                              : IMX_ROLE_TOKEN_EMBD;
}

int imx_model_has_tied_head(const imx_model *model) {
    return imx_model_head_role(model) == IMX_ROLE_TOKEN_EMBD;
}

uint64_t imx_model_file_bytes(const imx_model *model) {
    uint64_t n_bytes = 0;
    for (size_t i = 0; i < imx_gguf_n_files(model->gguf); ++i) {
        n_bytes += imx_gguf_file(model->gguf, i)->map.size_bytes;
    }
    return n_bytes;
}

void imx_model_drop_used_weights(imx_model *model) {
    model->drops_used_weights = true;
}

void imx_model_read_ahead(const imx_model *model, uint32_t layer) {
    for (size_t role = IMX_FIRST_LAYER_ROLE; role < IMX_N_ROLES; ++role) {
        const imx_gguf_tensor *weight = model->bindings[layer][role].weight;
        if (weight != NULL) {
            imx_file_map_will_need(weight->data, weight->size_bytes);
        }
    }
}

void imx_model_release(const imx_model *model, const imx_gguf_tensor *tensor) {
    (model->drops_used_weights ? imx_file_map_drop : imx_file_map_release)(tensor->data,
                                                                           tensor->size_bytes);
}

uint64_t imx_model_mapped_bytes(const imx_model *model, size_t n_rows) {
    const imx_gguf_tensor *embedding = model->bindings[0][IMX_ROLE_TOKEN_EMBD].weight;
    const uint64_t row_bytes = embedding->size_bytes / model->hparams.n_vocab;
    const uint64_t rows_bytes = n_rows * (row_bytes + FAULT_AROUND_BYTES);
    uint64_t most = rows_bytes < embedding->size_bytes ? rows_bytes : embedding->size_bytes;
    for (uint32_t layer = 0; layer < model->hparams.n_layers; ++layer) {
        for (size_t role = IMX_FIRST_LAYER_ROLE; role < IMX_N_ROLES; ++role) {
            const imx_gguf_tensor *weight = model->bindings[layer][role].weight;
            most = weight != NULL && weight->size_bytes > most ? weight->size_bytes : most;
        }
    }
    return most;
}
