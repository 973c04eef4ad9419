// SPDX-License-Identifier: MIT
//
// Where an output file will stand, and what the ways of writing one share. Private to formats but
// for imx_disk_space_check.

#ifndef IMX_FORMATS_OUTPUT_TARGET_H
#define IMX_FORMATS_OUTPUT_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"
#include "formats/path_parts.h"

typedef struct imx_output_target {
    char *path;      // the final name, symbolic links resolved; owned
    unsigned mode;   // of the file to be replaced; 0 when there is none
    bool is_special; // a device or pipe, which is written directly
} imx_output_target;

// Fills *target. IMX_ERR_IO for a directory, for a write-protected file and for a link to nothing.
// On failure there is nothing to free.
imx_status imx_output_target_find(imx_output_target *target, const char *path, imx_error *err);
void imx_output_target_free(imx_output_target *target);

// IMX_ERR_IO: "PATH: WHAT: " and the reason from errno.
imx_status imx_fail_io(const char *path, const char *what, imx_error *err);

// Writes all bytes at the descriptor's position; false and errno on failure.
bool imx_write_all(int fd, const void *data, size_t size_bytes);

// Makes a new name in the directory of `path` last. Best effort: some file systems cannot.
void imx_directory_sync(const char *path);

// IMX_ERR_IO when the file system of `path`, which need not exist, has less than `size_bytes` bytes
// free: the message has both numbers and the directory. IMX_OK where that cannot be known.
imx_status imx_disk_space_check(const char *path, uint64_t size_bytes, imx_error *err);

#endif
