// SPDX-License-Identifier: MIT

#include "formats/memory.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

// No object is larger, and so no sum with an alignment overflows.
static const size_t max_bytes = PTRDIFF_MAX - ALIGNMENT;

// count * size, at least 1; SIZE_MAX when it overflows.
static size_t total_bytes(size_t count, size_t size) {
    uint64_t product;
    if (!imx_mul_u64(count, size, &product)) {
        return SIZE_MAX;
    }
    return product > 0 ? product : 1;
}

imx_status imx_alloc_zeroed(void *out, size_t count, size_t size, imx_error *err) {
    const size_t n_bytes = total_bytes(count, size);
    void *memory = n_bytes <= max_bytes ? calloc(n_bytes, 1) : NULL;
    memcpy(out, &memory, sizeof memory);
    return memory != NULL ? IMX_OK : imx_fail_memory(err, n_bytes);
}

imx_status imx_alloc_aligned(void *out, size_t count, size_t size, imx_error *err) {
    const size_t n_bytes = total_bytes(count, size);
    void *memory =
        n_bytes <= max_bytes ? aligned_alloc(ALIGNMENT, imx_align_up(n_bytes, ALIGNMENT)) : NULL;
    memcpy(out, &memory, sizeof memory);
    return memory != NULL ? IMX_OK : imx_fail_memory(err, n_bytes);
}

imx_status imx_grow(void *array, size_t *capacity, size_t needed, size_t size, imx_error *err) {
    if (needed <= *capacity) {
        return IMX_OK;
    }
    size_t grown = *capacity > 0 ? *capacity : 16;
    while (grown < needed) {
        if (grown > SIZE_MAX / 2 / size) {
            return imx_fail_memory(err, total_bytes(needed, size));
        }
        grown *= 2;
    }
    void *old;
    memcpy(&old, array, sizeof old);
    void *memory = realloc(old, grown * size);
    if (memory == NULL) {
        return imx_fail_memory(err, grown * size);
    }
    memcpy(array, &memory, sizeof memory);
    *capacity = grown;
    return IMX_OK;
}
