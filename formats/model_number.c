// SPDX-License-Identifier: MIT

#include "formats/model_number.h"

#include <stdio.h>
#include <string.h>

enum { MAX_KEY = 256 };

bool imx_str_equals(imx_str str, const char *text) {
    return str.len == strlen(text) && memcmp(str.data, text, str.len) == 0;
}

imx_str imx_model_architecture(const imx_gguf *gguf) {
    imx_str architecture = {"", 0};
    if (imx_gguf_get_str(gguf, "general.architecture", false, &architecture, NULL) != IMX_OK) {
        return (imx_str){"", 0};
    }
    return architecture;
}

const imx_gguf_kv *imx_model_key(const imx_gguf *gguf, const char *suffix) {
    const imx_str architecture = imx_model_architecture(gguf);
    char key[MAX_KEY];
    snprintf(key, sizeof key, "%.*s.%s", (int)architecture.len, architecture.data, suffix);
    return imx_gguf_find_kv(gguf, key);
}

uint64_t imx_model_number(const imx_gguf *gguf, const char *suffix, uint64_t layer,
                          uint64_t when_absent) {
    const imx_gguf_kv *kv = imx_model_key(gguf, suffix);
    if (kv == NULL || imx_gguf_scalar_bytes(kv->elem_type) == 0) {
        return when_absent;
    }
    const uint64_t i = kv->type == IMX_GGUF_ARRAY ? layer : 0;
    if (i >= kv->n_elems) {
        return when_absent;
    }
    const int64_t value = imx_gguf_elem_i64(kv, i);
    return value > 0 ? (uint64_t)value : 0;
}
