// SPDX-License-Identifier: MIT

#include "formats/memory.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

imx_status imx_alloc_zeroed(void *out, size_t count, size_t size, imx_error *err) {
    void *memory = calloc(count > 0 ? count : 1, size > 0 ? size : 1);
    memcpy(out, &memory, sizeof memory);
    if (memory == NULL) {
        return imx_fail_memory(err, count * size);
    }
    return IMX_OK;
}

imx_status imx_alloc_aligned(void *out, size_t count, size_t size, imx_error *err) {
    uint64_t size_bytes = 0;
    void *memory = NULL;
    if (imx_mul_u64(count, size, &size_bytes) && size_bytes <= SIZE_MAX - ALIGNMENT) {
        memory = aligned_alloc(ALIGNMENT, imx_align_up(size_bytes > 0 ? size_bytes : 1, ALIGNMENT));
    }
    memcpy(out, &memory, sizeof memory);
    if (memory == NULL) {
        return imx_fail_memory(err, count * size);
    }
    return IMX_OK;
}

imx_status imx_grow(void *array, size_t *capacity, size_t needed, size_t size, imx_error *err) {
    if (needed <= *capacity) {
        return IMX_OK;
    }
    size_t grown = *capacity > 0 ? *capacity : 16;
    while (grown < needed) {
        if (grown > SIZE_MAX / 2 / size) {
            return imx_fail_memory(err, needed);
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
