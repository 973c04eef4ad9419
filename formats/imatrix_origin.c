// SPDX-License-Identifier: MIT
//
// Where an imatrix comes from, as keys of its GGUF. What is not recorded has no key.

#include <stddef.h>

#include "formats/gguf.h"
#include "formats/imatrix_codec_internal.h"
#include "formats/memory.h"

static const struct {
    const char *key;
    size_t offset; // of the char * in imx_imatrix_origin
} origin_strings[] = {
    {"imatrix.calibration.program", offsetof(imx_imatrix_origin, program)},
    {"imatrix.calibration.model_name", offsetof(imx_imatrix_origin, model_name)},
    {"imatrix.calibration.model_hash", offsetof(imx_imatrix_origin, model_hash)},
    {"imatrix.calibration.text_hash", offsetof(imx_imatrix_origin, text_hash)},
    {"imatrix.calibration.precision", offsetof(imx_imatrix_origin, precision)},
};

enum { N_ORIGIN_STRINGS = sizeof origin_strings / sizeof origin_strings[0] };

static const char left_out_key[] = "imatrix.calibration.left_out_chunks";
static const char all_experts_key[] = "imatrix.calibration.all_experts";
static const char digits_key[] = "imatrix.calibration.digits";
static const char n_tokens_key[] = "imatrix.calibration.n_tokens";
static const char parse_special_key[] = "imatrix.calibration.parse_special";
static const char process_output_key[] = "imatrix.calibration.process_output";

static char **origin_string(const imx_imatrix_origin *origin, size_t i) {
    return (char **)((uintptr_t)origin + origin_strings[i].offset);
}

imx_status imx_imatrix_store_origin(imx_gguf_builder *builder, const imx_imatrix_origin *origin,
                                    imx_error *err) {
    for (size_t i = 0; i < N_ORIGIN_STRINGS; ++i) {
        const char *value = *origin_string(origin, i);
        if (value != NULL) {
            IMX_TRY(imx_gguf_set_str(builder, origin_strings[i].key, value, err));
        }
    }
    if (origin->n_tokens > 0) {
        IMX_TRY(imx_gguf_set_u64(builder, n_tokens_key, origin->n_tokens, err));
    }
    if (origin->digits > 0) {
        IMX_TRY(imx_gguf_set_u32(builder, digits_key, origin->digits, err));
    }
    if (origin->all_experts) {
        IMX_TRY(imx_gguf_set_bool(builder, all_experts_key, true, err));
    }
    if (origin->n_left_out > 0) {
        IMX_TRY(imx_gguf_set_array(builder, left_out_key, IMX_GGUF_U32, origin->left_out_chunks,
                                   origin->n_left_out, err));
    }
    if (origin->has_options) {
        IMX_TRY(imx_gguf_set_bool(builder, parse_special_key, origin->parse_special, err));
        IMX_TRY(imx_gguf_set_bool(builder, process_output_key, origin->process_output, err));
    }
    return IMX_OK;
}

static imx_status load_left_out(const imx_gguf *gguf, imx_imatrix_origin *origin, imx_error *err) {
    const imx_gguf_kv *chunks;
    IMX_TRY(imx_gguf_get_array(gguf, left_out_key, false, IMX_GGUF_U32, &chunks, err));
    if (chunks == NULL) {
        return IMX_OK;
    }
    IMX_TRY(imx_alloc_zeroed(&origin->left_out_chunks, (size_t)chunks->n_elems,
                             sizeof *origin->left_out_chunks, err));
    origin->n_left_out = (size_t)chunks->n_elems;
    for (size_t i = 0; i < origin->n_left_out; ++i) {
        origin->left_out_chunks[i] = (uint32_t)imx_gguf_elem_i64(chunks, i);
    }
    return IMX_OK;
}

imx_status imx_imatrix_load_origin(const imx_gguf *gguf, imx_imatrix_origin *origin,
                                   imx_error *err) {
    for (size_t i = 0; i < N_ORIGIN_STRINGS; ++i) {
        imx_str value = {0};
        IMX_TRY(imx_gguf_get_str(gguf, origin_strings[i].key, false, &value, err));
        if (value.data != NULL) {
            IMX_TRY(imx_copy_string(origin_string(origin, i), value.data, value.len, err));
        }
    }
    IMX_TRY(load_left_out(gguf, origin, err));
    IMX_TRY(imx_gguf_get_u32(gguf, digits_key, false, &origin->digits, err));
    IMX_TRY(imx_gguf_get_bool(gguf, all_experts_key, false, &origin->all_experts, err));
    const imx_gguf_kv *n_tokens = imx_gguf_find_kv(gguf, n_tokens_key);
    if (n_tokens != NULL && n_tokens->type == IMX_GGUF_U64) {
        origin->n_tokens = (uint64_t)imx_gguf_elem_i64(n_tokens, 0);
    }
    origin->has_options = imx_gguf_find_kv(gguf, parse_special_key) != NULL &&
                          imx_gguf_find_kv(gguf, process_output_key) != NULL;
    IMX_TRY(imx_gguf_get_bool(gguf, parse_special_key, false, &origin->parse_special, err));
    return imx_gguf_get_bool(gguf, process_output_key, false, &origin->process_output, err);
}
