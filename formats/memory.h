// SPDX-License-Identifier: MIT
//
// Allocation with checked sizes. Every size that comes from a file passes through here.

#ifndef IMX_FORMATS_MEMORY_H
#define IMX_FORMATS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"

// *out = a * b; false on overflow, *out then undefined.
static inline bool imx_mul_u64(uint64_t a, uint64_t b, uint64_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

// *out = a + b; false on overflow, *out then undefined.
static inline bool imx_add_u64(uint64_t a, uint64_t b, uint64_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

// The smallest multiple of `alignment` (a power of two) that is not below `n`; wraps near 2^64.
static inline uint64_t imx_align_up(uint64_t n, uint64_t alignment) {
    return (n + alignment - 1) & ~(alignment - 1);
}

// Allocates `count` zeroed elements of `size` bytes into *out (a T **). The memory is the caller's
// to free(). A count of 0 yields a valid pointer. On failure *out is NULL.
imx_status imx_alloc_zeroed(void *out, size_t count, size_t size, imx_error *err);

// As imx_alloc_zeroed without zeroing, aligned to 64 bytes for vector loads; free() releases it.
imx_status imx_alloc_aligned(void *out, size_t count, size_t size, imx_error *err);

// Grows *array (elements of `size` bytes) to hold at least `needed` elements, doubling *capacity.
// On failure the old array stays as it was.
imx_status imx_grow(void *array, size_t *capacity, size_t needed, size_t size, imx_error *err);

#endif
