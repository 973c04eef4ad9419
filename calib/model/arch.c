// SPDX-License-Identifier: MIT
//
// Which architectures can be run is what the table says. Of those that cannot, the reason is worth
// a word: a user who hears "recurrent" stops looking for a mistake of his own.

#include "calib/model/arch.h"

#include <stdio.h>
#include <string.h>

enum { MAX_NAME = 100, MAX_OF_A_KIND = 16 };

// Kinds of models whose layers are no decoder's: a hidden state carried from token to token in
// place of attention, or attention to later tokens.
static const struct kind {
    const char *what;
    const char *names[MAX_OF_A_KIND];
} kinds[] = {
    {"a recurrent model", {"arwkv7", "mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7"}},
    {"a model with recurrent layers",
     {"falcon-h1", "granitehybrid", "jamba", "kimi-linear", "lfm2", "lfm2moe", "nemotron_h",
      "nemotron_h_moe", "plamo2", "qwen35", "qwen35moe", "qwen3next"}},
    {"an encoder",
     {"bert", "eurobert", "gemma-embedding", "jina-bert-v2", "jina-bert-v3", "llama-embed",
      "modern-bert", "neo-bert", "nomic-bert", "nomic-bert-moe", "t5encoder"}},
    {"an encoder with a decoder", {"t5"}},
    {"a diffusion model", {"dream", "llada", "llada-moe", "rnd1"}},
};

static const char *kind_of(const char *name) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
        for (size_t j = 0; j < MAX_OF_A_KIND && kinds[i].names[j] != NULL; ++j) {
            if (strcmp(kinds[i].names[j], name) == 0) {
                return kinds[i].what;
            }
        }
    }
    return "not known to this version";
}

static void list_names(char *list, size_t list_bytes) {
    size_t len = 0;
    for (size_t i = 0; i < imx_n_archs && len < list_bytes; ++i) {
        const int n =
            snprintf(list + len, list_bytes - len, "%s%s", i > 0 ? ", " : "", imx_archs[i].name);
        len += n > 0 ? (size_t)n : 0;
    }
}

imx_status imx_arch_find(const imx_arch **out, const imx_gguf *gguf, imx_error *err) {
    imx_str value;
    char name[MAX_NAME], runnable[768];
    IMX_TRY(imx_gguf_get_str(gguf, "general.architecture", true, &value, err));
    snprintf(name, sizeof name, "%.*s", (int)(value.len < MAX_NAME ? value.len : MAX_NAME),
             value.data);
    for (size_t i = 0; i < imx_n_archs; ++i) {
        if (strcmp(imx_archs[i].name, name) == 0) {
            *out = &imx_archs[i];
            return IMX_OK;
        }
    }
    list_names(runnable, sizeof runnable);
    return imx_fail(err, IMX_ERR_UNSUPPORTED,
                    "%s: the architecture '%s' is %s and cannot be run; `imatrix quantize` works "
                    "all the same, without an imatrix or with one made elsewhere. What can be run: "
                    "%s",
                    gguf->path, name, kind_of(name), runnable);
}
