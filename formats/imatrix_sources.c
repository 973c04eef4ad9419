// SPDX-License-Identifier: MIT
//
// The texts that an imatrix was made of, as keys of its GGUF: arrays with one element a text, in
// the order of imatrix.datasets, which has their names.

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "formats/gguf.h"
#include "formats/imatrix_codec_internal.h"
#include "formats/memory.h"

static const char hashes_key[] = "imatrix.calibration.source_hashes";

// The fields with eight bytes.
static const struct {
    const char *key;
    imx_gguf_type type;
    size_t offset; // in imx_imatrix_source
} numbers[] = {
    {"imatrix.calibration.source_weights", IMX_GGUF_F64, offsetof(imx_imatrix_source, weight)},
    {"imatrix.calibration.source_tokens", IMX_GGUF_U64, offsetof(imx_imatrix_source, n_tokens)},
    {"imatrix.calibration.source_chunks", IMX_GGUF_U64, offsetof(imx_imatrix_source, n_chunks)},
};

enum { N_NUMBERS = sizeof numbers / sizeof *numbers };

static imx_status store_columns(imx_gguf_builder *builder, const imx_imatrix *imatrix,
                                const char **hashes, uint64_t *values, imx_error *err) {
    const size_t n = imatrix->n_sources;
    for (size_t i = 0; i < n; ++i) {
        hashes[i] = imatrix->sources[i].hash;
    }
    IMX_TRY(imx_gguf_set_str_array(builder, hashes_key, hashes, n, err));
    for (size_t k = 0; k < N_NUMBERS; ++k) {
        for (size_t i = 0; i < n; ++i) {
            const char *source = (const char *)&imatrix->sources[i];
            memcpy(&values[i], source + numbers[k].offset, sizeof values[i]);
        }
        IMX_TRY(imx_gguf_set_array(builder, numbers[k].key, numbers[k].type, values, n, err));
    }
    return IMX_OK;
}

imx_status imx_imatrix_store_sources(imx_gguf_builder *builder, const imx_imatrix *imatrix,
                                     imx_error *err) {
    const char **hashes = NULL;
    uint64_t *values = NULL;
    imx_status status;
    if (imatrix->n_sources == 0) {
        return IMX_OK;
    }
    IMX_TRY_GOTO(done, imx_alloc_zeroed(&hashes, imatrix->n_sources, sizeof *hashes, err));
    IMX_TRY_GOTO(done, imx_alloc_zeroed(&values, imatrix->n_sources, sizeof *values, err));
    status = store_columns(builder, imatrix, hashes, values, err);
done:
    free(hashes);
    free(values);
    return status;
}

// The array at `key`, which must have one element a dataset.
static imx_status get_column(const imx_gguf *gguf, const char *key, imx_gguf_type type, uint64_t n,
                             const imx_gguf_kv **kv, imx_error *err) {
    IMX_TRY(imx_gguf_get_array(gguf, key, true, type, kv, err));
    if ((*kv)->n_elems != n) {
        return imx_fail(err, IMX_ERR_FORMAT, "%s: %s does not fit imatrix.datasets", gguf->path,
                        key);
    }
    return IMX_OK;
}

imx_status imx_imatrix_load_sources(const imx_gguf *gguf, imx_imatrix *imatrix, imx_error *err) {
    const size_t n = imatrix->n_datasets;
    const imx_gguf_kv *kv;
    if (imx_gguf_find_kv(gguf, hashes_key) == NULL) {
        return IMX_OK;
    }
    IMX_TRY(get_column(gguf, hashes_key, IMX_GGUF_STRING, n, &kv, err));
    IMX_TRY(imx_alloc_zeroed(&imatrix->sources, n, sizeof *imatrix->sources, err));
    imatrix->n_sources = n;
    const uint8_t *cursor = kv->elems;
    for (size_t i = 0; i < n; ++i) {
        const imx_str hash = imx_gguf_next_str(&cursor);
        if (hash.len >= sizeof imatrix->sources[i].hash) {
            return imx_fail(err, IMX_ERR_FORMAT, "%s: %s: element %zu is no hash", gguf->path,
                            hashes_key, i);
        }
        memcpy(imatrix->sources[i].hash, hash.data, hash.len);
    }
    for (size_t k = 0; k < N_NUMBERS; ++k) {
        IMX_TRY(get_column(gguf, numbers[k].key, numbers[k].type, n, &kv, err));
        for (size_t i = 0; i < n; ++i) {
            memcpy((char *)&imatrix->sources[i] + numbers[k].offset,
                   kv->elems + i * sizeof(uint64_t), sizeof(uint64_t));
        }
    }
    return IMX_OK;
}
