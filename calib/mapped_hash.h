// SPDX-License-Identifier: MIT
#ifndef IMX_CALIB_MAPPED_HASH_H
#define IMX_CALIB_MAPPED_HASH_H

#include <stdint.h>
#define XXH_STATIC_LINKING_ONLY // the state as a plain struct
#include <xxhash.h>

// Adds `size_bytes` bytes of a mapped file to the hash and lets go of what has been read, so that
// no more than a few MiB of it are in the process's memory at a time.
void imx_hash_mapped(XXH3_state_t *state, const uint8_t *data, uint64_t size_bytes);

#endif
