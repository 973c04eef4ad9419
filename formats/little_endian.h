// SPDX-License-Identifier: MIT

#ifndef IMX_FORMATS_LITTLE_ENDIAN_H
#define IMX_FORMATS_LITTLE_ENDIAN_H

#include <stddef.h>
#include <stdint.h>

// The unsigned number in `n_bytes` (0..8) little-endian bytes at any address.
static inline uint64_t imx_load_le(const uint8_t *bytes, size_t n_bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < n_bytes; ++i) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

#endif
