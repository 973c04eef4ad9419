// SPDX-License-Identifier: MIT
//
// Any bytes as a GGUF: an error, or a file whose every key, string and weight can be walked and
// whose header can be written again.

#include <stdlib.h>

#include "formats/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint8_t sink;

static void touch(const void *data, uint64_t n_bytes) {
    const uint8_t *bytes = data;
    for (uint64_t i = 0; i < n_bytes; ++i) {
        sink ^= bytes[i];
    }
}

static void walk_key(const imx_gguf *gguf, const imx_gguf_kv *kv) {
    const uint8_t *cursor = kv->elems;
    touch(kv->key.data, kv->key.len);
    touch(kv->raw, kv->raw_bytes);
    for (uint64_t i = 0; i < kv->n_elems; ++i) {
        if (kv->elem_type == IMX_GGUF_STRING) {
            const imx_str str = imx_gguf_next_str(&cursor);
            touch(str.data, str.len);
        } else {
            sink ^= (uint8_t)(imx_gguf_elem_f64(kv, i) > 0) ^ (uint8_t)imx_gguf_elem_i64(kv, i);
        }
    }
    uint32_t u32;
    float f32;
    bool flag;
    imx_str str;
    const char key[] = "general.alignment";
    (void)imx_gguf_get_u32(gguf, key, false, &u32, NULL);
    (void)imx_gguf_get_f32(gguf, key, false, &f32, NULL);
    (void)imx_gguf_get_bool(gguf, key, false, &flag, NULL);
    (void)imx_gguf_get_str(gguf, key, false, &str, NULL);
}

static void walk_tensor(const imx_gguf *gguf, const imx_gguf_tensor *tensor) {
    if (imx_gguf_find_tensor(gguf, tensor->name) != tensor) {
        abort();
    }
    touch(tensor->data, tensor->size_bytes);
}

static void write_again(const imx_gguf *gguf) {
    imx_gguf_builder *builder;
    uint8_t *header;
    size_t header_bytes;
    if (imx_gguf_builder_new(&builder, NULL) != IMX_OK) {
        return;
    }
    for (size_t i = 0; i < gguf->n_kvs; ++i) {
        (void)imx_gguf_copy_kv(builder, &gguf->kvs[i], NULL);
    }
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        const imx_gguf_tensor *tensor = &gguf->tensors[i];
        (void)imx_gguf_add_tensor(builder, tensor->name, tensor->type, tensor->n_dims, tensor->dims,
                                  NULL);
    }
    if (imx_gguf_builder_header(builder, &header, &header_bytes, NULL) == IMX_OK) {
        touch(header, header_bytes);
        free(header);
    }
    imx_gguf_builder_free(builder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    imx_gguf *gguf;
    imx_error err;
    if (imx_gguf_parse(&gguf, data, size, "fuzz", &err) != IMX_OK) {
        return 0;
    }
    for (size_t i = 0; i < gguf->n_kvs; ++i) {
        walk_key(gguf, &gguf->kvs[i]);
    }
    for (size_t i = 0; i < gguf->n_tensors; ++i) {
        walk_tensor(gguf, &gguf->tensors[i]);
    }
    write_again(gguf);
    imx_gguf_close(gguf);
    return 0;
}
