// SPDX-License-Identifier: MIT
//
// Gaussian numbers by xorshift64 (Marsaglia, 2003) and Box and Muller: the same everywhere. Tests
// set random_state, which is never 0, to begin a sequence.

#ifndef IMX_TEST_RANDOM_NORMAL_H
#define IMX_TEST_RANDOM_NORMAL_H

#include <math.h>
#include <stdint.h>

static uint64_t random_state = 1;

static inline double random_uniform(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return ((double)(random_state >> 11) + 0.5) * 0x1p-53;
}

static inline double random_normal(void) {
    return sqrt(-2.0 * log(random_uniform())) * cos(6.283185307179586 * random_uniform());
}

#endif
