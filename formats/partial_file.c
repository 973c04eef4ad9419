// SPDX-License-Identifier: MIT
//
// Who writes at the end only can tell from the length how far the work is, whatever stopped it:
// file systems make a new length last after the bytes it covers. Who writes in another order has to
// remember elsewhere what has been synced.
//
// The lock is flock(2)'s: it belongs to the open file, not to the name, and the kernel drops it
// when the process ends. Between opening and locking another run may rename or remove the file, and
// we would hold a lock on a file without this name: the inode is compared and the name opened
// again.

#include "formats/partial_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/memory.h"
#include "formats/output_target.h"

enum { MAX_ATTEMPTS = 100 }; // at the race above

struct imx_partial_file {
    int fd;
    imx_output_target target;
    char *path; // what is written: the partial name, or the target when it is special
    uint64_t size_bytes;
};

// ---- opening -----------------------------------------------------------------------------------

static bool is_still_named(const imx_partial_file *file) {
    struct stat opened;
    struct stat named;
    return fstat(file->fd, &opened) == 0 && stat(file->path, &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

static imx_status lock(const imx_partial_file *file, imx_error *err) {
    if (flock(file->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return imx_fail(err, IMX_ERR_IO,
                        "%s: another run is writing it; wait for that one or choose another name",
                        file->path);
    }
    return IMX_OK; // or a file system without locks
}

static imx_status open_locked(imx_partial_file *file, imx_error *err) {
    for (int attempt = 0; attempt < MAX_ATTEMPTS; ++attempt) {
        file->fd = open(file->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (file->fd < 0) {
            return imx_fail_io(file->path,
                               "cannot create it (the directory must exist and be writable)", err);
        }
        IMX_TRY(lock(file, err));
        if (is_still_named(file)) {
            return IMX_OK;
        }
        close(file->fd);
        file->fd = -1;
    }
    return imx_fail(err, IMX_ERR_IO, "%s: other runs keep replacing it", file->path);
}

static imx_status open_beside(imx_partial_file *file, imx_error *err) {
    if (asprintf(&file->path, "%s.partial", file->target.path) < 0) {
        file->path = NULL;
        return imx_fail_memory(err, strlen(file->target.path));
    }
    IMX_TRY(open_locked(file, err));
    const off_t size = lseek(file->fd, 0, SEEK_END);
    if (size < 0) {
        return imx_fail_io(file->path, "cannot read its size", err);
    }
    file->size_bytes = (uint64_t)size;
    if (file->target.mode != 0) {
        // Best effort: some file systems have no modes to change.
        (void)!fchmod(file->fd, file->target.mode);
    }
    return IMX_OK;
}

static imx_status open_directly(imx_partial_file *file, imx_error *err) {
    file->path = strdup(file->target.path);
    if (file->path == NULL) {
        return imx_fail_memory(err, strlen(file->target.path) + 1);
    }
    file->fd = open(file->path, O_WRONLY | O_CLOEXEC);
    return file->fd < 0 ? imx_fail_io(file->path, "cannot open for writing", err) : IMX_OK;
}

static imx_status open_destination(imx_partial_file *file, const char *path, imx_error *err) {
    IMX_TRY(imx_output_target_find(&file->target, path, err));
    return file->target.is_special ? open_directly(file, err) : open_beside(file, err);
}

static void free_file(imx_partial_file *file) {
    if (file->fd >= 0) {
        close(file->fd);
    }
    free(file->path);
    imx_output_target_free(&file->target);
    free(file);
}

imx_status imx_partial_file_open(imx_partial_file **out, const char *path, imx_error *err) {
    imx_partial_file *file;
    *out = NULL;
    IMX_TRY(imx_alloc_zeroed(&file, 1, sizeof *file, err));
    file->fd = -1;
    const imx_status status = open_destination(file, path, err);
    if (status != IMX_OK) {
        free_file(file);
        return status;
    }
    *out = file;
    return IMX_OK;
}

const char *imx_partial_file_path(const imx_partial_file *file) {
    return file->path;
}

bool imx_partial_file_is_special(const imx_partial_file *file) {
    return file->target.is_special;
}

uint64_t imx_partial_file_size(const imx_partial_file *file) {
    return file->size_bytes;
}

uint64_t imx_partial_file_disk_bytes(const imx_partial_file *file) {
    enum { STAT_BLOCK_BYTES = 512 }; // whatever the block of the file system
    struct stat info;
    return fstat(file->fd, &info) == 0 ? (uint64_t)info.st_blocks * STAT_BLOCK_BYTES : 0;
}

// ---- content -----------------------------------------------------------------------------------

static imx_status read_at(const imx_partial_file *file, uint64_t offset, uint8_t *bytes,
                          size_t n_bytes, imx_error *err) {
    while (n_bytes > 0) {
        const ssize_t n = pread(file->fd, bytes, n_bytes, (off_t)offset);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return imx_fail_io(file->path, "cannot read what an earlier run has left", err);
        }
        if (n > 0) {
            bytes += n;
            offset += (uint64_t)n;
            n_bytes -= (size_t)n;
        }
    }
    return IMX_OK;
}

imx_status imx_partial_file_compare(const imx_partial_file *file, uint64_t offset, const void *data,
                                    size_t size_bytes, bool *is_equal, imx_error *err) {
    const uint8_t *expected = data;
    uint8_t bytes[4096];
    assert(offset + size_bytes <= file->size_bytes);
    *is_equal = true;
    for (size_t done = 0; done < size_bytes && *is_equal;) {
        const size_t n = size_bytes - done < sizeof bytes ? size_bytes - done : sizeof bytes;
        IMX_TRY(read_at(file, offset + done, bytes, n, err));
        *is_equal = memcmp(bytes, expected + done, n) == 0;
        done += n;
    }
    return IMX_OK;
}

imx_status imx_partial_file_resize(imx_partial_file *file, uint64_t size_bytes, imx_error *err) {
    if (size_bytes == file->size_bytes) {
        return IMX_OK;
    }
    if (ftruncate(file->fd, (off_t)size_bytes) != 0) {
        return imx_fail_io(file->path, "cannot change its size", err);
    }
    file->size_bytes = size_bytes;
    return IMX_OK;
}

static imx_status seek(const imx_partial_file *file, uint64_t offset, imx_error *err) {
    if (!file->target.is_special) {
        return lseek(file->fd, (off_t)offset, SEEK_SET) >= 0
                   ? IMX_OK
                   : imx_fail_io(file->path, "cannot move to where to write", err);
    }
    return offset == file->size_bytes
               ? IMX_OK
               : imx_fail(err, IMX_ERR_IO,
                          "%s: is a pipe or device, which can only be written from front to back",
                          file->path);
}

imx_status imx_partial_file_write(imx_partial_file *file, uint64_t offset, const void *data,
                                  size_t size_bytes, imx_error *err) {
    const uint64_t end = offset + size_bytes;
    IMX_TRY(seek(file, offset, err));
    if (!imx_write_all(file->fd, data, size_bytes)) {
        return imx_fail_io(file->path, "cannot write", err);
    }
    file->size_bytes = end > file->size_bytes ? end : file->size_bytes;
    return IMX_OK;
}

imx_status imx_partial_file_append(imx_partial_file *file, const void *data, size_t size_bytes,
                                   imx_error *err) {
    return imx_partial_file_write(file, file->size_bytes, data, size_bytes, err);
}

// ---- the end -----------------------------------------------------------------------------------

imx_status imx_partial_file_sync(imx_partial_file *file, imx_error *err) {
    if (!file->target.is_special && fsync(file->fd) != 0) {
        return imx_fail_io(file->path, "cannot sync to the disk", err);
    }
    return IMX_OK;
}

imx_status imx_partial_file_commit(imx_partial_file *file, imx_error *err) {
    imx_status status = IMX_OK;
    if (!file->target.is_special) {
        if (rename(file->path, file->target.path) != 0) {
            status = imx_fail_io(file->path, "cannot give the finished file its name", err);
        }
        imx_directory_sync(file->target.path);
    }
    free_file(file);
    return status;
}

void imx_partial_file_close(imx_partial_file *file) {
    if (file == NULL) {
        return;
    }
    if (file->size_bytes == 0) {
        imx_partial_file_discard(file);
    } else {
        free_file(file);
    }
}

void imx_partial_file_discard(imx_partial_file *file) {
    if (file == NULL) {
        return;
    }
    if (!file->target.is_special) {
        unlink(file->path); // before the lock ends
    }
    free_file(file);
}
