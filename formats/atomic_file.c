// SPDX-License-Identifier: MIT
//
// rename(2) within a directory is the one step in which a name can change from an old file to a new
// one with nothing between. All else serves it: the temporary file lies in the directory of the
// final name; it is created with O_EXCL, so the mode follows the umask and no foreign file is ever
// opened; it is synced before the rename, or a crash could leave the new name without its bytes.
//
// A path that names an existing special file (/dev/null, a pipe) is written directly: there is no
// old content to protect, and a rename would replace the device.
//
// The temporary names also stand in a fixed table, which a signal handler can walk without locks or
// allocation: a slot is written only while it is not live, and unlinked only while it is.

#include "formats/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/memory.h"

enum {
    BUFFER_BYTES = 1 << 20,
    MAX_OPEN = 16,       // output files open at once in one process
    MAX_ATTEMPTS = 1000, // temporary names tried
    MAX_BASE_NAME = 200, // bytes of the final name in the temporary one, which may have 255
};

typedef enum slot_state { SLOT_FREE, SLOT_CLAIMED, SLOT_LIVE } slot_state;

typedef struct temp_slot {
    _Atomic(int) state;
    char path[PATH_MAX];
} temp_slot;

static temp_slot temp_slots[MAX_OPEN];

struct imx_atomic_file {
    int fd;
    temp_slot *temp; // NULL when written directly
    char *path;      // final name, symbolic links resolved
    uint64_t size_bytes;
    size_t n_buffered;
    uint8_t buffer[BUFFER_BYTES];
};

// A slot that is not used, claimed; NULL when all are.
static temp_slot *claim_slot(void) {
    for (size_t i = 0; i < MAX_OPEN; ++i) {
        int expected = SLOT_FREE;
        if (atomic_compare_exchange_strong(&temp_slots[i].state, &expected, SLOT_CLAIMED)) {
            return &temp_slots[i];
        }
    }
    return NULL;
}

void imx_atomic_file_unlink_all(void) {
    for (size_t i = 0; i < MAX_OPEN; ++i) {
        if (atomic_load(&temp_slots[i].state) == SLOT_LIVE) {
            unlink(temp_slots[i].path);
        }
    }
}

static imx_status fail_io(const char *path, const char *what, imx_error *err) {
    return imx_fail(err, IMX_ERR_IO, "%s: %s: %s", path, what, strerror(errno));
}

// Length of the directory part of `path`, its last slash included; 0 when there is none.
static size_t directory_len(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

// Opens "DIRECTORY/.NAME.PID-N.tmp" beside `path` with the first N that is free, and puts its name
// into temp[PATH_MAX]. -1 and errno on failure.
static int create_beside(const char *path, char *temp) {
    static atomic_uint counter;
    const size_t dir_len = directory_len(path);
    for (int attempt = 0; attempt < MAX_ATTEMPTS; ++attempt) {
        const int n =
            snprintf(temp, PATH_MAX, "%.*s.%.*s.%ld-%u.tmp", (int)dir_len, path, MAX_BASE_NAME,
                     path + dir_len, (long)getpid(), atomic_fetch_add(&counter, 1));
        if (n < 0 || n >= PATH_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        const int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST) {
            return fd;
        }
    }
    return -1;
}

// `mode` is that of the file to be replaced, 0 when there is none.
static imx_status open_temp(imx_atomic_file *file, mode_t mode, imx_error *err) {
    temp_slot *slot = claim_slot();
    if (slot == NULL) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "%s: %d output files are open already", file->path,
                        MAX_OPEN);
    }
    file->fd = create_beside(file->path, slot->path);
    if (file->fd < 0) {
        atomic_store(&slot->state, SLOT_FREE);
        return fail_io(file->path,
                       "cannot create a temporary file beside it (the directory must exist and be "
                       "writable)",
                       err);
    }
    atomic_store(&slot->state, SLOT_LIVE);
    file->temp = slot;
    if (mode != 0) {
        // Best effort: some file systems have no modes to change.
        (void)!fchmod(file->fd, mode);
    }
    return IMX_OK;
}

static imx_status open_special(imx_atomic_file *file, imx_error *err) {
    file->fd = open(file->path, O_WRONLY | O_CLOEXEC);
    return file->fd < 0 ? fail_io(file->path, "cannot open for writing", err) : IMX_OK;
}

static imx_status open_existing(imx_atomic_file *file, const char *path, mode_t mode,
                                imx_error *err) {
    if (S_ISDIR(mode)) {
        return imx_fail(err, IMX_ERR_IO, "%s: is a directory; name a file in it", path);
    }
    // A pipe behind /dev/stdout has no path that could be resolved.
    file->path = S_ISREG(mode) ? realpath(path, NULL) : strdup(path);
    if (file->path == NULL) {
        return fail_io(path, "cannot resolve this name", err);
    }
    if (access(file->path, W_OK) != 0) {
        return fail_io(path, "cannot write to the existing file", err);
    }
    return S_ISREG(mode) ? open_temp(file, mode & 07777, err) : open_special(file, err);
}

static imx_status open_new(imx_atomic_file *file, const char *path, imx_error *err) {
    struct stat info;
    if (lstat(path, &info) == 0) {
        return imx_fail(err, IMX_ERR_IO, "%s: is a symbolic link to nothing; remove it first",
                        path);
    }
    if (path[directory_len(path)] == '\0') {
        return imx_fail(err, IMX_ERR_IO, "'%s': is not the name of a file", path);
    }
    file->path = strdup(path);
    if (file->path == NULL) {
        return imx_fail_memory(err, strlen(path) + 1);
    }
    return open_temp(file, 0, err);
}

static imx_status open_destination(imx_atomic_file *file, const char *path, imx_error *err) {
    struct stat info;
    if (stat(path, &info) == 0) {
        return open_existing(file, path, info.st_mode, err);
    }
    return errno == ENOENT ? open_new(file, path, err) : fail_io(path, "cannot write here", err);
}

imx_status imx_atomic_file_open(imx_atomic_file **out, const char *path, imx_error *err) {
    imx_atomic_file *file;
    *out = NULL;
    IMX_TRY(imx_alloc_zeroed(&file, 1, sizeof *file, err));
    file->fd = -1;
    const imx_status status = open_destination(file, path, err);
    if (status != IMX_OK) {
        imx_atomic_file_abort(file);
        return status;
    }
    *out = file;
    return IMX_OK;
}

static imx_status write_through(imx_atomic_file *file, const uint8_t *bytes, size_t n,
                                imx_error *err) {
    while (n > 0) {
        const ssize_t written = write(file->fd, bytes, n);
        if (written < 0 && errno != EINTR) {
            return fail_io(file->path, "cannot write, the file is left as it was", err);
        }
        if (written > 0) {
            bytes += written;
            n -= (size_t)written;
        }
    }
    return IMX_OK;
}

static imx_status flush(imx_atomic_file *file, imx_error *err) {
    const size_t n = file->n_buffered;
    file->n_buffered = 0;
    return write_through(file, file->buffer, n, err);
}

imx_status imx_atomic_file_write(imx_atomic_file *file, const void *data, size_t size_bytes,
                                 imx_error *err) {
    if (size_bytes > BUFFER_BYTES - file->n_buffered) {
        IMX_TRY(flush(file, err));
    }
    if (size_bytes > BUFFER_BYTES) {
        IMX_TRY(write_through(file, data, size_bytes, err));
    } else if (size_bytes > 0) {
        memcpy(file->buffer + file->n_buffered, data, size_bytes);
        file->n_buffered += size_bytes;
    }
    file->size_bytes += size_bytes;
    return IMX_OK;
}

uint64_t imx_atomic_file_size(const imx_atomic_file *file) {
    return file->size_bytes;
}

// Makes the new name itself last. Best effort: the file is in place, and some file systems cannot.
static void sync_directory(const char *path) {
    char *dir = strndup(path, directory_len(path));
    if (dir != NULL) {
        const int fd = open(dir[0] != '\0' ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
            (void)!fsync(fd);
            close(fd);
        }
        free(dir);
    }
}

static imx_status finish(imx_atomic_file *file, imx_error *err) {
    IMX_TRY(flush(file, err));
    if (file->temp != NULL && fsync(file->fd) != 0) {
        return fail_io(file->path, "cannot sync to the disk, the file is left as it was", err);
    }
    const int fd = file->fd;
    file->fd = -1;
    if (close(fd) != 0) {
        return fail_io(file->path, "cannot close, the file is left as it was", err);
    }
    if (file->temp == NULL) {
        return IMX_OK;
    }
    if (rename(file->temp->path, file->path) != 0) {
        return fail_io(file->path, "cannot rename the finished file to this name", err);
    }
    atomic_store(&file->temp->state, SLOT_FREE);
    file->temp = NULL;
    sync_directory(file->path);
    return IMX_OK;
}

imx_status imx_atomic_file_commit(imx_atomic_file *file, imx_error *err) {
    const imx_status status = finish(file, err);
    imx_atomic_file_abort(file);
    return status;
}

void imx_atomic_file_abort(imx_atomic_file *file) {
    if (file == NULL) {
        return;
    }
    if (file->fd >= 0) {
        close(file->fd);
    }
    if (file->temp != NULL) {
        unlink(file->temp->path);
        atomic_store(&file->temp->state, SLOT_FREE);
    }
    free(file->path);
    free(file);
}

imx_status imx_atomic_file_probe(const char *path, imx_error *err) {
    imx_atomic_file *file;
    IMX_TRY(imx_atomic_file_open(&file, path, err));
    imx_atomic_file_abort(file);
    return IMX_OK;
}
