// SPDX-License-Identifier: MIT
//
// Keys and tensors by name: sorted pointers, searched by halves.

#include <stdlib.h>
#include <string.h>

#include "formats/gguf_internal.h"
#include "formats/memory.h"

static int compare_str(imx_str a, imx_str b) {
    const size_t n = a.len < b.len ? a.len : b.len;
    const int order = n > 0 ? memcmp(a.data, b.data, n) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_kvs(const void *a, const void *b) {
    return compare_str((*(const imx_gguf_kv *const *)a)->key,
                       (*(const imx_gguf_kv *const *)b)->key);
}

static int compare_tensors(const void *a, const void *b) {
    return strcmp((*(const imx_gguf_tensor *const *)a)->name,
                  (*(const imx_gguf_tensor *const *)b)->name);
}

imx_status imx_gguf_index_kvs(imx_gguf *gguf, imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(&gguf->kvs_by_key, gguf->n_kvs, sizeof(void *), err));
    for (size_t i = 0; i < gguf->n_kvs; ++i) {
        gguf->kvs_by_key[i] = &gguf->kvs[i];
    }
    qsort(gguf->kvs_by_key, gguf->n_kvs, sizeof(void *), compare_kvs);
    for (size_t i = 1; i < gguf->n_kvs; ++i) {
        if (compare_kvs(&gguf->kvs_by_key[i - 1], &gguf->kvs_by_key[i]) == 0) {
            const imx_str key = gguf->kvs_by_key[i]->key;
            return imx_fail(err, IMX_ERR_FORMAT, "%s: the key '%.*s' is there twice", gguf->path,
                            (int)(key.len < 200 ? key.len : 200), key.data);
        }
    }
    return IMX_OK;
}

imx_status imx_gguf_index_tensors(imx_gguf *gguf, imx_error *err) {
    IMX_TRY(imx_alloc_zeroed(&gguf->tensors_by_name, gguf->n_tensors, sizeof(void *), err));
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        gguf->tensors_by_name[i] = &gguf->tensors[i];
    }
    qsort(gguf->tensors_by_name, gguf->n_tensors, sizeof(void *), compare_tensors);
    for (size_t i = 1; i < gguf->n_tensors; ++i) {
        if (compare_tensors(&gguf->tensors_by_name[i - 1], &gguf->tensors_by_name[i]) == 0) {
            const imx_gguf_tensor *tensor = gguf->tensors_by_name[i];
            return imx_fail(err, IMX_ERR_FORMAT, "%s: the tensor '%s' is there twice",
                            imx_gguf_file(gguf, tensor->shard)->path, tensor->name);
        }
    }
    return IMX_OK;
}

const imx_gguf_kv *imx_gguf_find_kv(const imx_gguf *gguf, const char *key) {
    const imx_gguf_kv wanted = {.key = {key, strlen(key)}};
    const imx_gguf_kv *pointer = &wanted;
    const imx_gguf_kv **found =
        bsearch(&pointer, gguf->kvs_by_key, gguf->n_kvs, sizeof(void *), compare_kvs);
    return found != NULL ? *found : NULL;
}

const imx_gguf_tensor *imx_gguf_find_tensor(const imx_gguf *gguf, const char *name) {
    const imx_gguf_tensor wanted = {.name = (char *)(uintptr_t)name}; // only read
    const imx_gguf_tensor *pointer = &wanted;
    const imx_gguf_tensor **found =
        bsearch(&pointer, gguf->tensors_by_name, gguf->n_tensors, sizeof(void *), compare_tensors);
    return found != NULL ? *found : NULL;
}
