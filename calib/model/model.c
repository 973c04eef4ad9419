// SPDX-License-Identifier: MIT
//
// Binding takes every tensor that the architecture's roles name out of the file, with its shape
// held against the hyperparameters. A tensor that no role took is refused: a model with a part that
// is not computed is another model.
//
// The same thing may come in several shapes, queries, keys and values in one tensor or in three,
// and from layer to layer in another one, a network or a mixture of experts. Such roles stand in
// the table of choices: a layer must have exactly one side of each.

#include "calib/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calib/model/model_internal.h"
#include "formats/memory.h"

enum { MAX_NAME = 128, MAX_SIDES = 4 };

#define ROLE(name) ((imx_role_set)1 << IMX_ROLE_##name)

#define SHARED     (ROLE(SHARED_GATE) | ROLE(SHARED_UP) | ROLE(SHARED_DOWN))

// A side is chosen by its first role, of those that the architecture has.
static const struct choice {
    struct side {
        imx_role first;
        imx_role_set roles;
    } sides[MAX_SIDES];
} choices[] = {
    {{{IMX_ROLE_ATTN_Q, ROLE(ATTN_Q)},
      {IMX_ROLE_ATTN_QKV, ROLE(ATTN_QKV)},
      {IMX_ROLE_ATTN_Q_A, ROLE(ATTN_Q_A) | ROLE(ATTN_Q_A_NORM) | ROLE(ATTN_Q_B)}}},
    {{{IMX_ROLE_ATTN_K, ROLE(ATTN_K) | ROLE(ATTN_V)},
      {IMX_ROLE_ATTN_QKV, ROLE(ATTN_QKV)},
      {IMX_ROLE_ATTN_KV_B, ROLE(ATTN_KV_A) | ROLE(ATTN_KV_A_NORM) | ROLE(ATTN_KV_B)},
      {IMX_ROLE_ATTN_K_B,
       ROLE(ATTN_KV_A) | ROLE(ATTN_KV_A_NORM) | ROLE(ATTN_K_B) | ROLE(ATTN_V_B)}}},
    {{{IMX_ROLE_FFN_UP, ROLE(FFN_GATE) | ROLE(FFN_UP) | ROLE(FFN_DOWN)},
      {IMX_ROLE_FFN_GATE_UP, ROLE(FFN_GATE_UP) | ROLE(FFN_DOWN)},
      {IMX_ROLE_EXPERTS_UP,
       ROLE(ROUTER) | ROLE(EXPERTS_GATE) | ROLE(EXPERTS_UP) | ROLE(EXPERTS_DOWN) | SHARED},
      {IMX_ROLE_EXPERTS_GATE_UP,
       ROLE(ROUTER) | ROLE(EXPERTS_GATE_UP) | ROLE(EXPERTS_DOWN) | SHARED}}},
};

enum { N_CHOICES = sizeof choices / sizeof *choices };

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

// The shape of a tensor, as GGUF keeps it: without the ones at its end.
typedef struct shape {
    uint64_t dims[IMX_GGUF_MAX_DIMS];
} shape;

static imx_status check_tensor(const binder *b, const imx_gguf_tensor *tensor,
                               const shape *wanted) {
    const imx_gguf *gguf = b->model->gguf;
    uint32_t n_dims = IMX_GGUF_MAX_DIMS;
    while (n_dims > 1 && wanted->dims[n_dims - 1] == 1) {
        --n_dims;
    }
    char found_text[96], wanted_text[96];
    if (memcmp(tensor->dims, wanted->dims, sizeof wanted->dims) != 0) {
        print_shape(found_text, sizeof found_text, tensor->dims, tensor->n_dims);
        print_shape(wanted_text, sizeof wanted_text, wanted->dims, n_dims);
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

static void name_tensor(char name[MAX_NAME], imx_role role, uint32_t layer, const char *part) {
    const char *stem = imx_role_row_of(role)->stem;
    if (role >= IMX_FIRST_LAYER_ROLE) {
        snprintf(name, MAX_NAME, "blk.%u.%s.%s", layer, stem, part);
    } else {
        snprintf(name, MAX_NAME, "%s.%s", stem, part);
    }
}

// Takes the tensor "[blk.LAYER.]STEM.PART" if it is there; else *out is NULL.
static imx_status take_tensor(const binder *b, imx_role role, uint32_t layer, const char *part,
                              const shape *wanted, const imx_gguf_tensor **out) {
    char name[MAX_NAME];
    name_tensor(name, role, layer, part);
    const imx_gguf_tensor *found = imx_gguf_find_tensor(b->model->gguf, name);
    *out = NULL;
    if (found == NULL) {
        return IMX_OK;
    }
    const ptrdiff_t place = found - b->model->gguf->tensors;
    *out = &b->model->tensors[place];
    b->taken[place] = true;
    return check_tensor(b, found, wanted);
}

static imx_status take_parts(const binder *b, imx_role role, uint32_t layer) {
    const imx_role_row *row = imx_role_row_of(role);
    const size_t n_out = imx_model_dim(b->model, row->n_out);
    const size_t n_mats = imx_model_dim(b->model, row->n_mats);
    const shape bias = {{n_out, n_mats, 1, 1}};
    const shape scale = {{n_mats, 1, 1, 1}};
    const bool has_bias =
        (row->flags & IMX_ROLE_HAS_BIAS) != 0 ||
        ((row->flags & IMX_ROLE_HAS_SHIFT) != 0 && b->model->arch->norm != imx_norm_rms);
    const imx_arch *arch = b->model->arch;
    imx_binding *binding = &b->model->bindings[layer][role];
    const imx_gguf_tensor *unused;
    if (has_bias) {
        IMX_TRY(take_tensor(b, role, layer, "bias", &bias,
                            imx_role_is_in(arch->unbiased, role) ? &unused : &binding->bias));
    }
    if ((row->flags & IMX_ROLE_HAS_SCALE) == 0) {
        return IMX_OK;
    }
    IMX_TRY(take_tensor(b, role, layer, "scale", &scale,
                        imx_role_is_in(arch->unscaled, role) ? &unused : &binding->scale));
    // How a quantizer of activations would scale the input: nothing that the model computes.
    return take_tensor(b, role, layer, "input_scale", &scale, &unused);
}

static const char *vector_part(unsigned flags) {
    return (flags & IMX_ROLE_IS_BIAS) != 0     ? "bias"
           : (flags & IMX_ROLE_IS_SCALES) != 0 ? "scales"
                                               : "weight";
}

static imx_status bind_role(const binder *b, imx_role role, uint32_t layer) {
    const imx_role_row *row = imx_role_row_of(role);
    const size_t n_out = imx_model_dim(b->model, row->n_out);
    const shape vector = {{n_out, 1, 1, 1}};
    const shape matrices = {
        {imx_model_dim(b->model, row->n_in), n_out, imx_model_dim(b->model, row->n_mats), 1}};
    IMX_TRY(take_tensor(b, role, layer, vector_part(row->flags),
                        row->n_in == IMX_DIM_ONE ? &vector : &matrices,
                        &b->model->bindings[layer][role].weight));
    return take_parts(b, role, layer);
}

static imx_status fail_missing(const binder *b, imx_role role, uint32_t layer) {
    char name[MAX_NAME];
    name_tensor(name, role, layer, vector_part(imx_role_row_of(role)->flags));
    return imx_fail(b->err, IMX_ERR_FORMAT,
                    "%s: tensor '%s' is missing; the file does not hold a whole %s model",
                    b->model->gguf->path, name, b->model->arch->name);
}

// That all roles of the set are there which the architecture has and cannot do without.
static imx_status need_roles(const binder *b, imx_role_set set, uint32_t layer) {
    const imx_arch *arch = b->model->arch;
    set &= b->model->hparams.n_ff_shared > 0 ? ~(imx_role_set)0 : ~SHARED;
    for (imx_role role = 0; role < IMX_N_ROLES; ++role) {
        if (imx_role_is_in(set & arch->roles & ~arch->optional, role) &&
            !imx_model_has(b->model, layer, role)) {
            return fail_missing(b, role, layer);
        }
    }
    return IMX_OK;
}

static imx_status check_choice(const binder *b, const struct choice *choice, uint32_t layer) {
    const imx_role_set roles = b->model->arch->roles;
    const struct side *possible = NULL, *chosen = NULL;
    for (size_t i = 0; i < MAX_SIDES && choice->sides[i].roles != 0; ++i) {
        const struct side *side = &choice->sides[i];
        if (!imx_role_is_in(roles, side->first)) {
            continue;
        }
        possible = possible != NULL ? possible : side;
        if (!imx_model_has(b->model, layer, side->first)) {
            continue;
        }
        if (chosen != NULL) {
            return imx_fail(b->err, IMX_ERR_UNSUPPORTED,
                            "%s: layer %u has both %s and %s, of which a %s model has one",
                            b->model->gguf->path, layer, imx_role_row_of(chosen->first)->stem,
                            imx_role_row_of(side->first)->stem, b->model->arch->name);
        }
        chosen = side;
    }
    if (chosen == NULL) {
        return possible != NULL ? fail_missing(b, possible->first, layer) : IMX_OK;
    }
    return need_roles(b, chosen->roles, layer);
}

static imx_role_set roles_of_choices(void) {
    imx_role_set set = 0;
    for (size_t i = 0; i < N_CHOICES; ++i) {
        for (size_t j = 0; j < MAX_SIDES; ++j) {
            set |= choices[i].sides[j].roles;
        }
    }
    return set;
}

static imx_status bind_layer(const binder *b, uint32_t layer) {
    const imx_role_set in_layers = ~(imx_role_set)0 << IMX_FIRST_LAYER_ROLE;
    for (imx_role role = IMX_FIRST_LAYER_ROLE; role < IMX_N_ROLES; ++role) {
        if (imx_role_is_in(b->model->arch->roles, role)) {
            IMX_TRY(bind_role(b, role, layer));
        }
    }
    for (size_t i = 0; i < N_CHOICES; ++i) {
        IMX_TRY(check_choice(b, &choices[i], layer));
    }
    return need_roles(b, in_layers & ~roles_of_choices(), layer);
}

static imx_status refuse_untaken(const binder *b) {
    const imx_gguf *gguf = b->model->gguf;
    static const char second_head[] = "cls."; // which tells classes instead of tokens
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        if (!b->taken[i] && strncmp(gguf->tensors[i].name, second_head, strlen(second_head)) != 0) {
            return imx_fail(b->err, IMX_ERR_UNSUPPORTED,
                            "%s: tensor '%s' has no place in a %s model as this version knows it",
                            gguf->path, gguf->tensors[i].name, b->model->arch->name);
        }
    }
    return IMX_OK;
}

// Layers behind the last one that is run predict further tokens.
static void pass_over_extra_layers(const binder *b) {
    const imx_gguf *gguf = b->model->gguf;
    const imx_hparams *hparams = &b->model->hparams;
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        unsigned layer;
        if (sscanf(gguf->tensors[i].name, "blk.%u.", &layer) == 1 && layer >= hparams->n_layers &&
            layer - hparams->n_layers < hparams->n_extra_layers) {
            b->taken[i] = true;
        }
    }
}

// Divisors for long contexts and for short ones come together, and long-rope is nothing else.
static imx_status check_divisors(const binder *b) {
    const bool has_long = imx_model_has(b->model, 0, IMX_ROLE_ROPE_LONG);
    const bool has_short = imx_model_has(b->model, 0, IMX_ROLE_ROPE_SHORT);
    const bool is_longrope = b->model->hparams.rope_scaling == IMX_ROPE_SCALING_LONGROPE;
    if (has_long == has_short && (has_long || !is_longrope)) {
        return IMX_OK;
    }
    return fail_missing(b, has_long ? IMX_ROLE_ROPE_SHORT : IMX_ROLE_ROPE_LONG, 0);
}

static imx_status bind_all(const binder *b) {
    const imx_role_set in_layers = ~(imx_role_set)0 << IMX_FIRST_LAYER_ROLE;
    for (imx_role role = 0; role < IMX_FIRST_LAYER_ROLE; ++role) {
        if (imx_role_is_in(b->model->arch->roles, role)) {
            IMX_TRY(bind_role(b, role, 0));
        }
    }
    IMX_TRY(need_roles(b, ~in_layers, 0));
    IMX_TRY(check_divisors(b));
    for (uint32_t layer = 0; layer < b->model->hparams.n_layers; ++layer) {
        IMX_TRY(bind_layer(b, layer));
    }
    pass_over_extra_layers(b);
    return refuse_untaken(b);
}

static imx_status open_model(imx_model *model, const char *path, imx_error *err) {
    binder b = {.model = model, .err = err};
    imx_status status;
    IMX_TRY(imx_gguf_open_model(&model->gguf, path, err));
    IMX_TRY(imx_arch_find(&model->arch, model->gguf, err));
    const imx_arch *arch = model->arch;
    const imx_hparams_rules rules = {arch->name, arch->keys, &arch->defaults, arch->finish,
                                     arch->ignored_keys};
    IMX_TRY(imx_hparams_read(&model->hparams, &rules, model->gguf, err));
    IMX_TRY(
        imx_alloc_zeroed(&model->bindings, model->hparams.n_layers, sizeof *model->bindings, err));
    IMX_TRY(imx_alloc_zeroed(&b.taken, model->gguf->n_tensors, sizeof *b.taken, err));
    IMX_TRY_GOTO(done, imx_alloc_zeroed(&model->tensors, model->gguf->n_tensors,
                                        sizeof *model->tensors, err));
    memcpy(model->tensors, model->gguf->tensors, model->gguf->n_tensors * sizeof *model->tensors);
    status = bind_all(&b);
done:
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
        free(model->tensors);
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
