// SPDX-License-Identifier: MIT
//
// A file mapped read-only into memory.

#ifndef IMX_FORMATS_FILE_MAP_H
#define IMX_FORMATS_FILE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"

typedef struct imx_file_map {
    const uint8_t *data; // size_bytes bytes; valid until imx_file_map_close
    uint64_t size_bytes; // 0 for an empty file, data is then a valid pointer
    char *path;          // as given, for messages
} imx_file_map;

// Maps `path`, which must be a regular file. On failure *map is all zero. IMX_ERR_IO names the path
// and the reason.
imx_status imx_file_map_open(imx_file_map *map, const char *path, imx_error *err);

// Unmaps and zeroes *map. A zeroed map is fine.
void imx_file_map_close(imx_file_map *map);

// Tells the system that `size_bytes` bytes at `data` (inside the map) will be read soon; need not
// stay in the process's memory; need not stay in the page cache either. Advice only: never fails,
// never changes what is read.
void imx_file_map_will_need(const uint8_t *data, uint64_t size_bytes);
void imx_file_map_release(const uint8_t *data, uint64_t size_bytes);
void imx_file_map_drop(const uint8_t *data, uint64_t size_bytes);

#endif
