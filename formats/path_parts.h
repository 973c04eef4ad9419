// SPDX-License-Identifier: MIT

#ifndef IMX_FORMATS_PATH_PARTS_H
#define IMX_FORMATS_PATH_PARTS_H

#include <stddef.h>
#include <string.h>

// Length of the directory part of `path`, its last slash included; 0 when there is none.
static inline size_t imx_directory_len(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

// What lies behind it.
static inline const char *imx_base_name(const char *path) {
    return path + imx_directory_len(path);
}

#endif
