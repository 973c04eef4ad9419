// SPDX-License-Identifier: MIT

#include "formats/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 64, HUGE_PAGE_BYTES = 2 << 20 };

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

// The kernel provides memory page by page as it is first touched: large pages are 512 times fewer.
// What is behind the last whole one keeps small pages, so that none is provided in vain.
static void *alloc_in_large_pages(size_t n_bytes) {
    void *memory;
    if (posix_memalign(&memory, HUGE_PAGE_BYTES, n_bytes) != 0) {
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    madvise(memory, n_bytes / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES, MADV_HUGEPAGE); // a hint
#endif
    return memory;
}

imx_status imx_alloc_aligned(void *out, size_t count, size_t size, imx_error *err) {
    const size_t n_bytes = total_bytes(count, size);
    void *memory = NULL;
    if (n_bytes >= 2 * HUGE_PAGE_BYTES && n_bytes <= max_bytes) {
        memory = alloc_in_large_pages(n_bytes);
    } else if (n_bytes <= max_bytes) {
        memory = aligned_alloc(ALIGNMENT, imx_align_up(n_bytes, ALIGNMENT));
    }
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
