// SPDX-License-Identifier: MIT
//
// Output files worth keeping when the work on them stops half-way: written as "NAME.partial" beside
// the final name and renamed when complete. Whatever ends the process, the bytes written so far
// stay, and a later run can go on with them. For output that is made anew quickly atomic_file.h is
// simpler.
//
// One at a time may have a partial file open: it is locked, and the lock ends with the process. As
// with atomic files the old file stays as it was until the rename, a new file has the mode the
// umask leaves, a symbolic link stays and what it names is replaced, and an existing special file
// (/dev/null, a pipe) is written directly: it then has no partial, is always empty at first, and
// takes bytes at its end only.

#ifndef IMX_FORMATS_PARTIAL_FILE_H
#define IMX_FORMATS_PARTIAL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"

typedef struct imx_partial_file imx_partial_file;

// Opens the partial file of `path` with what is in it, or a new one. On success *out is the
// caller's until commit, close or discard. IMX_ERR_IO as imx_atomic_file_open, and when another
// run has it open.
imx_status imx_partial_file_open(imx_partial_file **out, const char *path, imx_error *err);

// "PATH.partial", for messages; valid while the file is open.
const char *imx_partial_file_path(const imx_partial_file *file);

// Whether it is a device or pipe.
bool imx_partial_file_is_special(const imx_partial_file *file);

// Bytes in it.
uint64_t imx_partial_file_size(const imx_partial_file *file);

// Bytes of the disk that it takes: fewer than are in it where some were never written.
uint64_t imx_partial_file_disk_bytes(const imx_partial_file *file);

// Whether the bytes from `offset`, which must be there, are these.
imx_status imx_partial_file_compare(const imx_partial_file *file, uint64_t offset, const void *data,
                                    size_t size_bytes, bool *is_equal, imx_error *err);

// Cuts it behind the first `size_bytes` bytes, or lengthens it by zeros that take no space. A
// special file can only stay as it is (else IMX_ERR_IO).
imx_status imx_partial_file_resize(imx_partial_file *file, uint64_t size_bytes, imx_error *err);

// Writes over what is there and behind it; a gap before `offset` reads as zeros. In a special file
// `offset` must be the present end (else IMX_ERR_IO).
imx_status imx_partial_file_write(imx_partial_file *file, uint64_t offset, const void *data,
                                  size_t size_bytes, imx_error *err);

// Writes at the end.
imx_status imx_partial_file_append(imx_partial_file *file, const void *data, size_t size_bytes,
                                   imx_error *err);

// Brings all bytes to the disk. Commit after that cannot run out of space.
imx_status imx_partial_file_sync(imx_partial_file *file, imx_error *err);

// Gives the synced file its final name and frees `file` in every case; on failure the partial file
// stays.
imx_status imx_partial_file_commit(imx_partial_file *file, imx_error *err);

// Frees `file`; the partial file stays unless it is empty. NULL is fine.
void imx_partial_file_close(imx_partial_file *file);

// Frees `file` and removes the partial file. NULL is fine.
void imx_partial_file_discard(imx_partial_file *file);

#endif
