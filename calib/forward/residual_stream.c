// SPDX-License-Identifier: MIT
//
// Every layer reads and writes the stream once, in order, so that a file serves as well as memory:
// per block one pread and one pwrite, which the page cache turns into reading ahead and writing
// behind.
//
// Tried and dropped: mapping the file. A disk that is full or gone would then be a SIGBUS in the
// middle of a product, where pwrite returns an error that a run can end with.

#include "calib/forward/residual_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/memory.h"

struct imx_residual_stream {
    size_t row_bytes;
    size_t n_cols;
    int fd;       // of the scratch file; -1: in memory
    float *rows;  // (n_rows, n_cols), with a scratch file (max_rows, n_cols)
    size_t first; // what was loaded last
    size_t n;
    char name[PATH_MAX]; // of the scratch file, for messages
};

static imx_status fail_scratch(const imx_residual_stream *stream, const char *what, int code,
                               imx_error *err) {
    return imx_fail(err, IMX_ERR_IO, "%s: cannot %s the scratch file: %s", stream->name, what,
                    strerror(code));
}

// Space is taken at once: better no run than one that ends with a full disk.
static imx_status open_scratch(imx_residual_stream *stream, const char *beside, size_t n_rows,
                               imx_error *err) {
    const off_t size = (off_t)(n_rows * stream->row_bytes);
    const int n = snprintf(stream->name, sizeof stream->name, "%s.scratch-XXXXXX", beside);
    if (n < 0 || (size_t)n >= sizeof stream->name) {
        return imx_fail(err, IMX_ERR_IO, "%s: the path is too long", beside);
    }
    stream->fd = mkostemp(stream->name, O_CLOEXEC);
    if (stream->fd < 0) {
        return fail_scratch(stream, "create", errno, err);
    }
    unlink(stream->name);
    if (fallocate(stream->fd, 0, 0, size) != 0 &&
        (errno != EOPNOTSUPP || ftruncate(stream->fd, size) != 0)) {
        return fail_scratch(stream, "find room for", errno, err);
    }
    return IMX_OK;
}

imx_status imx_residual_stream_new(imx_residual_stream **out, size_t n_rows, size_t n_cols,
                                   size_t max_rows, const char *scratch_beside, imx_error *err) {
    const size_t n_held = scratch_beside != NULL ? max_rows : n_rows;
    IMX_TRY(imx_alloc_zeroed(out, 1, sizeof **out, err));
    imx_residual_stream *stream = *out;
    stream->n_cols = n_cols;
    stream->row_bytes = n_cols * sizeof(float);
    stream->fd = -1;
    imx_status status = imx_alloc_aligned(&stream->rows, n_held, stream->row_bytes, err);
    if (status == IMX_OK) {
        memset(stream->rows, 0, n_held * stream->row_bytes);
        status =
            scratch_beside != NULL ? open_scratch(stream, scratch_beside, n_rows, err) : IMX_OK;
    }
    if (status != IMX_OK) {
        imx_residual_stream_free(stream);
        *out = NULL;
    }
    return status;
}

void imx_residual_stream_free(imx_residual_stream *stream) {
    if (stream != NULL) {
        if (stream->fd >= 0) {
            close(stream->fd);
        }
        free(stream->rows);
        free(stream);
    }
}

imx_status imx_residual_stream_load(imx_residual_stream *stream, size_t first, size_t n,
                                    float **rows, imx_error *err) {
    stream->first = first;
    stream->n = n;
    if (stream->fd < 0) {
        *rows = stream->rows + first * stream->n_cols;
        return IMX_OK;
    }
    *rows = stream->rows;
    char *bytes = (char *)stream->rows;
    for (size_t done = 0; done < n * stream->row_bytes;) {
        const ssize_t got = pread(stream->fd, bytes + done, n * stream->row_bytes - done,
                                  (off_t)(first * stream->row_bytes + done));
        if (got == 0 || (got < 0 && errno != EINTR)) {
            return fail_scratch(stream, "read", got == 0 ? EIO : errno, err);
        }
        done += got > 0 ? (size_t)got : 0;
    }
    return IMX_OK;
}

imx_status imx_residual_stream_store(imx_residual_stream *stream, imx_error *err) {
    if (stream->fd < 0) {
        return IMX_OK;
    }
    const char *bytes = (const char *)stream->rows;
    for (size_t done = 0; done < stream->n * stream->row_bytes;) {
        const ssize_t put = pwrite(stream->fd, bytes + done, stream->n * stream->row_bytes - done,
                                   (off_t)(stream->first * stream->row_bytes + done));
        if (put < 0 && errno != EINTR) {
            return fail_scratch(stream, "write", errno, err);
        }
        done += put > 0 ? (size_t)put : 0;
    }
    return IMX_OK;
}
