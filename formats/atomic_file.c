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
#include "formats/output_target.h"

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
    imx_output_target target;
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

// Opens "DIRECTORY/.NAME.PID-N.tmp" beside `path` with the first N that is free, and puts its name
// into temp[PATH_MAX]. -1 and errno on failure.
static int create_beside(const char *path, char *temp) {
    static atomic_uint counter;
    const size_t dir_len = imx_directory_len(path);
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

static imx_status open_temp(imx_atomic_file *file, imx_error *err) {
    temp_slot *slot = claim_slot();
    if (slot == NULL) {
        return imx_fail(err, IMX_ERR_ARGUMENT, "%s: %d output files are open already",
                        file->target.path, MAX_OPEN);
    }
    file->fd = create_beside(file->target.path, slot->path);
    if (file->fd < 0) {
        atomic_store(&slot->state, SLOT_FREE);
        return imx_fail_io(file->target.path,
                           "cannot create a temporary file beside it (the directory must exist and "
                           "be writable)",
                           err);
    }
    atomic_store(&slot->state, SLOT_LIVE);
    file->temp = slot;
    if (file->target.mode != 0) {
        // Best effort: some file systems have no modes to change.
        (void)!fchmod(file->fd, file->target.mode);
    }
    return IMX_OK;
}

static imx_status open_special(imx_atomic_file *file, imx_error *err) {
    file->fd = open(file->target.path, O_WRONLY | O_CLOEXEC);
    return file->fd < 0 ? imx_fail_io(file->target.path, "cannot open for writing", err) : IMX_OK;
}

static imx_status open_target(imx_atomic_file *file, const char *path, imx_error *err) {
    IMX_TRY(imx_output_target_find(&file->target, path, err));
    return file->target.is_special ? open_special(file, err) : open_temp(file, err);
}

imx_status imx_atomic_file_open(imx_atomic_file **out, const char *path, imx_error *err) {
    imx_atomic_file *file;
    *out = NULL;
    IMX_TRY(imx_alloc_zeroed(&file, 1, sizeof *file, err));
    file->fd = -1;
    const imx_status status = open_target(file, path, err);
    if (status != IMX_OK) {
        imx_atomic_file_abort(file);
        return status;
    }
    *out = file;
    return IMX_OK;
}

static imx_status write_through(imx_atomic_file *file, const void *data, size_t size_bytes,
                                imx_error *err) {
    return imx_write_all(file->fd, data, size_bytes)
               ? IMX_OK
               : imx_fail_io(file->target.path, "cannot write, the file is left as it was", err);
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

static imx_status finish(imx_atomic_file *file, imx_error *err) {
    IMX_TRY(flush(file, err));
    if (file->temp != NULL && fsync(file->fd) != 0) {
        return imx_fail_io(file->target.path, "cannot sync to the disk, the file is left as it was",
                           err);
    }
    const int fd = file->fd;
    file->fd = -1;
    if (close(fd) != 0) {
        return imx_fail_io(file->target.path, "cannot close, the file is left as it was", err);
    }
    if (file->temp == NULL) {
        return IMX_OK;
    }
    if (rename(file->temp->path, file->target.path) != 0) {
        return imx_fail_io(file->target.path, "cannot rename the finished file to this name", err);
    }
    atomic_store(&file->temp->state, SLOT_FREE);
    file->temp = NULL;
    imx_directory_sync(file->target.path);
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
    imx_output_target_free(&file->target);
    free(file);
}

imx_status imx_atomic_file_probe(const char *path, imx_error *err) {
    imx_atomic_file *file;
    IMX_TRY(imx_atomic_file_open(&file, path, err));
    imx_atomic_file_abort(file);
    return IMX_OK;
}
