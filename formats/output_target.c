// SPDX-License-Identifier: MIT

#include "formats/output_target.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

imx_status imx_fail_io(const char *path, const char *what, imx_error *err) {
    return imx_fail(err, IMX_ERR_IO, "%s: %s: %s", path, what, strerror(errno));
}

// ---- the target --------------------------------------------------------------------------------

static imx_status find_existing(imx_output_target *target, const char *path, mode_t mode,
                                imx_error *err) {
    if (S_ISDIR(mode)) {
        return imx_fail(err, IMX_ERR_IO, "%s: is a directory; name a file in it", path);
    }
    target->is_special = !S_ISREG(mode);
    target->mode = mode & 07777;
    // A pipe behind /dev/stdout has no path that could be resolved.
    target->path = target->is_special ? strdup(path) : realpath(path, NULL);
    if (target->path == NULL) {
        return imx_fail_io(path, "cannot resolve this name", err);
    }
    if (access(target->path, W_OK) != 0) {
        return imx_fail_io(path, "cannot write to the existing file", err);
    }
    return IMX_OK;
}

static imx_status find_new(imx_output_target *target, const char *path, imx_error *err) {
    struct stat info;
    if (lstat(path, &info) == 0) {
        return imx_fail(err, IMX_ERR_IO, "%s: is a symbolic link to nothing; remove it first",
                        path);
    }
    if (path[imx_directory_len(path)] == '\0') {
        return imx_fail(err, IMX_ERR_IO, "'%s': is not the name of a file", path);
    }
    target->path = strdup(path);
    return target->path != NULL ? IMX_OK : imx_fail_memory(err, strlen(path) + 1);
}

static imx_status find(imx_output_target *target, const char *path, imx_error *err) {
    struct stat info;
    if (stat(path, &info) == 0) {
        return find_existing(target, path, info.st_mode, err);
    }
    return errno == ENOENT ? find_new(target, path, err)
                           : imx_fail_io(path, "cannot write here", err);
}

imx_status imx_output_target_find(imx_output_target *target, const char *path, imx_error *err) {
    *target = (imx_output_target){0};
    const imx_status status = find(target, path, err);
    if (status != IMX_OK) {
        imx_output_target_free(target);
    }
    return status;
}

void imx_output_target_free(imx_output_target *target) {
    free(target->path);
    *target = (imx_output_target){0};
}

// ---- what writers do ---------------------------------------------------------------------------

bool imx_write_all(int fd, const void *data, size_t size_bytes) {
    const uint8_t *bytes = data;
    while (size_bytes > 0) {
        const ssize_t written = write(fd, bytes, size_bytes);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        if (written > 0) {
            bytes += written;
            size_bytes -= (size_t)written;
        }
    }
    return true;
}

// The directory of `path`, allocated; NULL when out of memory.
static char *directory_of(const char *path) {
    const size_t len = imx_directory_len(path);
    return len > 0 ? strndup(path, len) : strdup(".");
}

void imx_directory_sync(const char *path) {
    char *dir = directory_of(path);
    const int fd = dir != NULL ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)!fsync(fd);
        close(fd);
    }
    free(dir);
}

imx_status imx_disk_space_check(const char *path, uint64_t size_bytes, imx_error *err) {
    struct statvfs info;
    imx_status status = IMX_OK;
    char *dir = directory_of(path);
    if (dir == NULL) {
        return imx_fail_memory(err, strlen(path) + 1);
    }
    if (statvfs(dir, &info) == 0) {
        const uint64_t free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
        if (free_bytes < size_bytes) {
            status = imx_fail(err, IMX_ERR_IO,
                              "%s: %" PRIu64 " bytes are needed in %s and %" PRIu64
                              " are free; make room or write elsewhere",
                              path, size_bytes, dir, free_bytes);
        }
    }
    free(dir);
    return status;
}
