// SPDX-License-Identifier: MIT
//
// The Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998), C++'s std::mt19937: what others
// chose with it can be chosen again.

#ifndef IMX_CALIB_MERSENNE_TWISTER_H
#define IMX_CALIB_MERSENNE_TWISTER_H

#include <stddef.h>
#include <stdint.h>

enum { IMX_TWISTER_WORDS = 624 };

typedef struct imx_twister {
    uint32_t state[IMX_TWISTER_WORDS];
    size_t next; // word to be given out
} imx_twister;

imx_twister imx_twister_seed(uint32_t seed);

// 0 .. 2^32 − 1.
uint32_t imx_twister_next(imx_twister *twister);

// 0 .. n − 1 for n > 0, every number equally likely; as GCC's std::uniform_int_distribution.
uint32_t imx_twister_below(imx_twister *twister, uint32_t n);

#endif
