// SPDX-License-Identifier: MIT
//
// A file that lies in memory, for readers that take a path.

#ifndef IMX_TESTS_FUZZ_MEMORY_FILE_H
#define IMX_TESTS_FUZZ_MEMORY_FILE_H

#include <stdio.h>
#include <sys/mman.h>

enum { MEMORY_FILE_PATH = 64 };

// An empty file and, in path, where it can be opened until it is closed; NULL where there can be
// none. What is written is to be flushed before.
static inline FILE *open_memory_file(char path[MEMORY_FILE_PATH]) {
    const int descriptor = memfd_create("fuzz", 0);
    snprintf(path, MEMORY_FILE_PATH, "/proc/self/fd/%d", descriptor);
    return descriptor >= 0 ? fdopen(descriptor, "wb") : NULL;
}

#endif
