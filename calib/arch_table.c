// SPDX-License-Identifier: MIT

#include <stdio.h>
#include <string.h>

#include "calib/arch.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define ROLE(name)      ((imx_role_set)1 << IMX_ROLE_##name)

// Roles that go together.
// clang-format off
#define EMBEDDING  (ROLE(TOKEN_EMBD) | ROLE(OUTPUT_NORM) | ROLE(OUTPUT))
#define SEPARATE   (ROLE(ATTN_Q) | ROLE(ATTN_K) | ROLE(ATTN_V) | ROLE(ATTN_OUTPUT))
#define FUSED      (ROLE(ATTN_QKV) | ROLE(ATTN_OUTPUT))
#define ATTENTION  (SEPARATE | FUSED)
#define GATED      (ROLE(FFN_GATE) | ROLE(FFN_UP) | ROLE(FFN_DOWN))
#define UNGATED    (ROLE(FFN_UP) | ROLE(FFN_DOWN))
#define EXPERTS    (ROLE(ROUTER) | ROLE(EXPERTS_GATE) | ROLE(EXPERTS_UP) | \
                    ROLE(EXPERTS_GATE_UP) | ROLE(EXPERTS_DOWN))
#define SHARED     (ROLE(SHARED_GATE) | ROLE(SHARED_UP) | ROLE(SHARED_DOWN))
#define PRE_NORMS  (ROLE(ATTN_NORM) | ROLE(FFN_NORM))
#define POST_NORMS (ROLE(ATTN_POST_NORM) | ROLE(FFN_POST_NORM))
#define HEAD_NORMS (ROLE(ATTN_Q_NORM) | ROLE(ATTN_K_NORM))

static const imx_arch archs[] = {
    {
        // Llama 1 to 3, Mistral, Mixtral, Yi, SmolLM and TinyLlama: RMS norm before each half of a
        // layer, rotation of neighbouring pairs, SiLU gate, grouped-query attention.
        .name = "llama",
        .keys = IMX_KEYS_RMS_NORM | IMX_KEYS_ROPE | IMX_KEYS_EXPERTS,
        .roles = EMBEDDING | ROLE(ROPE_FREQS) | PRE_NORMS | ATTENTION | GATED | EXPERTS,
        .optional = ROLE(OUTPUT) | ROLE(ROPE_FREQS),
        .norm = imx_norm_rms,
        .rotate = imx_rotate_pairs,
        .activate = imx_activate_silu,
        .defaults = {.normalises_gates = 1},
    },
};
// clang-format on

static void list_names(char *list, size_t list_bytes) {
    size_t len = 0;
    for (size_t i = 0; i < COUNT_OF(archs) && len < list_bytes; ++i) {
        const int n =
            snprintf(list + len, list_bytes - len, "%s%s", i > 0 ? ", " : "", archs[i].name);
        len += n > 0 ? (size_t)n : 0;
    }
}

imx_status imx_arch_find(const imx_arch **out, const imx_gguf *gguf, imx_error *err) {
    imx_str name;
    char known[512];
    IMX_TRY(imx_gguf_get_str(gguf, "general.architecture", true, &name, err));
    for (size_t i = 0; i < COUNT_OF(archs); ++i) {
        if (strlen(archs[i].name) == name.len && memcmp(archs[i].name, name.data, name.len) == 0) {
            *out = &archs[i];
            return IMX_OK;
        }
    }
    list_names(known, sizeof known);
    return imx_fail(err, IMX_ERR_UNSUPPORTED,
                    "%s: the architecture '%.*s' is not known to this version; it knows: %s",
                    gguf->path, (int)(name.len < 100 ? name.len : 100), name.data, known);
}
