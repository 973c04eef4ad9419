// SPDX-License-Identifier: MIT
//
// Random numbers for synthetic weights: the same on every machine and in every run.

#ifndef IMX_BENCH_RANDOM_H
#define IMX_BENCH_RANDOM_H

#include <math.h>
#include <stdint.h>

typedef struct bench_random {
    uint64_t state; // any seed
} bench_random;

// Uniform on 64 bits: SplitMix64 (Steele, Lea and Flood, 2014).
static inline uint64_t bench_random_next(bench_random *random) {
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

// Normal with mean 0 and variance 1 (Box and Muller, 1958); both uniforms come from one draw.
static inline float bench_random_normal(bench_random *random) {
    const uint64_t bits = bench_random_next(random);
    const float radius = ((float)(bits >> 40) + 0.5f) * 0x1p-24f; // in (0, 1)
    const float angle = (float)(bits & 0xffffff) * 0x1p-24f;
    return sqrtf(-2.0f * logf(radius)) * cosf(6.2831853f * angle);
}

#endif
