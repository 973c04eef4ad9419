// SPDX-License-Identifier: MIT
//
// Uniform numbers in −1 .. 1 by splitmix64 (Steele, Lea and Flood, 2014): the same everywhere.

#ifndef IMX_TESTS_RANDOM_VALUES_H
#define IMX_TESTS_RANDOM_VALUES_H

#include <stddef.h>
#include <stdint.h>

static inline float random_value(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (float)(int32_t)(uint32_t)z * 0x1p-31f;
}

static inline void random_fill(float *values, size_t n, uint64_t seed) {
    for (size_t i = 0; i < n; ++i) {
        values[i] = random_value(&seed);
    }
}

#endif
