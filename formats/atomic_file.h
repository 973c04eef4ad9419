// SPDX-License-Identifier: MIT
//
// Output files that appear whole or not at all: written under a temporary name in the directory of
// the final name, synced, closed with a check, renamed. Until the rename the old file stays as it
// was. A new file has the mode the umask leaves, a replacing one that of the old file.
//
// A symbolic link stays and the file it names is replaced. An existing special file (/dev/null, a
// pipe) is written directly.

#ifndef IMX_FORMATS_ATOMIC_FILE_H
#define IMX_FORMATS_ATOMIC_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "formats/error.h"

typedef struct imx_atomic_file imx_atomic_file;

// Creates the temporary file for `path`. On success *out is the caller's until commit or abort; at
// most 16 may be open at once. IMX_ERR_IO for a directory, for a missing or unwritable one around
// it, for a write-protected file and for a link to nothing.
imx_status imx_atomic_file_open(imx_atomic_file **out, const char *path, imx_error *err);

// Whether `path` could be written now: opens and aborts. For callers whose work comes before the
// writing and would be lost.
imx_status imx_atomic_file_probe(const char *path, imx_error *err);

// Appends `size_bytes` bytes. After a failure only imx_atomic_file_abort is allowed.
imx_status imx_atomic_file_write(imx_atomic_file *file, const void *data, size_t size_bytes,
                                 imx_error *err);

// Bytes written so far.
uint64_t imx_atomic_file_size(const imx_atomic_file *file);

// Syncs, closes, renames to the final name and syncs the directory. Frees `file` in every case; on
// failure the temporary file is removed and the old file is untouched.
imx_status imx_atomic_file_commit(imx_atomic_file *file, imx_error *err);

// Removes the temporary file and frees `file`. NULL is fine.
void imx_atomic_file_abort(imx_atomic_file *file);

// Unlinks the temporary files that are open now. Async-signal-safe: for a SIGINT or SIGTERM handler
// that is about to end the process.
void imx_atomic_file_unlink_all(void);

#endif
