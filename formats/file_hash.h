// SPDX-License-Identifier: MIT
//
// Hashes of files: XXH3-128, which `xxhsum -H2` prints too.

#ifndef IMX_FORMATS_FILE_HASH_H
#define IMX_FORMATS_FILE_HASH_H

#include <stdint.h>
#define XXH_STATIC_LINKING_ONLY // the state as a plain struct
#include <xxhash.h>

enum { IMX_HASH_HEX_BYTES = 33 };

// 32 lower-case hex digits and a NUL.
void imx_hash_to_hex(XXH128_hash_t hash, char hex[IMX_HASH_HEX_BYTES]);

// Adds `size_bytes` bytes of a mapped file to the hash and lets go of what has been read, so that
// no more than a few MiB of it are in the process's memory at a time.
void imx_hash_mapped(XXH3_state_t *state, const uint8_t *data, uint64_t size_bytes);

#endif
