// SPDX-License-Identifier: MIT
//
// A loop compiled once for every processor. IMX_PROCESSOR_VARIANTS(name, parameters, arguments)
// makes of `name`, which must be IMX_INLINE, a static function NAME_here that runs the version
// compiled for the widest instruction set there is. Lanes round as single values do, so that only
// sums across them can differ.
//
// Compiled with IMX_NO_AVX512 defined, AVX2 counts as the widest: so AVX2 is tested and measured on
// processors that have more (tests/bench/bench_collect.py).

#ifndef IMX_CALIB_PROCESSOR_VARIANTS_H
#define IMX_CALIB_PROCESSOR_VARIANTS_H

#include <stdbool.h>

#define IMX_INLINE static inline __attribute__((always_inline))

#define IMX_PROCESSOR_VARIANT(suffix, attributes, name, parameters, arguments)                     \
    attributes static void name##_##suffix parameters {                                            \
        name arguments;                                                                            \
    }

#ifdef IMX_NO_AVX512
#define IMX_PROCESSOR_HAS_AVX512 false
#else
#define IMX_PROCESSOR_HAS_AVX512                                                                   \
    (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
#endif

#ifdef __x86_64__
#define IMX_PROCESSOR_VARIANTS(name, parameters, arguments)                                        \
    IMX_PROCESSOR_VARIANT(plain, , name, parameters, arguments)                                    \
    IMX_PROCESSOR_VARIANT(avx2, __attribute__((target("avx2"))), name, parameters, arguments)      \
    IMX_PROCESSOR_VARIANT(avx512, __attribute__((target("avx512f,avx512dq,avx512vl"))), name,      \
                          parameters, arguments)                                                   \
    static inline void name##_here parameters {                                                    \
        if (IMX_PROCESSOR_HAS_AVX512) {                                                            \
            name##_avx512 arguments;                                                               \
        } else if (__builtin_cpu_supports("avx2")) {                                               \
            name##_avx2 arguments;                                                                 \
        } else {                                                                                   \
            name##_plain arguments;                                                                \
        }                                                                                          \
    }
#else
#define IMX_PROCESSOR_VARIANTS(name, parameters, arguments)                                        \
    static inline void name##_here parameters {                                                    \
        name arguments;                                                                            \
    }
#endif

#endif
