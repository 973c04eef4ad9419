// SPDX-License-Identifier: MIT
//
// imatrix_inspect: everything that a model's header, and the code that would work on the model,
// tell without reading a weight. What `collect` would do is learned by opening the model as it
// does, the sizes by planning as `quantize` does: there is no second opinion that could differ.

#include <stdlib.h>
#include <string.h>

#include "calib/run_memory.h"
#include "formats/imatrix_file.h"
#include "formats/memory.h"
#include "imatrix/facade.h"
#include "imatrix/model_facts.h"
#include "quant/plan/loss_order.h"
#include "quant/plan/recipe.h"
#include "quant/plan/recipe_size.h"

typedef struct inspector {
    imatrix_inspection *out;
    const imatrix_inspect_options *options;
    imx_gguf *gguf;
    imx_imatrix *imatrix; // NULL without one
} inspector;

void imatrix_inspect_options_init(imatrix_inspect_options *options) {
    *options = (imatrix_inspect_options){.struct_size = sizeof *options};
}

// ---- what would be done with it ----------------------------------------------------------------

static void try_collect(inspector *in) {
    imx_model *model = NULL;
    imx_error err = {IMX_OK, ""};
    imx_model_open(&model, in->options->model_path, &err);
    memcpy(in->out->collect_error, err.message, sizeof err.message);
    imx_model_close(model);
}

static imx_status measure_memory(inspector *in, imx_error *err) {
    imx_run_memory memory;
    IMX_TRY(imx_run_memory_measure(&memory, in->gguf, in->options->n_ctx, err));
    in->out->n_ctx = memory.n_ctx;
    in->out->n_cache_layers = memory.n_cache_layers;
    in->out->n_window_layers = memory.n_window_layers;
    in->out->n_state_layers = memory.n_state_layers;
    in->out->window = memory.window;
    in->out->cache_bytes = memory.cache_bytes;
    in->out->compute_bytes = memory.compute_bytes;
    return IMX_OK;
}

// A recipe that this version cannot carry out for the model has the size 0.
static imx_status measure_recipe(inspector *in, const imx_recipe *recipe, imatrix_output_size *size,
                                 imx_error *err) {
    imatrix_inspection *out = in->out;
    const char *path = in->options->imatrix_path;
    imx_recipe_size measured;
    imx_error why = {IMX_OK, ""};
    const imx_status status = imx_recipe_size_measure(
        &measured, recipe, in->gguf, in->imatrix, path != NULL ? imx_base_name(path) : NULL, &why);
    imatrix_recipe_find(imx_recipe_name(recipe), &size->recipe);
    if (status == IMX_ERR_MISMATCH || status == IMX_ERR_MEMORY) {
        *err = why;
        return status;
    }
    if (status != IMX_OK) {
        if (out->quantize_error[0] == '\0') {
            memcpy(out->quantize_error, why.message, sizeof why.message);
        }
        return IMX_OK;
    }
    size->file_bytes = measured.file_bytes;
    size->bits_per_weight = measured.bits_per_weight;
    size->requantizes = measured.requantizes;
    size->n_fallbacks = measured.n_fallbacks;
    size->n_lacking_statistics = measured.n_lacking;
    size->memory_bytes = measured.file_bytes + out->cache_bytes + out->compute_bytes;
    size->fits = size->memory_bytes <= in->options->fit_bytes;
    return IMX_OK;
}

static size_t loss_rank(const imatrix_output_size *size) {
    return imx_recipe_loss_rank(imx_recipe_find(size->recipe.name));
}

static int compare_sizes(const void *left, const void *right) {
    const imatrix_output_size *a = left;
    const imatrix_output_size *b = right;
    if (a->file_bytes != b->file_bytes) {
        return a->file_bytes < b->file_bytes ? 1 : -1;
    }
    return (loss_rank(a) > loss_rank(b)) - (loss_rank(a) < loss_rank(b));
}

// What is quantized twice loses twice, so that everything else goes before it.
static bool is_better(const imatrix_output_size *a, const imatrix_output_size *b) {
    if (b == NULL || a->requantizes != b->requantizes) {
        return b == NULL || b->requantizes;
    }
    return loss_rank(a) < loss_rank(b);
}

static void choose_best(imatrix_inspection *out) {
    for (size_t i = 0; i < out->n_sizes; ++i) {
        const imatrix_output_size *size = &out->sizes[i];
        if (size->fits && loss_rank(size) != IMX_NO_LOSS_RANK && is_better(size, out->best)) {
            out->best = size;
        }
    }
}

static imx_status measure_recipes(inspector *in, imx_error *err) {
    imatrix_inspection *out = in->out;
    while (imx_recipe_at(out->n_sizes) != NULL) {
        ++out->n_sizes;
    }
    IMX_TRY(imx_alloc_zeroed(&out->sizes, out->n_sizes, sizeof *out->sizes, err));
    for (size_t i = 0; i < out->n_sizes; ++i) {
        IMX_TRY(measure_recipe(in, imx_recipe_at(i), &out->sizes[i], err));
    }
    qsort(out->sizes, out->n_sizes, sizeof *out->sizes, compare_sizes);
    choose_best(out);
    return IMX_OK;
}

// ---- all of it ---------------------------------------------------------------------------------

static imx_status open_inputs(inspector *in, imx_error *err) {
    const imatrix_inspect_options *options = in->options;
    if (options->struct_size != sizeof *options) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "imatrix_inspect_options was not initialised by this version's _init");
    }
    if (options->model_path == NULL) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "a model is needed");
    }
    IMX_TRY(imx_gguf_open_model(&in->gguf, options->model_path, err));
    return options->imatrix_path == NULL
               ? IMX_OK
               : imx_imatrix_read(&in->imatrix, options->imatrix_path, NULL, err);
}

static imx_status inspect(inspector *in, imx_error *err) {
    IMX_TRY(open_inputs(in, err));
    IMX_TRY(imx_model_facts_gather(in->out, in->gguf, err));
    try_collect(in);
    IMX_TRY(measure_memory(in, err));
    return measure_recipes(in, err);
}

imatrix_status imatrix_inspect(imatrix_inspection **out, const imatrix_inspect_options *options,
                               imatrix_error *error) {
    imx_error err = {IMX_OK, ""};
    inspector in = {.options = options};
    *out = NULL;
    imx_status status = imx_alloc_zeroed(&in.out, 1, sizeof *in.out, &err);
    if (status == IMX_OK) {
        status = inspect(&in, &err);
    }
    imx_imatrix_free(in.imatrix);
    imx_gguf_close(in.gguf);
    if (status == IMX_OK) {
        *out = in.out;
    } else {
        imatrix_inspection_free(in.out);
    }
    return imx_publish_error(status, &err, error);
}

void imatrix_inspection_free(imatrix_inspection *inspection) {
    if (inspection != NULL) {
        free(inspection->types);
        free(inspection->sizes);
        free(inspection);
    }
}
