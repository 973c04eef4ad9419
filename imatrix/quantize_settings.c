// SPDX-License-Identifier: MIT

#include "imatrix/quantize_settings.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "formats/file_map.h"
#include "formats/memory.h"

static_assert((int)IMATRIX_EFFORT_BEST == (int)IMX_EFFORT_BEST &&
                  (int)IMATRIX_WEIGHTING_SQRT == (int)IMX_WEIGHTING_SQRT,
              "public and internal choices have the same numbers");

#define WHITE_SPACE " \t\r\n\f\v"

static imx_status parse_type(uint32_t *type, const char *name, const char *where, imx_error *err) {
    if (imx_type_from_name(name, type)) {
        return IMX_OK;
    }
    return imx_fail(err, IMX_ERR_ARGUMENT,
                    "%s: '%s' is not a tensor type; types are named as in Q4_K, Q8_0 or F16", where,
                    name);
}

static imx_status parse_optional_type(uint32_t *type, const char *name, const char *where,
                                      imx_error *err) {
    return name != NULL ? parse_type(type, name, where, err) : IMX_OK;
}

// ---- tensor types ------------------------------------------------------------------------------

// All rows of the options and of the file in one text, separated by newlines. A file may separate
// them by any white space; a row itself holds none.
static imx_status gather_type_text(char **text, const imatrix_quantize_options *options,
                                   imx_error *err) {
    imx_file_map file = {0};
    size_t size = 1;
    if (options->tensor_type_file != NULL) {
        IMX_TRY(imx_file_map_open(&file, options->tensor_type_file, err));
    }
    for (size_t i = 0; i < options->n_tensor_types; ++i) {
        size += strlen(options->tensor_types[i]) + 1;
    }
    const imx_status status = imx_alloc_zeroed(text, size + (size_t)file.size_bytes, 1, err);
    if (status == IMX_OK) {
        char *end = *text;
        for (size_t i = 0; i < options->n_tensor_types; ++i) {
            end = stpcpy(stpcpy(end, options->tensor_types[i]), "\n");
        }
        if (file.size_bytes > 0) {
            memcpy(end, file.data, (size_t)file.size_bytes);
        }
    }
    imx_file_map_close(&file);
    return status;
}

// "REGEX=TYPE", divided at the last '='.
static imx_status parse_override(imx_type_override *row, char *word, imx_error *err) {
    char *equals = strrchr(word, '=');
    if (equals == NULL || equals == word) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "tensor type '%s': write REGEX=TYPE, such as ffn_down=Q6_K", word);
    }
    *equals = '\0';
    row->pattern = word;
    return parse_type(&row->type, equals + 1, word, err);
}

static imx_status parse_overrides(imx_quantize_settings *settings,
                                  const imatrix_quantize_options *options, imx_error *err) {
    size_t capacity = 0;
    IMX_TRY(gather_type_text(&settings->type_text, options, err));
    char *rest = NULL;
    for (char *word = strtok_r(settings->type_text, WHITE_SPACE, &rest); word != NULL;
         word = strtok_r(NULL, WHITE_SPACE, &rest)) {
        const size_t n = settings->plan.n_overrides;
        IMX_TRY(imx_grow(&settings->overrides, &capacity, n + 1, sizeof *settings->overrides, err));
        IMX_TRY(parse_override(&settings->overrides[n], word, err));
        settings->plan.n_overrides = n + 1;
    }
    settings->plan.overrides = settings->overrides;
    return IMX_OK;
}

// ---- the rest ----------------------------------------------------------------------------------

static imx_status parse_missing(imx_plan_options *plan, const char *missing, imx_error *err) {
    if (missing == NULL || strcmp(missing, "neutral") == 0) {
        plan->missing = IMX_MISSING_NEUTRAL;
        return IMX_OK;
    }
    if (strcmp(missing, "fail") == 0) {
        plan->missing = IMX_MISSING_FAIL;
        return IMX_OK;
    }
    plan->missing = IMX_MISSING_TYPE;
    return parse_type(&plan->missing_type, missing, "missing statistics (neutral, fail or a type)",
                      err);
}

static imx_status parse_key_overrides(imx_quantize_settings *settings,
                                      const imatrix_quantize_options *options, imx_error *err) {
    const size_t n = options->n_key_overrides;
    IMX_TRY(imx_alloc_zeroed(&settings->key_overrides, n, sizeof *settings->key_overrides, err));
    for (size_t i = 0; i < n; ++i) {
        IMX_TRY(
            imx_key_override_parse(&settings->key_overrides[i], options->key_overrides[i], err));
    }
    settings->keys.overrides = settings->key_overrides;
    settings->keys.n_overrides = n;
    return IMX_OK;
}

static imx_status check_required(const imatrix_quantize_options *options, imx_error *err) {
    if (options->struct_size != sizeof *options) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "imatrix_quantize_options was not initialised by this version's _init");
    }
    if (options->model_path == NULL || options->recipe == NULL) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "a model and a type are needed");
    }
    return IMX_OK;
}

imx_status imx_quantize_settings_init(imx_quantize_settings *settings,
                                      const imatrix_quantize_options *options, imx_error *err) {
    *settings = (imx_quantize_settings){0};
    imx_plan_options *plan = &settings->plan;
    imx_plan_options_init(plan);
    IMX_TRY(check_required(options, err));
    plan->recipe = imx_recipe_find(options->recipe);
    if (plan->recipe == NULL) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "'%s' is not a quantization type; `imatrix quantize --help` lists them",
                        options->recipe);
    }
    plan->pure = options->pure;
    plan->leave_output = options->leave_output;
    plan->allow_requantize = options->allow_requantize;
    plan->include_weights = options->include_weights;
    plan->n_included = options->n_included;
    plan->exclude_weights = options->exclude_weights;
    plan->n_excluded = options->n_excluded;
    plan->pruned_layers = options->prune_layers;
    plan->n_pruned = options->n_pruned;
    plan->prior_tokens = options->prior_tokens;
    plan->ignore_products = options->ignore_covariance;
    plan->keep_split = options->keep_split;
    plan->split_max_bytes = options->split_max_bytes;
    IMX_TRY(parse_optional_type(&plan->output_type, options->output_type, "output type", err));
    IMX_TRY(
        parse_optional_type(&plan->embedding_type, options->embedding_type, "embedding type", err));
    IMX_TRY(parse_missing(plan, options->missing, err));
    IMX_TRY(parse_overrides(settings, options, err));

    settings->encode =
        (imx_encode_options){(imx_effort)options->effort, (imx_weighting)options->weighting, NULL};
    settings->keys.encode = settings->encode;
    settings->keys.hide_imatrix = options->hide_imatrix;
    return parse_key_overrides(settings, options, err);
}

void imx_quantize_settings_free(imx_quantize_settings *settings) {
    free(settings->type_text);
    free(settings->overrides);
    free(settings->key_overrides);
}
