// SPDX-License-Identifier: MIT

#include "formats/file_hash.h"

#include <inttypes.h>
#include <stdio.h>

#include "formats/file_map.h"

enum { PIECE_BYTES = 8 << 20 };

void imx_hash_to_hex(XXH128_hash_t hash, char hex[IMX_HASH_HEX_BYTES]) {
    snprintf(hex, IMX_HASH_HEX_BYTES, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64,
             (uint64_t)hash.low64);
}

void imx_hash_mapped(XXH3_state_t *state, const uint8_t *data, uint64_t size_bytes) {
    for (uint64_t i = 0; i < size_bytes; i += PIECE_BYTES) {
        const uint64_t left = size_bytes - i;
        const size_t n = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        XXH3_128bits_update(state, data + i, n);
        imx_file_map_release(data + i, n);
    }
}
