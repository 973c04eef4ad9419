// SPDX-License-Identifier: MIT

#include "calib/mapped_hash.h"

#include "calib/split.h"
#include "formats/file_map.h"

enum { PIECE_BYTES = 8 << 20 };

void imx_hash_mapped(XXH3_state_t *state, const uint8_t *data, uint64_t size_bytes) {
    for (uint64_t i = 0; i < size_bytes; i += PIECE_BYTES) {
        const size_t n = imx_piece_len((size_t)size_bytes, (size_t)i, PIECE_BYTES);
        XXH3_128bits_update(state, data + i, n);
        imx_file_map_release(data + i, n);
    }
}
