// SPDX-License-Identifier: MIT
//
// imatrix_trace: model and tokens in, what the model makes of them out.

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "calib/forward/trace.h"
#include "formats/memory.h"
#include "imatrix/facade.h"

void imatrix_trace_options_init(imatrix_trace_options *options) {
    *options = (imatrix_trace_options){.struct_size = sizeof *options, .n_ctx = 512};
}

// ---------------------------------------------------------------------------------------------
// Tokens

typedef struct token_list {
    int32_t *ids; // (n)
    size_t n;
    size_t capacity;
} token_list;

static bool is_separator(char c) {
    return isspace((unsigned char)c) || c == ',' || c == '[' || c == ']';
}

// Reads the number at text[at ..]; *end is where it ends.
static imx_status read_number(const char *path, const char *text, size_t len, size_t at,
                              size_t *end, int32_t *id, imx_error *err) {
    int64_t value = 0;
    for (*end = at; *end < len && !is_separator(text[*end]); ++*end) {
        const int digit = text[*end] - '0';
        if (digit < 0 || digit > 9 || (value = 10 * value + digit) > INT32_MAX) {
            return imx_fail(err, IMX_ERR_FORMAT,
                            "%s: at byte %zu: not a token number; the file holds numbers between "
                            "spaces or commas",
                            path, *end);
        }
    }
    *id = (int32_t)value;
    return IMX_OK;
}

static imx_status parse_tokens(token_list *list, const char *path, const char *text, size_t len,
                               size_t max_tokens, imx_error *err) {
    for (size_t at = 0; at < len && list->n < max_tokens;) {
        if (is_separator(text[at])) {
            ++at;
            continue;
        }
        IMX_TRY(imx_grow(&list->ids, &list->capacity, list->n + 1, sizeof *list->ids, err));
        IMX_TRY(read_number(path, text, len, at, &at, &list->ids[list->n++], err));
    }
    return list->n > 0 ? IMX_OK
                       : imx_fail(err, IMX_ERR_ARGUMENT, "%s: there is no token in it", path);
}

static imx_status read_tokens(token_list *list, const imatrix_trace_options *options,
                              imx_error *err) {
    imx_file_map map;
    IMX_TRY(imx_file_map_open(&map, options->tokens_path, err));
    const imx_status status = parse_tokens(list, options->tokens_path, (const char *)map.data,
                                           (size_t)map.size_bytes, options->n_ctx, err);
    imx_file_map_close(&map);
    return status;
}

static imx_status take_tokens(token_list *list, const int32_t *ids, size_t n, imx_error *err) {
    IMX_TRY(imx_grow(&list->ids, &list->capacity, n, sizeof *list->ids, err));
    memcpy(list->ids, ids, n * sizeof *ids);
    list->n = n;
    return IMX_OK;
}

static imx_status tokenize(token_list *list, const imatrix_trace_options *options,
                           const imx_model *model, imx_error *err) {
    const imx_corpus_options corpus_options = {
        .n_ctx = options->n_ctx,
        .max_chunks = 1,
        .parse_special = options->parse_special,
    };
    imx_text text = {0};
    imx_status status;
    IMX_TRY_GOTO(done, imx_text_open(&text, model, options->text_path, &corpus_options, err));
    IMX_TRY_GOTO(done, take_tokens(list, text.corpus->tokens, text.corpus->n_tokens, err));
done:
    imx_text_close(&text);
    return status;
}

// ---------------------------------------------------------------------------------------------
// The job

static imx_status check_options(const imatrix_trace_options *options, imx_error *err) {
    if (options->struct_size != sizeof *options) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "imatrix_trace_options was not initialised by this version's _init");
    }
    const int n_inputs = (options->text_path != NULL) + (options->tokens_path != NULL) +
                         (options->against_path != NULL);
    if (options->model_path == NULL || n_inputs != 1) {
        return imx_fail(err, IMX_ERR_ARGUMENT,
                        "a model is needed, and one of: a text, a file of tokens, a reference");
    }
    return IMX_OK;
}

static imx_status publish_comparison(const imx_trace_comparison *comparison,
                                     imatrix_trace_result *result, imx_error *err) {
    IMX_TRY(
        imx_alloc_zeroed(&result->products, comparison->n_products, sizeof *result->products, err));
    result->has_comparison = true;
    result->logits_error = comparison->logits_error;
    result->same_top = comparison->same_top;
    result->n_products = comparison->n_products;
    for (size_t i = 0; i < comparison->n_products; ++i) {
        const imx_trace_difference *from = &comparison->products[i];
        imatrix_trace_product *to = &result->products[i];
        strncpy(to->name, from->name, sizeof to->name - 1);
        to->state = from->is_missing    ? IMATRIX_TRACE_MISSING
                    : from->is_extra    ? IMATRIX_TRACE_EXTRA
                    : !from->has_shape  ? IMATRIX_TRACE_SHAPE
                    : !from->has_counts ? IMATRIX_TRACE_COUNTS
                                        : IMATRIX_TRACE_SAME;
        to->error = from->worst;
    }
    return IMX_OK;
}

static imx_status compare(const imx_trace *trace, const imx_trace *reference,
                          imatrix_trace_result *result, imx_error *err) {
    imx_trace_comparison comparison = {0};
    imx_status status = imx_trace_compare(&comparison, trace, reference, err);
    if (status == IMX_OK) {
        status = publish_comparison(&comparison, result, err);
    }
    free(comparison.products);
    return status;
}

static imx_status trace_model(const imatrix_trace_options *options, imatrix_trace_result *result,
                              imx_error *err) {
    const imx_progress progress = imx_adapt_progress(&options->progress);
    imx_model *model = NULL;
    imx_trace reference = {0}, trace = {0};
    token_list tokens = {0};
    imx_status status;
    IMX_TRY_GOTO(done, check_options(options, err));
    IMX_TRY_GOTO(done, imx_model_open(&model, options->model_path, err));
    if (options->against_path != NULL) {
        IMX_TRY_GOTO(done, imx_trace_read(&reference, options->against_path, err));
        IMX_TRY_GOTO(done, take_tokens(&tokens, reference.tokens, reference.n_tokens, err));
    } else if (options->tokens_path != NULL) {
        IMX_TRY_GOTO(done, read_tokens(&tokens, options, err));
    } else {
        IMX_TRY_GOTO(done, tokenize(&tokens, options, model, err));
    }
    IMX_TRY_GOTO(done, imx_trace_run(&trace, model, tokens.ids, tokens.n, options->n_threads,
                                     &progress, err));
    result->n_tokens = tokens.n;
    if (options->against_path != NULL) {
        IMX_TRY_GOTO(done, compare(&trace, &reference, result, err));
    }
    if (options->out_path != NULL) {
        IMX_TRY_GOTO(done, imx_trace_write(&trace, options->out_path,
                                           imx_base_name(options->model_path), err));
    }
done:
    free(tokens.ids);
    imx_trace_free(&trace);
    imx_trace_free(&reference);
    imx_model_close(model);
    return status;
}

imatrix_status imatrix_trace(const imatrix_trace_options *options, imatrix_trace_result *result,
                             imatrix_error *error) {
    imx_error err = {0};
    *result = (imatrix_trace_result){0};
    return imx_publish_error(trace_model(options, result, &err), &err, error);
}

void imatrix_trace_result_free(imatrix_trace_result *result) {
    free(result->products);
    *result = (imatrix_trace_result){0};
}
