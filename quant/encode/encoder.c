// SPDX-License-Identifier: MIT

#include "quant/encode/encoder.h"

#include <stdbool.h>

#include "quant/encode/encoder_table.h"

#ifdef IMX_HAS_X86_VARIANTS
extern const imx_encoder imx_encoder_table_avx2[];
extern const imx_encoder imx_encoder_table_avx512[];

static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2");
}

static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

static bool always(void) {
    return true;
}

static const struct {
    const char *name;
    bool (*is_present)(void);
    const imx_encoder *encoders; // (imx_encoder_count)
} variants[IMX_ISA_COUNT] = {
    [IMX_ISA_PLAIN] = {"plain", always, imx_encoder_table},
#ifdef IMX_HAS_X86_VARIANTS
    [IMX_ISA_AVX2] = {"avx2", has_avx2, imx_encoder_table_avx2},
    [IMX_ISA_AVX512] = {"avx512", has_avx512, imx_encoder_table_avx512},
#else
    [IMX_ISA_AVX2] = {"avx2", NULL, NULL},
    [IMX_ISA_AVX512] = {"avx512", NULL, NULL},
#endif
};

const char *imx_isa_name(imx_isa isa) {
    return variants[isa].name;
}

const imx_encoder *imx_encoder_for(uint32_t type, imx_isa isa) {
    if (variants[isa].encoders == NULL || !variants[isa].is_present()) {
        return NULL;
    }
    for (size_t i = 0; i < imx_encoder_count; ++i) {
        if (variants[isa].encoders[i].type == type) {
            return &variants[isa].encoders[i];
        }
    }
    return NULL;
}

const imx_encoder *imx_encoder_of(uint32_t type) {
    for (int isa = IMX_ISA_COUNT - 1; isa > IMX_ISA_PLAIN; --isa) {
        const imx_encoder *encoder = imx_encoder_for(type, (imx_isa)isa);
        if (encoder != NULL) {
            return encoder;
        }
    }
    return imx_encoder_for(type, IMX_ISA_PLAIN);
}
