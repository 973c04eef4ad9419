// SPDX-License-Identifier: MIT
//
// The state is 624 words x of a recurrence over the field of two elements,
//
//     x[k + 624] = x[k + 397] ⊕ (the top bit of x[k] joined with the rest of x[k + 1]) A
//
// where y A = y >> 1, ⊕ a when y is odd. It is advanced by all 624 words at a time; a word is
// tempered on its way out.
//
// A number below n is the upper half of the 64-bit product of n and a random word (Lemire, Fast
// random integer generation in an interval, 2019). Of the 2^32 words some fall to each number; the
// 2^32 mod n too many are drawn again.

#include "calib/evaluation/mersenne_twister.h"

enum { SHIFT = 397 };

imx_twister imx_twister_seed(uint32_t seed) {
    imx_twister twister = {.state = {seed}, .next = IMX_TWISTER_WORDS};
    for (uint32_t i = 1; i < IMX_TWISTER_WORDS; ++i) {
        const uint32_t last = twister.state[i - 1];
        twister.state[i] = UINT32_C(1812433253) * (last ^ (last >> 30)) + i;
    }
    return twister;
}

static void advance(imx_twister *twister) {
    uint32_t *x = twister->state;
    for (size_t k = 0; k < IMX_TWISTER_WORDS; ++k) {
        const uint32_t y =
            (x[k] & UINT32_C(0x80000000)) | (x[(k + 1) % IMX_TWISTER_WORDS] & UINT32_C(0x7FFFFFFF));
        const uint32_t product = (y >> 1) ^ (y % 2 == 1 ? UINT32_C(0x9908B0DF) : 0);
        x[k] = x[(k + SHIFT) % IMX_TWISTER_WORDS] ^ product;
    }
    twister->next = 0;
}

uint32_t imx_twister_next(imx_twister *twister) {
    if (twister->next == IMX_TWISTER_WORDS) {
        advance(twister);
    }
    uint32_t y = twister->state[twister->next++];
    y ^= y >> 11;
    y ^= (y << 7) & UINT32_C(0x9D2C5680);
    y ^= (y << 15) & UINT32_C(0xEFC60000);
    return y ^ (y >> 18);
}

uint32_t imx_twister_below(imx_twister *twister, uint32_t n) {
    const uint32_t n_too_many = (0 - n) % n;
    uint64_t product;
    do {
        product = (uint64_t)imx_twister_next(twister) * n;
    } while ((uint32_t)product < n_too_many);
    return (uint32_t)(product >> 32);
}
